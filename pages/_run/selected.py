"""Particles of a run by ranges of confidence and viewing direction, and the table of those for other programs."""

from __future__ import annotations

import math

import streamlit as st

from engine.base.errors import InputError
from engine.record.runrecord import RunRecord
from engine.service import selection
from engine.service.selection import Selection
from pages._shared import state, text

_STEP = {"frame.npz": "distances alone", "refined_frame.npz": "refined"}


def show(record: RunRecord) -> bool:
    """Show the ranges and the download; return whether the run has particles to select from."""
    steps = selection.steps(record)
    if not steps:
        return False
    st.subheader("Select particles", anchor=False)
    try:
        _show(record, steps)
    except InputError as error:
        state.show_error(error)
    return True


def _show(record: RunRecord, steps: list[str]) -> None:
    step = steps[-1]
    if len(steps) > 1:
        words = [_STEP[name] for name in steps]
        chosen = st.segmented_control("Poses", words, default=words[-1], key="selected-step", required=True)
        step = steps[words.index(chosen or words[-1])]
    kept = state.arrays(record.path / step)
    if kept is None:
        return
    confidence = kept["confidence"]
    low, high = math.floor(1000 * confidence.min()) / 1000, math.ceil(1000 * confidence.max()) / 1000
    columns = st.columns(3)
    with columns[0]:
        sure = (low, high)
        if low < high:
            sure = st.slider("Confidence", low, high, (low, high), 0.001, "%.3f", key=f"selected-confidence-{step}")
    rot = columns[1].slider("Rot (°)", -180, 180, (-180, 180), key="selected-rot")
    tilt = columns[2].slider("Tilt (°)", 0, 180, (0, 180), key="selected-tilt")
    ranges = Selection(sure, rot, tilt)
    number = int(ranges.chosen(confidence, kept["poses"]).sum())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(f"{number:,} of {len(confidence):,} particles")
        if number and st.button("Selected particles …", icon=":material/download:", key="make-selected"):
            _offer(record, step, ranges)


def _offer(record: RunRecord, step: str, ranges: Selection) -> None:
    try:
        filename, content = selection.selected_table(record, step, ranges)
    except OSError as error:  # no temporary folder, or a full one
        raise InputError(f"the table cannot be made on the server: {error.strerror or error}") from error
    st.download_button(
        f"Save {text.source_name(filename).rpartition('-')[2]}", content, filename, "application/octet-stream",
        on_click="ignore", type="primary", icon=":material/download:", key="save-selected",
    )  # fmt: skip
