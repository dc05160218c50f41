"""The figures of a run drawn with Plotly, by the key under which :mod:`pages._run.run_data` has their data."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go

from engine.analysis.figures.data import Figure
from engine.record.runrecord import RunRecord
from pages._run import figures, manifold_figures, run_data
from pages._run.run_data import Reading
from pages._shared import particle_figures, picture_figures, sphere_figures, style, surface_figures


def draw(key: str, record: RunRecord, reading: Reading, level: float | None = None) -> go.Figure | None:
    """One of :data:`DRAWN`, None if there is nothing to draw.

    ``level`` and InputError are those of :func:`run_data.figure_data`.
    """
    data = run_data.figure_data(key, record, reading, level)
    return None if data is None else DRAWN[key](data)


def _surfaces(data: Figure) -> go.Figure:
    """The input, if available, and the reconstruction (last) in another colour."""
    return surface_figures.isosurface_figure(data, {"input": style.SKY, data.panels[-1].title: style.ORANGE})


DRAWN: dict[str, Callable[[Figure], go.Figure]] = {
    "distances": figures.distance_figure, "distances-points": figures.distance_figure,
    "angle-errors": figures.angle_error_figure, "refined": figures.angle_error_figure,
    "directions": sphere_figures.sphere_figure, "error-map": sphere_figures.error_map_figure,
    "direction-map": sphere_figures.direction_heatmap_figure, "slices": picture_figures.slices_figure,
    "surface": _surfaces, "fsc": figures.fsc_figure, "refined-fsc": figures.fsc_figure,
    "training": figures.training_figure, "recovery": figures.recovery_figure,
    "clean": picture_figures.projections_figure, "given": picture_figures.projections_figure,
    "spectrum": manifold_figures.spectrum_figure, "recall": manifold_figures.recall_figure,
    "confidence": particle_figures.confidence_figure, "most-confident": particle_figures.matches_figure,
    "least-confident": particle_figures.matches_figure, "noise-power": particle_figures.spectrum_figure,
    "recorded": picture_figures.projections_figure, "prepared": picture_figures.projections_figure,
    "nearest-by-pose": manifold_figures.adjacency_figure, "nearest-by-estimate": manifold_figures.adjacency_figure,
}  # fmt: skip
