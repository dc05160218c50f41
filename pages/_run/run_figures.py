"""What a run has left, as figures by section: for its page and for its report alike. No streamlit.

Every figure is a function of the record and of a :class:`Reading`; it gives None where the run has not left, or
not yet, what the figure is made from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from engine.analysis.figures.angles import angle_errors
from engine.analysis.figures.data import Figure as Data
from engine.analysis.figures.distances import distance_versus_distance
from engine.analysis.figures.fsc import fourier_shell_correlations
from engine.analysis.figures.losses import recovery_curve, training_curve
from engine.base.errors import InputError
from engine.base.files import read_arrays
from engine.config.numeric import volume_of
from engine.config.schema import Config, VolumeConfig
from engine.geometry.rotations import viewing_directions
from engine.imaging.volume import Volume
from engine.record.runrecord import RunRecord
from pages._run import figures, manifold_figures
from pages._shared import picture_figures, sphere_figures, style, surface_figures
from pages._shared.live import RunFeed, curve_arrays

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Reading:
    """How files are read, None for those that are not there; a page shares among all its visitors what was read."""

    arrays: Callable[[Path], Arrays | None]
    density: Callable[[Path], tuple[NDArray[np.float32], float] | None]
    volume: Callable[[VolumeConfig], Volume]


Figure = Callable[[RunRecord, Reading], go.Figure | None]
Shown = Callable[[RunRecord, Reading], Data | None]


def direct_reading() -> Reading:
    """Reading without a cache."""
    return Reading(_arrays, _density, volume_of)


def draw(key: str, record: RunRecord, reading: Reading) -> go.Figure | None:
    """One of :data:`FIGURES`; InputError where the file that it is made from is damaged or foreign."""
    try:
        return FIGURES[key](record, reading)
    except KeyError as error:
        raise InputError(f"{key.replace('-', ' ')}: the run's file lacks {error}; it is not shown") from error


def _distances(record: RunRecord, reading: Reading) -> Data | None:
    found = reading.arrays(record.path / "distances.npz")
    if found is None:
        return None
    exact, estimated = found["exact"], found["estimated"]
    error = record.metrics.get("distance_mae")  # None as long as the run has not ended
    errors = found.get("error_by_distance")  # runs of older versions have not kept it
    return distance_versus_distance(found["counts"], found["edges"], exact, estimated, error, errors)


def reference(record: RunRecord, reading: Reading, shape: tuple[int, ...]) -> tuple[Volume | None, str]:
    """The run's input volume or, where it cannot be had any more, None and why."""
    if not isinstance(record.config, Config):
        return None, ""
    try:
        volume = reading.volume(record.config.volume)
    except InputError as error:
        return None, f"The input is not shown: {error}"
    if volume.density.shape != shape:
        return None, "The input is not shown: its file has changed since the run."
    return volume, ""


def reconstruction(record: RunRecord, reading: Reading) -> tuple[str, NDArray[np.float32], float] | None:
    """What to call the reconstruction, its density without what is finer than its resolution, Å per voxel."""
    found = reading.density(record.path / "reconstruction.mrc")
    if found is None:
        return None
    density, voxel_size = found
    resolution = record.metrics.get("fsc_0.143_angstrom")
    if resolution is None or resolution <= 2.01 * voxel_size:  # no coarser than Nyquist's
        return "reconstruction", density, voxel_size
    return (
        f"reconstruction, to {resolution:.3g} Å",
        picture_figures.low_passed(density, voxel_size, resolution),
        voxel_size,
    )


def fsc_curves(record: RunRecord, reading: Reading) -> dict[str, NDArray[Any]]:
    """The curves that a run has, by the key of the metric that says where they fall below their threshold."""
    curves = {}
    for prefix in ("", "refined_"):
        if (found := reading.arrays(record.path / f"{prefix}fsc.npz")) is not None:
            if "to_input" in found:
                curves[f"{prefix}fsc_0.5_angstrom"] = found["to_input"]
            curves[f"{prefix}fsc_0.143_angstrom"] = found["between_halves"]
    return curves


def _arrays(path: Path) -> Arrays | None:
    try:
        return read_arrays(path)
    except FileNotFoundError:
        return None


def _density(path: Path) -> tuple[NDArray[np.float32], float] | None:
    from engine.io import mrc

    if not path.exists():
        return None
    density, voxel_size, _ = mrc.read_map(path)
    return density, voxel_size


def _angle_errors(record: RunRecord, reading: Reading) -> Data | None:
    found = reading.arrays(record.path / "poses.npz")
    return None if found is None else angle_errors(found["errors"], found["errors_before"])


def _directions(record: RunRecord, reading: Reading) -> go.Figure | None:
    found = reading.arrays(record.path / "poses.npz")
    if found is None:
        return None
    both = _true_and_recovered(found)
    return sphere_figures.sphere_figure(both, dict.fromkeys(both, found["errors"]))


def _direction_map(record: RunRecord, reading: Reading) -> go.Figure | None:
    found = reading.arrays(record.path / "poses.npz")
    return None if found is None else sphere_figures.direction_heatmap_figure(_true_and_recovered(found))


def _true_and_recovered(poses: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {"true": viewing_directions(poses["true"]), "recovered, aligned": viewing_directions(poses["aligned"])}


def _error_map(record: RunRecord, reading: Reading) -> go.Figure | None:
    found = reading.arrays(record.path / "poses.npz")
    return None if found is None else sphere_figures.error_map_figure(found["true"], found["errors"])


def _training(record: RunRecord, reading: Reading) -> Data | None:
    """The whole curve; of a training that was stopped, what its events tell."""
    found = reading.arrays(record.path / "training.npz")
    if found is not None:
        curve = found["curve"].T
    elif record.status == "running":  # the curve that grows stands beside the stages
        return None
    else:
        feed = RunFeed(record.path, Config())
        feed.advance()
        curve = curve_arrays(feed.curve)
    return training_curve(*curve) if curve.size else None


def _recovery(record: RunRecord, reading: Reading) -> Data | None:
    found = reading.arrays(record.path / "recovery.npz")
    return None if found is None else recovery_curve(found["loss_curve"])


def _clean(record: RunRecord, reading: Reading) -> go.Figure | None:
    found = reading.arrays(record.path / "projections.npz")
    return None if found is None else picture_figures.projections_figure(found["clean"], "Projections, clean")


def _given(record: RunRecord, reading: Reading) -> go.Figure | None:
    found = reading.arrays(record.path / "projections.npz")
    if found is None:
        return None
    same = np.array_equal(found["clean"], found["images"])
    return picture_figures.projections_figure(
        found["images"], "The same, as given" + (" (no noise, no shift)" if same else "")
    )


def _slices(record: RunRecord, reading: Reading) -> go.Figure | None:
    made = reconstruction(record, reading)
    if made is None:
        return None
    name, density, voxel_size = made
    volume, _ = reference(record, reading, density.shape)
    center = np.array(density.shape[::-1]) // 2 if volume is None else volume.center_index
    return picture_figures.slices_figure(density, name, None if volume is None else volume.density, center, voxel_size)


def _surface(record: RunRecord, reading: Reading) -> go.Figure | None:
    made = reconstruction(record, reading)
    if made is None:
        return None
    name, density, voxel_size = made
    volume, _ = reference(record, reading, density.shape)
    shown = {} if volume is None else {"input": (volume.density, voxel_size)}
    colours = {"input": style.SKY, name: style.ORANGE}
    return surface_figures.isosurface_figure(shown | {name: (density, voxel_size)}, title="Surfaces", colours=colours)


def _fsc(record: RunRecord, reading: Reading, prefix: str = "") -> Data | None:
    found = reading.arrays(record.path / f"{prefix}fsc.npz")
    if found is None:
        return None
    at_half, at_143 = (record.metrics.get(f"{prefix}fsc_{threshold}_angstrom") for threshold in ("0.5", "0.143"))
    return fourier_shell_correlations(
        found["frequencies_per_angstrom"], found.get("to_input"), found["between_halves"], at_half, at_143
    )


def _refined(record: RunRecord, reading: Reading) -> Data | None:
    found, before = (reading.arrays(record.path / name) for name in ("refined.npz", "poses.npz"))
    if found is None or before is None:
        return None
    return angle_errors(found["errors"], before["errors"], ("after refinement", "before refinement"), before_alike=True)


def _among_first(record: RunRecord, reading: Reading, figure: Callable[..., go.Figure | None]) -> go.Figure | None:
    """One of the figures of what a run keeps of its first projections, which runs of older versions have not."""
    kept, poses = (reading.arrays(record.path / name) for name in ("distances.npz", "poses.npz"))
    if kept is None or "among_first" not in kept:
        return None
    symmetry = record.config.volume.symmetry if isinstance(record.config, Config) else "C1"
    return figure(kept["among_first"], None if poses is None else poses["true"], symmetry)


def _recall(record: RunRecord, reading: Reading) -> go.Figure | None:
    of_all = record.metrics.get("neighbour_recall_at_10")
    return _among_first(record, reading, partial(manifold_figures.recall_figure, of_all=of_all))


DATA: dict[str, tuple[Shown, Callable[[Data], go.Figure]]] = {
    "distances": (_distances, figures.distance_figure),
    "distances-points": (_distances, partial(figures.distance_figure, points=True)),
    "angle-errors": (_angle_errors, figures.angle_error_figure),
    "fsc": (_fsc, figures.fsc_figure),
    "training": (_training, figures.training_figure),
    "recovery": (_recovery, figures.recovery_figure),
    "refined": (_refined, figures.angle_error_figure),
    "refined-fsc": (partial(_fsc, prefix="refined_"), figures.fsc_figure),
}
"""Figures whose data come from the engine: what gives the data, what draws them."""


def data(key: str, record: RunRecord, reading: Reading) -> Data | None:
    """What one of :data:`DATA` shows; None where the run has not left it."""
    return DATA[key][0](record, reading)


def _drawn(record: RunRecord, reading: Reading, key: str) -> go.Figure | None:
    shown = data(key, record, reading)
    return None if shown is None else DATA[key][1](shown)


FIGURES: dict[str, Figure] = {
    **{key: partial(_drawn, key=key) for key in DATA},
    "directions": _directions, "error-map": _error_map, "direction-map": _direction_map, "slices": _slices,
    "surface": _surface, "clean": _clean, "given": _given,
    "spectrum": partial(_among_first, figure=manifold_figures.spectrum_figure), "recall": _recall,
    "nearest-by-pose": partial(_among_first, figure=partial(manifold_figures.adjacency_figure, by_pose=True)),
    "nearest-by-estimate": partial(_among_first, figure=partial(manifold_figures.adjacency_figure, by_pose=False)),
}  # fmt: skip
Rows = tuple[tuple[tuple[str, ...], ...], ...]
SECTIONS: dict[str, Rows] = {
    "Overview": ((("distances",), ("angle-errors",)),),
    "Sphere": ((("directions", "error-map"), ("direction-map",)),),
    "Reconstruction": ((("slices",), ("surface",)), (("fsc",),)),
    "Refinement": ((("refined",), ("refined-fsc",)),),
    "Manifold": ((("spectrum",),),),
    "Neighbours": ((("nearest-by-pose",), ("nearest-by-estimate",)), (("recall",),)),
    "Losses": ((("training",), ("recovery",)),),
    "Projections": ((("clean",), ("given",)),),
}
"""Of each section the figures, by row and column."""


def sections(record: RunRecord) -> dict[str, Rows]:
    """The sections that a run of this configuration has."""
    refined = isinstance(record.config, Config) and record.config.refinement.enabled
    return {name: rows for name, rows in SECTIONS.items() if refined or name != "Refinement"}
