"""Tables of particles of RELION 3.0, 3.1 and 5: read as numbers, and written back with other poses.

- 3.0 has no optics groups. Its pixel size is ``rlnDetectorPixelSize`` (um) x 10,000 / ``rlnMagnification``, its origins
  ``rlnOriginX`` are in pixels.
- 3.1 and 5 have ``data_optics`` with the pixel size and the image size of each group; origins ``rlnOriginXAngst`` are
  in Å. What a particle's row lacks is its optics group's (RELION's ``CTF::readValue``).
- Origins point *to* the centre: the displacement of the content is minus the origin. Angles are as in
  :mod:`geometry.rotations`.

Columns and their defaults: https://relion.readthedocs.io and RELION's ``metadata_label.h`` and ``ctf.cpp``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..base.errors import InputError
from ..base.quantities import shown
from ..base.texts import is_unicode
from ..geometry import rotations
from .particle_table import (
    PIXEL_SIZES_AGREE,
    CtfColumns,
    ParticleTable,
    check_pixel_size,
    checked_ctf,
    checked_halves,
    given_pixel_sizes,
)
from .star import ANGLES, ORIGINS_ANGSTROM, check_stack_name
from .star_tables import StarBlock, StarText, new_star_text, read_star_text, require_rows

CONFIDENCE = "poselabConfidence"
ORIGINS_PX = ("rlnOriginX", "rlnOriginY")
SUBSET = "rlnRandomSubset"
_IMAGE, _GROUP = "rlnImageName", "rlnOpticsGroup"
_DEFOCUS_U, _DEFOCUS_V, _ASTIGMATISM = "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"
_VOLTAGE, _ABERRATION, _CONTRAST = "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"
_PHASE_SHIFT, _B_FACTOR, _SCALE = "rlnPhaseShift", "rlnCtfBfactor", "rlnCtfScalefactor"
_MAGNIFICATION = ("rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11")
_PREMULTIPLIED, _FLIPPED = "rlnCtfDataAreCtfPremultiplied", "rlnCtfDataArePhaseFlipped"
_CORRECTED = "rlnCtfDataAreCtfCorrected"
_PIXEL_SIZE, _IMAGE_SIZE, _DIMENSIONS = "rlnImagePixelSize", "rlnImageSize", "rlnImageDimensionality"
_OTHER_PIXEL_SIZES = ("rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize", "rlnPixelSize")
_DETECTOR, _ENLARGEMENT = "rlnDetectorPixelSize", "rlnMagnification"
_BEAM_TILT = ("rlnBeamTiltX", "rlnBeamTiltY")
_ZERNIKE = ("rlnOddZernike", "rlnEvenZernike")
_NUMBERS = (
    *ANGLES, *ORIGINS_ANGSTROM, *ORIGINS_PX, SUBSET, _GROUP, _DEFOCUS_U, _DEFOCUS_V, _ASTIGMATISM, _VOLTAGE,
    _ABERRATION, _CONTRAST, _PHASE_SHIFT, _B_FACTOR, _SCALE, *_MAGNIFICATION, _PREMULTIPLIED, _FLIPPED, _CORRECTED,
    _PIXEL_SIZE, _IMAGE_SIZE, _DIMENSIONS, *_OTHER_PIXEL_SIZES, _DETECTOR, _ENLARGEMENT, *_BEAM_TILT,
)  # fmt: skip


def read_relion(
    path: Path, data_dir: Path | None, pixel_size: float | NDArray[np.float64] | None = None
) -> ParticleTable:
    """The table in a ``.star``; see :func:`io.particles.read_particles`.

    ``pixel_size`` in Å, one or one a particle, is taken for the table's.
    """
    star = read_star_text(path)
    particles = _particles(star)
    optics = star.block("optics")
    _refuse_tomograms(star, particles)
    remarks = require_rows(star, particles)
    if optics is not None:
        remarks += require_rows(star, optics)
    columns = _Columns.of(star, particles, optics)
    stacks, stack_index, image_index = _images(star, particles)
    pixel_sizes, more = _pixel_sizes(columns)
    pixel_sizes, own, also = given_pixel_sizes(pixel_sizes, pixel_size)
    remarks += also or more
    ctf, missing_ctf, more = _ctf(columns)
    remarks += more
    poses, more = _poses(columns)
    remarks += more
    shifts, more = _shifts(columns, own)
    remarks += more
    halves, more = (None, []) if SUBSET not in columns else checked_halves(columns[SUBSET], SUBSET, 1)
    remarks += more
    size = columns.get(_IMAGE_SIZE, 0.0)
    return ParticleTable(
        source=path,
        program=_program(star, particles, optics),
        stacks=stacks,
        stack_index=stack_index,
        image_index=image_index,
        pixel_size=pixel_sizes,
        table_pixel_size=own,
        image_size=size.astype(np.int64),
        optics_group=columns.get(_GROUP, 1.0).astype(np.int64),
        ctf=ctf,
        missing_ctf=missing_ctf,
        ctf_premultiplied=columns.get(_PREMULTIPLIED, 0.0) != 0,
        phase_flipped=columns.get(_FLIPPED, 0.0) != 0,
        poses=poses,
        shifts_px=shifts,
        halves=halves,
        duplicates=np.empty(0, np.int64),
        data_dir=data_dir,
        remarks=tuple(remarks),
        original=star,
    )


def relion_text(
    table: ParticleTable,
    rows: NDArray[np.int64],
    poses: NDArray[np.floating],
    shifts_px: NDArray[np.floating],
    confidence: NDArray[np.floating] | None,
    halves: NDArray[np.integer] | None,
) -> str:
    """The text of the table's own file with these rows alone, their poses replaced; all but the table as for ``rows``.

    A table of images alone gets one in RELION 3.1's columns, with a voltage and an aberration without which RELION
    refuses it, see :mod:`io.star`.
    """
    star = table.original if isinstance(table.original, StarText) else _star_of_images(table)
    block = _particles(star)
    shifts = np.asarray(shifts_px, dtype=float)
    values: dict[str, Sequence[str]] = {}
    for name, column in zip(ANGLES, rotations.to_euler(poses).T, strict=True):
        values[name] = _fixed(column)
    in_angstrom = ORIGINS_ANGSTROM[0] in block or star.block("optics") is not None
    if in_angstrom:
        for name, column in zip(ORIGINS_ANGSTROM, (0.0 - shifts * table.table_pixel_size[rows, None]).T, strict=True):
            values[name] = _fixed(column)
    if not in_angstrom or ORIGINS_PX[0] in block:
        for name, column in zip(ORIGINS_PX, (0.0 - shifts).T, strict=True):
            values[name] = _fixed(column)
    if halves is not None:
        values[SUBSET] = [str(int(half)) for half in halves]
    if confidence is not None:
        values[CONFIDENCE] = _fixed(confidence)
    return star.edited(block, rows.tolist(), values)


def _fixed(values: NDArray[np.floating]) -> list[str]:
    """To six decimals, as RELION has them; no minus before a zero."""
    return [f"{value:.6f}" for value in np.round(values, 6) + 0.0]


def _star_of_images(table: ParticleTable) -> StarText:
    check_stack_name(table.stacks[0])
    number = np.arange(len(table))
    return new_star_text(
        table.source,
        {
            "optics": {
                _GROUP: ["1"],
                "rlnOpticsGroupName": ["opticsGroup1"],
                _VOLTAGE: ["300.000000"],
                _ABERRATION: ["2.700000"],
                _PIXEL_SIZE: [f"{table.pixel_size[0]:.6f}"],
                _IMAGE_SIZE: [str(table.image_size[0])],
                _DIMENSIONS: ["2"],
            },
            "particles": {_IMAGE: [table.image_name(int(i)) for i in number], _GROUP: ["1"] * len(number)},
        },
    )


def _particles(star: StarText) -> StarBlock:
    """The block with the particles: that of 3.1's name, or the first with names of images."""
    named = star.block("particles")
    block = named if named is not None and _IMAGE in named else None
    block = block or next((block for block in star.blocks if _IMAGE in block), None)
    if block is None:
        names = ", ".join(f"data_{other.name}" for other in star.blocks[:6])
        tomograms = any(column.startswith("rlnTomo") for other in star.blocks for column in other.columns)
        raise InputError(
            f"{star.path} is a table of tomograms; wanted one of single particles" if tomograms else
            f"{star.path} has {names} and in none of them {_IMAGE}; wanted a table of particles"
        )  # fmt: skip
    return block


def _refuse_tomograms(star: StarText, particles: StarBlock) -> None:
    blocks = [particles, *(block for name in ("optics", "general") if (block := star.block(name)) is not None)]
    columns = [column for block in blocks for column in block.columns]
    sign = next((column for column in columns if column.startswith("rlnTomo") or column == "rlnCtfImage"), None)
    optics = star.block("optics")
    if sign is None and optics is not None and len(optics) and _DIMENSIONS in optics:
        values = list(star.texts(optics, _DIMENSIONS)) if optics.wrong_line is None else []
        sign = f"{_DIMENSIONS} 3" if "3" in values else None
    if sign is not None:
        raise InputError(f"{star.path} is a table of subtomograms (it has {sign}); wanted one of single particles")


def _program(star: StarText, particles: StarBlock, optics: StarBlock | None) -> str:
    if optics is None and ORIGINS_ANGSTROM[0] not in particles:
        return "RELION 3.0"
    return "RELION 5" if any(re.match(r"#\s*version\s+5", line) for line in star.lines[:20]) else "RELION 3.1"


@dataclass(frozen=True, eq=False)
class _Columns:
    """Numbers of each particle by column: those of its own row, or else of its optics group."""

    path: Path
    count: int
    of_particles: dict[str, NDArray[np.float64]]
    of_optics: dict[str, NDArray[np.float64]]
    texts: frozenset[str]
    """Columns that are there as lists of numbers."""

    @classmethod
    def of(cls, star: StarText, particles: StarBlock, optics: StarBlock | None) -> _Columns:
        own = [name for name in _NUMBERS if name in particles]
        of_particles = dict(zip(own, star.numbers(particles, own).T, strict=True))
        of_optics = {}
        if optics is not None:
            names = [name for name in _NUMBERS if name in optics]
            values = star.numbers(optics, names)
            row = cls._rows_of_groups(star.path, of_particles.get(_GROUP), values, names, len(particles))
            of_optics = dict(zip(names, values[row].T, strict=True))
        texts = {name for name in _ZERNIKE for block in (particles, optics) if block is not None and name in block}
        return cls(star.path, len(particles), of_particles, of_optics, frozenset(texts))

    @staticmethod
    def _rows_of_groups(
        path: Path, groups: NDArray[np.float64] | None, optics: NDArray[np.float64], names: list[str], count: int
    ) -> NDArray[np.intp]:
        """The row of ``data_optics`` of each particle."""
        if groups is None or _GROUP not in names:
            if len(optics) > 1:
                block = "data_particles" if groups is None else "data_optics"
                raise InputError(f"{path}: {block} has no {_GROUP}, and there are {len(optics)} groups; add the column")
            return np.zeros(count, np.intp)
        numbers = optics[:, names.index(_GROUP)]
        order = np.argsort(numbers, kind="stable")
        at = np.minimum(np.searchsorted(numbers[order], groups), len(order) - 1)
        unknown = np.flatnonzero(numbers[order][at] != groups)
        if len(unknown):
            raise InputError(
                f"{path}: {_GROUP} {groups[unknown[0]]:g} of a particle is not in data_optics; add its row"
            )
        return order[at]

    def __contains__(self, name: object) -> bool:
        return name in self.of_particles or name in self.of_optics

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.of_particles[name] if name in self.of_particles else self.of_optics[name]

    def get(self, name: str, otherwise: float | NDArray[np.float64]) -> NDArray[np.float64]:
        return self[name] if name in self else np.broadcast_to(otherwise, (self.count,)).astype(np.float64)

    def has(self, names: Sequence[str]) -> bool:
        return all(name in self for name in names)


def _images(star: StarText, particles: StarBlock) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Names of stacks, and of each particle the stack and its image, from 0. ``000001@name``; or a single image."""
    stacks: dict[str, int] = {}
    places = np.empty((len(particles), 2), np.int64)
    for row, text in enumerate(star.texts(particles, _IMAGE)):
        number, at, name = text.partition("@")
        if not (at and number.isascii() and number.isdigit()):  # RELION takes the whole for a file's name
            number, name = "1", text
        if not name or int(number) < 1 or len(number) > 12:
            where = f"line {particles.row_lines[row] + 1}" if particles.is_loop else "its row"
            raise InputError(f"{star.path}, {where}: {_IMAGE} is {shown(text)}; wanted 000001@stack.mrcs, from 1")
        places[row] = stacks.setdefault(name, len(stacks)), int(number) - 1
    stray = next((name for name in stacks if not is_unicode(name)), None)
    if stray is not None:
        raise InputError(f"{star.path}: {_IMAGE} has {stray!r}, with bytes that are not UTF-8; wanted UTF-8")
    return tuple(stacks), places[:, 0], places[:, 1]


def _pixel_sizes(columns: _Columns) -> tuple[NDArray[np.float64], list[str]]:
    """Å per pixel of each particle, NaN where the table does not tell."""
    by_name: dict[str, NDArray[np.float64]] = {}
    if _PIXEL_SIZE in columns:  # RELION takes it from the optics groups alone
        by_name[_PIXEL_SIZE] = (columns.of_optics if _PIXEL_SIZE in columns.of_optics else columns.of_particles)[
            _PIXEL_SIZE
        ]
    if columns.has((_DETECTOR, _ENLARGEMENT)):
        if not np.all(columns[_ENLARGEMENT] > 0):
            raise InputError(f"{columns.path}: {_ENLARGEMENT} is {columns[_ENLARGEMENT].min():g}; wanted one above 0")
        by_name[f"{_DETECTOR} x 10,000 / {_ENLARGEMENT}"] = columns[_DETECTOR] * 1e4 / columns[_ENLARGEMENT]
    if not by_name:
        by_name = {name: columns[name] for name in _OTHER_PIXEL_SIZES if name in columns}
    if not by_name:
        return np.full(columns.count, np.nan), []
    (name, values), *others = by_name.items()
    check_pixel_size(columns.path, name, values)
    remarks = []
    if name.startswith("rlnMicrograph"):
        remarks.append(
            f"the pixel size of the images is not there; {name} ({values[0]:g} Å) is taken, as RELION does: wrong for "
            "images that were scaled down"
        )
        others = []
    for other, contradicting in others:
        apart = np.flatnonzero(np.abs(contradicting - values) > PIXEL_SIZES_AGREE * values)
        if len(apart):
            remarks.append(
                f"{name} says {values[apart[0]]:g} Å per pixel and {other} {contradicting[apart[0]]:.6g}; the former "
                "is taken"
            )
    return values, remarks


def _ctf(columns: _Columns) -> tuple[CtfColumns | None, tuple[str, ...], list[str]]:
    """The CTF, or the columns that it lacks; and what to remark."""
    missing = tuple(name for name in (_DEFOCUS_U, _VOLTAGE, _ABERRATION) if name not in columns)
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        return None, missing, [f"{', '.join(missing)} {verb} missing: there is no CTF, and phases cannot be flipped"]
    defocus_u = columns[_DEFOCUS_U]
    defocus_v = columns.get(_DEFOCUS_V, defocus_u)
    remarks = []
    if _CONTRAST not in columns:
        remarks.append(f"{_CONTRAST} is missing; taken as 0, as RELION does")
    if _DEFOCUS_V in columns and _ASTIGMATISM not in columns and np.any(defocus_u != defocus_v):
        remarks.append(f"{_ASTIGMATISM} is missing, and {_DEFOCUS_U} is not {_DEFOCUS_V}; taken as 0, as RELION does")
    magnification = None
    if columns.has(_MAGNIFICATION):
        magnification = np.stack([columns[name] for name in _MAGNIFICATION], axis=1).reshape(-1, 2, 2)
    ctf = CtfColumns(
        defocus_angstrom=np.stack([defocus_u, defocus_v], axis=1),
        astigmatism_degrees=columns.get(_ASTIGMATISM, 0.0),
        voltage_kv=columns[_VOLTAGE],
        spherical_aberration_mm=columns[_ABERRATION],
        amplitude_contrast=columns.get(_CONTRAST, 0.0),
        phase_shift_degrees=columns.get(_PHASE_SHIFT, 0.0),
        b_factor=columns.get(_B_FACTOR, 0.0),
        magnification=magnification,
    )
    remarks += checked_ctf(columns.path, ctf, (_DEFOCUS_U, _VOLTAGE, _ABERRATION, _CONTRAST))
    unused = [name for name in _BEAM_TILT if np.any(columns.get(name, 0.0))]
    unused += [name for name in (_SCALE,) if np.any(columns.get(name, 1.0) != 1)]
    unused += sorted(columns.texts)
    if unused:
        remarks.append(f"{', '.join(unused)} {'is' if len(unused) == 1 else 'are'} not taken into account")
    if np.any(columns.get(_CORRECTED, 0.0)):
        remarks.append(f"{_CORRECTED} is set: these images have been corrected for their CTF, which is not undone")
    return ctf, (), remarks


def _poses(columns: _Columns) -> tuple[NDArray[np.float64] | None, list[str]]:
    given = [name for name in ANGLES if name in columns]
    if len(given) < len(ANGLES):
        return None, [f"of the angles there is only {', '.join(given)}; taken as no poses"] if given else []
    angles = np.stack([columns[name] for name in ANGLES], axis=1)
    if len(angles) > 1 and not angles[:, :2].any():
        what = "those of images turned in their plane alone" if angles.any() else "no poses yet"
        return None, [f"{ANGLES[0]} and {ANGLES[1]} are 0 for all particles: taken as {what}"]
    return np.asarray(rotations.from_euler(angles), dtype=np.float64), []


def _shifts(columns: _Columns, pixel_size: NDArray[np.float64]) -> tuple[NDArray[np.float64] | None, list[str]]:
    in_pixels = -np.stack([columns[name] for name in ORIGINS_PX], axis=1) if columns.has(ORIGINS_PX) else None
    if not columns.has(ORIGINS_ANGSTROM):
        return (None if in_pixels is None else in_pixels + 0.0), []
    in_angstrom = -np.stack([columns[name] for name in ORIGINS_ANGSTROM], axis=1)
    if not in_angstrom.any():
        shifts = np.zeros_like(in_angstrom)
    elif np.isnan(pixel_size).any():
        return in_pixels, [f"{ORIGINS_ANGSTROM[0]} is in Å, and there is no pixel size: left out"]
    else:
        shifts = in_angstrom / pixel_size[:, None] + 0.0
    if in_pixels is not None and np.nanmax(np.abs(shifts - in_pixels), initial=0.0) > 0.01:
        return shifts, [f"{ORIGINS_ANGSTROM[0]} and {ORIGINS_PX[0]} contradict each other; the former is taken"]
    return shifts, []
