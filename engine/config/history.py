"""Settings of earlier versions that their records do not contain, and the version of the code's results.

A record holds the complete configuration of its run: a key that it lacks did not exist then, or had no value. The
value that a run used for a setting added later is not today's default; it is in :data:`ADDED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCIENCE = 2
"""The version of the code's results, raised with every change after which the same experiment gives other numbers.

Records without it are of version 1, which stands for all code before the version was recorded. Runs of
different versions are never seeds of one experiment.
"""

ORIGINAL = (
    "seed", "volume.source", "volume.resolution", "volume.voxel_size", "projections.count", "projections.size",
    "projections.coverage", "projections.sampling", "projections.noise_variance", "projections.snr",
    "projections.max_shift", "distance.method", "distance.perturbation_variance", "distance.calibration",
    "distance.head", "distance.feature_dim", "pairs.strategy", "pairs.neighbours", "training.projections",
    "training.validation_projections", "training.steps", "training.batch_size", "training.learning_rate",
    "training.image_size", "training.max_seconds", "recovery.pairs", "recovery.pairs_per_projection",
    "recovery.max_distance", "recovery.restarts", "recovery.max_iterations", "reconstruction.enabled",
    "reconstruction.iterations",
)  # fmt: skip
"""The keys that every record has, unless they have no value."""

ADDED: Mapping[str, Any] = {
    "recovery.calibrate": False,
    "refinement.enabled": False,
    "refinement.reference": "reconstruction",
    "refinement.iterations": 3,
    "volume.symmetry": "C1",
    "volume.symmetrize": "no",
    "training.volumes": (),
    "training.patience": None,
    "recovery.initialisation": "spectral",
    "volume.stack_is_volume": False,
}
"""Every key added later, in order, and the value that runs used before: None where that means no value."""


def completed(table: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables of a recorded configuration completed with the values that its run used; others are kept."""
    whole = {name: dict(value) if isinstance(value, Mapping) else value for name, value in table.items()}
    for key, before in ADDED.items():
        section, _, leaf = key.partition(".")
        inside = whole.setdefault(section, {})
        if before is not None and isinstance(inside, dict):
            inside.setdefault(leaf, list(before) if isinstance(before, tuple) else before)
    return whole
