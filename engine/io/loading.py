"""From a source to a volume: built in, read from a file, downloaded, or a random protein."""

from __future__ import annotations

import difflib
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ArgumentError, InputError
from ..base.inputs import reading, without_gz
from ..base.paths import expanded
from ..base.progress import Progress, silent
from ..base.quantities import shown
from ..geometry.symmetry import check_group, group
from ..imaging import symmetric_density
from ..imaging.limits import DENSITY, RESOLUTION, VOXEL_SIZE
from ..imaging.volume import Volume
from .sources import is_address, is_archived, is_random, random_seed

BUILT_IN = {
    "1bd2": "T-cell receptor bound to peptide and HLA-A2; asymmetric, poses are learned quickly",
    "6msm": "human CFTR; nearly twofold, harder",
    "1tii": "heat-labile enterotoxin IIb, AB5; nearly fivefold at low resolution, hardest",
}
"""Names of the proteins that come with PoseLab, as atomic coordinates, and what they are."""
_DATA = Path(__file__).parents[1] / "data"


def load_volume(
    source: str,
    resolution: float | None = None,
    voxel_size: float | None = None,
    symmetry: str = "C1",
    symmetrize: Literal["no", "average", "oligomer"] = "no",
    progress: Progress = silent,
    stack_is_volume: bool = False,
    warn: Callable[[str], None] | None = None,
) -> Volume:
    """The volume that a source names.

    Parameters
    ----------
    source
        a built-in name, an archive's id (``emdb:3400``, ``pdb:5j0n``), a random protein (``random:7``) or a path, in
        that order; a file's ending distinguishes maps from coordinates, and either may be gzipped.
    resolution
        in Å, for coordinates only; 8 when not given.
    voxel_size
        in Å; a third of the resolution for coordinates, the header's for a map, when not given.
    symmetry, symmetrize
        the point group, and how it is imposed on the density: not at all, by averaging its rotated copies, or by
        putting copies of it side by side.
    progress
        advances while something is downloaded.
    stack_is_volume
        take a map that its name or header calls an image stack for one volume.
    warn
        is called with each of the volume's ``warnings``; when not given they are Python's own, a RuntimeWarning each.

    Raises
    ------
    InputError
        naming the file or argument, if it gives no usable density.

    Examples
    --------
    >>> load_volume("1bd2", resolution=20)
    Volume('1bd2', 23 x 16 x 25 voxels of 6.667 Å)
    """
    for name, value, limits in (("resolution", resolution, RESOLUTION), ("voxel_size", voxel_size, VOXEL_SIZE)):
        if value is not None:
            limits.check(value, name)
    source, symmetry = source.strip(), check_group(symmetry)
    remarks: list[str] = []
    if is_random(source):
        from . import coordinates

        seed = random_seed(source)
        density, voxel_size, origin = coordinates.random_coordinates(seed, resolution, voxel_size)
        name = f"random_{seed}"
    else:
        path, name = _locate(source, progress)
        density, voxel_size, origin = _read(path, source, resolution, voxel_size, stack_is_volume, remarks.append)
    _check(density, source)
    for remark in remarks:
        if warn is None:
            warnings.warn(remark, RuntimeWarning, stacklevel=2)
        else:
            warn(remark)
    progress(1.0, {"voxels": density.size})
    volume = Volume(density, voxel_size, origin, name, tuple(remarks))
    if symmetrize == "no" or symmetry == "C1":
        return volume
    elements = group(symmetry)
    made = symmetric_density.symmetrised if symmetrize == "average" else symmetric_density.oligomer
    # An oligomer has a box of its own, so the source's frame is lost.
    kept = volume.origin if symmetrize == "average" else np.zeros(3)
    return Volume(
        made(density, volume.center_index, elements), voxel_size, kept, f"{name}, {symmetry}", volume.warnings
    )


def is_made_of_atoms(source: str) -> bool:
    """Whether a source's density is computed from atoms, so that its resolution and voxel size can be chosen."""
    from ..io import coordinates

    source = source.strip()
    if source.lower() in BUILT_IN or is_random(source) or source.lower().startswith("pdb:"):
        return True
    return without_gz(Path(source)).suffix.lower() in coordinates.COORDINATE_ENDINGS


def local_path(source: str) -> Path:
    """The file of a source that is not an archive's entry: a built-in protein's, or the path itself."""
    return _locate(source.strip(), silent)[0]


def _locate(source: str, progress: Progress) -> tuple[Path, str]:
    """The local file of a source and its short label."""
    if source.lower() in BUILT_IN:
        name = source.lower()
        return next(_DATA.glob(f"{name}.*")), name
    if not source or is_address(source):
        remedy = "; fetch the file and give its path" if source else ""
        raise ArgumentError(
            "{source} is {given!r}; wanted a name, a path, emdb:ID, pdb:ID or random:SEED{remedy}", "source",
            given=source, remedy=remedy,
        )  # fmt: skip
    from ..io import archives  # imported here: the default needs no network library

    path = archives.fetch(source, progress) if is_archived(source) else expanded(source)
    return path, without_gz(path).stem


def _read(
    path: Path,
    source: str,
    resolution: float | None,
    voxel_size: float | None,
    stack_is_volume: bool,
    warn: Callable[[str], None],
) -> tuple[NDArray[np.float32], float, NDArray[np.float64]]:
    from ..io import coordinates, mrc  # imported here: using a Volume does not need the readers

    kind = without_gz(path).suffix.lower()
    if kind in coordinates.COORDINATE_ENDINGS:
        return coordinates.read_coordinates(path, resolution, voxel_size, warn)
    if kind in (*mrc.MAP_ENDINGS, mrc.STACK_ENDING):
        if resolution is not None:
            raise ArgumentError(
                "{resolution} is {given:g} but {path} is a map, which has its own; leave it out", "resolution",
                given=resolution, path=source,
            )  # fmt: skip
        return mrc.read_map(path, voxel_size, stack_is_volume, warn)
    if not path.suffix and path.name == source and not os.path.exists(path):  # unlike Path.exists never raises
        nearest = difflib.get_close_matches(source.lower(), BUILT_IN, n=1, cutoff=0.0)[0]
        raise ArgumentError(
            "{source} is {given}, neither a built-in protein nor a file; the nearest built-in one is {nearest!r}; "
            "wanted a name, a path, emdb:ID, pdb:ID or random:SEED", "source", given=shown(source), nearest=nearest,
        )  # fmt: skip
    with reading(path):
        known = ", ".join((*mrc.MAP_ENDINGS, *coordinates.COORDINATE_ENDINGS))
        raise InputError(f"{path} is of no known kind; wanted a name that ends in {known}, with or without .gz")


def _check(density: NDArray[np.float32], source: str) -> None:
    low, high = float(density.min()), float(density.max())
    if not (math.isfinite(low) and math.isfinite(high)):  # NumPy's extremes are NaN as soon as one value is
        count = np.count_nonzero(~np.isfinite(density))
        raise InputError(f"{source}: {count} of the density's values are NaN or infinite; wanted finite numbers")
    if low == high:
        raise InputError(f"{source}: the density is {low:g} everywhere; wanted one with an object in it")
    if (largest := max(-low, high)) not in DENSITY:
        raise InputError(
            f"{source}: the density reaches {largest:g}; wanted {DENSITY}{DENSITY.reason(largest)}; scale its values"
        )
    if high <= 0:
        raise InputError(f"{source}: the density is nowhere positive (at most {high:g}); invert the map's contrast")
