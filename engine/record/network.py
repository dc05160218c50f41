"""``model.json`` beside a trained network: what it takes, how it was trained, and on images like which.

A run writes it with its network, and other runs that apply the network read it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .reading import LARGEST, RECORD_FORMAT, Number, Word

FILENAME = "model.json"
MODEL = "model.keras"
"""The network itself, in a run's directory."""

Real = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
Interval = tuple[Real, Real]
"""The least and the largest value that occurs."""


class ImagesFile(BaseModel):
    """What images are like that a network was trained on, or is applied to. What is not known, or not there, is None.

    Attributes
    ----------
    volume
        the source of the density, in words.
    density
        a text that is the same only for equal densities on the same voxels.
    pixel_size, size
        Å, and pixels along a side, of whole images: before they are brought to the network's size.
    has_ctf
        None where it is not known.
    defocus, voltage, spherical_aberration, amplitude_contrast
        Å, kV, mm and a share: of the CTF.
    snr
        variance of the signal over that of the noise; None without noise.
    spectrum
        of the noise: ``measured`` that of recorded particles.
    colour
        power of the noise at low frequencies over that at high ones, of those that the network sees.
    max_shift
        Å, along x and y.
    coverage, sampling
        of the viewing directions, as the configuration has them.
    phase_flip, whiten
        how images are prepared.
    """

    model_config = ConfigDict(frozen=True)
    volume: Annotated[str, Field(max_length=100_000)]
    density: Word | None = None
    pixel_size: Real | None = None
    size: Number | None = None
    has_ctf: bool | None = None
    defocus: Interval | None = None
    voltage: Interval | None = None
    spherical_aberration: Interval | None = None
    amplitude_contrast: Interval | None = None
    snr: Real | None = None
    spectrum: Literal["none", "white", "coloured", "measured"] | None = None
    colour: Real | None = None
    max_shift: Real | None = None
    coverage: Word | None = None
    sampling: Word | None = None
    phase_flip: bool | None = None
    whiten: bool | None = None


class NetworkFile(BaseModel):
    """``model.json``.

    ``trained_by`` is the id of the run that trained the network, ``on`` its ``training.on``; ``image_size`` in pixels,
    ``head``, ``feature_dim`` and ``symmetry`` are what the network takes and gives; ``steps``, ``best_step``,
    ``stopped_early`` and ``validation_mae`` (rad) say how the training ended; ``calibration`` is the argument of
    :func:`poses.distance.learned_distances`.
    """

    model_config = ConfigDict(frozen=True)
    format: Number = RECORD_FORMAT
    trained_by: Word
    on: Word = "reference"
    image_size: Number
    head: Word
    feature_dim: Number | None
    symmetry: Word
    steps: Number
    best_step: Number
    stopped_early: bool
    validation_mae: Real | None
    calibration: Annotated[list[Real], Field(min_length=1, max_length=10_000)]
    images: ImagesFile

    def coefficients(self) -> NDArray[np.float64]:
        """The calibration (k,)."""
        return np.array(self.calibration, dtype=np.float64)
