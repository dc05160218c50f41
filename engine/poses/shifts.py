"""Shifts of images against projections at their poses, by cross-correlation, and how well they match there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Array = NDArray[np.floating]


class Matched(NamedTuple):
    """Displacements ``shifts`` (n, 2) of the content, (x, y) in pixels, at which images and projections correlate best;
    ``correlations`` (n,) there, from -1 to 1, with the noise whitened.
    """

    shifts: NDArray[np.float64]
    correlations: NDArray[np.float64]


def matched(
    images: NDArray[np.float32],
    projections: NDArray[np.float32],
    transfer: Array | None,
    noise_power: Array,
    max_shift: float,
) -> Matched:
    """Shifts of images (n, size, size) against projections (n, size, size), which are centred and without CTF.

    Parameters
    ----------
    transfer
        (n, size, size // 2 + 1), in the order of ``rfft2``: the CTF; None for images without.
    noise_power
        (size, size // 2 + 1), in the same order, in any unit. With the CTF over it as weights the largest correlation
        is that of the largest likelihood.
    max_shift
        pixels; bounds both coordinates.

    Whole pixels are searched; a parabola through the neighbours of the best, along x and along y, gives the fraction of
    the shift. The correlation is that at the best whole pixel.
    """
    size = images.shape[-1]
    weights = (1.0 if transfer is None else transfer) / noise_power
    ours, theirs = fft.rfft2(images), fft.rfft2(projections)
    correlation = fft.irfft2(ours * np.conj(theirs) * weights, s=(size, size))
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
    return Matched(np.clip(shifts, -max_shift, max_shift), _normalised(best, ours, theirs, transfer, noise_power))


def _normalised(
    best: Array, ours: Array, theirs: Array, transfer: Array | None, noise_power: Array
) -> NDArray[np.float64]:
    """Correlations (n,) from -1 to 1 of whitened images, each with its mean taken away; 0 where one has no contrast.

    ``best`` (n,) are those of images with transforms ``ours`` and projections with ``theirs``, not normalised.
    """
    size = ours.shape[1]
    column = np.arange(size // 2 + 1)
    weight = np.where((column == 0) | (2 * column == size), 1, 2) / noise_power / size**2
    if transfer is not None:
        theirs = theirs * transfer
    of_means = weight[0, 0] * (ours[:, 0, 0] * np.conj(theirs[:, 0, 0])).real
    weight[0, 0] = 0
    first, second = (np.sum(weight * np.abs(one) ** 2, axis=(1, 2)) for one in (ours, theirs))
    norm = np.sqrt(first * second)
    return np.divide(best - of_means, norm, out=np.zeros(len(best)), where=norm > 0)
