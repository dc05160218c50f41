"""The noise model of images: the same for the test images and for the training images of the network.

:mod:`learning.corruption` has the same model as TensorFlow operations, for training images to which noise is added anew
each time they are drawn; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ..base.errors import ArgumentError
from . import fourier
from .filters import signal_variance

Images = NDArray[np.float32]

CORNER = float(np.sqrt(0.5))
"""Cycles per pixel at the corner of an image's Fourier plane: there is no higher frequency."""
COLOURED_FLOOR = 0.2
COLOURED_RESOLUTION = 30.0
"""Å, where the coloured part of :meth:`Spectrum.coloured` has fallen to half."""
_NODES = 1025  # of a spectrum with a formula: interpolated between them it is right to 1e-5
_CELLS = 256  # along half a side of the plane over which a spectrum is averaged
_BATCH = 256


@dataclass(frozen=True)
class Spectrum:
    """The power of noise by frequency, the same in all directions; hashable. Only its shape has a meaning.

    Attributes
    ----------
    relative
        power, in any unit, at equally spaced frequencies from 0 to ``reach``; in between it is linear, beyond constant.
    reach
        cycles per pixel of the images.
    """

    relative: tuple[float, ...]
    reach: float = CORNER

    def __post_init__(self) -> None:
        object.__setattr__(self, "relative", tuple(float(value) for value in self.relative))
        values = np.array(self.relative)
        if len(values) < 2 or not (np.isfinite(values).all() and (values >= 0).all() and values.any()):
            raise ArgumentError(
                "{relative} has {length} values; wanted at least two finite numbers of at least 0, not all of them 0",
                "relative", length=len(values),
            )  # fmt: skip
        if not (np.isfinite(self.reach) and self.reach > 0):
            raise ArgumentError("{reach} is {given}; wanted a number above 0", "reach", given=self.reach)

    @classmethod
    def coloured(cls, pixel_size: float) -> Self:
        """The background of cryo-EM images with pixels of ``pixel_size`` Å, schematically.

        ``0.2 + 0.8 / (1 + (30 Å k)^2)`` at the frequency ``k`` in 1/Å: a floor, the counting noise of electrons, under
        what falls with the square of the frequency, the structural noise of ice and support, here four times as strong
        at the lowest frequencies. These two components are those of Baxter et al., J. Struct. Biol. 166 (2009) 126;
        the numbers are round ones, of no particular micrograph. It is not multiplied by the CTF. As function of k
        it is the same for all pixel sizes.
        """
        frequency = np.linspace(0, CORNER / pixel_size, _NODES)
        tail = 1 / (1 + (COLOURED_RESOLUTION * frequency) ** 2)
        return cls(tuple(COLOURED_FLOOR + (1 - COLOURED_FLOOR) * tail))

    def on_larger_pixels(self, ratio: float) -> Spectrum:
        """The same spectrum on pixels ``ratio`` times as wide, whose frequencies in cycles per pixel are higher."""
        return Spectrum(self.relative, self.reach * ratio)

    def share(self, ratio: float) -> float:
        """Mean power at the frequencies that pixels ``ratio`` times as wide have, over that at all frequencies."""
        return self.on_larger_pixels(ratio).mean / self.mean

    def at(self, frequency: NDArray[np.floating]) -> NDArray[np.float64]:
        """Power at frequencies in cycles per pixel, relative to its mean over the images' whole Fourier plane."""
        return self._interpolated(frequency) / self.mean

    @cached_property
    def mean(self) -> float:
        """Mean over the images' Fourier plane, in the unit of ``relative``."""
        return float(self._interpolated(_plane_of_means()).mean())

    def _interpolated(self, frequency: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.interp(frequency, np.linspace(0, self.reach, len(self.relative)), self.relative)


@cache
def _plane_of_means() -> NDArray[np.float64]:
    """Lengths of frequencies at the middles of small cells of a quarter of the plane."""
    middles = (np.arange(_CELLS) + 0.5) / (2 * _CELLS)
    return np.hypot(middles[:, None], middles[None])


@dataclass(frozen=True)
class NoiseModel:
    """Gaussian noise of images, the same for all of them, independent of the signal.

    Attributes
    ----------
    variance
        of each pixel, in the images' own units squared.
    snr
        variance of the signal over that of the noise, over the whole frame; infinite without noise.
    spectrum
        the power by frequency; None: white.
    """

    variance: float = 0.0
    snr: float = float("inf")
    spectrum: Spectrum | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.variance) and self.variance >= 0):
            raise ArgumentError("{variance} is {given}; wanted a number of at least 0", "variance", given=self.variance)
        if not self.snr > 0:
            raise ArgumentError("{snr} is {given}; wanted a number above 0", "snr", given=self.snr)

    @classmethod
    def for_signal(
        cls, clean: Images, variance: float | None = None, snr: float | None = None, spectrum: Spectrum | None = None
    ) -> Self:
        """The noise of given ``variance`` or, in its place, signal-to-noise ratio for clean images (n, size, size).

        White, whatever ``spectrum`` is, where there is none.
        """
        signal = signal_variance(clean)
        if snr is not None:
            return cls(signal / snr, snr, spectrum)
        if not variance:
            return cls()
        return cls(variance, signal / variance, spectrum)

    @property
    def signal_variance(self) -> float:
        """Variance of the signal that the ratio refers to, in units squared; 0 without noise, where it is unknown."""
        return self.variance * self.snr if self.variance > 0 else 0.0

    @property
    def standard_deviation(self) -> float:
        """Of each pixel, in the images' own units."""
        return float(np.sqrt(self.variance))

    def power(self, size: int) -> NDArray[np.float64]:
        """Power (size, size // 2 + 1) in the order of ``rfft2``, relative to the variance of a pixel.

        Its mean over the plane is 1 for white noise, and for coloured noise as far as the plane's points sample the
        spectrum.
        """
        if self.spectrum is None:
            return np.ones((size, size // 2 + 1))
        return self.spectrum.at(np.linalg.norm(fourier.half_plane_frequencies(size), axis=-1))

    def on_larger_pixels(self, ratio: float) -> NoiseModel:
        """The noise that remains on pixels ``ratio`` times as wide, after Fourier cropping.

        White noise keeps its spectrum under cropping, so its variance falls by the ratio of the pixel counts. Of
        coloured noise the low frequencies remain, with their own mean power. ``snr`` stays: it is that of the original
        images.
        """
        if self.spectrum is None:
            return NoiseModel(self.variance / ratio**2, self.snr)
        return NoiseModel(
            self.variance * self.spectrum.share(ratio) / ratio**2, self.snr, self.spectrum.on_larger_pixels(ratio)
        )

    def times(self, factor: float) -> NoiseModel:
        """The same noise with ``factor`` times the variance."""
        return NoiseModel(self.variance * factor, self.snr / factor, self.spectrum)

    def apply(self, images: Images, rng: np.random.Generator) -> Images:
        """Images (n, size, size) with noise of this model; the same array where there is none.

        Coloured noise is white noise that is filtered in Fourier space, so it is periodic on the frame.
        """
        if self.variance == 0:
            return images
        noisy = rng.standard_normal(images.shape, dtype=np.float32)
        if self.spectrum is not None:
            self._colour(noisy)
        noisy *= np.float32(np.sqrt(self.variance))
        noisy += images
        return noisy

    def _colour(self, white: Images) -> None:
        """Filter white noise (n, size, size) in place."""
        size = white.shape[-1]
        factors = np.sqrt(self.power(size)).astype(np.float32)
        for start in range(0, len(white), _BATCH):
            some = slice(start, start + _BATCH)
            white[some] = fft.irfft2(fft.rfft2(white[some]) * factors, s=(size, size))
