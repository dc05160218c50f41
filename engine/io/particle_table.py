"""A table of particles as numbers, whichever program wrote it; images are not touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import InputError
from ..base.quantities import Range
from ..imaging.limits import VOXEL_SIZE
from .star_tables import StarText

VOLTAGE = Range(10.0, 3000.0, "the unit is kV", "the unit is kV")
SPHERICAL_ABERRATION = Range(-20.0, 20.0, "the unit is mm", "the unit is mm")
AMPLITUDE_CONTRAST = Range(0.0, 1.0, "it is a share of the contrast", "it is a share of the contrast, not per cent")
PIXEL_SIZES_AGREE = 1e-2
"""Relative difference of two pixel sizes that is rounding."""
_LEAST_DEFOCUS = 50.0  # Å, of a median: nobody records so close to focus, and 0.5 to 5 is what um would be


@dataclass(frozen=True, eq=False)
class CtfColumns:
    """The contrast transfer of each particle, in RELION's parameters.

    Attributes
    ----------
    defocus_angstrom
        (n, 2): along u and v, positive is underfocus.
    astigmatism_degrees
        (n,): angle from the image's x axis to u.
    voltage_kv, spherical_aberration_mm, amplitude_contrast
        (n,).
    phase_shift_degrees
        (n,): of a phase plate; 0 without one.
    b_factor
        (n,) Å²; 0 where the table has none.
    magnification
        (n, 2, 2): RELION's ``rlnMagMat``, by whose inverse the image's frame is multiplied; None where the table has
        none.
    """

    defocus_angstrom: NDArray[np.float64]
    astigmatism_degrees: NDArray[np.float64]
    voltage_kv: NDArray[np.float64]
    spherical_aberration_mm: NDArray[np.float64]
    amplitude_contrast: NDArray[np.float64]
    phase_shift_degrees: NDArray[np.float64]
    b_factor: NDArray[np.float64]
    magnification: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False, repr=False)
class ParticleTable:
    """What a table says of n particles, in its order.

    Attributes
    ----------
    source
        the table.
    program
        whose it is: ``RELION 3.0``, ``RELION 3.1``, ``RELION 5``, ``cryoSPARC``, or ``stack`` for images alone.
    stacks
        names of the files with the images, as the table has them.
    stack_index, image_index
        (n,): which of ``stacks``, and which image of it, from 0.
    pixel_size
        (n,) Å; NaN where neither table nor stack tells.
    table_pixel_size
        (n,) Å: by it the lengths in the table were made of pixels. The same as ``pixel_size`` where no other was given.
    image_size
        (n,) pixels along a side; 0 where neither table nor stack tells.
    optics_group
        (n,): numbers of the table's own groups; 1 where it has none.
    ctf
        None where columns are missing without which there is none: they are ``missing_ctf``.
    ctf_premultiplied, phase_flipped
        (n,): whether the images have been multiplied by their CTF, or by its sign.
    poses
        (n, 3, 3), image frame to object frame; None where the table has none.
    shifts_px
        (n, 2), (x, y): displacement of the content in pixels of the original image; None where the table has none.
    halves
        (n,) 1 or 2; None where the table has none.
    duplicates
        indices of particles whose image an earlier one has.
    data_dir
        where stacks are looked for first.
    remarks
        doubts, a line each.
    original
        what the table was read from, to be written back: a text or a structured array; None for images alone.
    """

    source: Path
    program: str
    stacks: tuple[str, ...]
    stack_index: NDArray[np.int64]
    image_index: NDArray[np.int64]
    pixel_size: NDArray[np.float64]
    table_pixel_size: NDArray[np.float64]
    image_size: NDArray[np.int64]
    optics_group: NDArray[np.int64]
    ctf: CtfColumns | None
    missing_ctf: tuple[str, ...]
    ctf_premultiplied: NDArray[np.bool_]
    phase_flipped: NDArray[np.bool_]
    poses: NDArray[np.float64] | None
    shifts_px: NDArray[np.float64] | None
    halves: NDArray[np.int64] | None
    duplicates: NDArray[np.int64]
    data_dir: Path | None
    remarks: tuple[str, ...]
    original: StarText | NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.stack_index)

    def image_name(self, index: int) -> str:
        """``000001@stack.mrcs``, counted from one."""
        return f"{int(self.image_index[index]) + 1:06d}@{self.stacks[self.stack_index[index]]}"

    def summary(self) -> str:
        """What was read, on one line.

        ``1,500 particles in 1 stack (RELION 3.1): 64 px of 6.556 Å, defocus 8,000 to 30,000 Å, poses, no half sets``
        """
        stacks = "1 stack" if len(self.stacks) == 1 else f"{len(self.stacks):,} stacks"
        parts = [f"{_span(self.image_size)} px of {_span(self.pixel_size)} Å"]
        if self.ctf is None:
            parts.append(f"no CTF ({', '.join(self.missing_ctf)} missing)")
        else:
            parts.append(f"defocus {_span(self.ctf.defocus_angstrom)} Å")
        parts.append("no poses" if self.poses is None else "poses")
        if self.halves is None:
            parts.append("no half sets")
        else:
            parts.append(f"half sets of {np.sum(self.halves == 1):,} and {np.sum(self.halves == 2):,}")
        return f"{len(self):,} particles in {stacks} ({self.program}): {', '.join(parts)}"

    def __repr__(self) -> str:
        return f"ParticleTable({self.summary()})"


def _span(values: NDArray[Any]) -> str:
    known = values[np.isfinite(values) & (values != 0)]
    if not known.size:
        return "0" if values.size and not values.any() and values.dtype.kind == "f" else "unknown"
    low, high = (f"{end:,.0f}" if abs(end) >= 1000 else f"{end:.4g}" for end in (known.min(), known.max()))
    return low if low == high else f"{low} to {high}"


def checked_ctf(path: Path, ctf: CtfColumns, names: Sequence[str]) -> list[str]:
    """What there is to remark on these values.

    Parameters
    ----------
    names
        what the table calls the defocus, the voltage, the spherical aberration and the amplitude contrast.

    Raises
    ------
    InputError
        naming the column, for values in another unit.
    """
    defocus, voltage, aberration, contrast = names
    median = float(np.median(np.abs(ctf.defocus_angstrom)))
    if 0 < median < _LEAST_DEFOCUS:
        raise InputError(
            f"{path}: {defocus} has a median of {median:.3g}, which would be um; wanted Å, multiply by 10,000"
        )
    of_each = ((voltage, ctf.voltage_kv, VOLTAGE), (aberration, ctf.spherical_aberration_mm, SPHERICAL_ABERRATION),
               (contrast, ctf.amplitude_contrast, AMPLITUDE_CONTRAST))  # fmt: skip
    for name, values, limits in of_each:
        beyond = np.flatnonzero((values < limits.least) | (values > limits.most))
        if len(beyond):
            value = float(values[beyond[0]])
            raise InputError(f"{path}: {name} is {value:g}; wanted {limits}{limits.reason(value)}")
    return [] if median else [f"{defocus} is 0 for most particles: the CTF of an image in focus"]


def check_pixel_size(path: Path, name: str, values: NDArray[np.float64]) -> None:
    """InputError, naming the column, for pixel sizes that are none."""
    for value in np.unique(values):
        if float(value) not in VOXEL_SIZE:
            raise InputError(
                f"{path}: {name} gives {value:g} Å per pixel; wanted {VOXEL_SIZE}{VOXEL_SIZE.reason(float(value))}"
            )


def given_pixel_sizes(
    of_table: NDArray[np.float64], given: float | NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """The pixel sizes (n,) that hold, those given if any; those of the table; and what to remark where they differ.

    A shift is so many pixels of an image, and the program that wrote it in Å took the table's pixel size. A better
    calibration does not move the particle in its image.
    """
    if given is None:
        return of_table, of_table, []
    values = np.broadcast_to(np.asarray(given, dtype=float), of_table.shape).copy()
    own = np.where(np.isnan(of_table), values, of_table)
    apart = np.flatnonzero(np.abs(own - values) > PIXEL_SIZES_AGREE * values)
    remarks = [
        f"the table says {own[first]:.6g} Å per pixel; the {values[first]:g} Å given are taken" for first in apart[:1]
    ]
    return values, own, remarks


def checked_halves(values: NDArray[np.float64], name: str, first: int) -> tuple[NDArray[np.int64] | None, list[str]]:
    """Half sets 1 and 2 from a column that has ``first`` for the first; None, and why, where it has anything else."""
    different = set(np.unique(values))
    if not different <= {float(first), float(first + 1)}:
        listed = ", ".join(f"{value:g}" for value in sorted(different)[:4])
        return None, [f"{name} has {listed}; wanted {first} and {first + 1}: taken as no half sets"]
    if first == 0 and len(different) == 1 and len(values) > 1:
        return None, []  # cryoSPARC's value of what has not been split
    return values.astype(np.int64) - first + 1, []


def duplicates_of(table: ParticleTable) -> tuple[NDArray[np.int64], list[str]]:
    """Indices of particles whose image an earlier one has, and what to remark."""
    places = np.stack([table.stack_index, table.image_index], axis=1)
    _, first, inverse = np.unique(places, axis=0, return_index=True, return_inverse=True)
    earlier = first[inverse.reshape(-1)]
    later = np.flatnonzero(earlier != np.arange(len(places)))
    if not len(later):
        return later, []
    who = "1 particle has" if len(later) == 1 else f"{len(later):,} particles have"
    remark = f"{who} an image that an earlier one has, first {table.image_name(later[0])}"
    crossed = 0 if table.halves is None else int(np.sum(table.halves[later] != table.halves[earlier[later]]))
    if crossed:
        remark += f"; {crossed:,} of them are in the other half set, so that the half sets are not independent"
    return later, [remark]
