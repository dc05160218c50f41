"""Simulated projections: the test set, whose poses are to be recovered, and the sets that a distance is learned from.

Every set has its own stream of random numbers, so that none shares a pose with another and the size of one changes
nothing in the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..base.progress import Progress, silent
from ..config.schema import ProjectionsConfig
from ..geometry.rotations import sample_orientations
from . import filters, noise
from .projection import project
from .shape import binned
from .volume import Volume

_PROJECTING = 0.8  # of the time of a simulation; the rest shifts and adds noise
_PREVIEWED = 160  # pixels, the frame above which a preview looks at a coarser volume


@dataclass(frozen=True)
class Projections:
    """Projections (n, size, size) of known poses (n, 3, 3), shifted by (n, 2) pixels, with noise of a known variance.

    ``clean`` are the first few before shift and noise, for show. ``snr`` is the signal's variance over the noise's,
    infinite without noise.
    """

    images: NDArray[np.float32]
    poses: NDArray[np.floating]
    shifts: NDArray[np.float64]
    clean: NDArray[np.float32]
    noise_variance: float
    snr: float


def stream(seed: int, purpose: str) -> np.random.Generator:
    """The generator of an experiment's seed for one purpose, independent of those for all others."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(purpose.encode())))


def simulate(
    volume: Volume,
    settings: ProjectionsConfig,
    count: int,
    rng: np.random.Generator,
    progress: Progress = silent,
    shown: int = 16,
) -> Projections:
    """Projections as the settings say: sampled, projected, shifted, noisy. Not standardised: that loses the units."""
    poses = sample_orientations(count, rng, settings.coverage, settings.sampling)
    clean = project(
        volume, poses, settings.size, progress=lambda fraction, values: progress(_PROJECTING * fraction, values)
    )
    variance, snr = noise.noise_variance_and_snr(clean, settings.noise_variance, settings.snr)
    shifts = filters.draw_shifts(count, settings.max_shift, rng)
    shifted = filters.shift_images(clean, shifts) if settings.max_shift > 0 else clean
    images = noise.add_noise(shifted, variance, rng)
    progress(1.0, {"projections": count})
    return Projections(images, poses, shifts, clean[:shown].copy(), variance, snr)


def preview(volume: Volume, settings: ProjectionsConfig, count: int, seed: int) -> Projections:
    """A few projections as the settings say, at once: of a large volume on coarser pixels, with the noise those have.

    All else is in full pixels: ``shifts``, ``noise_variance``, and ``snr``, which these few projections estimate.
    """
    step = -(-max(volume.diagonal, settings.size or 0) // _PREVIEWED)
    coarse = binned(volume, step)
    # A ray meets fewer of the larger voxels.
    coarse = replace(coarse, density=coarse.density * np.float32(step))
    changes = {
        "size": settings.size and max(8, settings.size // step),
        "noise_variance": settings.noise_variance and settings.noise_variance / step**2,
        "snr": settings.snr and settings.snr * step**2,
        "max_shift": settings.max_shift / step,
    }
    rng = stream(seed, "test projections")
    found = simulate(coarse, settings.model_copy(update=changes), count, rng, shown=count)
    return replace(
        found, shifts=found.shifts * step, noise_variance=found.noise_variance * step**2, snr=found.snr / step**2
    )


@dataclass(frozen=True)
class TrainingSet:
    """Clean projections (n, m, m) at the network's size with their poses, and a validation set as the network meets it.

    ``noise_variance`` and ``max_shift`` are those of the test set, carried over to the network's larger pixels.
    ``proteins`` (n,) and ``validation_proteins`` say by number of which protein each projection is, in rising order;
    None where all are of one. ``held_out``: the validation projections are of proteins that training has none of.
    """

    images: NDArray[np.float32]
    poses: NDArray[np.floating]
    validation_images: NDArray[np.float32]
    validation_poses: NDArray[np.floating]
    noise_variance: float
    max_shift: float
    proteins: NDArray[np.intp] | None = None
    validation_proteins: NDArray[np.intp] | None = None
    held_out: bool = False


def simulate_training(
    volume: Volume,
    settings: ProjectionsConfig,
    noise_variance: float,
    count: int,
    validation_count: int,
    image_size: int,
    rng: np.random.Generator,
    progress: Progress = silent,
) -> TrainingSet:
    """Training and validation projections, band-limited to ``image_size`` pixels over the test projections' field.

    The same as Fourier cropping full projections (the tests compare the two), at a fraction of the cost. White noise
    keeps its spectrum under that cropping, so its variance falls by the ratio of the pixel counts.
    """
    size = settings.size or volume.diagonal
    ratio = size / image_size
    images, poses = [], []
    for number in (count, validation_count):
        poses.append(sample_orientations(number, rng, settings.coverage, settings.sampling))
        images.append(project(volume, poses[-1], image_size, volume.voxel_size * ratio))
        progress(1.0 if len(poses) == 2 else count / (count + validation_count), {"projections": number})
    variance, max_shift = noise_variance / ratio**2, settings.max_shift / ratio
    validation = filters.shift_images(images[1], filters.draw_shifts(validation_count, max_shift, rng))
    validation = filters.standardise(noise.add_noise(validation, variance, rng))
    return TrainingSet(images[0], poses[0], validation, poses[1], variance, max_shift)


def support_radius(images: NDArray[np.float32], energy: float = 0.999) -> float:
    """Radius in pixels, around pixel ``size // 2``, of the disc that holds this share of the images' mean square."""
    size = images.shape[-1]
    offset = np.arange(size) - size // 2
    radius = np.hypot(*np.meshgrid(offset, offset)).ravel()
    order = np.argsort(radius)
    held = np.cumsum(np.mean(images.astype(np.float64) ** 2, axis=0).ravel()[order])
    return float(min(radius[order][np.searchsorted(held, energy * held[-1])] + 1.0, size / 2))
