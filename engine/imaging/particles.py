"""A set of particle images with their metadata: simulated ones with ground truth, real ones without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ArgumentError
from .ctf import ContrastTransfer, phase_flipped, transfer
from .fourier import half_plane_frequencies
from .noise import NoiseModel
from .planes import Computed, Planes

Images = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Truth:
    """Ground truth of simulated images: poses (n, 3, 3), shifts (n, 2) in pixels (x, y).

    ``clean`` are the first few images before shift and noise, for display.
    """

    poses: NDArray[np.floating]
    shifts: NDArray[np.floating]
    clean: Images


@dataclass(frozen=True, eq=False, repr=False)
class ParticleSet:
    """Images whose poses are sought.

    Attributes
    ----------
    images
        (n, size, size), float32, as recorded: with CTF, shifted, noisy, not standardised.
    pixel_size
        Å per pixel.
    noise
        the model of their noise, which is also that of the training images.
    ctf
        of each image; None where images are plain projections.
    shifts
        (n, 2) in pixels (x, y): displacement of the content; None where unknown.
    truth
        poses and shifts that the images were simulated with; None for real ones. Stages that need it are then skipped.
    """

    images: Images
    pixel_size: float
    noise: NoiseModel
    ctf: ContrastTransfer | None = None
    shifts: NDArray[np.floating] | None = None
    truth: Truth | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.images)
        if len(shape) != 3 or shape[1] != shape[2]:
            raise ArgumentError("{images} have the shape {given}; wanted (n, size, size)", "images", given=shape)
        for name, length in self._lengths().items():
            if length != len(self.images):
                raise ArgumentError(
                    "{name} are given for {length} images; wanted them for each of the {count}", name=name,
                    length=length, count=len(self.images),
                )  # fmt: skip

    def _lengths(self) -> dict[str, int]:
        lengths = {} if self.shifts is None else {"shifts": len(self.shifts)}
        if self.ctf is not None:
            lengths["ctf"] = len(self.ctf)
        if self.truth is not None:
            lengths |= {"true poses": len(self.truth.poses), "true shifts": len(self.truth.shifts)}
        return lengths

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """Pixels along a side."""
        return self.images.shape[-1]

    def corrected(self) -> Images:
        """The images as they are compared with projections: phase-flipped where they have a CTF."""
        return self.images if self.ctf is None else phase_flipped(self.images, self.ctf, self.pixel_size)

    def transfers(self) -> Planes | None:
        """The CTF of each image (n, size, size // 2 + 1), in the order of ``rfft2``; None without."""
        ctf = self.ctf
        if ctf is None:
            return None
        plane = half_plane_frequencies(self.size, self.pixel_size)
        return Computed((len(self), self.size, self.size // 2 + 1), lambda some: transfer(ctf[some], plane))

    def noise_power(self) -> NDArray[np.floating] | None:
        """The relative power (size, size // 2 + 1) of coloured noise; None where it is white."""
        return None if self.noise.spectrum is None else self.noise.power(self.size)

    def __repr__(self) -> str:
        known = "with" if self.truth is not None else "without"
        return (
            f"ParticleSet({len(self):,} images of {self.size} x {self.size} pixels of {self.pixel_size:.4g} Å, "
            f"noise variance {self.noise.variance:.4g}, {known} truth)"
        )
