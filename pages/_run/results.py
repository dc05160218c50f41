"""The results of a run on its page: figures of merit, then figures in tabs, each as soon as its stage has finished."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from engine.base.errors import InputError
from engine.experiment import artefacts
from engine.record.runrecord import RunRecord
from pages._run import manifold, record_tab, run_data, run_figures, selected
from pages._shared import downloads, linked, state, summary, surface_level, text
from pages._shared.style import Figure

_CHART = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    "toImageButtonOptions": {"scale": 2},
}
_RECORD = "Record"
_SLIDER_PX = 480
_NOT_KEPT = (
    "Poses, or distances among the first projections (which older versions, and runs of more than 5,000 projections, "
    "do not record), are not available"
)
_NOTHING_YET = {
    "Overview": "The stages distance and alignment have not written their results",
    "Sphere": "The stage alignment has not written its poses",
    "Reconstruction": "No density has been reconstructed",
    "Refinement": "The stage refinement has not written its results",
    "Manifold": _NOT_KEPT,
    "Neighbours": _NOT_KEPT,
    "Losses": "No training or recovery has finished",
    "Projections": "There are no projections",
    "Particles": "The stage particles has not written its images",
}
_READING = run_data.Reading(state.arrays, state.density, state.input_volume)


def show(record: RunRecord) -> None:
    """Show all results written so far; only the open tab is drawn, and the address holds its name."""
    try:
        _show_merits(record, refined=False)
    except InputError as error:
        _warn(error)
    names = [*run_data.sections(record), _RECORD]
    for name, tab in zip(names, st.tabs(names, key="tab", bind="query-params"), strict=True):
        if tab.open:
            with tab:
                _show_section(record, name) if name != _RECORD else record_tab.show(record)


def _warn(error: InputError) -> None:
    """Show a warning: a damaged file affects only its own figure."""
    st.warning(text.escaped(str(error)), icon=":material/broken_image:")


def _show_merits(record: RunRecord, refined: bool) -> None:
    """Show the figures of merit of the two steps or, separately, of the refinement."""
    merits = summary.merits(record, run_data.fsc_curves(record, _READING))
    with st.container(horizontal=True, gap="small", key="refined-merits" if refined else "merits"):
        for merit in (merit for merit in merits if merit.refined == refined):
            st.metric(
                merit.label, merit.value, merit.small, delta_color="off", delta_arrow="off", help=merit.explained,
                border=True,
            )  # fmt: skip


def _show_section(record: RunRecord, name: str) -> None:
    """Show the section's figures in columns; empty columns are omitted."""
    shown = 0
    if name == "Refinement":
        _show_merits(record, refined=True)
    if name == "Manifold":
        _show_embedding(record)
    for columns in run_data.sections(record)[name]:
        level = _level(record) if any("surface" in keys for keys in columns) else None
        drawn = [[(key, one) for key in keys if (one := _figure(record, key, level)) is not None] for keys in columns]
        filled = [column for column in drawn if column]
        shown += len(filled)
        for place, column in zip(st.columns(max(1, len(filled))), filled, strict=False):
            with place:
                for key, one in column:
                    _show(record, key, one, level)
    if name == "Particles":
        shown += selected.show(record)
    if not shown and record.status in ("running", "finished"):
        st.caption(f"{_NOTHING_YET[name]}{' yet' if record.status == 'running' else ''}.")
    if name == "Reconstruction" and shown:
        _explain_missing_input(record)


def _show_embedding(record: RunRecord) -> None:
    try:
        manifold.show(record, _CHART)
    except InputError as error:
        _warn(error)


def _level(record: RunRecord) -> float | None:
    """The level of the surfaces, from a slider; None if there is no surface, or the file that it is of is damaged."""
    try:
        made = run_data.reconstruction(record, _READING)
    except InputError:
        return None  # the warning is shown in place of the figure
    if made is None:
        return None
    with st.container(width=_SLIDER_PX):
        return surface_level.slider(made[1], record.run_id)


def _figure(record: RunRecord, key: str, level: float | None = None) -> Figure | InputError | None:
    """The figure, None if there is nothing to draw, or the error in its file."""
    try:
        with st.spinner("Drawing …"):
            of_surface = level if key == "surface" else None
            return _drawn(record.path, record.status, artefacts.left(record.path), _asked(key), of_surface, record)
    except InputError as error:
        return error


def _asked(key: str) -> str:
    """The figure's key, or that of the variant with single pairs if they are switched on."""
    points = key == "distances" and st.session_state.get("points", st.query_params.get("points") == "true")
    return f"{key}-points" if points else key


def _show(record: RunRecord, key: str, drawn: Figure | InputError, level: float | None) -> None:
    """Show a figure, its data for download and, for the distances, an option; or the error in its file."""
    if isinstance(drawn, InputError):
        _warn(drawn)
        return
    st.plotly_chart(drawn, key=key, config=_CHART)
    if key == "surface":
        linked.cameras()
    with st.container(horizontal=True, vertical_alignment="center"):
        if key == "distances" and not run_data.on_particles(record):
            st.toggle("Show a sample of single pairs", key="points", bind="query-params")
        asked = _asked(key)
        downloads.figure_data(lambda: run_data.csv(asked, record, _READING, level), f"{record.run_id}-{asked}")


@st.cache_resource(max_entries=200, show_spinner=False)
def _drawn(
    path: Path, status: str, left: tuple[tuple[str, int], ...], key: str, level: float | None, _record: RunRecord
) -> Figure | None:
    """The figure, drawn once for all viewers until the run writes another file or ends.

    (``status`` is part of the key because the last file may be written after the record was read without metrics.)
    """
    return run_figures.draw(key, _record, _READING, level)


def _explain_missing_input(record: RunRecord) -> None:
    try:
        made = state.density(record.path / "reconstruction.mrc")
    except InputError:
        return  # the warning is shown in place of the figure
    missing = "" if made is None else run_data.reference(record, _READING, made[0].shape, made[1])[1]
    if missing:
        st.caption(text.escaped(missing))
