"""What a run's stages leave in its directory, and in which arrays: see the README's list of artefacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging import fsc
from ..imaging.volume import Volume
from ..io import mrc, star
from ..poses import metrics
from ..poses.alignment import Alignment
from ..poses.distance import Distances
from ..poses.pairs import Indices
from ..record.runlog import RunWriter

Array = NDArray[np.floating]

EMBEDDED_PROJECTIONS = 500
"""Projections whose distances among each other are kept."""
_SAMPLED_PAIRS = 5000
_PARTICLES = "particles.mrcs"  # named in .star files; a run does not keep it, experiment.stack makes it anew


def keep_distances(
    run: RunWriter,
    estimated: Distances,
    exact: Distances,
    first: Indices,
    second: Indices,
    rng: np.random.Generator,
    all_held: bool,
) -> None:
    """``distances.npz``: histogram, errors by distance, a sample of pairs; where all pairs are held, those of the first
    projections among each other too.
    """
    counts, edges = metrics.distance_histogram(estimated, exact)
    shown = np.sort(rng.choice(len(exact), min(_SAMPLED_PAIRS, len(exact)), replace=False))
    kept = {}
    if all_held:
        kept["among_first"] = estimated[second < EMBEDDED_PROJECTIONS].astype(np.float32)  # first < second
    run.save_arrays(
        "distances.npz", counts=counts, edges=edges, first=first[shown], second=second[shown],
        exact=exact[shown], estimated=estimated[shown],
        error_by_distance=metrics.error_by_distance(estimated, exact), **kept,
    )  # fmt: skip


def keep_poses(run: RunWriter, volume: Volume, test: Mapping[str, Any], recovered: Array, aligned: Alignment) -> None:
    """``poses.npz`` and ``poses.star``."""
    run.save_arrays(
        "poses.npz", true=test["poses"], recovered=recovered, aligned=aligned.poses, errors=aligned.errors,
        errors_before=aligned.errors_before, transform=aligned.transform, shifts=test["shifts"],
    )  # fmt: skip
    _write_star(run, "poses.star", volume, test, aligned, test["shifts"])


def keep_refined(
    run: RunWriter, volume: Volume, test: Mapping[str, Any], poses: Array, shifts: Array, aligned: Alignment
) -> None:
    """``refined.npz`` and ``refined.star``."""
    run.save_arrays("refined.npz", poses=poses, aligned=aligned.poses, errors=aligned.errors, shifts=shifts)
    _write_star(run, "refined.star", volume, test, aligned, shifts)


def keep_maps(run: RunWriter, volume: Volume, made: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The densities (``density``, ``half1``, ``half2``) as .mrc, their correlations as ``fsc.npz``; the resolutions."""
    for name, stem in (("density", "reconstruction"), ("half1", "half1"), ("half2", "half2")):
        mrc.write_map(run.path / f"{prefix}{stem}.mrc", made[name], volume.voxel_size, volume.origin)
    correlation = fsc.fourier_shell_correlation
    frequencies, to_input = correlation(made["density"], volume.density, volume.voxel_size)
    _, between_halves = correlation(made["half1"], made["half2"], volume.voxel_size)
    run.save_arrays(
        f"{prefix}fsc.npz", frequencies_per_angstrom=frequencies, to_input=to_input, between_halves=between_halves
    )
    return {
        f"{prefix}fsc_0.5_angstrom": fsc.resolution_at(frequencies, to_input, 0.5),
        f"{prefix}fsc_0.143_angstrom": fsc.resolution_at(frequencies, between_halves, 0.143),
    }


def _write_star(
    run: RunWriter, filename: str, volume: Volume, test: Mapping[str, Any], aligned: Alignment, shifts: Array
) -> None:
    star.write_star(
        run.path / filename, aligned.poses, volume.voxel_size, test["images"].shape[-1], _PARTICLES,
        shifts_px=shifts, errors_rad=aligned.errors,
    )  # fmt: skip
