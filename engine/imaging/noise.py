"""The noise model of images: the same for the test images and for the training images of the network.

:mod:`learning.corruption` has the same model as TensorFlow operations, for training images to which noise is added anew
each time they are drawn; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ArgumentError
from .filters import signal_variance

Images = NDArray[np.float32]


@dataclass(frozen=True)
class NoiseModel:
    """White Gaussian noise of images, the same for all of them.

    Attributes
    ----------
    variance
        of each pixel, in the images' own units squared.
    snr
        variance of the signal over that of the noise, over the whole frame; infinite without noise.
    """

    variance: float = 0.0
    snr: float = float("inf")

    def __post_init__(self) -> None:
        if not (np.isfinite(self.variance) and self.variance >= 0):
            raise ArgumentError("{variance} is {given}; wanted a number of at least 0", "variance", given=self.variance)
        if not self.snr > 0:
            raise ArgumentError("{snr} is {given}; wanted a number above 0", "snr", given=self.snr)

    @classmethod
    def for_signal(cls, clean: Images, variance: float | None = None, snr: float | None = None) -> Self:
        """The noise of given ``variance`` or, in its place, signal-to-noise ratio for clean images (n, size, size)."""
        signal = signal_variance(clean)
        if snr is not None:
            return cls(signal / snr, snr)
        variance = variance or 0.0
        return cls(variance, signal / variance if variance else float("inf"))

    @property
    def signal_variance(self) -> float:
        """Variance of the signal that the ratio refers to, in units squared; 0 without noise, where it is unknown."""
        return self.variance * self.snr if self.variance > 0 else 0.0

    @property
    def standard_deviation(self) -> float:
        """Of each pixel, in the images' own units."""
        return float(np.sqrt(self.variance))

    def on_larger_pixels(self, ratio: float) -> NoiseModel:
        """The noise that remains on pixels ``ratio`` times as wide, after Fourier cropping.

        White noise keeps its spectrum under cropping, so its variance falls by the ratio of the pixel counts.
        """
        return NoiseModel(self.variance / ratio**2, self.snr)

    def apply(self, images: Images, rng: np.random.Generator) -> Images:
        """Images (n, size, size) with noise of this model; the same array where there is none."""
        if self.variance == 0:
            return images
        noisy = rng.standard_normal(images.shape, dtype=np.float32)
        noisy *= np.float32(np.sqrt(self.variance))
        noisy += images
        return noisy
