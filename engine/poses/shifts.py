"""Shifts of images against projections at their poses, by cross-correlation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Array = NDArray[np.floating]


def correlation_shifts(
    images: NDArray[np.float32], projections: NDArray[np.float32], weights: Array, max_shift: float
) -> NDArray[np.float64]:
    """Displacements (n, 2) of the content, (x, y) in pixels, at which images correlate best with projections.

    Parameters
    ----------
    images, projections
        (n, size, size); projections are centred, and without CTF.
    weights
        (n, size, size // 2 + 1), or (1, ...), in the order of ``rfft2``: the CTF over the power of the noise, with
        which the largest correlation is that of the largest likelihood.
    max_shift
        pixels; bounds both coordinates.

    Whole pixels are searched; a parabola through the neighbours of the best, along x and along y, gives the fraction.
    """
    size = images.shape[-1]
    spectra = fft.rfft2(images) * np.conj(fft.rfft2(projections)) * weights
    correlation = fft.irfft2(spectra, s=(size, size))
    offsets = np.fft.fftfreq(size, 1 / size)
    most = np.floor(max_shift)
    allowed = (np.abs(offsets[:, None]) <= most) & (np.abs(offsets[None]) <= most)
    flat = np.where(allowed, correlation, -np.inf).reshape(len(images), -1).argmax(axis=1)
    row, column = np.unravel_index(flat, (size, size))
    number = np.arange(len(images))
    best = correlation[number, row, column]
    shifts = np.stack([offsets[column], offsets[row]], axis=1)
    for axis, (along_y, along_x) in enumerate(((0, 1), (1, 0))):
        before = correlation[number, (row - along_y) % size, (column - along_x) % size]
        after = correlation[number, (row + along_y) % size, (column + along_x) % size]
        curvature = before - 2 * best + after
        fraction = np.where(curvature < 0, 0.5 * (before - after) / np.where(curvature < 0, curvature, -1), 0.0)
        shifts[:, axis] += np.clip(fraction, -0.5, 0.5)
    return np.clip(shifts, -max_shift, max_shift)
