"""The record of a run on its page: configuration, where it ran, how long the stages took, files to download."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import streamlit as st

from engine.config import Config, config_to_toml
from engine.rotations import to_euler
from engine.runrecord import RunFile, RunRecord
from pages import _text

_DOWNLOADS = {
    "config.toml": "Configuration (.toml)",
    "poses.star": "Poses (.star)",
    "reconstruction.mrc": "Reconstruction (.mrc)",
    "half1.mrc": "Half map 1 (.mrc)",
    "half2.mrc": "Half map 2 (.mrc)",
    "model.keras": "Model (.keras)",
    "log.txt": "Log (.txt)",
}


def show(record: RunRecord) -> None:
    """Downloads, and the record folded up beneath them."""
    with st.container(horizontal=True, gap="small"):
        for filename, label in _DOWNLOADS.items():
            if (path := record.path / filename).exists():
                _download(label, path.read_bytes, f"{record.run_id}-{filename}")
        if (poses := record.path / "poses.npz").exists():
            _download("Errors (.csv)", lambda: errors_csv(poses), f"{record.run_id}-errors.csv")
    with st.expander("Configuration and record", icon=":material/description:"):
        left, right = st.columns(2)
        if isinstance(record.config, Config):
            left.code(config_to_toml(record.config), language="toml")
        with right:
            if isinstance(record.config, Config):
                st.code(_text.command_line(record.config), language="bash", wrap_lines=True)
            if record.seconds:
                times = {"stage": list(record.seconds), "seconds": list(record.seconds.values())}
                st.dataframe(times, hide_index=True)
            if record.facts is not None:
                st.code("\n".join([*_facts(record.facts), f"{record.path}"]), language=None, wrap_lines=True)


def _facts(facts: RunFile) -> list[str]:
    hardware = facts.hardware
    return [
        f"PoseLab {facts.engine_version}, commit {(facts.git or {}).get('commit', 'unknown')}",
        f"Python {facts.python}, {facts.platform}",
        f"{hardware.get('cpu')}, {hardware.get('cores')} cores, {hardware.get('memory_gb')} GB",
        f"GPU: {', '.join(hardware.get('gpus') or []) or 'none'}",
    ]


def _download(label: str, read: Callable[[], bytes], filename: str) -> None:
    """``read`` is called when somebody asks for the file."""
    st.download_button(label, read, filename, key=f"download {filename}", on_click="ignore", icon=":material/download:")


def errors_csv(path: Path) -> bytes:
    """Angle errors, poses (rot, tilt, psi) and shifts of a run's poses.npz as CSV, a row a projection."""
    with np.load(path, allow_pickle=False) as found:
        errors, before = found["errors"], found["errors_before"]
        columns = [np.degrees(errors), errors, np.degrees(before), to_euler(found["true"]), to_euler(found["aligned"])]
        table = np.column_stack([*columns, found["shifts"]])
    header = ["projection", "error_deg", "error_rad", "error_before_alignment_deg"]
    header += [f"{kind}_{angle}_deg" for kind in ("true", "recovered") for angle in ("rot", "tilt", "psi")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*header, "shift_x_px", "shift_y_px"])
    writer.writerows([number, *(f"{value:.9g}" for value in row)] for number, row in enumerate(table))
    return text.getvalue().encode()
