"""Images as the network takes them: those of a stack, and the projections that it is trained on, by the same steps.

Images are (n, size, size), float32, with their origin at pixel ``size // 2``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ..base.errors import ArgumentError
from . import ctf as contrast
from . import fourier
from .ctf import ContrastTransfer
from .filters import standardise
from .reference import soft_ball
from .whitening import outside_disc

Images = NDArray[np.float32]
Array = NDArray[np.floating]

_BATCH = 256


def cut_out(images: Images, size: int) -> Images:
    """The middle (n, size, size) of larger images (n, full, full): pixel ``full // 2`` becomes pixel ``size // 2``.

    Raises
    ------
    ArgumentError
        for a size beyond that of the images.
    """
    full = images.shape[-1]
    if size > full:
        raise ArgumentError(
            "{size} is {given} pixels and the images are {full} wide; wanted at most that",
            "size",
            given=size,
            full=full,
        )
    start = full // 2 - size // 2
    return images[:, start : start + size, start : start + size]


def disc(size: int, radius: float) -> NDArray[np.float32]:
    """A mask (size, size): 1 within ``radius`` pixels of pixel ``size // 2``, falling to 0 like a cosine over four."""
    return soft_ball((size, size), radius, np.full(2, size // 2))


def within(mask: NDArray[np.float32] | None, images: Images) -> Images:
    """Images (n, size, size), each of mean 0 and standard deviation 1; with a mask (size, size) multiplied by it, and
    brought to the same mean and standard deviation again.
    """
    made = standardise(images)
    return made if mask is None else standardise(made * mask)


def by_background(images: Images, radius: float | None = None) -> Images:
    """Images whose pixels outside of a disc of ``radius`` pixels, half of the width when not given, have mean 0 and
    standard deviation 1; without noise there, mean 0.
    """
    background = images[:, outside_disc(images.shape[-1], radius)].astype(np.float64)
    mean, deviation = background.mean(axis=1), background.std(axis=1)
    deviation = np.where(deviation > 0, deviation, 1)
    return ((images - mean[:, None, None]) / deviation[:, None, None]).astype(np.float32)


def prepared(
    images: Images, ctf: ContrastTransfer | None, pixel_size: float, flips: bool, whitening: Array | None
) -> Images:
    """Images (n, size, size), with pixels of ``pixel_size`` Å, multiplied in Fourier space by the sign of their CTF, if
    they have one and ``flips``, and by ``whitening`` (size, size // 2 + 1), in the order of ``rfft2``, if it is given.
    """
    if whitening is None and (ctf is None or not flips):
        return images
    size = images.shape[-1]
    plane = fourier.half_plane_frequencies(size, pixel_size)
    made = np.empty(images.shape, dtype=np.float32)
    for start in range(0, len(images), _BATCH):
        some = slice(start, start + _BATCH)
        spectra = fft.rfft2(images[some])
        if ctf is not None and flips:
            spectra *= contrast.sign(contrast.transfer(ctf[some], plane))
        if whitening is not None:
            spectra *= whitening
        made[some] = fft.irfft2(spectra, s=(size, size))
    return made


def resized(
    images: Images,
    pixel_size: float,
    size: int,
    wanted_pixel_size: float,
    shifts: Array | None = None,
    radius: float | None = None,
) -> tuple[Images, Array]:
    """Images (n, size, size) of pixels as wide as wanted, of images (n, full, full); and their shifts, in such pixels.

    Both pixel sizes are in the same unit. The images are band-limited to both grids, Nyquist's frequency left out, and
    evaluated at the new pixels: the Fourier series of the old, which Fourier cropping and padding equal where the
    fields of view do. Beyond the old field of view an image has the mean of its corners, outside the disc of ``radius``
    old pixels. Pixel ``n // 2`` stays where it is. ``shifts`` (n, 2), (x, y), are zero when not given.
    """
    full = images.shape[-1]
    ratio = wanted_pixel_size / pixel_size
    matrix, inside = _interpolation(full, size, ratio)
    outside = outside_disc(full, radius)
    made = np.empty((len(images), size, size), dtype=np.float32)
    for start in range(0, len(images), _BATCH):
        some = np.asarray(images[start : start + _BATCH], dtype=np.float32)
        background = some[:, outside].mean(axis=1)[:, None, None]
        interpolated = matrix @ (some - background) @ matrix.T
        made[start : start + _BATCH] = np.where(inside[:, None] & inside, interpolated, 0) + background
    old = np.zeros((len(images), 2)) if shifts is None else np.asarray(shifts, dtype=float)
    return made, old / ratio


def _interpolation(full: int, size: int, ratio: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The matrix (size, full) from pixels to pixels ``ratio`` times as wide; which of these are in the old field."""
    places = (np.arange(size) - size // 2) * ratio
    highest = min((full - 1) // 2, int(np.ceil(full / (2 * ratio))) - 1)
    offsets = places[:, None] - (np.arange(full) - full // 2)
    waves = 2 * np.pi / full * np.arange(1, highest + 1)
    matrix = (1 + 2 * np.cos(offsets[..., None] * waves).sum(axis=-1)) / full
    half = 0.5 + 1e-6
    inside = (places >= -(full // 2) - half) & (places <= (full - 1) - full // 2 + half)
    return matrix.astype(np.float32), inside
