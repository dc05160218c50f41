"""Training projections of several volumes, for networks that are applied to a protein that they have not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from ..base.progress import Progress, silent
from ..geometry.rotations import sample_orientations
from .ctf import applied
from .filters import signal_variance
from .noise import NoiseModel
from .projection import project
from .shape import outer_radius
from .simulation import Acquisition, TrainingSet, simulate_training
from .volume import Volume

_MEASURED = 16  # projections on which the variance of a protein's signal is measured
_LEAST_VALIDATED = 8  # validation projections of a protein, where it has any
_ENOUGH = 10  # proteins, of which some can be spared for validation
_HELD_OUT = 0.1  # of them


def simulate_training_of_several(
    volumes: Iterable[Volume],
    number: int,
    acquisition: Acquisition,
    noise: NoiseModel,
    count: int,
    validation_count: int,
    image_size: int,
    rng: np.random.Generator,
    log: Callable[[str], None],
    progress: Progress = silent,
) -> TrainingSet:
    """:func:`imaging.simulation.simulate_training` of ``number`` proteins, equally many projections of each.

    ``acquisition.size`` has to be given, the test projections' frame. With noise each protein is scaled so that its
    projections have the signal variance of the test projections, and so their signal-to-noise ratio: the units of two
    maps may differ. ``log`` is called with a line about what was done to them. Of ten or more proteins a tenth is held
    out, for validation only, so that distances are validated, and calibrated, on proteins that the network has not
    seen. Fewer are all trained on.
    """
    assert acquisition.size is not None
    held_out = number >= _ENOUGH
    spared = round(_HELD_OUT * number) if held_out else number
    validated = _some_of(number, min(spared, validation_count // _LEAST_VALIDATED))
    trained = np.setdiff1d(np.arange(number), validated) if held_out else np.arange(number)
    counts = _shares(count, trained, number)
    validation_counts = _shares(validation_count, validated, number)
    if held_out:
        log(f"{len(validated)} of {number} training volumes are held out for validation")
    sets, too_large = [], []
    for volume, some, for_validation in zip(volumes, counts, validation_counts, strict=True):
        if 2 * outer_radius(volume) > acquisition.size * volume.voxel_size:
            too_large.append(volume.name)
        if noise.variance > 0:
            poses = sample_orientations(_MEASURED, rng, acquisition.coverage, acquisition.sampling)
            clean = project(volume, poses, acquisition.size, projector=acquisition.projector)
            ctf = acquisition.contrast(_MEASURED, rng)
            own = signal_variance(clean if ctf is None else applied(clean, ctf, volume.voxel_size))
            volume = replace(volume, density=volume.density * np.float32(np.sqrt(noise.signal_variance / own)))
        sets.append(simulate_training(volume, acquisition, noise, some, for_validation, image_size, rng))
        progress(len(sets) / number, {"volumes": len(sets)})
    if too_large:
        names = ", ".join(too_large[:3]) + (" ..." if len(too_large) > 3 else "")
        log(f"{len(too_large)} of {number} training volumes reach beyond the projections' frame, cut off: {names}")
    return TrainingSet(
        np.concatenate([one.images for one in sets]),
        np.concatenate([one.poses for one in sets]),
        np.concatenate([one.validation_images for one in sets]),
        np.concatenate([one.validation_poses for one in sets]),
        sets[0].noise,
        sets[0].max_shift,
        np.repeat(np.arange(len(trained)), counts[trained]),
        np.repeat(np.arange(number), validation_counts),
        held_out,
        sets[0].ctf,
        sets[0].pixel_size,
    )


def _some_of(number: int, wanted: int) -> np.ndarray:
    """Whole numbers below ``number``, about as many as wanted but at least one, evenly spaced."""
    return np.unique(np.linspace(0, number - 1, max(1, wanted)).round().astype(int))


def _shares(count: int, places: np.ndarray, number: int) -> np.ndarray:
    """Whole numbers (number,) with the sum ``count``, as equal as possible, zero except at ``places``."""
    shares = np.zeros(number, dtype=int)
    shares[places] = count // len(places)
    shares[places[: count % len(places)]] += 1
    return shares
