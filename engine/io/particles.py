"""Tables of particles, from RELION, cryoSPARC or of images alone; and the same tables with other poses.

What a table says is in :mod:`io.particle_table`, where its images are in :mod:`io.stacks`.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.errors import ArgumentError, InputError
from ..base.files import writing
from ..base.paths import absolute, expanded
from ..imaging.limits import VOXEL_SIZE
from . import stacks
from .cryosparc import cryosparc_bytes, read_cryosparc
from .mrc import read_stack_layout
from .particle_table import ParticleTable, duplicates_of
from .relion import read_relion, relion_text

ENDINGS = (".star", ".cs", ".mrcs", ".mrc")


def read_particles(
    source: str | Path,
    data_dir: str | Path | None = None,
    pixel_size: float | None = None,
    passthrough: str | Path | None = None,
    warn: Callable[[str], None] | None = None,
) -> ParticleTable:
    """A table of particles. Images need not be there: :func:`io.stacks.open_images` looks for them.

    Parameters
    ----------
    source
        ``.star`` of RELION 3.0, 3.1 or 5, ``.cs`` of cryoSPARC, or a stack of images, ``.mrcs`` or ``.mrc``.
    data_dir
        the folder in which the stacks that the table names are looked for first.
    pixel_size
        Å per pixel, taken for the table's; shifts stay the pixels that they are by the table's own.
    passthrough
        the other part of a ``.cs``; looked for beside it when not given.
    warn
        is called with each doubt, a line that names the file; a RuntimeWarning when not given. The table has them as
        ``remarks``, without the name.

    Raises
    ------
    InputError
        naming the file, and the column or row: unreadable, damaged, a column missing without which there are no
        particles, values in another unit, tomograms.

    Warns
    -----
    RuntimeWarning
        for what is doubtful, and for a missing CTF.
    """
    path = expanded(source)
    folder = None if data_dir is None else _folder(data_dir)
    if pixel_size is not None:
        VOXEL_SIZE.check(pixel_size, "pixel_size")
    table = _read(path, folder, pixel_size, passthrough)
    if np.isnan(table.pixel_size).any() or (table.image_size == 0).any():
        layouts = stacks.known_layouts(table)
        if np.isnan(table.pixel_size).any():
            of_stacks = np.array(
                [np.nan if one is None or one.pixel_size is None else one.pixel_size for one in layouts]
            )
            sizes = np.where(np.isnan(table.pixel_size), of_stacks[table.stack_index], table.pixel_size)
            note = "there is no pixel size in the table"
            if not np.isnan(sizes).any():
                table = _read(path, folder, sizes, passthrough)
                note += f": {sizes[0]:.6g} Å is taken from the stack's header"
            table = dataclasses.replace(table, remarks=(*table.remarks, note))
        of_stacks = np.array([0 if one is None else one.width for one in layouts], dtype=np.int64)
        size = np.where(table.image_size == 0, of_stacks[table.stack_index], table.image_size)
        table = dataclasses.replace(table, image_size=size)
    duplicates, more = duplicates_of(table)
    table = dataclasses.replace(table, duplicates=duplicates, remarks=(*table.remarks, *more))
    for remark in table.remarks:
        if warn is None:
            warnings.warn(f"{path}: {remark}", RuntimeWarning, stacklevel=2)
        else:
            warn(f"{path}: {remark}")
    return table


def write_poses(
    path: str | Path,
    table: ParticleTable,
    indices: ArrayLike,
    poses: NDArray[np.floating],
    shifts_px: NDArray[np.floating],
    confidence: NDArray[np.floating] | None = None,
    halves: NDArray[np.integer] | None = None,
) -> list[str]:
    """Write a table again, with other poses and shifts: its columns, their order and names, and its other blocks.

    All other values keep their text as it was. Particles that are not in ``indices`` are dropped, the others keep the
    order of the table. Origins are in the unit of the table: Å from RELION 3.1 on, pixels before, pixels of
    ``alignments3D/psize_A`` in cryoSPARC. Images alone get a table in RELION 3.1's columns.

    Parameters
    ----------
    path
        ``.star``, or ``.cs`` for a table that was one. Replaced if it exists.
    indices
        (m,): which of the table's particles the others describe, in any order.
    poses, shifts_px
        (m, 3, 3) and (m, 2): displacement of the content (x, y) in pixels of the original image.
    confidence
        (m,), as the column ``poselabConfidence``, or ``poselab/confidence``.
    halves
        (m,) 1 or 2, as ``rlnRandomSubset`` or ``alignments3D/split``.

    Returns
    -------
    what there is to remark: how many particles were dropped.

    Raises
    ------
    ArgumentError
        for arrays that do not match, and indices that repeat or are not in the table.
    InputError
        for another ending than the table's, and a file that cannot be written.
    """
    path = Path(path)
    rows = np.asarray(indices, dtype=np.int64).reshape(-1)
    given = {"poses": poses, "shifts_px": shifts_px, "confidence": confidence, "halves": halves}
    for name, values in given.items():
        if values is not None and len(values) != len(rows):
            raise ArgumentError(
                f"{{{name}}} has {{length}} rows; wanted one for each of the {{count}} in {{indices}}", name, "indices",
                length=len(values), count=len(rows),
            )  # fmt: skip
        if values is not None and not np.isfinite(np.asarray(values, dtype=float)).all():
            raise ArgumentError(f"{{{name}}} has values that are not finite; wanted numbers", name)
    if halves is not None and not np.isin(halves, (1, 2)).all():
        stray = np.asarray(halves)[~np.isin(halves, (1, 2))][0]
        raise ArgumentError("{halves} are {given}; wanted 1 or 2", "halves", given=stray)
    if len(np.unique(rows)) != len(rows) or (len(rows) and not (rows.min() >= 0 and rows.max() < len(table))):
        raise ArgumentError("{indices} repeat or are not in the table; wanted each once, from 0", "indices")
    if not len(rows):
        raise ArgumentError("{indices} are none; wanted a particle at least", "indices")
    if np.isnan(table.table_pixel_size[rows]).any():
        raise ArgumentError(
            "{source} has no pixel size, in which shifts are written; read it with {pixel_size}", "pixel_size",
            source=table.source,
        )  # fmt: skip
    order = np.argsort(rows)
    poses, shifts = np.asarray(poses)[order], np.asarray(shifts_px)[order]
    confidence = None if confidence is None else np.asarray(confidence)[order]
    halves = None if halves is None else np.asarray(halves)[order]
    is_cs = isinstance(table.original, np.ndarray)
    ending = ".cs" if is_cs else ".star"
    if path.suffix.lower() != ending:
        raise InputError(f"{path}: the poses of {table.source.name} are written as {ending}; give it this ending")
    if is_cs:
        content = cryosparc_bytes(table, rows[order], poses, shifts, confidence, halves)
    else:
        text = relion_text(table, rows[order], poses, shifts, confidence, halves)
        content = text.encode("utf-8", "surrogateescape")
    try:
        with writing(path) as aside:
            aside.write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    dropped = len(table) - len(rows)
    return [f"{dropped:,} of the {len(table):,} particles of {table.source.name} are not in {path.name}"] * bool(
        dropped
    )


def _folder(data_dir: str | Path) -> Path:
    folder = absolute(data_dir)
    if not folder.is_dir():
        raise ArgumentError(
            "{data_dir} is {path}, which is no folder; wanted that of the stacks", "data_dir", path=folder
        )
    return folder


def _read(
    path: Path, data_dir: Path | None, pixel_size: float | NDArray[np.float64] | None, passthrough: str | Path | None
) -> ParticleTable:
    ending = path.suffix.lower()
    if ending == ".star":
        return read_relion(path, data_dir, pixel_size)
    if ending == ".cs":
        return read_cryosparc(path, data_dir, pixel_size, None if passthrough is None else expanded(passthrough))
    if ending in (".mrcs", ".mrc"):
        return _images_alone(path, pixel_size)
    if ending == ".gz":
        raise InputError(f"{path} is compressed; unpack it: particles are read where they lie in the file")
    raise InputError(f"{path} has no known ending; wanted a table or stack of particles: {', '.join(ENDINGS)}")


def _images_alone(path: Path, pixel_size: float | NDArray[np.float64] | None) -> ParticleTable:
    layout = read_stack_layout(path)
    count = layout.count
    if pixel_size is None:
        pixel_size = np.nan if layout.pixel_size is None else layout.pixel_size
    remarks = ["these are images without a table: there is no CTF, and phases cannot be flipped"]
    if path.suffix.lower() == ".mrc" and count == layout.width == layout.height:
        remarks.append("it has as many images as they have rows, as a map would; read as images")
    missing = ("defocus", "voltage", "spherical aberration")
    return ParticleTable(
        source=path,
        program="stack",
        stacks=(str(absolute(path)),),
        stack_index=np.zeros(count, np.int64),
        image_index=np.arange(count),
        pixel_size=np.full(count, pixel_size),
        table_pixel_size=np.full(count, pixel_size),
        image_size=np.full(count, layout.width),
        optics_group=np.ones(count, np.int64),
        ctf=None,
        missing_ctf=missing,
        ctf_premultiplied=np.zeros(count, bool),
        phase_flipped=np.zeros(count, bool),
        poses=None,
        shifts_px=None,
        halves=None,
        duplicates=np.empty(0, np.int64),
        data_dir=None,
        remarks=tuple(remarks),
        original=None,
    )
