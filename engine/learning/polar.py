"""Polar grids: images sampled on circles around their centre, and the angular harmonics of the samples.

Samples lie at the angles ``2 pi (k + 1/2) / n``, so that an image mirrored about its x axis has the same samples in
reverse order, also after averaging neighbours in pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sample_angles(length: int) -> NDArray[np.float64]:
    """The angles (length,) of samples on a circle, in radians."""
    return 2 * np.pi * (np.arange(length) + 0.5) / length


def polar_sampling(size: int, radius: float, radii: int, angles: int) -> NDArray[np.float64]:
    """The matrix (size * size, angles * radii) that samples images on a polar grid around pixel ``size // 2``.

    Rings at ``(k + 1/2) radius / radii`` pixels; trigonometric interpolation, exact for band-limited images.
    """
    ring = (np.arange(radii) + 0.5) * radius / radii
    angle = sample_angles(angles)
    x = np.outer(np.cos(angle), ring).ravel()
    y = np.outer(np.sin(angle), ring).ravel()
    weights_y, weights_x = interpolation(y, size), interpolation(x, size)
    return np.einsum("py,px->yxp", weights_y, weights_x).reshape(size * size, -1)


def interpolation(positions: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    """Weights (positions, size) of trigonometric interpolation: the mean of all frequencies up to Nyquist's."""
    offset = positions[:, None] - (np.arange(size) - size // 2)
    frequencies = np.fft.fftfreq(size)
    return np.cos(2 * np.pi * offset[..., None] * frequencies).mean(axis=-1)


def circular_harmonic(order: int, length: int) -> NDArray[np.float64]:
    """Cosine and sine (length, 2) that give the angular harmonic of that order of ``length`` samples on a circle."""
    angle = order * sample_angles(length)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * 2 / length
