"""The atoms of a PDB file as programs really write them, put into the columns of the format.

A line that keeps to the format is left as it is, to the byte. What is put right: elements that are missing, shifted or
against what a name settles (:mod:`io.atoms`), residues with names of four letters, occupancies left blank, and the
charges that PQR files have in their place. Coordinates that are no numbers become NaN, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

from ..base.errors import InputError
from . import atoms

ElementOf = Callable[[str], str]
"""The chemical element of a text such as ``" c"``, empty where it is none."""


@dataclass(frozen=True)
class Repaired:
    """``text`` in the format's columns, and what there is to ``say`` about it: lines without the file's name."""

    text: str
    remarks: tuple[str, ...]


def repaired(text: str, kind_of: Callable[[str], atoms.Kind], element_of: ElementOf) -> Repaired:
    """A PDB file whose first model can be read by columns.

    Raises InputError, without the file's name, for an occupancy that is no number.
    """
    lines = text.splitlines()
    last = next((number for number, line in enumerate(lines) if line[:6].upper() == "ENDMDL"), len(lines))
    # Shorter ones end before their coordinates do.
    numbers = [i for i in range(last) if lines[i][:4].upper() in ("ATOM", "HETA") and len(lines[i]) > 50]
    have_charges = bool(numbers) and all(_ends_in_charge_and_radius(lines[i]) for i in numbers)
    by_columns = _symbols_end_in_the_second_column((lines[i] for i in numbers), kind_of)
    elements = atoms.Elements(kind_of)
    changed = False
    for key, of_residue in groupby(numbers, key=lambda i: lines[i][17:27]):
        name = atoms.standard_name(key[:4].strip()) if key[3] != " " else None
        name = name or key[:3].strip()
        members = [_Atom(i, lines[i].ljust(80), element_of) for i in of_residue]
        sites = [atoms.Site(atom.name, atom.given, atom.line[12:16] if by_columns else None) for atom in members]
        for atom, element in zip(members, elements.of_residue(name, sites), strict=True):
            line = atom.mended(name, element, have_charges)
            if line != atom.line:
                lines[atom.number], changed = line, True
    remarks = [elements.remark()]
    if have_charges:
        remarks.append(
            "it has charges and radii in place of occupancies, as PQR files do; every atom is given the occupancy 1"
        )
    return Repaired("\n".join([*lines, ""]) if changed else text, tuple(filter(None, remarks)))


class _Atom:
    """A line of 80 columns or more, its number, and what it says."""

    def __init__(self, number: int, line: str, element_of: ElementOf) -> None:
        self.number, self.line = number, line
        self.name = line[12:16].strip()
        field = line[76:78]
        if line[77:79].isalpha():  # the symbol begins a column late; a charge would have a digit there
            field = line[77:79] if line[76] == " " else ""
        elif field.isspace() and line[78].isalpha():
            field = line[78]
        elif line[72:75].isspace() and line[75:77].isalpha() and line[77] == " ":  # a column early, and no segment
            field = line[75:77]
        self.given = element_of(field.strip())

    def mended(self, residue: str, element: str, has_charge: bool) -> str:
        """The line with its fields in their columns."""
        line = self.line
        if line[20] != " " and line[17:21].strip() != residue:
            line = f"{line[:17]}{residue:>3} {line[21:]}"
        lost = [begin for begin in (30, 38, 46) if _number(line[begin : begin + 8]) is None]
        for begin in lost:
            line = f"{line[:begin]}     nan{line[begin + 8 :]}"
        if has_charge:
            line = f"{line[:54]}  1.00  0.00{'':14}"
        elif lost or not line[54:60].strip():
            line = f"{line[:54]}  1.00{line[60:]}"
        elif _number(line[54:60]) is None:
            raise InputError(
                f"columns 55 to 60 of atom {line[6:11].strip()} ({self.name} of {residue} {line[22:27].strip()}) hold "
                f"{line[54:60].strip()!r}; wanted its occupancy there, a number from 0 to 1 or nothing"
            )
        if line[76:78].strip().upper() != (element or "X").upper() or has_charge:
            line = f"{line[:76]}{element or 'X':>2}  "
        return line


def _symbols_end_in_the_second_column(lines: Iterable[str], kind_of: Callable[[str], atoms.Kind]) -> bool:
    """Whether a file keeps to the format's rule for names: some are at the right, and none at the left that may not."""
    some = False
    for line in lines:
        name = line[12:16]
        if name[0] == " ":
            some = some or name[1] != " "
        elif (
            name[0].isalpha()
            and name[3] == " "
            and (
                name[1] in " 0123456789'*"
                or kind_of(line[17:20].strip()) == "amino"  # which has no symbols of two letters
            )
        ):
            return False
    return some


def _ends_in_charge_and_radius(line: str) -> bool:
    """Whether after its coordinates a line has two numbers, of which one lies across two columns of the PDB format."""
    rest = line[54:].split()
    if len(rest) != 2 or any(_number(part) is None for part in rest):
        return False
    return not line[59:61].isspace() and " " not in line[59:61]


def _number(text: str) -> float | None:
    """A finite number; None for all else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None
