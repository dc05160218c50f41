"""The record of a run on its page: files to download, configuration, environment, times of the stages."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from engine.base.errors import InputError
from engine.config.schema import Config
from engine.config.settings import config_to_toml
from engine.experiment import artefacts
from engine.experiment.stages import stages
from engine.record.runrecord import RunRecord
from pages._run import report
from pages._shared import state, summary, tables, text

_FILES = {
    "config.toml": "Configuration (.toml)",
    "poses.star": "Poses (.star)",
    "poses.cs": "Poses (.cs)",
    "reconstruction.mrc": "Reconstruction (.mrc)",
    "half1.mrc": "Half map 1 (.mrc)",
    "half2.mrc": "Half map 2 (.mrc)",
    "refined.star": "Refined poses (.star)",
    "refined.cs": "Refined poses (.cs)",
    "refined_reconstruction.mrc": "Refined reconstruction (.mrc)",
    "model.keras": "Model (.keras)",
    "log.txt": "Log (.txt)",
}
_MOST_BYTES = 500_000_000  # of a stack, which server and browser hold in memory


def show(record: RunRecord) -> None:
    """Show the downloads, and the record beneath them."""
    _show_downloads(record)
    left, right = st.columns(2)
    if isinstance(record.config, Config):
        left.code(config_to_toml(record.config), language="toml")
    with right:
        if isinstance(record.config, Config):
            st.code(text.command_line(record.config), language="bash", wrap_lines=True)
        if record.seconds:
            times = {"stage": list(record.seconds), "seconds": list(record.seconds.values())}
            st.dataframe(times, hide_index=True)
        if left_behind := _artefacts(record):
            st.dataframe(left_behind, hide_index=True)
        if record.facts is not None:
            st.code("\n".join([*summary.environment(record.facts), f"{record.path}"]), language=None, wrap_lines=True)


def _artefacts(record: RunRecord) -> dict[str, list[str]]:
    """The files that the stages left in the run's directory, and what each is."""
    here = {name for name, _ in artefacts.left(record.path)}
    kept = [one for stage in stages() for one in stage.artefacts if one.filename in here]
    return {"file": [one.filename for one in kept], "what it is": [one.description for one in kept]} if kept else {}


def _show_downloads(record: RunRecord) -> None:
    with st.container(horizontal=True, gap="small"):
        _download("Report (.html)", lambda: report.html_report(record), f"{record.run_id}.html")
        for filename, label in _FILES.items():
            if os.path.isfile(path := record.path / filename):
                _download(label, path.read_bytes, f"{record.run_id}-{filename}")
        if os.path.isfile(poses := record.path / "poses.npz"):
            _download("Errors (.csv)", lambda: tables.errors_csv(poses), f"{record.run_id}-errors.csv")
        if os.path.isfile(distances := record.path / "distances.npz"):
            _download("Sample of pairs (.csv)", lambda: tables.distances_csv(distances), f"{record.run_id}-pairs.csv")
        make = isinstance(record.config, Config) and os.path.isfile(record.path / "projections.npz") and st.button(
            "Particles (.mrcs) …", icon=":material/download:", key="particles",
            help="The images that poses.star names. They are not kept, but made again from the same seed.",
        )  # fmt: skip
    if make:
        _offer_particles(record)


def _download(label: str, read: Callable[[], bytes], filename: str) -> None:
    """Show a download button; ``read`` is called when it is pressed."""
    st.download_button(label, read, filename, key=f"download {filename}", on_click="ignore", icon=":material/download:")


def _offer_particles(record: RunRecord) -> None:
    """Make the stack and offer it for download; if it is too large for a browser, show the command that writes it."""
    from engine.experiment import stack  # only here, because it imports the simulation

    assert isinstance(record.config, Config)
    try:
        with st.spinner("Projecting the volume again …"):
            volume = state.input_volume(record.config.volume)
            size = record.config.projections.size or volume.diagonal
            large = stack.stack_bytes(record.config.projections.count, size)
            if large > _MOST_BYTES:
                st.info(
                    f"The stack has {large / 1e9:.1f} GB, too much for a browser. This writes it beside poses.star:"
                )
                folder = shlex.quote(str(record.path.parent))
                st.code(f"python -m engine runs export {record.run_id} DIRECTORY --particles --runs-dir {folder}")
                return
            with tempfile.TemporaryDirectory() as folder:
                data = stack.particle_stack(record, Path(folder) / stack.FILENAME).read_bytes()
    except InputError as error:
        state.show_error(error)
        return
    except OSError as error:  # no temporary folder, or a full one
        state.show_error(f"The stack cannot be made on the server: {error.strerror or error}")
        return
    st.download_button(
        f"Save {stack.FILENAME}, {large / 1e6:.0f} MB", data, stack.FILENAME, "application/octet-stream",
        on_click="ignore", type="primary", icon=":material/download:",
    )  # fmt: skip
