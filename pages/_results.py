"""The results of a run on its page: metrics and figures, each as soon as its stage has left it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray

from engine.config import Config
from engine.errors import InputError
from engine.runrecord import RunRecord
from engine.volume import Volume
from pages import _figures, _pictures, _state, _text
from pages._live import Curve, RunFeed

_CHART = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    "toImageButtonOptions": {"scale": 2},
}
_FSC_HELP = "Resolution where the Fourier shell correlation {} falls below {}; Nyquist's where it never does."


def show(record: RunRecord, feed: RunFeed) -> None:
    """Everything that the run's directory holds by now."""
    if record.metrics:
        _show_metrics(record)
    left, right = st.columns(2)
    with left, _damage_told():
        _show_distances(record)
    with right, _damage_told():
        _show_angle_errors(record)
    with _damage_told():
        _show_directions(record)
    left, right = st.columns(2)
    with left, _damage_told():
        _show_slices(record)
    with right, _damage_told():
        _show_fsc(record)
    with _damage_told():
        _show_losses(record, feed)
    with _damage_told():
        _show_projections(record)


@contextmanager
def _damage_told() -> Iterator[None]:
    """A damaged file costs its own figure, no more."""
    try:
        yield
    except InputError as error:
        st.warning(_text.escaped(str(error)), icon=":material/broken_image:")


def _chart(figure: go.Figure, key: str) -> None:
    st.plotly_chart(figure, key=key, config=_CHART)


def _show_metrics(record: RunRecord) -> None:
    found = record.metrics
    angle, mean, distance = (found.get(key) for key in ("angle_error_median", "angle_error_mean", "distance_mae"))
    with st.container(horizontal=True, gap="small"):
        _card("E_OR, median angle error", _text.degrees(angle), _text.number(angle, "rad"),
              "Median angle between recovered and true pose, after alignment over all of O(4).")  # fmt: skip
        _card("Mean angle error", _text.degrees(mean), _text.number(mean, "rad"), "Mean of the same angles.")
        _card("L_DE, distance error", _text.degrees(distance), _text.number(distance, "rad"),
              "Mean absolute error of the estimated distances, over all pairs of test projections.")  # fmt: skip
        _card("L_OR, recovery loss", _text.number(found.get("recovery_loss"), "rad²"), "mean square",
              "Mean squared difference between the given distances and those of the recovered poses.")  # fmt: skip
        for threshold, against in (("0.5", "against the input map"), ("0.143", "between the half maps")):
            if f"fsc_{threshold}_angstrom" in found:
                value = _text.number(found[f"fsc_{threshold}_angstrom"], "Å")
                _card(f"FSC {threshold}", value, against, _FSC_HELP.format(against, threshold))


def _card(label: str, value: str, small: str, help_text: str) -> None:
    st.metric(label, value, small, delta_color="off", delta_arrow="off", help=help_text, border=True)


def _show_distances(record: RunRecord) -> None:
    found = _state.arrays(record.path / "distances.npz")
    if found is None:
        return
    above = st.container()
    points = st.toggle("Show a sample of single pairs", key="points")
    counts, edges, exact, estimated = (found[name] for name in ("counts", "edges", "exact", "estimated"))
    error = record.metrics.get("distance_mae")
    if error is None:  # the run has not told it yet: from the sample
        error = float(np.mean(np.abs(estimated.astype(float) - exact)))
    with above:
        _chart(_figures.distance_figure(counts, edges, exact, estimated, error, points), "distances")


def _show_angle_errors(record: RunRecord) -> None:
    if (found := _state.arrays(record.path / "poses.npz")) is not None:
        _chart(_figures.angle_error_figure(found["errors"], found["errors_before"]), "angle-errors")


def _show_directions(record: RunRecord) -> None:
    if (found := _state.arrays(record.path / "poses.npz")) is not None:
        _chart(_figures.directions_figure(found["true"], found["aligned"], found["errors"]), "directions")


def _show_losses(record: RunRecord, feed: RunFeed) -> None:
    """Of training and of recovery, beside each other where there are both."""
    figures = {}
    trained, recovered = (_state.arrays(record.path / name) for name in ("training.npz", "recovery.npz"))
    curve = curve_arrays(feed.curve) if trained is None else trained["curve"].T
    if curve.size and record.status != "running":  # while it runs, the curve stands beside the stages
        figures["training"] = _figures.training_figure(*curve)
    if recovered is not None:
        figures["recovery"] = _figures.recovery_figure(recovered["loss_curve"])
    if figures:
        for column, (key, figure) in zip(st.columns(len(figures)), figures.items(), strict=True):
            with column:
                _chart(figure, key)


def curve_arrays(curve: Curve) -> NDArray[np.float64]:
    """Step, loss and validation L_DE (NaN where there is none): (3, n)."""
    return np.array(curve, dtype=float).reshape(-1, 3).T


def _show_projections(record: RunRecord) -> None:
    found = _state.arrays(record.path / "projections.npz")
    if found is None:
        return
    left, right = st.columns(2)
    with left:
        _chart(_pictures.projections_figure(found["clean"], "Projections, clean"), "clean")
    with right:
        same = np.array_equal(found["clean"], found["images"])
        title = "The same, as given" + (" (no noise, no shift)" if same else "")
        _chart(_pictures.projections_figure(found["images"], title), "given")


def _show_slices(record: RunRecord) -> None:
    path = record.path / "reconstruction.mrc"
    if not path.exists():
        return
    density, voxel_size = _state.density(path)
    volume = _input_of_shape(record, density.shape)
    reference = None if volume is None else volume.density
    center = np.array(density.shape[::-1]) // 2 if volume is None else volume.center_index
    name, resolution = "reconstruction", record.metrics.get("fsc_0.143_angstrom")
    if resolution is not None and resolution > 2.01 * voxel_size:  # coarser than Nyquist's
        name, density = f"reconstruction, to {resolution:.3g} Å", _pictures.low_passed(density, voxel_size, resolution)
    _chart(_pictures.slices_figure(density, name, reference, center, voxel_size), "slices")


def _input_of_shape(record: RunRecord, shape: tuple[int, ...]) -> Volume | None:
    """The run's input volume; where it cannot be had any more, None after having said why."""
    if not isinstance(record.config, Config):
        return None
    try:
        volume = _state.input_volume(record.config.volume)
    except InputError as error:
        st.caption(_text.escaped(f"The input is not shown: {error}"))
        return None
    if volume.density.shape != shape:
        st.caption("The input is not shown: its file has changed since the run.")
        return None
    return volume


def _show_fsc(record: RunRecord) -> None:
    found = _state.arrays(record.path / "fsc.npz")
    if found is None:
        return
    frequencies, to_input, halves = (found[k] for k in ("frequencies_per_angstrom", "to_input", "between_halves"))
    at_half, at_143 = (record.metrics.get(key) for key in ("fsc_0.5_angstrom", "fsc_0.143_angstrom"))
    _chart(_figures.fsc_figure(frequencies, to_input, halves, at_half, at_143), "fsc")
