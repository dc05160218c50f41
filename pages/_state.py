"""What the pages share: session keys, URL parameters, guards that say in a line what is wrong, cached reading."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.runtime.pages_manager import PagesManager

from engine import catalogue, launch
from engine.config import Config, VolumeConfig
from engine.errors import InputError
from engine.runrecord import RunRecord, default_runs_dir, read_run, run_path
from engine.volume import Volume, load_volume
from pages import _text
from pages._live import RunFeed

EXPERIMENT_PAGE, RUN_PAGE, RUNS_PAGE = "pages/experiment.py", "pages/run.py", "pages/runs.py"
RUN = "run"  # the URL parameter, ?run=ID
_FEED = "feed"
Arrays = dict[str, NDArray[Any]]


def require_navigation() -> None:
    """Every page calls this first, so that it is shown within ``app.py`` and never by itself.

    When the first visitor of a fresh server comes by a link to a page, Streamlit (1.67) takes a folder named ``pages``
    for an app of the old kind: it runs the page's file alone and lists all files of the folder, for everybody, until
    somebody opens the bare address. There is no setting against it, only the flag itself.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()


def runs_dir() -> Path:
    """Where this app's runs are."""
    return default_runs_dir()


def show_error(error: InputError | str) -> None:
    """A message for the user, as text."""
    st.error(_text.escaped(str(error)), icon=":material/error:")


def requested_run() -> str:
    """The run that the address asks for; the newest one, put into the address, where it asks for none.

    Where there is no run at all, the page says what to do and ends.
    """
    asked = st.query_params.get(RUN, "").strip()
    if asked:
        return asked
    try:
        newest = catalogue.list_runs(runs_dir(), limit=1)
    except InputError as error:
        _stop_with(str(error))
    if not newest:
        no_runs()
    run_id: str = newest[0]["run_id"]
    st.query_params[RUN] = run_id
    return run_id


def open_run(run_id: str) -> RunRecord | launch.StartStatus:
    """The run, or how its start went while it has no record yet; a friendly page instead of an id that is none."""
    try:
        try:
            return read_run(run_path(runs_dir(), run_id))
        except InputError as missing:
            try:
                status = launch.start_status(runs_dir(), run_id)
            except InputError:
                raise missing from None
            return read_run(run_path(runs_dir(), run_id)) if status.state == "started" else status
    except InputError as error:
        _stop_with(str(error))


def no_runs() -> NoReturn:
    """The page of somebody who has not run anything yet."""
    st.info("No runs yet. The default experiment is ready: open **New experiment** and press **Run**.")
    st.page_link(EXPERIMENT_PAGE, label="New experiment", icon=":material/add_circle:")
    st.stop()


def _stop_with(message: str) -> NoReturn:
    st.warning(_text.escaped(message), icon=":material/search_off:")
    st.page_link(RUNS_PAGE, label="All runs", icon=":material/table_rows:")
    st.stop()


def go_to_run(run_id: str) -> NoReturn:
    """Leave for the page of a run."""
    st.switch_page(RUN_PAGE, query_params={RUN: run_id})


def feed(record: RunRecord, config: Config) -> RunFeed:
    """The run's feed of events; a session reads each event once."""
    held = st.session_state.get(_FEED)
    if held is None or held.path != record.path:
        held = st.session_state[_FEED] = RunFeed(record.path, config)
    held.advance()
    return held


def arrays(path: Path) -> Arrays | None:
    """The arrays of an artefact (.npz), read-only; None where there is none (yet).

    Raises InputError when the file is damaged.
    """
    try:
        return _read_arrays(str(path), path.stat().st_mtime_ns)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path.name} of this run is damaged or cannot be read ({error})") from error


@st.cache_resource(max_entries=64, show_spinner=False)
def _read_arrays(path: str, modified_ns: int) -> Arrays:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        found = {name: archive[name] for name in archive.files}
    for array in found.values():
        array.flags.writeable = False
    return found


def density(path: Path) -> tuple[NDArray[np.float32], float]:
    """A map (nz, ny, nx) that a run wrote, and its Å per voxel; InputError when it is damaged."""
    return _read_density(str(path), path.stat().st_mtime_ns)


@st.cache_resource(max_entries=16, show_spinner=False)
def _read_density(path: str, modified_ns: int) -> tuple[NDArray[np.float32], float]:
    from engine import maps

    density, voxel_size, _ = maps.read_map(path)
    return density, voxel_size


@st.cache_resource(max_entries=4, show_spinner="Loading the input volume …")
def input_volume(config: VolumeConfig) -> Volume:
    """The volume that a run started from; InputError where it is gone."""
    return load_volume(config)
