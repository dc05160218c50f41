"""Tables of particles of cryoSPARC (``.cs``, NumPy's structured arrays): read as numbers, and written back.

- ``alignments3D/pose`` is a rotation vector. The matrix of it takes the image frame into the object frame, as a pose
  does here: pyem (``geom.expmap``) and cryoDRGN (``parse_pose_csparc``) make RELION's matrix of it by transposing.
- ``alignments3D/shift`` points to the centre, as RELION's origins do, in pixels of ``alignments3D/psize_A``, which are
  not those of the image where it was aligned at another size.
- ``alignments3D/split`` is 0 or 1. Paths of stacks may begin with ``>``, and are relative to the project's folder.
- A job's output is split: what it did not change is in a *passthrough* file, whose rows are found by ``uid``.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import InputError, one_line
from ..base.inputs import reading
from ..geometry import rotations
from .particle_table import CtfColumns, ParticleTable, check_pixel_size, checked_ctf, checked_halves, given_pixel_sizes

CONFIDENCE = "poselab/confidence"
_PATH, _IDX, _SHAPE, _PSIZE = "blob/path", "blob/idx", "blob/shape", "blob/psize_A"
_POSE, _SHIFT, _ALIGNED_PSIZE, _SPLIT = (f"alignments3D/{name}" for name in ("pose", "shift", "psize_A", "split"))
_DEFOCUS, _DEFOCUS_2, _ASTIGMATISM = "ctf/df1_A", "ctf/df2_A", "ctf/df_angle_rad"
_VOLTAGE, _ABERRATION, _CONTRAST = "ctf/accel_kv", "ctf/cs_mm", "ctf/amp_contrast"
_PHASE_SHIFT, _B_FACTOR, _GROUP = "ctf/phase_shift_rad", "ctf/bfactor", "ctf/exp_group_id"
_UNUSED = ("ctf/tilt_A", "ctf/shift_A", "ctf/trefoil_A", "ctf/tetra_A", "ctf/anisomag")
_MAGIC, _COMPRESSED_MAGIC = b"\x93NUMPY", b"\x94CSDAT"
_LONGEST_HEADER = 1 << 20  # bytes; hundreds of fields have names and types there


def read_cryosparc(
    path: Path,
    data_dir: Path | None,
    pixel_size: float | NDArray[np.float64] | None = None,
    passthrough: Path | None = None,
) -> ParticleTable:
    """The table in a ``.cs``; see :func:`io.particles.read_particles`.

    Parameters
    ----------
    pixel_size
        in Å, one or one a particle, is taken for the table's.
    passthrough
        the file with the other columns. When not given, those beside the table that have ``passthrough`` in their name
        and all of its particles.
    """
    main = _read_array(path)
    if not len(main):
        raise InputError(f"{path} has no particles; wanted one a row")
    fields, remarks = _with_passthrough(path, main, passthrough)
    if _PATH not in fields or _IDX not in fields:
        missing = _PATH if _PATH not in fields else _IDX
        raise InputError(f"{path} has no {missing}; wanted a table of particles, or its passthrough file beside it")
    stacks, stack_index, image_index = _images(path, fields)
    pixel_sizes = fields.numbers(_PSIZE) if _PSIZE in fields else np.full(len(main), np.nan)
    if _PSIZE in fields:
        check_pixel_size(path, _PSIZE, pixel_sizes)
    pixel_sizes, own, more = given_pixel_sizes(pixel_sizes, pixel_size)
    remarks += more
    ctf, missing_ctf, more = _ctf(path, fields)
    remarks += more
    poses = None
    if _POSE in fields:
        poses = np.asarray(rotations.from_rotation_vector(fields.numbers(_POSE, 3)), dtype=np.float64)
    elif others := fields.poses_of_other_kinds():
        remarks.append(f"it has {', '.join(others)} and no {_POSE}; taken as no poses")
    shifts, more = _shifts(fields, own)
    remarks += more
    halves, more = checked_halves(fields.numbers(_SPLIT), _SPLIT, 0) if _SPLIT in fields else (None, [])
    remarks += more
    return ParticleTable(
        source=path,
        program="cryoSPARC",
        stacks=stacks,
        stack_index=stack_index,
        image_index=image_index,
        pixel_size=pixel_sizes,
        table_pixel_size=own,
        image_size=_sizes(path, fields),
        optics_group=fields.numbers(_GROUP).astype(np.int64) if _GROUP in fields else np.ones(len(main), np.int64),
        ctf=ctf,
        missing_ctf=missing_ctf,
        ctf_premultiplied=np.zeros(len(main), bool),
        phase_flipped=np.zeros(len(main), bool),
        poses=poses,
        shifts_px=shifts,
        halves=halves,
        duplicates=np.empty(0, np.int64),
        data_dir=data_dir,
        remarks=tuple(remarks),
        original=main,
    )


def cryosparc_bytes(
    table: ParticleTable,
    rows: NDArray[np.int64],
    poses: NDArray[np.floating],
    shifts_px: NDArray[np.floating],
    confidence: NDArray[np.floating] | None,
    halves: NDArray[np.integer] | None,
) -> bytes:
    """A ``.cs`` with the table's own fields and these rows alone, poses replaced or added; arrays are of ``rows``."""
    assert isinstance(table.original, np.ndarray)
    kept = table.original[rows]
    names = set(kept.dtype.names or ())
    pixel_size = table.table_pixel_size[rows]
    aligned = kept[_ALIGNED_PSIZE].astype(float) if _ALIGNED_PSIZE in names else pixel_size
    aligned = np.where(aligned > 0, aligned, pixel_size)
    shifts = (0.0 - np.asarray(shifts_px, dtype=float)) * (pixel_size / aligned)[:, None]
    values = {_POSE: rotations.to_rotation_vector(poses), _SHIFT: shifts, _ALIGNED_PSIZE: aligned}
    if halves is not None:
        values[_SPLIT] = np.asarray(halves) - 1
    if confidence is not None:
        values[CONFIDENCE] = np.asarray(confidence)
    kinds = {_SPLIT: np.dtype("<u4")}
    new = [name for name in values if name not in names]
    if new:
        dtype = [(name, kinds.get(name, np.dtype("<f4")), values[name].shape[1:]) for name in new]
        kept = _joined(kept, np.empty(len(rows), dtype=dtype))
    for name, column in values.items():
        kept[name] = column
    stream = io.BytesIO()
    np.lib.format.write_array(stream, kept, allow_pickle=False)
    return stream.getvalue()


def _joined(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """A structured array with the fields of both."""
    result = np.empty(len(first), dtype=first.dtype.descr + second.dtype.descr)
    for name in first.dtype.names or ():
        result[name] = first[name]
    return result


def _read_array(path: Path) -> NDArray[Any]:
    """The structured array in a file. Pickled objects are never loaded: they are programs."""
    with reading(path) as file:
        magic = file.read(len(_MAGIC))
        if magic == _COMPRESSED_MAGIC:
            raise InputError(
                f"{path} is in cryoSPARC's compressed format (CSDAT); wanted NumPy's, export the particles again"
            )
        if magic != _MAGIC:
            raise InputError(f"{path} is no .cs table: it begins with other bytes than NumPy's arrays do")
        file.seek(0)
        try:
            array = np.load(file, allow_pickle=False, max_header_size=_LONGEST_HEADER)
        except Exception as error:  # the header is parsed as Python: damaged ones raise what its parsers do
            if "pickle" in str(error) or "Object arrays" in str(error):
                raise InputError(
                    f"{path} holds pickled objects, which may run a program when they are loaded; it is refused: "
                    "export the particles again"
                ) from error
            raise InputError(f"{path} is damaged or cut short: {one_line(error)}") from error
    if array.dtype.names is None or array.ndim != 1:
        raise InputError(f"{path} is no table: it has an array {array.shape} without named columns")
    return array


@dataclass(frozen=True, eq=False)
class _Fields:
    """Columns of the particles, from the table and its passthrough files: arrays, and the rows of each to take."""

    path: Path
    sources: Sequence[tuple[NDArray[Any], NDArray[np.intp] | None]]

    def __contains__(self, name: object) -> bool:
        return any(name in (array.dtype.names or ()) for array, _ in self.sources)

    def __getitem__(self, name: str) -> NDArray[Any]:
        array, rows = next(source for source in self.sources if name in (source[0].dtype.names or ()))
        return array[name] if rows is None else array[name][rows]

    def numbers(self, name: str, width: int | None = None) -> NDArray[np.float64]:
        """(n,) or (n, width), float64; InputError for anything else, and values that are not finite."""
        values = self[name]
        wanted = values.shape[:1] if width is None else (len(values), width)
        if values.dtype.kind not in "fiub" or values.shape != wanted:
            raise InputError(
                f"{self.path}: {name} has {values.dtype} in the shape {values.shape}; wanted numbers, {wanted}"
            )
        numbers = values.astype(np.float64)
        wrong = np.argwhere(~np.isfinite(numbers))
        if len(wrong):
            raise InputError(f"{self.path}, particle {wrong[0][0] + 1}: {name} is {numbers[tuple(wrong[0])]}; wanted a "
                             "number")  # fmt: skip
        return numbers

    def poses_of_other_kinds(self) -> list[str]:
        names = [name for array, _ in self.sources for name in array.dtype.names or ()]
        return sorted({name for name in names if name.endswith("/pose") and name != _POSE})


def _with_passthrough(path: Path, main: NDArray[Any], passthrough: Path | None) -> tuple[_Fields, list[str]]:
    """The columns, with those of passthrough files; and what to remark of these."""
    if passthrough is not None:
        candidates = [passthrough]
    else:
        candidates = [other for other in sorted(path.parent.glob("*passthrough*.cs")) if other != path]
    sources: list[tuple[NDArray[Any], NDArray[np.intp] | None]] = [(main, None)]
    remarks = []
    names = set(main.dtype.names or ())
    for other in candidates:
        array = _read_array(other)
        more = set(array.dtype.names or ()) - names
        rows = _rows_by_uid(main, array)
        if rows is None and passthrough is not None:
            raise InputError(f"{other} does not have all particles of {path.name} by uid; wanted its passthrough file")
        if rows is not None and more:
            sources.append((array, rows))
            names |= more
            if passthrough is None:
                remarks.append(f"columns that it lacks are taken from {other.name}")
    return _Fields(path, sources), remarks


def _rows_by_uid(main: NDArray[Any], other: NDArray[Any]) -> NDArray[np.intp] | None:
    """The row of each particle in another table; None if it lacks any."""
    if "uid" not in (main.dtype.names or ()) or "uid" not in (other.dtype.names or ()) or not len(other):
        return None
    order = np.argsort(other["uid"], kind="stable")
    sorted_uids = other["uid"][order]
    at = np.minimum(np.searchsorted(sorted_uids, main["uid"]), len(order) - 1)
    return order[at] if np.array_equal(sorted_uids[at], main["uid"]) else None


def _images(path: Path, fields: _Fields) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    paths, image_index = fields[_PATH], fields.numbers(_IDX).astype(np.int64)
    if paths.dtype.kind not in "SU" or paths.ndim != 1:
        raise InputError(f"{path}: {_PATH} has {paths.dtype}; wanted texts")
    names, index = np.unique(paths, return_inverse=True)
    texts = [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names]
    stacks: dict[str, int] = {}
    of_name = np.array([stacks.setdefault(text.removeprefix(">"), len(stacks)) for text in texts], dtype=np.int64)
    if "" in stacks:
        raise InputError(f"{path}: {_PATH} is empty for a particle; wanted the name of its stack")
    return tuple(stacks), of_name[index.reshape(-1)], image_index


def _sizes(path: Path, fields: _Fields) -> NDArray[np.int64]:
    if _SHAPE not in fields:
        return np.zeros(len(fields[_IDX]), np.int64)
    shapes = fields.numbers(_SHAPE, 2)
    oblong = np.flatnonzero(shapes[:, 0] != shapes[:, 1])
    if len(oblong):
        height, width = shapes[oblong[0]]
        raise InputError(f"{path}: {_SHAPE} is {width:g} x {height:g}; wanted square images")
    return shapes[:, 0].astype(np.int64)


def _ctf(path: Path, fields: _Fields) -> tuple[CtfColumns | None, tuple[str, ...], list[str]]:
    contrast = _CONTRAST if _CONTRAST in fields else "ctf/ac"  # its name before version 2.12
    missing = tuple(name for name in (_DEFOCUS, _VOLTAGE, _ABERRATION, contrast) if name not in fields)
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        return None, missing, [f"{', '.join(missing)} {verb} missing: there is no CTF, and phases cannot be flipped"]
    defocus = fields.numbers(_DEFOCUS)
    zero = np.zeros(len(defocus))
    ctf = CtfColumns(
        defocus_angstrom=np.stack([defocus, fields.numbers(_DEFOCUS_2) if _DEFOCUS_2 in fields else defocus], axis=1),
        astigmatism_degrees=np.degrees(fields.numbers(_ASTIGMATISM)) if _ASTIGMATISM in fields else zero,
        voltage_kv=fields.numbers(_VOLTAGE),
        spherical_aberration_mm=fields.numbers(_ABERRATION),
        amplitude_contrast=fields.numbers(contrast),
        phase_shift_degrees=np.degrees(fields.numbers(_PHASE_SHIFT)) if _PHASE_SHIFT in fields else zero,
        b_factor=fields.numbers(_B_FACTOR) if _B_FACTOR in fields else zero,
    )
    remarks = checked_ctf(path, ctf, (_DEFOCUS, _VOLTAGE, _ABERRATION, contrast))
    unused = [name for name in _UNUSED if name in fields and np.any(fields[name])]
    if unused:
        remarks.append(f"{', '.join(unused)} {'is' if len(unused) == 1 else 'are'} not taken into account")
    return ctf, (), remarks


def _shifts(fields: _Fields, pixel_size: NDArray[np.float64]) -> tuple[NDArray[np.float64] | None, list[str]]:
    if _SHIFT not in fields:
        return None, []
    shifts = 0.0 - fields.numbers(_SHIFT, 2)
    if _ALIGNED_PSIZE not in fields:
        return shifts, [f"{_ALIGNED_PSIZE} is missing; {_SHIFT} is taken to be in pixels of the images"]
    aligned = fields.numbers(_ALIGNED_PSIZE)
    scale = np.where(aligned > 0, aligned / pixel_size, 1.0)
    if np.isnan(scale).any():
        return None, [f"{_SHIFT} is in pixels of {_ALIGNED_PSIZE}, and there is no pixel size of the images: left out"]
    return shifts * scale[:, None], []
