"""Shared by the pages: session keys, URL parameters, checks with a message of one line, cached reading."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.runtime.pages_manager import PagesManager

from engine.analysis.resolutions import CURVES, is_bound
from engine.base.errors import InputError
from engine.base.paths import require_reachable
from engine.config.numeric import volume_of
from engine.config.schema import Config, VolumeConfig
from engine.dispatch import backends, runqueue
from engine.dispatch.backend import StartStatus
from engine.experiment import metrics
from engine.experiment.artefacts import modified_ns, read_arrays
from engine.imaging.volume import Volume
from engine.record import catalogue
from engine.record.runrecord import RUN_ID, RunRecord, check_run_id, default_runs_dir, is_run, read_run, run_path
from engine.service.actor import Actor
from pages._shared import text
from pages._shared.live import RunFeed

EXPERIMENT_PAGE, RUN_PAGE, RUNS_PAGE = "pages/experiment.py", "pages/run.py", "pages/runs.py"
COMPARE_PAGE = "pages/compare.py"
RUN, RUNS, CLONE = "run", "runs", "clone"  # the URL parameters, ?run=ID, ?runs=ID,ID and ?clone=ID
MOST_COMPARED = 12
_PROBLEMS, _NOTICES, _LAST_RUN = "problems", "notices", "the run last seen"
_NOTICE_S = 60.0
_FSC_FILES = sorted({curve.filename for curve in CURVES.values()})
Arrays = dict[str, NDArray[Any]]


def require_navigation() -> None:
    """Every page calls this first, so that it is shown within ``app.py`` and never by itself; with an unreachable runs
    directory it shows an error and stops, instead of showing no runs.

    If the first visitor of a new server opens a link to a page, Streamlit (1.67) treats a folder named ``pages`` as an
    app in the old format: it runs the page's file alone and lists all files of the folder, for everybody, until
    somebody opens the address without a path. No setting prevents that, only the flag itself.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
    try:
        require_reachable(runs_dir())
    except InputError as error:
        show_error(error)
    except OSError as error:
        show_error(f"The runs directory {runs_dir()} is {error.strerror}.")
    else:
        return
    st.stop()


def runs_dir() -> Path:
    """The directory of this app's runs."""
    return default_runs_dir()


def show_error(error: InputError | str) -> None:
    """Show an error message, without interpreting Markdown in it."""
    st.error(text.escaped(str(error)), icon=":material/error:")


def show_warning(message: str) -> None:
    """Show a warning about results, without interpreting Markdown in it."""
    st.warning(text.escaped(message), icon=":material/change_history:")


def requested_run() -> str:
    """The id of the run in the address; if there is none, that of the last one seen in this session, else the newest.

    It is put into the address.

    If there are no runs at all, the page explains what to do and stops.
    """
    asked = st.query_params.get(RUN, "").strip()
    if asked:
        st.session_state[_LAST_RUN] = asked
        return asked
    try:
        if (last := st.session_state.get(_LAST_RUN)) is not None and _is_known(last):
            st.query_params[RUN] = last
            return str(last)
        newest = catalogue.list_runs(runs_dir(), limit=1)
    except InputError as error:
        _stop_with(str(error))
    if not newest:
        no_runs()
    run_id: str = newest[0]["run_id"]
    st.query_params[RUN] = st.session_state[_LAST_RUN] = run_id
    return run_id


def _is_known(run_id: str) -> bool:
    """Whether there is still a run of this id, or one in the queue."""
    return RUN_ID.fullmatch(run_id) is not None and (
        is_run(runs_dir() / run_id) or runqueue.find(runs_dir(), run_id) is not None
    )


def open_run(run_id: str) -> RunRecord | runqueue.QueuedRun | StartStatus:
    """The run or, while it has no record yet, its place in the queue or the status of its start.

    If there is no such run, the page shows a message and stops.
    """
    folder = runs_dir()
    try:
        for _ in range(2):  # it may change from one state to the next between these checks
            if is_run(folder / check_run_id(run_id)):
                break
            if (queued := runqueue.find(folder, run_id)) is not None:
                return queued
            try:
                status = backends.status(folder, run_id)
            except InputError:
                continue
            if status.state != "started":
                return status
        return read_run(run_path(folder, run_id))
    except InputError as error:
        _stop_with(str(error))


def actor() -> Actor:
    """The actor of all actions on the pages: the server's user, until there is a sign-in."""
    return Actor.of_this_process()


def no_runs() -> NoReturn:
    """Show how to start while there are no runs, and stop."""
    st.info("No runs yet. The default experiment is ready: open **New experiment** and press **Run**.")
    st.page_link(EXPERIMENT_PAGE, label="New experiment", icon=":material/add_circle:")
    st.stop()


def _stop_with(message: str) -> NoReturn:
    st.warning(text.escaped(message), icon=":material/search_off:")
    st.page_link(RUNS_PAGE, label="All runs", icon=":material/table_rows:")
    st.stop()


def go_to_run(run_id: str) -> NoReturn:
    """Switch to the page of a run."""
    st.switch_page(RUN_PAGE, query_params={RUN: run_id})


def go_to_compare(run_ids: Sequence[str]) -> NoReturn:
    """Switch to the comparison of these runs."""
    st.switch_page(COMPARE_PAGE, query_params={RUNS: ",".join(run_ids)})


def attempt(action: Callable[..., Any], *given: Any, **named: Any) -> bool:
    """For callbacks: run an action, keep an InputError for :func:`show_notices`, and return whether it succeeded."""
    try:
        action(*given, **named)
    except InputError as error:
        st.session_state.setdefault(_PROBLEMS, []).append(str(error))
        return False
    return True


class Listing(NamedTuple):
    """All runs from :func:`engine.record.catalogue.list_runs`, including archived ones, and any notices."""

    rows: list[catalogue.Row]
    notices: list[str]


def runs() -> Listing:
    """All runs, newest first, read-only; the catalogue is queried at most about once a second for all visitors."""
    listing = _listing(runs_dir())
    st.session_state.setdefault(_NOTICES, {}).update(dict.fromkeys(listing.notices, time.monotonic()))
    return listing


def waiting() -> list[runqueue.QueuedRun]:
    """The runs in the queue; none where it cannot be read, which the page of all runs says."""
    try:
        return runqueue.waiting(runs_dir())
    except InputError:
        return []


def bounds(row: catalogue.Row) -> frozenset[str]:
    """The names of a run's resolutions of which only a bound is known; empty if its curves are missing or damaged."""
    recorded = row["metrics"] or {}
    names = frozenset(name for name in CURVES if recorded.get(name) is not None)
    if not names:
        return names
    path, kept = runs_dir() / row["run_id"], _bounds()
    stamp = tuple(modified_ns(path / filename) for filename in _FSC_FILES)
    if kept.get(path, ((), names))[0] != stamp:
        kept[path] = stamp, frozenset(name for name in names if _is_bound(path, name))
    return kept[path][1]


@st.cache_resource(show_spinner=False)
def _bounds() -> dict[Path, tuple[tuple[int | None, ...], frozenset[str]]]:
    """The results of :func:`bounds` for each run, with the modification times of the files they were read from."""
    return {}


def _is_bound(path: Path, name: str) -> bool:
    filename, array = CURVES[name]
    try:
        curves = read_arrays(path / filename, only=(array,))
    except (InputError, FileNotFoundError):
        return False
    return array in curves and is_bound(metrics.find(name), curves[array])


def forget_runs() -> None:
    """Forget the cached list after a change of one's own, so that it shows at once."""
    _listing.clear()


@st.cache_resource(ttl=0.8, max_entries=4, show_spinner=False)
def _listing(folder: Path) -> Listing:
    notices: list[str] = []
    return Listing(catalogue.list_runs(folder, archived=None, on_notice=notices.append), notices)


def show_notices() -> None:
    """Show each error of a callback once, and each notice about the catalogue for a minute."""
    for problem in st.session_state.pop(_PROBLEMS, []):
        show_error(problem)
    for notice, reported_at in st.session_state.get(_NOTICES, {}).items():
        if time.monotonic() - reported_at < _NOTICE_S:
            st.info(text.escaped(notice), icon=":material/database:")


def feed(record: RunRecord, config: Config) -> RunFeed:
    """The run's feed of events; each event is read once for all viewers."""
    shared = _feed(record.path, config)
    shared.advance()
    return shared


@st.cache_resource(max_entries=64, show_spinner=False)
def _feed(path: Path, _config: Config) -> RunFeed:
    return RunFeed(path, _config)


def arrays(path: Path) -> Arrays | None:
    """The arrays of an artefact (.npz), read-only; None if there is none (yet).

    Raises InputError when the file is damaged.
    """
    try:
        return _read_arrays(path, modified_ns(path))
    except FileNotFoundError:
        return None


@st.cache_resource(max_entries=64, show_spinner=False)
def _read_arrays(path: Path, modified: int | None) -> Arrays:
    return read_arrays(path)


def density(path: Path) -> tuple[NDArray[np.float32], float] | None:
    """A map (nz, ny, nx) that a run wrote, and its Å per voxel; None if there is none (yet).

    Raises InputError when the file is damaged.
    """
    modified = modified_ns(path)
    return None if modified is None else _read_density(str(path), modified)


@st.cache_resource(max_entries=16, show_spinner=False)
def _read_density(path: str, modified: int) -> tuple[NDArray[np.float32], float]:
    from engine.io import mrc

    return mrc.read_undoubted_map(path)


@st.cache_resource(max_entries=4, show_spinner="Loading the input volume …")
def input_volume(config: VolumeConfig) -> Volume:
    """The input volume of a run; InputError if it is gone."""
    return volume_of(config)
