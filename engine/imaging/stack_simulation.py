"""Simulated stacks that are larger than memory: their images are computed a part at a time, as they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..base.progress import Progress, silent
from ..geometry.rotations import sample_orientations
from . import filters
from .ctf import ContrastTransfer, applied
from .noise import NoiseModel
from .projection import project
from .simulation import Acquisition
from .volume import Volume

Images = NDArray[np.float32]

_PART_BYTES = 64 * 2**20
"""Of the images that are in memory together: always the same, so that rounding does not depend on the machine."""


@dataclass(frozen=True, eq=False)
class SimulatedStack:
    """Particles whose images are yet to be computed.

    Attributes
    ----------
    volume
        whose projections they are.
    size
        pixels along a side.
    poses, shifts
        (n, 3, 3), and (n, 2) in pixels, (x, y): displacement of the content.
    ctf
        of each particle; None for plain projections.
    noise
        its model, in the projections' units.
    """

    volume: Volume
    size: int
    poses: NDArray[np.floating]
    shifts: NDArray[np.float64]
    ctf: ContrastTransfer | None
    noise: NoiseModel

    def parts(self, rng: np.random.Generator, progress: Progress = silent) -> Iterator[Images]:
        """The images (m, size, size), float32, in order: multiplied by the CTF, shifted, with noise."""
        for rows, signal in signal_parts(self.volume, self.size, self.poses, self.ctf, progress):
            shifts = self.shifts[rows]
            yield self.noise.apply(filters.shift_images(signal, shifts) if shifts.any() else signal, rng)


def simulated_stack(
    volume: Volume, acquisition: Acquisition, count: int, rng: np.random.Generator, progress: Progress = silent
) -> SimulatedStack:
    """Particles with random poses, CTFs and shifts, each from a stream of random numbers of its own.

    As of :func:`imaging.simulation.simulate`, which holds all images. Where the acquisition gives a signal-to-noise
    ratio, all images are computed once to measure the variance of their signal with its CTF, over the whole frame.
    """
    pose_rng, contrast_rng, shift_rng = rng.spawn(3)
    size = volume.diagonal if acquisition.size is None else acquisition.size
    poses = sample_orientations(count, pose_rng, acquisition.coverage, acquisition.sampling)
    ctf = acquisition.contrast(count, contrast_rng)
    shifts = filters.draw_shifts(count, acquisition.max_shift, shift_rng, acquisition.shift_distribution)
    spectrum = acquisition.spectrum(volume.voxel_size)
    noise = NoiseModel()
    if acquisition.snr is not None:
        variance = _signal_variance(signal_parts(volume, size, poses, ctf, progress)) / acquisition.snr
        noise = NoiseModel(variance, acquisition.snr, spectrum)
    elif acquisition.noise_variance:
        noise = NoiseModel(acquisition.noise_variance, spectrum=spectrum)
    return SimulatedStack(volume, size, poses, shifts, ctf, noise)


def signal_parts(
    volume: Volume,
    size: int,
    poses: NDArray[np.floating],
    ctf: ContrastTransfer | None = None,
    progress: Progress = silent,
) -> Iterator[tuple[slice, Images]]:
    """Projections (m, size, size) of a volume, multiplied by their CTF, a part of the poses (n, 3, 3) at a time."""
    count = len(poses)
    step = max(1, _PART_BYTES // (4 * size**2))
    for start in range(0, count, step):
        rows = slice(start, min(start + step, count))

        def report(fraction: float, values: Mapping[str, float], rows: slice = rows) -> None:
            done = rows.start + fraction * (rows.stop - rows.start)
            progress(done / count, {"projections": done})

        clean = project(volume, poses[rows], size, progress=report)
        yield rows, clean if ctf is None else applied(clean, ctf[rows], volume.voxel_size)


def _signal_variance(parts: Iterator[tuple[slice, Images]]) -> float:
    """Variance of all pixels together, over the whole frame."""
    total, squares, pixels = 0.0, 0.0, 0
    for _, images in parts:
        total += float(images.sum(dtype=np.float64))
        squares += float(np.square(images, dtype=np.float64).sum())
        pixels += images.size
    return squares / pixels - (total / pixels) ** 2
