"""Settings of earlier versions that their records do not contain, and the version of the code's results.

A record holds the complete configuration of its run: a key that it lacks did not exist then, or had no value. The
value that a run used for a setting added later is not today's default; it is in :data:`ADDED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .particles import ParticlesConfig
from .training import OF_A_TRAINING

SCIENCE = 3
"""The version of the code's results, raised with every change after which the same experiment gives other numbers.

Records without it are of version 1, which stands for all code before the version was recorded. From version 3 on the
number of threads does not depend on the machine or its settings, nor the length of a training on the clock, and files
that contradict themselves are read otherwise. Runs of different versions are never seeds of one experiment.
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
    "device": "auto",
    "projections.projector": "fourier",
    "reconstruction.method": "normal_equations",
    "projections.defocus": None,
    "projections.voltage": 300.0,
    "projections.spherical_aberration": 2.7,
    "projections.amplitude_contrast": 0.1,
    "projections.noise_spectrum": "white",
    "training.on": "reference",
    **dict.fromkeys(f"particles.{key}" for key in ParticlesConfig.model_fields),
    "training.model": None,
    "training.noise_factor": 1.0,
    "training.reference_missing": 0.0,
    "projections.defocus_error": 0.0,
    "refinement.rounds": None,
}
"""Every key added later, in order, and the value that runs used before: None where that means no value."""

WITH_CUDA: Mapping[str, Any] = {"projections.projector": "astra", "reconstruction.method": "cgls"}
"""What runs did instead where they saw CUDA, before these keys existed: they took what was there."""

_START_S, _SLOWEST_STEPS_PER_SECOND, _MOST_STEPS = 30, 11.5, 6000


def completed(table: Mapping[str, Any], cuda: bool = False, cut_by_clock: bool = False) -> dict[str, Any]:
    """Nested tables of a recorded configuration with what it lacks as its run had it; what it has is kept as it is.

    ``cuda``: the run saw a CUDA device and ASTRA. ``cut_by_clock``: its training met the limit that was in force before
    there was ``projections.projector``, where no ``training.max_seconds`` was given. (A limit that was not met changed
    nothing: such a run is one without.)
    """
    whole = {name: dict(value) if isinstance(value, Mapping) else value for name, value in table.items()}
    if cut_by_clock and is_older_than(whole, "projections.projector"):
        training = whole.setdefault("training", {})
        if isinstance(training, dict):
            training.setdefault("max_seconds", _limit_by_clock(training.get("steps")))
    training = whole.get("training")
    with_model = isinstance(training, dict) and "model" in training
    for key, before in {**ADDED, **(WITH_CUDA if cuda else {})}.items():
        section, _, leaf = key.rpartition(".")
        if before is None or (section == "projections" and "particles" in whole):
            continue  # a run on recorded particles has no settings of simulated ones
        if section == "training" and leaf in OF_A_TRAINING and with_model:
            continue  # nor has one with the network of another run those of a training
        inside = whole.setdefault(section, {}) if section else whole
        if isinstance(inside, dict):
            inside.setdefault(leaf, list(before) if isinstance(before, tuple) else before)
    return whole


def is_older_than(table: Mapping[str, Any], key: str) -> bool:
    """Whether a recorded configuration is of a version that did not have this key, which always has a value."""
    section, _, leaf = key.rpartition(".")
    inside = table.get(section, {}) if section else table
    return not isinstance(inside, Mapping) or leaf not in inside


def _limit_by_clock(steps: Any) -> float:
    """Seconds after which a training of so many steps was cut short; without a number, the most that it could have."""
    known = isinstance(steps, int) and not isinstance(steps, bool) and 0 < steps < 10**9
    return round(_START_S + (steps if known else _MOST_STEPS) / _SLOWEST_STEPS_PER_SECOND, 1)
