"""The density that an experiment starts from: built in, read from a file, or downloaded."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ArgumentError

Center = Literal["mass", "box"] | tuple[float, float, float]
"""What a volume rotates about: its centre of mass, voxel n // 2 of its box, or a voxel index (x, y, z)."""


@dataclass(frozen=True, eq=False, repr=False)
class Volume:
    """A density and its position. It rotates about :attr:`center_index`; the voxels themselves are never resampled.

    Attributes
    ----------
    density
        (nz, ny, nx), indexed [z, y, x], not necessarily cubic.
    voxel_size
        Å per voxel, the same along each axis.
    origin
        (3,) in Å: (x, y, z) of the centre of voxel [0, 0, 0] in the source's own frame.
    name
        short label, such as ``1bd2`` or ``emd_3400``.
    warnings
        what makes it doubtful, a line each: contradictions in its file, atoms that were left out.
    center
        what it rotates about, and what is projected to pixel ``size // 2``: ``mass``, the centre of mass of the
        positive density; ``box``, voxel ``n // 2`` along each axis, as RELION has it; or a voxel index (x, y, z).

    Raises
    ------
    ArgumentError
        for another ``center``.
    """

    density: NDArray[np.float32]
    voxel_size: float
    origin: NDArray[np.float64]
    name: str
    warnings: tuple[str, ...] = ()
    center: Center = "mass"

    def __post_init__(self) -> None:
        if self.center not in ("mass", "box") and not (isinstance(self.center, tuple) and len(self.center) == 3):
            raise ArgumentError(
                "{center} is {given!r}; wanted 'mass', 'box' or a voxel index (x, y, z)", "center", given=self.center
            )

    def __repr__(self) -> str:
        nz, ny, nx = self.density.shape
        return f"Volume({self.name!r}, {nx} x {ny} x {nz} voxels of {self.voxel_size:.4g} Å)"

    @property
    def center_of_mass(self) -> NDArray[np.float64]:
        """(3,) in Å, (x, y, z) in the source's frame, of the positive part of the density.

        Only the positive part: a map whose solvent is set to zero mean has a total near zero, and dividing by that puts
        the centre anywhere.
        """
        return self.origin + self.voxel_size * self.mass_index

    @cached_property
    def mass_index(self) -> NDArray[np.float64]:
        """(3,) (x, y, z): the centre of mass counted in voxels from voxel [0, 0, 0]."""
        mass = np.maximum(self.density, 0)
        profiles = [mass.sum(axis=axes, dtype=np.float64) for axes in ((0, 1), (0, 2), (1, 2))]
        return np.array([profile @ np.arange(len(profile)) / profile.sum() for profile in profiles])

    @property
    def center_index(self) -> NDArray[np.float64]:
        """(3,) (x, y, z): the centre of rotation counted in voxels from voxel [0, 0, 0]."""
        if self.center == "mass":
            return self.mass_index
        return np.array(self._middle if self.center == "box" else self.center, dtype=float)

    @property
    def center_offset(self) -> NDArray[np.float64]:
        """(3,) (x, y, z): the centre of rotation counted in voxels from voxel ``n // 2`` along each axis."""
        return self.center_index - self._middle

    @property
    def _middle(self) -> NDArray[np.int_]:
        return np.array([n // 2 for n in self.density.shape[::-1]])

    @property
    def diagonal(self) -> int:
        """The box's diagonal in whole voxels, the frame of the published experiments (116 for their 5J0N)."""
        return math.isqrt(sum(n * n for n in self.density.shape))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything but the name and the warnings."""
        digest = hashlib.sha256(np.array(self.density.shape, dtype="<i8").tobytes())
        digest.update(np.array([self.voxel_size, *self.origin], dtype="<f8").tobytes())
        digest.update(np.ascontiguousarray(self.density, dtype="<f4").reshape(-1).view(np.uint8).data)
        if self.center != "mass":  # volumes of earlier records had no other, and keep their fingerprint
            digest.update(np.array(self.center_index, dtype="<f8").tobytes())
        return digest.hexdigest()
