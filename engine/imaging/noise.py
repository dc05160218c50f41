"""Noise of projections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .filters import signal_variance

Images = NDArray[np.float32]


def noise_variance_and_snr(clean: Images, noise_variance: float | None, snr: float | None) -> tuple[float, float]:
    """Both ways of giving the noise from either: ``snr = signal variance / noise variance``, inf without noise."""
    signal = signal_variance(clean)
    if snr is not None:
        return signal / snr, snr
    variance = noise_variance or 0.0
    return variance, signal / variance if variance else float("inf")


def add_noise(images: Images, variance: float, rng: np.random.Generator) -> Images:
    """Images plus white Gaussian noise of the given variance, in the images' own units."""
    if variance == 0:
        return images
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    noise *= np.float32(np.sqrt(variance))
    noise += images
    return noise
