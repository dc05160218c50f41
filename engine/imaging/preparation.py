"""Images as the network takes them: those of a stack, and the projections that it is trained on, by the same steps.

Images are (n, size, size), float32, with their origin at pixel ``size // 2``. They are read a batch at a time, so they
may be memory-mapped; what is returned has the size asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ..base.errors import ArgumentError
from ..base.progress import Progress, silent
from .filters import standardise
from .planes import Planes
from .whitening import NoiseSpectrum, outside_disc

Images = NDArray[np.float32]
Array = NDArray[np.floating]

Normalisation = Literal["background", "whole", "none"]
"""By the pixels outside of the disc, by all pixels, or not at all."""

_BATCH = 256
_EDGE = 0.08  # of the image's width: how wide the mask's soft edge is


@dataclass(frozen=True, eq=False)
class Preparation:
    """The steps, in their order; each can be left out.

    Attributes
    ----------
    size
        pixels along a side of what is returned: images are cropped in Fourier space, which keeps their field of view.
    phase_flip
        multiply each frequency by the sign of the image's contrast transfer function.
    spectrum
        of the noise, by whose root images are divided, so that it becomes white and of variance 1 (in the pixels of the
        images before they are cropped); None leaves the noise as it is.
    normalisation
        ``background``: mean 0 and standard deviation 1 of the pixels outside of the disc; ``whole``: of all pixels.
    radius
        of that disc, in pixels of the images before they are cropped; half of the image's width when None.
    mask_radius
        where the soft mask begins to fall, in the same pixels; None for no mask.
    """

    size: int
    phase_flip: bool = True
    spectrum: NoiseSpectrum | None = None
    normalisation: Normalisation = "background"
    radius: float | None = None
    mask_radius: float | None = None

    def __call__(self, images: Images, transfer: Planes | None = None, progress: Progress = silent) -> Images:
        """Prepared images (n, size, size) of images (n, full, full), with ``transfer`` (n, full, full // 2 + 1), their
        contrast transfer functions in the order of ``rfft2``, held or computed as needed.

        Raises
        ------
        ArgumentError
            for images smaller than ``size``, a phase flip without transfer functions, and these in another shape.
        """
        self._check(images, transfer)
        full, size = images.shape[-1], self.size
        ratio = full / size
        rows = np.fft.fftfreq(size, 1 / size).astype(int)
        columns = slice(0, size // 2 + 1)
        kept = np.ix_(rows, np.arange(size // 2 + 1))
        factors = np.full((size, size // 2 + 1), 1 / ratio**2)
        if self.spectrum is not None:
            factors *= self.spectrum.whitening(full)[kept]
        outside = outside_disc(size, None if self.radius is None else self.radius / ratio)
        mask = None if self.mask_radius is None else soft_disc(size, self.mask_radius / ratio)
        prepared = np.empty((len(images), size, size), dtype=np.float32)
        for start in range(0, len(images), _BATCH):
            batch = slice(start, start + _BATCH)
            shifted = fft.ifftshift(np.asarray(images[batch], dtype=np.float32), axes=(1, 2))
            spectra = fft.rfft2(shifted)[:, rows, columns] * factors.astype(np.float32)
            if self.phase_flip and transfer is not None:
                spectra *= np.where(transfer[batch][:, rows, columns] < 0, np.float32(-1), np.float32(1))
            some = fft.fftshift(fft.irfft2(spectra, s=(size, size)), axes=(1, 2))
            if self.normalisation == "background":
                some = _by_background(some, outside)
            elif self.normalisation == "whole":
                some = standardise(some)
            prepared[batch] = some if mask is None else some * mask
            progress(min(1.0, (start + _BATCH) / len(images)), {"projections": min(start + _BATCH, len(images))})
        return prepared

    def _check(self, images: Images, transfer: Planes | None) -> None:
        full = images.shape[-1]
        if self.size > full:
            raise ArgumentError(
                "{size} is {given} and the images are {full} pixels wide; wanted at most as many", "size",
                given=self.size, full=full,
            )  # fmt: skip
        if self.phase_flip and transfer is None:
            raise ArgumentError(
                "{phase_flip} is true and {transfer} is not given; wanted the contrast transfer function of each "
                "image, or no phase flip", "phase_flip", "transfer",
            )  # fmt: skip
        wanted = (len(images), full, full // 2 + 1)
        if transfer is not None and transfer.shape != wanted:
            raise ArgumentError(
                "{transfer} has the shape {given}; wanted {wanted}, rfft2's of the images", "transfer",
                given=transfer.shape, wanted=wanted,
            )  # fmt: skip


def soft_disc(size: int, radius: float) -> NDArray[np.float32]:
    """A mask (size, size): 1 within ``radius`` pixels of pixel ``size // 2``, from there falling to 0 like a cosine."""
    offset = np.arange(size) - size // 2
    beyond = (np.hypot(*np.meshgrid(offset, offset)) - radius) / (_EDGE * size)
    return ((1 + np.cos(np.pi * np.clip(beyond, 0, 1))) / 2).astype(np.float32)


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


def _by_background(images: Images, outside: NDArray[np.bool_]) -> Images:
    """Images less the mean of their background, over its standard deviation; without noise there, only the former."""
    background = images[:, outside].astype(float)
    mean, deviation = background.mean(axis=1), background.std(axis=1)
    deviation = np.where(deviation > 0, deviation, 1)
    return ((images - mean[:, None, None]) / deviation[:, None, None]).astype(np.float32)
