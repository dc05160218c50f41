"""Degradation of clean projections by in-plane shifts and white noise; and the preparation of images.

Images are (n, size, size), float32; shifts are (n, 2), (x, y), in pixels: the displacement of the content. RELION's
``rlnOriginXAngst`` is the shift that undoes it, minus the displacement times Å per pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from . import fourier
from .choices import ShiftDistribution

Images = NDArray[np.float32]

_BATCH = 256


def signal_variance(clean: Images) -> float:
    """Variance of the pixels of clean projections, over all images and the whole frame."""
    return float(np.var(clean, dtype=np.float64))


def draw_shifts(
    count: int, max_shift: float, rng: np.random.Generator, distribution: ShiftDistribution = "triangular"
) -> NDArray[np.float64]:
    """Shifts (count, 2) in pixels, x and y each from a distribution on [-max_shift, max_shift].

    Triangular, with mode 0, it is that of the published experiments (arXiv:2104.06237); theirs are rounded to whole
    pixels, these are not.
    """
    if max_shift == 0:
        return np.zeros((count, 2))
    if distribution == "uniform":
        return rng.uniform(-max_shift, max_shift, size=(count, 2))
    return rng.triangular(-max_shift, 0.0, max_shift, size=(count, 2))


def shift_images(images: Images, shifts: NDArray[np.floating]) -> Images:
    """Images moved by ``shifts`` (n, 2) pixels, exactly for band-limited images; periodic: what leaves one
    side enters on the other.
    """
    size = images.shape[-1]
    plane = fourier.half_plane_frequencies(size)
    moved = np.empty_like(images)
    for start in range(0, len(images), _BATCH):
        batch = slice(start, start + _BATCH)
        spectra = fft.rfft2(images[batch]) * fourier.translation_phase(plane, shifts[batch])
        moved[batch] = fft.irfft2(spectra, s=(size, size))
    return moved


def standardise(images: Images) -> Images:
    """Each image with mean 0 and standard deviation 1; an image without contrast becomes zero."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    deviation = images.std(axis=(1, 2), keepdims=True)
    return (images - mean) / np.where(deviation > 0, deviation, 1)


def fourier_crop(images: Images, size: int) -> Images:
    """Band-limited images (n, size, size) of a smaller frame over the same field of view; mean and origin stay.

    White noise stays white; its variance falls by the ratio of the pixel counts.
    """
    full = images.shape[-1]
    if size == full:
        return images
    rows = np.fft.fftfreq(size, d=1 / size).astype(int)
    cropped = np.empty((len(images), size, size), dtype=np.float32)
    for start in range(0, len(images), _BATCH):
        batch = slice(start, start + _BATCH)
        spectra = fft.rfft2(fft.ifftshift(images[batch], axes=(1, 2)))[:, rows, : size // 2 + 1]
        cropped[batch] = fft.fftshift(fft.irfft2(spectra, s=(size, size)), axes=(1, 2))
    cropped *= np.float32((size / full) ** 2)
    return cropped
