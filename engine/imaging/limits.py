"""The ranges of what densities and images are made of, each end with its reason.

Densities and images are held in single precision: 24 bits, values from 1.2e-38 to 3.4e38. What is done with them sums
the squares of their Fourier coefficients, each of them a sum over all pixels; so the values themselves have to stay
far from the roots of these ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.errors import ArgumentError
from ..base.quantities import Range, digits

_LARGEST_FRAME = 4096  # pixels along a side

IMAGES = Range(1, 2**31 - 1, "there is nothing to do", "the header of an image stack counts in 32 bits")
"""How many images are made together."""
SIZE = Range(
    8, _LARGEST_FRAME, "fewer pixels have no Fourier shells to speak of",
    "particles are cut out of the frames of detectors, which are hardly wider",
)  # fmt: skip
"""Pixels along a side of an image."""
NOISE_VARIANCE = Range(
    1e-30, 1e24, "a variance is not negative, and squares of weaker noise vanish in single precision (1.2e-38)",
    "sums of squares of stronger noise pass the end of single precision (3.4e38)", or_zero=True,
)  # fmt: skip
"""Of white noise, in the images' own units squared."""
SNR = Range(
    1e-14, 1e14, "single precision (24 bits) rounds a weaker signal away beside its noise",
    "weaker noise is less than the signal's last digit in single precision (24 bits), leave it out",
)  # fmt: skip
"""Variance of the signal over that of the noise."""
MASK_RADIUS = Range(
    1.0,
    _LARGEST_FRAME / 2,
    "a smaller disc would leave one pixel",
    "beyond half of the largest frame nothing is masked",
)
"""Pixels."""
MAX_SHIFT = Range(
    0.0, _LARGEST_FRAME / 2, "it is the largest shift in either direction",
    "by half of the largest frame a particle's centre has left the image",
)  # fmt: skip
"""Pixels."""
DEFOCUS = Range(
    -100_000.0, 100_000.0, "so far over focus, images are spread over more than their frame",
    "so far under focus, images are spread over more than their frame",
)  # fmt: skip
"""Å, positive under focus."""
DEFOCUS_ERROR = Range(
    -100_000.0, 100_000.0, "it would be more than a defocus can be", "it would be more than a defocus can be"
)
"""Å, of a defocus that is known less the true one."""
DEFOCUS_GROUPS = Range(1, 1_000_000, "each particle has a defocus", "there are hardly more images than that")
"""How many defoci particles have between them."""
VOLTAGE = Range(
    10.0, 3000.0, "slower electrons do not pass through a layer of ice", "no electron microscope has such a voltage"
)
"""kV."""
SPHERICAL_ABERRATION = Range(-20.0, 20.0, "no corrector overcorrects as much", "no objective lens has such a large one")
"""mm."""
AMPLITUDE_CONTRAST = Range(
    0.0, 1.0, "it is a share of the contrast", "it is a share of the contrast, 1 for an image without phase contrast"
)
"""The share of amplitude contrast."""
RESOLUTION = Range(
    0.3, 1000.0, "the electrons of an atom are spread out wider", "a particle, hardly wider, would be a single spot"
)
"""Å."""
VOXEL_SIZE = Range(
    0.01, 500.0, "an atom would be a hundred voxels wide",
    "voxels show detail of twice their size and coarser (sampling theorem), and particles are hardly wider",
)  # fmt: skip
"""Å per voxel, or per pixel."""
DENSITY = Range(
    1e-6, 1e9, "squares of smaller values come down to the 1e-12 that keep divisions finite",
    "sums of squares of larger values pass the end of single precision (3.4e38)",
)  # fmt: skip
"""The largest magnitude in a density, in its own units."""
ITERATIONS = Range(
    1, 1000, "nothing would be reconstructed", "least squares has converged long before, and rounding errors add up"
)
"""Of a reconstruction."""


def checked_defocus(defocus: Any) -> float | tuple[float, float] | None:
    """One defocus, or low and high as a pair, or None; ArgumentError for what is out of range or none of these."""
    if not isinstance(defocus, list | tuple):
        return None if defocus is None else float(DEFOCUS.check(defocus, "defocus"))
    if len(defocus) != 2:
        raise ArgumentError(
            "{defocus} has {length} values; wanted one, or low and high", "defocus", length=len(defocus)
        )
    low, high = (float(DEFOCUS.check(end, "defocus")) for end in defocus)
    return low, high


def off_by(defocus: float | tuple[float, float] | None, error: float) -> float | tuple[float, float] | None:
    """A defocus, or both ends of a range, plus an error in Å."""
    if isinstance(defocus, tuple):
        return defocus[0] + error, defocus[1] + error
    return None if defocus is None else defocus + error


def check_contrast(
    defocus: float | tuple[float, float] | None, spherical_aberration: float, amplitude_contrast: float
) -> None:
    """ArgumentError for ranges of defocus that are reversed, and for a CTF that is zero everywhere."""
    if isinstance(defocus, tuple) and defocus[0] > defocus[1]:
        low, high = (digits(end) for end in defocus)
        raise ArgumentError("{defocus} is [{low}, {high}]; wanted the lower end first", "defocus", low=low, high=high)
    if not np.any(defocus if defocus is not None else 1.0) and spherical_aberration == 0 and amplitude_contrast == 0:
        raise ArgumentError(
            "{defocus}, {spherical_aberration} and {amplitude_contrast} are all 0, with which there is no contrast at "
            "all; wanted one of them above 0", "defocus", "spherical_aberration", "amplitude_contrast",
        )  # fmt: skip


def check_shift(max_shift: float, size: int) -> None:
    """ArgumentError for shifts by which particles leave images of ``size`` pixels."""
    if max_shift > size / 2:
        raise ArgumentError(
            "{max_shift} is {given} pixels and the images are {size} wide; wanted at most {most}: shifted by half of "
            "the frame, a particle's centre has left it", "max_shift", given=digits(max_shift), size=size,
            most=digits(size / 2),
        )  # fmt: skip
