"""A run's results as data of figures, by section, for its page, its report and its downloads.

No Streamlit, no Plotly. The data of every figure are a function of the record and of a :class:`Reading`; None if the
run has not (yet) written the arrays that the figure needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.figures import angles, densities, directions, distances, fsc, losses, manifold, neighbours
from engine.analysis.figures import particles as of_particles
from engine.analysis.figures import projections as pictures
from engine.analysis.figures.data import Figure
from engine.analysis.resolutions import CURVES
from engine.base.errors import InputError
from engine.config.numeric import volume_of
from engine.config.schema import Config, VolumeConfig
from engine.experiment.artefacts import modified_ns, read_arrays
from engine.geometry.rotations import viewing_directions
from engine.imaging.resampling import on_box, same_voxels
from engine.imaging.volume import Volume
from engine.record.runrecord import RunRecord
from pages._shared.live import RunFeed, curve_arrays

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Reading:
    """How files are read, None for missing ones; a page caches what was read for all its visitors."""

    arrays: Callable[[Path], Arrays | None]
    density: Callable[[Path], tuple[NDArray[np.float32], float] | None]
    volume: Callable[[VolumeConfig], Volume]


def direct_reading() -> Reading:
    """Reading without a cache."""
    return Reading(_arrays, _density, volume_of)


def figure_data(key: str, record: RunRecord, reading: Reading, level: float | None = None) -> Figure | None:
    """One of :data:`DATA`; InputError if its file is damaged or not written by PoseLab.

    ``level`` is that of the surfaces, in standard deviations above the mean; None stands for each density's own.
    """
    try:
        return _surface(record, reading, level) if key == "surface" else DATA[key](record, reading)
    except KeyError as error:
        raise InputError(f"{key.replace('-', ' ')}: the run's file lacks {error}; it is not shown") from error


def csv(key: str, record: RunRecord, reading: Reading, level: float | None = None) -> str:
    """The data of a figure as CSV; InputError as :func:`figure_data`, and if the file is gone."""
    data = figure_data(key, record, reading, level)
    if data is None:
        raise InputError(f"{key.replace('-', ' ')}: the run's file is no longer there; wanted the one that was drawn")
    return data.to_csv()


def on_particles(record: RunRecord) -> bool:
    """Whether the run is on recorded particles, whose poses are not known."""
    return isinstance(record.config, Config) and record.config.particles.source is not None


def reference(
    record: RunRecord, reading: Reading, shape: tuple[int, ...], voxel_size: float
) -> tuple[Volume | None, str]:
    """The run's input volume or, if it is no longer available, None and the reason.

    That of a run on particles is on the grid of their pixels, as its reconstructions are.
    """
    if not isinstance(record.config, Config) or record.config.volume.source is None:
        return None, ""
    try:
        volume = reading.volume(record.config.volume)
    except InputError as error:
        return None, f"The input is not shown: {error}"
    same_grid = volume.density.shape == shape and same_voxels(volume.voxel_size, voxel_size)
    if on_particles(record) and not same_grid and len(set(shape)) == 1:
        return on_box(volume, shape[0], voxel_size), ""
    if volume.density.shape != shape:
        return None, "The input is not shown: its file has changed since the run."
    return volume, ""


def reconstruction(record: RunRecord, reading: Reading) -> tuple[str, NDArray[np.float32], float] | None:
    """The reconstruction's label, its density low-pass filtered at its resolution, and its Å per voxel."""
    kept = reading.density(record.path / "reconstruction.mrc")
    if kept is None:
        return None
    density, voxel_size = kept
    resolution = record.metrics.get("fsc_0.143_angstrom")
    if resolution is None or resolution <= 2.01 * voxel_size:  # not coarser than Nyquist's
        return "reconstruction", density, voxel_size
    return (
        f"reconstruction, to {resolution:.3g} Å",
        densities.low_passed(density, voxel_size, resolution),
        voxel_size,
    )


def fsc_curves(record: RunRecord, reading: Reading) -> dict[str, NDArray[Any]]:
    """The FSC curves of a run, by the key of the metric that holds the resolution at their threshold."""
    curves = {}
    for name, (filename, array) in CURVES.items():
        kept = reading.arrays(record.path / filename)
        if kept is not None and array in kept:
            curves[name] = kept[array]
    return curves


def _arrays(path: Path) -> Arrays | None:
    try:
        return read_arrays(path)
    except FileNotFoundError:
        return None


def _density(path: Path) -> tuple[NDArray[np.float32], float] | None:
    from engine.io import mrc

    return None if modified_ns(path) is None else mrc.read_undoubted_map(path)


def _distances(record: RunRecord, reading: Reading, points: bool = False) -> Figure | None:
    """Estimated against true distance; ``points`` adds single pairs."""
    kept = reading.arrays(record.path / "distances.npz")
    if kept is None:
        return None
    if "exact" not in kept and on_particles(record):
        return distances.estimated_distances(kept["estimated"])
    exact, estimated = kept["exact"], kept["estimated"]
    error = record.metrics.get("distance_mae")  # None until the run has ended
    errors = kept.get("error_by_distance")  # not recorded by older versions
    return distances.distance_versus_distance(kept["counts"], kept["edges"], exact, estimated, error, errors, points)


def _in_frame(record: RunRecord, reading: Reading) -> dict[str, Arrays]:
    """What the run has of its particles in the map's frame, by step."""
    steps = {"distances alone": "frame.npz", "refined": "refined_frame.npz"}
    kept = {step: reading.arrays(record.path / filename) for step, filename in steps.items()}
    return {step: arrays for step, arrays in kept.items() if arrays is not None}


def _reference_errors(record: RunRecord, reading: Reading) -> Figure | None:
    errors = {step: kept["errors"] for step, kept in _in_frame(record, reading).items() if "errors" in kept}
    return of_particles.reference_errors(errors) if errors else None


def _confidence(record: RunRecord, reading: Reading) -> Figure | None:
    """Against the errors after the last step, where there are any."""
    steps = list(_in_frame(record, reading).values())
    if not steps:
        return None
    kept = steps[-1]
    if "errors" not in kept:
        return of_particles.confidences(kept["confidence"])
    return of_particles.error_by_confidence(kept["confidence"], kept["errors"])


def _particle_directions(record: RunRecord, reading: Reading) -> dict[str, NDArray[Any]]:
    kept = _in_frame(record, reading)
    named = {f"estimated, {step}": viewing_directions(arrays["poses"]) for step, arrays in kept.items()}
    reference = next((arrays["reference"] for arrays in kept.values() if "reference" in arrays), None)
    return named if reference is None else named | {"reference": viewing_directions(reference)}


def _matches(record: RunRecord, reading: Reading, most: bool) -> Figure | None:
    kept = reading.arrays(record.path / "matches.npz")
    if kept is None:
        return None
    return of_particles.matches(kept["confidence"], kept["particles"], kept.get("projections"), most)


def _noise_power(record: RunRecord, reading: Reading) -> Figure | None:
    kept = reading.arrays(record.path / "particles.npz")
    if kept is None:
        return None
    made = reading.density(record.path / "half1.mrc")  # which has the pixels of the stack
    return of_particles.noise_power(kept["frequencies"], kept["noise_power"], None if made is None else made[1])


def _recorded(record: RunRecord, reading: Reading, which: str, title: str) -> Figure | None:
    kept = reading.arrays(record.path / "particles.npz")
    return None if kept is None else pictures.gallery(kept[which], title, name=which)


def _angle_errors(record: RunRecord, reading: Reading) -> Figure | None:
    if on_particles(record):
        return _reference_errors(record, reading)
    poses = reading.arrays(record.path / "poses.npz")
    return None if poses is None else angles.angle_errors(poses["errors"], poses["errors_before"])


def _directions(record: RunRecord, reading: Reading) -> Figure | None:
    if on_particles(record):
        named = _particle_directions(record, reading)
        return directions.on_spheres(named) if named else None
    poses = reading.arrays(record.path / "poses.npz")
    if poses is None:
        return None
    both = _true_and_recovered(poses)
    return directions.on_spheres(both, dict.fromkeys(both, poses["errors"]))


def _direction_map(record: RunRecord, reading: Reading) -> Figure | None:
    if on_particles(record):
        named = _particle_directions(record, reading)
        return directions.by_solid_angle(named) if named else None
    poses = reading.arrays(record.path / "poses.npz")
    return None if poses is None else directions.by_solid_angle(_true_and_recovered(poses))


def _true_and_recovered(poses: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {"true": viewing_directions(poses["true"]), "recovered, aligned": viewing_directions(poses["aligned"])}


def _error_map(record: RunRecord, reading: Reading) -> Figure | None:
    if on_particles(record):
        known = [kept for kept in _in_frame(record, reading).values() if "errors" in kept]
        if not known:
            return None
        title = "Angle to the reference pose over the sphere"
        return directions.errors_by_direction(known[-1]["reference"], known[-1]["errors"], title)
    poses = reading.arrays(record.path / "poses.npz")
    return None if poses is None else directions.errors_by_direction(poses["true"], poses["errors"])


def _training(record: RunRecord, reading: Reading) -> Figure | None:
    """The whole curve or, if the training was stopped, the part that its events have recorded."""
    kept = reading.arrays(record.path / "training.npz")
    if kept is not None:
        curve = kept["curve"].T
    elif record.status == "running":  # the growing curve is shown beside the stages
        return None
    else:
        feed = RunFeed(record.path, Config())
        feed.advance()
        curve = curve_arrays(feed.curve)
    return losses.training_curve(*curve) if curve.size else None


def _recovery(record: RunRecord, reading: Reading) -> Figure | None:
    kept = reading.arrays(record.path / "recovery.npz")
    return None if kept is None else losses.recovery_curve(kept["loss_curve"])


def _clean(record: RunRecord, reading: Reading) -> Figure | None:
    kept = reading.arrays(record.path / "projections.npz")
    return None if kept is None else pictures.gallery(kept["clean"], "Projections, clean", name="clean")


def _given(record: RunRecord, reading: Reading) -> Figure | None:
    kept = reading.arrays(record.path / "projections.npz")
    if kept is None:
        return None
    same = " (no noise, no shift)" if np.array_equal(kept["clean"], kept["images"]) else ""
    return pictures.gallery(kept["images"], f"The same, as given{same}", name="given")


def _slices(record: RunRecord, reading: Reading) -> Figure | None:
    made = reconstruction(record, reading)
    if made is None:
        return None
    name, density, voxel_size = made
    volume, _ = reference(record, reading, density.shape, voxel_size)
    center = np.array(density.shape[::-1]) // 2 if volume is None else volume.center_index
    return densities.slices(density, name, None if volume is None else volume.density, center, voxel_size)


def _surface(record: RunRecord, reading: Reading, level: float | None = None) -> Figure | None:
    made = reconstruction(record, reading)
    if made is None:
        return None
    name, density, voxel_size = made
    volume, _ = reference(record, reading, density.shape, voxel_size)
    shown = {} if volume is None else {"input": (volume.density, voxel_size)}
    title = "Surfaces" if level is None else f"Surfaces at {level:g} σ above the mean"
    return densities.isosurfaces(shown | {name: (density, voxel_size)}, level, title)


def _fsc(record: RunRecord, reading: Reading, prefix: str = "") -> Figure | None:
    kept = reading.arrays(record.path / f"{prefix}fsc.npz")
    if kept is None:
        return None
    at_half, at_143 = (record.metrics.get(f"{prefix}fsc_{threshold}_angstrom") for threshold in ("0.5", "0.143"))
    frequencies, between_halves = kept["frequencies_per_angstrom"], kept["between_halves"]
    name = f"{prefix}fsc".replace("_", "-")
    return fsc.fourier_shell_correlations(frequencies, kept.get("to_input"), between_halves, at_half, at_143, name)


def _refined(record: RunRecord, reading: Reading) -> Figure | None:
    after, before = (reading.arrays(record.path / name) for name in ("refined.npz", "poses.npz"))
    if after is None or before is None:
        return None
    titles = ("after refinement", "before refinement")
    return angles.angle_errors(after["errors"], before["errors"], titles, before_alike=True, name="refined")


def _among_first(record: RunRecord, reading: Reading) -> tuple[NDArray[Any], NDArray[Any] | None, str] | None:
    """Distances, poses and symmetry of a run's first projections; None for runs of older versions, which lack them."""
    kept, poses = (reading.arrays(record.path / name) for name in ("distances.npz", "poses.npz"))
    if kept is None or "among_first" not in kept:
        return None
    symmetry = record.config.volume.symmetry if isinstance(record.config, Config) else "C1"
    return kept["among_first"], None if poses is None else poses["true"], symmetry


def _spectrum(record: RunRecord, reading: Reading) -> Figure | None:
    kept = _among_first(record, reading)
    return None if kept is None else manifold.spectrum(*kept)


def _graph(record: RunRecord, reading: Reading, by_pose: bool) -> Figure | None:
    estimated, poses, symmetry = _among_first(record, reading) or (None, None, "")
    if estimated is None or poses is None:
        return None
    return neighbours.neighbour_graph(estimated, poses, symmetry, by_pose)


def _recall(record: RunRecord, reading: Reading) -> Figure | None:
    estimated, poses, symmetry = _among_first(record, reading) or (None, None, "")
    if estimated is None or poses is None:
        return None
    return neighbours.recall(estimated, poses, symmetry, record.metrics.get("neighbour_recall_at_10"))


DATA: dict[str, Callable[[RunRecord, Reading], Figure | None]] = {
    "distances": _distances, "distances-points": partial(_distances, points=True), "angle-errors": _angle_errors,
    "directions": _directions, "error-map": _error_map, "direction-map": _direction_map, "slices": _slices,
    "surface": _surface, "fsc": _fsc, "training": _training, "recovery": _recovery, "clean": _clean, "given": _given,
    "refined": _refined, "refined-fsc": partial(_fsc, prefix="refined_"), "spectrum": _spectrum, "recall": _recall,
    "confidence": _confidence, "most-confident": partial(_matches, most=True),
    "least-confident": partial(_matches, most=False), "noise-power": _noise_power,
    "recorded": partial(_recorded, which="recorded", title="Particles, as recorded"),
    "prepared": partial(_recorded, which="prepared", title="The same, as the network sees them"),
    "nearest-by-pose": partial(_graph, by_pose=True), "nearest-by-estimate": partial(_graph, by_pose=False),
}  # fmt: skip
Rows = tuple[tuple[tuple[str, ...], ...], ...]
SECTIONS: dict[str, Rows] = {
    "Overview": ((("distances",), ("angle-errors",)),),
    "Sphere": ((("directions", "error-map"), ("direction-map",)),),
    "Reconstruction": ((("slices", "fsc"), ("surface",)),),
    "Refinement": ((("refined",), ("refined-fsc",)),),
    "Manifold": ((("spectrum",),),),
    "Neighbours": ((("nearest-by-pose",), ("nearest-by-estimate",)), (("recall",),)),
    "Losses": ((("training",), ("recovery",)),),
    "Projections": ((("clean",), ("given",)),),
}
"""The figures of each section, by row and column."""
OF_PARTICLES: dict[str, Rows] = {
    "Overview": ((("distances",), ("angle-errors",)), (("confidence",),)),
    "Particles": ((("most-confident", "least-confident"),), (("recorded",), ("prepared",)), (("noise-power",),)),
    "Sphere": ((("directions", "error-map"), ("direction-map",)),),
    "Reconstruction": SECTIONS["Reconstruction"],
    "Refinement": ((("refined-fsc",),),),
    "Manifold": SECTIONS["Manifold"],
    "Losses": SECTIONS["Losses"],
}
"""The same of runs on particles."""


def sections(record: RunRecord) -> dict[str, Rows]:
    """The sections for a run of this configuration; if it failed, the first shows the training curve too."""
    refined = isinstance(record.config, Config) and record.config.refinement.enabled
    of_run = OF_PARTICLES if on_particles(record) else SECTIONS
    shown = {name: rows for name, rows in of_run.items() if refined or name != "Refinement"}
    if record.status == "failed":
        shown["Overview"] = (*shown["Overview"], (("training",),))
    return shown
