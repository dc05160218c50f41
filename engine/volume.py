"""The density that everything is measured on: built in, read from a file, or downloaded."""

from __future__ import annotations

import difflib
import hashlib
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine import symmetry
from engine.config import VolumeConfig
from engine.errors import InputError
from engine.inputs import reading, without_gz
from engine.progress import Progress, silent
from engine.sources import is_random, random_seed

BUILT_IN = {
    "1bd2": "T-cell receptor bound to peptide and HLA-A2; asymmetric, poses are learned quickly",
    "6msm": "human CFTR; nearly twofold, harder",
    "1tii": "heat-labile enterotoxin IIb, AB5; nearly fivefold at low resolution, hardest",
}
"""Names of the proteins that come with PoseLab, as atomic coordinates, and what they are."""

_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, eq=False)
class Volume:
    """A density and where it lies. It turns about :attr:`center_of_mass`; the voxels themselves are never resampled.

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
    """

    density: NDArray[np.float32]
    voxel_size: float
    origin: NDArray[np.float64]
    name: str

    @property
    def center_of_mass(self) -> NDArray[np.float64]:
        """(3,) in Å, (x, y, z) in the source's frame, of the positive part of the density.

        Only the positive part: a map whose solvent is set to zero mean has a total near zero, and dividing by that puts
        the centre anywhere.
        """
        return self.origin + self.voxel_size * self.center_index

    @cached_property
    def center_index(self) -> NDArray[np.float64]:
        """(3,) (x, y, z): the centre of mass counted in voxels from voxel [0, 0, 0]."""
        mass = np.maximum(self.density, 0)
        profiles = [mass.sum(axis=axes, dtype=np.float64) for axes in ((0, 1), (0, 2), (1, 2))]
        return np.array([profile @ np.arange(len(profile)) / profile.sum() for profile in profiles])

    @property
    def diagonal(self) -> int:
        """The box's diagonal in whole voxels, the frame of the published experiments (116 for their 5J0N)."""
        return math.isqrt(sum(n * n for n in self.density.shape))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything but the name."""
        digest = hashlib.sha256(np.array(self.density.shape, dtype="<i8").tobytes())
        digest.update(np.array([self.voxel_size, *self.origin], dtype="<f8").tobytes())
        digest.update(np.ascontiguousarray(self.density, dtype="<f4").reshape(-1).view(np.uint8).data)
        return digest.hexdigest()


def load_volume(config: VolumeConfig, progress: Progress = silent) -> Volume:
    """The volume that a configuration asks for.

    ``source`` is a built-in name, an archive's id (``emdb:3400``, ``pdb:5j0n``), a random protein (``random:7``) or a
    path, in that order; a file's ending tells maps from coordinates, and either may be gzipped. ``progress`` advances
    while something is downloaded.

    Raises
    ------
    InputError
        naming the file or key, for everything that gives no usable density.
    """
    source = config.source.strip()
    if is_random(source):
        from engine import coordinates

        seed = random_seed(source)
        density, voxel_size, origin = coordinates.random_coordinates(seed, config.resolution, config.voxel_size)
        name = f"random_{seed}"
    else:
        path, name = _locate(source, progress)
        density, voxel_size, origin = _read(path, source, config)
    _check(density, source)
    progress(1.0, {"voxels": density.size})
    volume = Volume(density, voxel_size, origin, name)
    if config.symmetrize == "no" or config.symmetry == "C1":
        return volume
    elements = symmetry.group(config.symmetry)
    made = symmetry.symmetrised if config.symmetrize == "average" else symmetry.oligomer
    # An oligomer has a box of its own, so the source's frame is lost.
    kept = volume.origin if config.symmetrize == "average" else np.zeros(3)
    return Volume(made(density, volume.center_index, elements), voxel_size, kept, f"{name}, {config.symmetry}")


def is_made_of_atoms(source: str) -> bool:
    """Whether a source's density is computed from atoms, so that its resolution and voxel size can be chosen."""
    from engine import coordinates

    source = source.strip()
    if source.lower() in BUILT_IN or is_random(source) or source.lower().startswith("pdb:"):
        return True
    return without_gz(Path(source)).suffix.lower() in coordinates.COORDINATE_ENDINGS


def local_path(source: str) -> Path:
    """The file behind a source that is no archive's entry: a built-in protein's, or the path that it is."""
    return _locate(source.strip(), silent)[0]


def _locate(source: str, progress: Progress) -> tuple[Path, str]:
    """The local file of a source and its short label."""
    if source.lower() in BUILT_IN:
        name = source.lower()
        return next(_DATA.glob(f"{name}.*")), name
    from engine import archives  # only here: the default needs no network library

    path = archives.fetch(source, progress) if archives.is_archived(source) else Path(os.path.expanduser(source))
    return path, without_gz(path).stem


def _read(path: Path, source: str, config: VolumeConfig) -> tuple[NDArray[np.float32], float, NDArray[np.float64]]:
    from engine import coordinates, maps  # only here: who uses a Volume need not load what reads them

    kind = without_gz(path).suffix.lower()
    if kind in coordinates.COORDINATE_ENDINGS:
        return coordinates.read_coordinates(path, config.resolution, config.voxel_size)
    if kind in (*maps.MAP_ENDINGS, maps.STACK_ENDING):
        if config.resolution is not None:
            raise InputError(
                f"volume.resolution is {config.resolution:g} but {source} is a map, which has its own; leave it out"
            )
        return maps.read_map(path, config.voxel_size)
    if not path.suffix and path.name == source and not os.path.exists(path):  # unlike Path.exists never raises
        raise InputError(_unknown_name(source))
    with reading(path):
        known = ", ".join((*maps.MAP_ENDINGS, *coordinates.COORDINATE_ENDINGS))
        raise InputError(f"{path} is of no known kind; wanted a name that ends in {known}, with or without .gz")


def _unknown_name(source: str) -> str:
    nearest = difflib.get_close_matches(source.lower(), BUILT_IN, n=1, cutoff=0.0)[0]
    return (
        f"volume.source is {source!r}, neither a built-in protein nor a file; the nearest built-in one is {nearest!r}; "
        "wanted a name, a path, emdb:ID, pdb:ID or random:SEED"
    )


def _check(density: NDArray[np.float32], source: str) -> None:
    low, high = float(density.min()), float(density.max())
    if not (math.isfinite(low) and math.isfinite(high)):  # NumPy's extremes are NaN as soon as one value is
        count = np.count_nonzero(~np.isfinite(density))
        raise InputError(f"{source}: {count} of the density's values are NaN or infinite; wanted finite numbers")
    if low == high:
        raise InputError(f"{source}: the density is {low:g} everywhere; wanted one with an object in it")
    if high <= 0:
        raise InputError(f"{source}: the density is nowhere positive (at most {high:g}); invert the map's contrast")
