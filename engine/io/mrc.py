"""Density maps and image stacks in the MRC2014/CCP4 format, by mrcfile.

Format: Cheng et al., J. Struct. Biol. 192 (2015) 146, https://www.ccpem.ac.uk/mrc-format/mrc2014.

mrcfile's own reader trusts the header: it allocates whatever size that states and reports a wrong MAP id without naming
the file. So headers are checked here, before anything is allocated, by mrcfile's definition of the format.
"""

from __future__ import annotations

import gzip
import io
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import mrcfile
import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import byte_order_from_machine_stamp, dtype_from_mode, spacegroup_is_volume_stack
from numpy.typing import NDArray

from ..base.errors import ArgumentError, InputError
from ..base.files import writing
from ..base.inputs import reading, without_gz
from ..imaging.limits import VOXEL_SIZE
from . import mrc_data

MAP_ENDINGS = (".mrc", ".map", ".ccp4")
STACK_ENDING = ".mrcs"

_REAL_MODES = (0, 1, 2, 6, 12)
_OTHER_MODES = {3: "complex, a Fourier transform", 4: "complex, a Fourier transform", 101: "packed 4-bit numbers"}
_ISOTROPY = 1e-3  # relative difference of the three voxel sides that counts as rounding in the header


def read_map(
    path: str | Path,
    voxel_size: float | None = None,
    stack_is_volume: bool = False,
    warn: Callable[[str], None] | None = None,
) -> tuple[NDArray[np.float32], float, NDArray[np.float64]]:
    """A density map, plain or gzipped: density (nz, ny, nx), Å per voxel, origin (3,) (x, y, z) in Å.

    The density is indexed [z, y, x] whatever order of axes the file has (``mapc``, ``mapr``, ``maps``). The origin is
    the position of voxel [0, 0, 0]: the header's ``origin`` where that is not zero, else ``nstart`` times the voxel
    size. The two are never added, as in ChimeraX: programs that write both mean the same position.

    Space group 0 means "images", yet RELION and Chimera write it into volumes, with ``mz = nz`` (3dem/relion issue
    1345). An image stack is what is named ``.mrcs`` or has space group 0 *and* ``mz = 1``.

    Where the header contradicts itself, the file's size or the data, see :mod:`io.mrc_data`.

    Parameters
    ----------
    voxel_size
        Å per voxel; the header's cell is then ignored.
    stack_is_volume
        take an image stack for the sections of one volume, whatever its name and header say.
    warn
        is called with each line, naming the file, about a contradiction; a RuntimeWarning when not given.

    Raises
    ------
    InputError
        naming the file, if it is not a readable volume of real numbers with cubic voxels, or too large for memory.

    Warns
    -----
    RuntimeWarning
        for a contradiction in a file that can be read all the same.
    """
    path = Path(path)
    remarks: list[str] = []
    with reading(path) as file:
        header = _read_header(file, path, remarks.append)
        shape = _volume_shape(header, path, stack_is_volume)
        if voxel_size is None:
            voxel_size = _voxel_size(header, path)
        VOXEL_SIZE.check(voxel_size, "voxel_size")
        dtype = dtype_from_mode(int(header["mode"])).newbyteorder(header.dtype["mode"].byteorder)
        data = mrc_data.read_data(file, header, dtype, shape, path, remarks.append)
    order = _axis_order(header, remarks.append)
    density = np.require(data.transpose(order), np.float32, ["C_CONTIGUOUS", "ALIGNED"])
    start_by_axis = [int(header[key]) for key in ("nzstart", "nystart", "nxstart")]  # of sections, rows, columns
    start_xyz = [start_by_axis[axis] for axis in order][::-1]
    origin = _xyz(header["origin"])
    if not origin.any() or not np.isfinite(origin).all():
        origin = voxel_size * np.array(start_xyz, dtype=float)
    for remark in remarks:
        if warn is None:
            warnings.warn(f"{path}: {remark}", RuntimeWarning, stacklevel=2)
        else:
            warn(f"{path}: {remark}")
    return density, voxel_size, origin


def read_undoubted_map(path: str | Path) -> tuple[NDArray[np.float32], float]:
    """A density map (nz, ny, nx) that a program of ours wrote, and its Å per voxel.

    Raises
    ------
    InputError
        naming the file, where :func:`read_map` refuses it or has any doubt: what we write contradicts itself only when
        it is damaged.
    """

    def refuse(remark: str) -> None:
        raise InputError(remark)

    density, voxel_size, _ = read_map(path, warn=refuse)
    promised = mrc_data.HEADER_BYTES + density.nbytes  # we write 32-bit floats and nothing else
    size = Path(path).stat().st_size
    if size != promised:
        raise InputError(f"{path} is damaged: its header promises {promised:,} bytes, and it has {size:,}")
    return density, voxel_size


@dataclass(frozen=True)
class StackLayout:
    """Where the images of a stack are in its file: ``count`` of ``height`` x ``width`` values from byte ``offset``.

    ``pixel_size`` is in Å, None where the header has none that makes sense.
    """

    count: int
    height: int
    width: int
    offset: int
    dtype: np.dtype[Any]
    pixel_size: float | None

    @property
    def image_bytes(self) -> int:
        """Of one image."""
        return self.height * self.width * self.dtype.itemsize


def read_stack_layout(path: str | Path) -> StackLayout:
    """The layout of an MRC file with images, which is not read any further; a single image is a stack of one.

    Raises
    ------
    InputError
        naming the file: unreadable, gzipped (images are read where they lie), no MRC, of complex numbers, cut short.
    """
    path = Path(path)
    with reading(path) as file:
        if isinstance(file, gzip.GzipFile):
            raise InputError(f"{path} is gzipped, and images are read where they lie in the file; unpack it")
        header = _read_header(file, path, lambda remark: None)
    count, height, width = (int(header[key]) for key in ("nz", "ny", "nx"))
    if min(count, height, width) < 1:
        raise InputError(f"{path}: the header gives {width} x {height} x {count} pixels; the file is damaged or empty")
    labels = [int(header[key]) for key in ("mapc", "mapr", "maps")]
    if labels != [1, 2, 3] and sorted(labels) == [1, 2, 3]:
        raise InputError(f"{path} has the axis order {labels}; wanted images of rows along x, in the order 1, 2, 3")
    dtype = mrc_data.stored_type(
        header, dtype_from_mode(int(header["mode"])).newbyteorder(header.dtype["mode"].byteorder)
    )
    sides = [float(header["cella"][axis]) / max(int(header[key]), 1) for axis, key in (("x", "mx"), ("y", "my"))]
    is_known = all(side in VOXEL_SIZE for side in sides) and abs(sides[0] - sides[1]) <= _ISOTROPY * sides[0]
    offset = HEADER_DTYPE.itemsize + max(int(header["nsymbt"]), 0)
    layout = StackLayout(count, height, width, offset, dtype, sides[0] if is_known else None)
    held = (path.stat().st_size - layout.offset) // layout.image_bytes
    if held < count:
        raise InputError(
            f"{path} is cut short: the header promises {count:,} images of {width} x {height} pixels, {max(held, 0):,} "
            "are there; copy it again"
        )
    return layout


def write_map(path: str | Path, density: NDArray[np.floating], voxel_size: float, origin: NDArray[np.floating]) -> None:
    """Write a density (nz, ny, nx) as MRC2014, float32; Å per voxel, origin (3,), (x, y, z) in Å. Replaces the file."""
    with _writing_mrc(path, density) as mrc:
        mrc.set_volume()
        mrc.voxel_size = voxel_size
        mrc.header.origin = tuple(np.asarray(origin, dtype=np.float32))


def write_stack(
    path: str | Path, images: NDArray[np.floating] | Iterable[NDArray[np.floating]], pixel_size: float
) -> None:
    """Write images (n, height, width) as an MRC2014 image stack, float32; Å per pixel. Replaces the file.

    The images may come in parts (m, height, width), in order, so that they are never in memory together.
    """
    path = Path(path)
    parts = iter([images] if isinstance(images, np.ndarray) else images)
    try:
        with writing(path) as aside:
            first = next(parts)
            with mrcfile.new(aside) as mrc:
                mrc.set_data(np.asarray(first[:1], dtype=np.float32))
                mrc.set_image_stack()
                mrc.voxel_size = pixel_size
            with aside.open("rb+") as file:
                header = np.frombuffer(file.read(HEADER_DTYPE.itemsize), HEADER_DTYPE)[0].copy()
                _append(file, header, itertools.chain([first[1:]], parts))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _append(file: BinaryIO, header: np.void, parts: Iterable[NDArray[np.floating]]) -> None:
    """Append images to a stack of one, and put their number and statistics into its header."""
    means = [float(header["dmean"])]
    squares = [float(header["rms"]) ** 2 + means[0] ** 2]
    file.seek(0, io.SEEK_END)
    for image in itertools.chain.from_iterable(parts):
        data = np.ascontiguousarray(image, dtype=np.float32)
        file.write(data.data)
        means.append(data.mean(dtype=np.float64))
        squares.append(np.square(data, dtype=np.float64).mean())
        header["dmin"], header["dmax"] = min(header["dmin"], data.min()), max(header["dmax"], data.max())
    header["nz"], header["dmean"] = len(means), np.mean(means)
    header["rms"] = math.sqrt(max(float(np.mean(squares) - np.mean(means) ** 2), 0.0))
    file.seek(0)
    file.write(header.tobytes())


@contextmanager
def _writing_mrc(path: str | Path, data: NDArray[np.floating]) -> Iterator[mrcfile.mrcfile.MrcFile]:
    path = Path(path)
    try:
        with writing(path) as aside, mrcfile.new(aside) as mrc:
            mrc.set_data(np.asarray(data, dtype=np.float32))
            yield mrc
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _read_header(file: io.BufferedIOBase, path: Path, remark: Callable[[str], None]) -> np.void:
    """The 1024 bytes of the header in the byte order in which they are valid."""
    head = file.read(HEADER_DTYPE.itemsize)
    if len(head) < HEADER_DTYPE.itemsize:
        raise InputError(f"{path} is no MRC map: it holds {len(head)} bytes, a header has {HEADER_DTYPE.itemsize}")
    candidates = {order: np.frombuffer(head, HEADER_DTYPE.newbyteorder(order))[0] for order in "<>"}
    has_id = bytes(candidates["<"]["map"]).startswith(b"MAP")
    sensible = [order for order, header in candidates.items() if int(header["mode"]) in {*_REAL_MODES, *_OTHER_MODES}]
    if not has_id and not sensible:
        raise InputError(f"{path} is no MRC map: its header has neither the MAP id nor a known data mode")
    if not has_id:
        remark("the header lacks the MAP id of an MRC map; read as one all the same")
    # Mode 0 is the same in both orders, sizes are not: one below 2**16 is above it in the other.
    sensible = [order for order in sensible if _has_sensible_size(candidates[order])] or sensible
    try:
        stamped = byte_order_from_machine_stamp(candidates["<"]["machst"])
    except ValueError:
        stamped = ""
    if sensible and stamped not in sensible:
        remark("the machine stamp is wrong; the byte order is guessed from the data mode and the size")
        stamped = sensible[0]
    header = candidates[stamped or "<"]
    mode = int(header["mode"])
    if mode not in _REAL_MODES:
        raise InputError(
            f"{path}: data mode {mode} ({_OTHER_MODES.get(mode, 'unknown')}) is no density; "
            f"wanted real numbers, mode {', '.join(map(str, _REAL_MODES))}"
        )
    return header


def _has_sensible_size(header: np.void) -> bool:
    return all(0 < int(header[key]) < 1 << 16 for key in ("nx", "ny", "nz"))


def _volume_shape(header: np.void, path: Path, stack_is_volume: bool) -> tuple[int, int, int]:
    """Sections, rows, columns; InputError unless that is a single volume."""
    sections, rows, columns = (int(header[key]) for key in ("nz", "ny", "nx"))
    size = f"{columns} x {rows} x {sections}"
    if min(sections, rows, columns) < 1:
        raise InputError(f"{path}: the header gives {size} voxels; the file is damaged or empty")
    if min(rows, columns) == 1 or sections == 1:
        what = "a single image" if sections == 1 else "one voxel thin"
        raise InputError(f"{path} is {what} ({size}); wanted a volume")
    group, per_volume = int(header["ispg"]), int(header["mz"])
    is_one = spacegroup_is_volume_stack(group) and per_volume == sections
    if spacegroup_is_volume_stack(group) and not is_one:
        raise InputError(f"{path} is a stack of volumes (space group {group}, mz = {per_volume}); wanted one volume")
    is_named = without_gz(path).suffix.lower() == STACK_ENDING
    if not stack_is_volume and (is_named or is_one or (group == 0 and per_volume == 1)):
        raise ArgumentError(
            "{path} is a stack of {what}; wanted a volume: if it is one, though its {why}, turn on {stack_is_volume}",
            "stack_is_volume",
            path=path,
            what="volumes" if is_one else f"{sections} images of {columns} x {rows}",
            why=f"name ends in {STACK_ENDING}" if is_named else f"header has space group {group} and mz = {per_volume}",
        )
    return sections, rows, columns


def _voxel_size(header: np.void, path: Path) -> float:
    """Å per voxel from the cell; InputError unless it is positive and the same along the three axes."""
    cell, angles = _xyz(header["cella"]), [float(header["cellb"][key]) for key in ("alpha", "beta", "gamma")]
    intervals = np.array([int(header[key]) for key in ("mx", "my", "mz")])
    if any(angles) and not np.allclose(angles, 90.0, atol=0.01):
        raise ArgumentError(
            "{path}: the cell's angles are {angles} degrees; wanted right angles, resample the map, or if the header "
            "is wrong give the true voxel size as {voxel_size}", "voxel_size", path=path, angles=_listed(angles),
        )  # fmt: skip
    if (intervals < 1).any():
        raise ArgumentError(
            "{path}: the header gives mx, my, mz = {intervals}; wanted the voxels along the cell's sides, give the "
            "voxel size as {voxel_size}", "voxel_size", path=path, intervals=_listed(intervals),
        )  # fmt: skip
    sides = cell / intervals
    if not (np.isfinite(sides).all() and (sides > 0).all()):
        raise ArgumentError(
            "{path}: the header gives a voxel size of {sides} Å; wanted a positive one, give it as {voxel_size}",
            "voxel_size", path=path, sides=_listed(sides),
        )  # fmt: skip
    if (mean := float(sides.mean())) not in VOXEL_SIZE:
        raise ArgumentError(
            "{path}: the header gives a voxel size of {sides} Å; wanted {range}{reason}; give the true size as "
            "{voxel_size}", "voxel_size", path=path, sides=_listed(sides), range=VOXEL_SIZE,
            reason=VOXEL_SIZE.reason(mean),
        )  # fmt: skip
    if sides.max() > (1 + _ISOTROPY) * sides.min():
        raise ArgumentError(
            "{path}: voxels of {sides} Å are not cubes; resample the map, or if the header is wrong give the true size "
            "as {voxel_size}", "voxel_size", path=path, sides=_listed(sides),
        )  # fmt: skip
    return mean


def _axis_order(header: np.void, remark: Callable[[str], None]) -> tuple[int, int, int]:
    """Which of the data's axes (section, row, column) are z, y and x."""
    labels = [int(header[key]) for key in ("maps", "mapr", "mapc")]
    if sorted(labels) != [1, 2, 3]:
        remark(f"axis order mapc, mapr, maps = {labels[::-1]} is no order of 1, 2, 3; taken as x, y, z")
        labels = [3, 2, 1]
    return labels.index(3), labels.index(2), labels.index(1)


def _xyz(record: np.void) -> NDArray[np.float64]:
    return np.array([record[key] for key in "xyz"], dtype=float)


def _listed(values: Any) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
