"""From a PDB or mmCIF file to the atoms that count: the gemmi door's other half."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import gemmi
import numpy as np
from numpy.typing import NDArray

from ..base.errors import InputError
from ..base.inputs import reading
from . import atoms, pdb_lines
from .strays import strays

Warn = Callable[[str], None]

_LARGEST_FILE = 1 << 30  # bytes, unpacked; the largest entries of the PDB have a third of it
_IS_CIF = re.compile(r"(?:\s+|#[^\n]*\n)*data_", re.IGNORECASE)
_SITE = "_atom_site."
_MOST_STRAYS = 3  # that are named
_LARGEST_OCCUPANCY = 1.005  # 1 as it is rounded


def read_model(path: Path, warn: Warn = lambda line: None) -> gemmi.Model:
    """The atoms that count: those of the first model, as deposited, without waters, hydrogens and virtual sites.

    Alternative conformations all stay, each with its occupancy; ligands and ions stay. No symmetry is applied: a
    biological assembly that is more than the deposited chains has to be given as a file of its own. Hydrogens are left
    out so that a protein is the same whether or not its file lists them.

    Elements are those of the file, and of the names (:mod:`io.atoms`) where it gives none. What neither gives, such as
    coarse-grained beads, and what has no coordinates, is left out and counted. An occupancy left blank is 1.

    Parameters
    ----------
    warn
        is called with each line, naming the file, of what was left out or is doubtful.

    Raises
    ------
    InputError
        naming the file, for what holds no atoms, more that is left out than that counts, or no occupancies.
    """
    with reading(path) as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise InputError(f"{path} holds more than {_LARGEST_FILE >> 20} MiB; wanted the coordinates of one structure")
    remarks: list[str] = []
    try:
        text = _repaired(content.decode("utf-8", "replace"), remarks.append)
        structure = gemmi.read_structure_string(text, format=gemmi.CoorFormat.Detect)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, RuntimeError) as error:  # what gemmi raises for syntax and for structure
        raise InputError(f"{path} is no PDB or mmCIF file: {' '.join(str(error).split())}") from error
    if len(structure) == 0 or structure[0].count_atom_sites() == 0:
        raise InputError(f"{path} holds no atoms; wanted the coordinates of a protein")
    model = structure[0]
    _remove_waters_and_hydrogens(model)
    if model.count_atom_sites() == 0:
        raise InputError(f"{path} holds no atoms but water and hydrogen; wanted the coordinates of a protein")
    remarks += _remove_what_is_not_understood(model, path)
    remarks += _check_occupancies(model, path)
    if far := stray_atoms(model):
        remarks.append(f"{far}: most of the box is empty")
    for remark in remarks:
        warn(f"{path}: {remark}")
    return model


def positions(model: gemmi.Model) -> NDArray[np.float64]:
    """(n, 3), (x, y, z) in Å, in the order of :meth:`gemmi.Model.all`."""
    return np.array([site.atom.pos.tolist() for site in model.all()])


def stray_atoms(model: gemmi.Model) -> str:
    """The few atoms that are far from all others, each with its distance, in a line; empty where there are none."""
    indices, distances = strays(positions(model))
    if not len(indices):
        return ""
    sites = list(model.all())
    named = [
        f"{_place(site.chain, site.residue, site.atom).text} is {distance:,.0f} Å from the nearest other atom"
        for site, distance in zip((sites[index] for index in indices[:_MOST_STRAYS]), distances, strict=False)
    ]
    more = len(indices) - len(named)
    return "; ".join(named) + (f"; {more:,} more are as far" if more else "")


def _repaired(text: str, remark: Callable[[str], None]) -> str:
    """A file's text with what gemmi would guess put right; the text itself where there is nothing to put right."""
    if _IS_CIF.match(text) or text.lstrip()[:1] == "{":
        return _repaired_cif(text, remark)
    repaired = pdb_lines.repaired(text, _kind, _symbol)
    for line in repaired.remarks:
        remark(line)
    return repaired.text


def _repaired_cif(text: str, remark: Callable[[str], None]) -> str:
    document = gemmi.cif.read_mmjson_string(text) if text.lstrip()[0] == "{" else gemmi.cif.read_string(text)
    block = document[0]
    loop = block.find_loop(f"{_SITE}Cartn_x").get_loop()
    if loop is None:
        _refuse_other_cif(block)
        return text
    changed = False
    if f"{_SITE}type_symbol" not in loop.tags:
        remark("it has no _atom_site.type_symbol; the elements are taken from the atoms' names")
    for leaf, value in (("type_symbol", "?"), ("id", "1"), ("label_alt_id", "."), ("label_asym_id", "A")):
        if f"{_SITE}{leaf}" not in loop.tags:  # without which gemmi reads no atoms, and says nothing
            loop.add_columns([f"{_SITE}{leaf}"], value)
            changed = True
    symbols, elements = block.find_values(f"{_SITE}type_symbol"), atoms.Elements(_kind)
    for residue, rows, names in _residues(block):
        given = [gemmi.cif.as_string(symbols[row]) for row in rows]
        sites = [atoms.Site(name, _symbol(symbol)) for name, symbol in zip(names, given, strict=True)]
        standard = atoms.standard_name(residue) or residue
        for row, symbol, element in zip(rows, given, elements.of_residue(standard, sites), strict=True):
            if (element or "X").upper() != symbol.upper():
                symbols[row] = element or "X"
                changed = True
    if line := elements.remark():
        remark(line)
    return document.as_string() if changed else text


def _residues(block: gemmi.cif.Block) -> Iterator[tuple[str, range, list[str]]]:
    """Name, rows and atoms' names of each residue of the first model."""

    def column(*leaves: str) -> list[str]:
        for leaf in leaves:
            if len(values := block.find_values(f"{_SITE}{leaf}")):
                return [gemmi.cif.as_string(value) for value in values]
        return []

    names, residues = column("label_atom_id", "auth_atom_id"), column("label_comp_id", "auth_comp_id")
    others = ("auth_asym_id", "label_asym_id"), ("auth_seq_id", "label_seq_id"), ("pdbx_PDB_ins_code",)
    keys = list(zip(*filter(None, [residues, *(column(*leaves) for leaves in others)]), strict=True))
    models = column("pdbx_PDB_model_num")
    count = next((row for row, model in enumerate(models) if model != models[0]), len(names))
    begin = 0
    for _, rows in groupby(range(min(count, len(keys))), key=keys.__getitem__):
        end = begin + len(list(rows))
        yield residues[begin], range(begin, end), names[begin:end]
        begin = end


def _refuse_other_cif(block: gemmi.cif.Block) -> None:
    """Say what a CIF holds instead of atoms' positions, where that can be told."""
    for tag, what in (
        ("_atom_site_fract_x", "a small molecule's fractional coordinates"),
        ("_atom_site.fract_x", "fractional coordinates alone"),
        ("_refln.index_h", "structure factors"),
        ("_refln_index_h", "structure factors"),
    ):
        if len(block.find_values(tag)):
            raise InputError(f"it holds {what}; wanted a structure with _atom_site.Cartn_x")
    if len(block.find_values(f"{_SITE}id")):
        raise InputError("its _atom_site has no Cartn_x; wanted coordinates in Å")


@cache
def _kind(residue: str) -> atoms.Kind:
    """The kind of a residue by the PDB's name."""
    if atoms.is_cap(residue):
        return "amino"
    known = gemmi.find_tabulated_residue(atoms.standard_name(residue) or residue)
    if known.is_amino_acid():
        return "amino" if known.is_standard() else "modified"
    if known.is_nucleic_acid():
        return "nucleic" if known.is_standard() else "modified"
    return "other"


@cache
def _symbol(text: str) -> str:
    """The element that a field for elements names, with or without a charge; empty where its density is not known."""
    match = re.match(r"\s*([A-Za-z]{1,2})(?![A-Za-z])", text)
    element = gemmi.Element(match[1] if match else "X")
    return element.name if element.atomic_number and element.c4322 else ""


def _remove_waters_and_hydrogens(model: gemmi.Model) -> None:
    model.remove_waters()
    for chain in model:
        for place in reversed(range(len(chain))):
            if atoms.is_water(chain[place].name, [atom.name for atom in chain[place]]):
                del chain[place]
    model.remove_hydrogens()


def _remove_what_is_not_understood(model: gemmi.Model, path: Path) -> list[str]:
    """Remarks about what was left out; InputError where that is more than what stays."""
    out = _remove(model)
    unknown, lost = out["element"], out["coordinates"]
    count = model.count_atom_sites() + len(unknown) + len(lost)
    if 2 * (len(unknown) + len(lost)) > count and len(unknown) >= len(lost):
        raise InputError(
            f"{path}: {len(unknown):,} of its {count:,} atoms have no element, and names that tell none "
            f"({_kinds(unknown)}); wanted atoms: pseudo-atoms and coarse-grained beads have no density"
        )
    if 2 * (len(unknown) + len(lost)) > count:
        raise InputError(
            f"{path}: {len(lost):,} of its {count:,} atoms have coordinates that are no finite numbers, the first of "
            f"them {lost[0].text}; wanted x, y, z in Å, in the format's columns"
        )
    remarks = []
    for places, why in ((unknown, "nothing tells their elements"), (lost, "their coordinates are no finite numbers")):
        if places:
            remarks.append(f"{len(places):,} of its {count:,} atoms are left out, for {why}: {_kinds(places)}")
    return remarks


class _Place(NamedTuple):
    """An atom in words: its kind, ``CA of ALA``, and which it is."""

    kind: str
    text: str


def _place(chain: gemmi.Chain, residue: gemmi.Residue, atom: gemmi.Atom) -> _Place:
    where = f"{residue.name} {residue.seqid}" + (f", chain {chain.name}" if chain.name.strip() else "")
    return _Place(f"{atom.name} of {residue.name}", f"atom {atom.serial} ({atom.name} of {where})")


def _kinds(places: list[_Place]) -> str:
    return atoms.counted(Counter(place.kind for place in places))


def _remove(model: gemmi.Model) -> dict[str, list[_Place]]:
    """Take out virtual sites and what lacks an ``element`` or ``coordinates``; which atoms, by what is amiss."""
    taken: dict[str, list[_Place]] = {"virtual": [], "element": [], "coordinates": []}
    for chain in model:
        emptied = []
        for number, residue in enumerate(chain):
            amiss = [(place, why) for place, atom in enumerate(residue) if (why := _amiss(atom))]
            for place, why in amiss:
                taken[why].append(_place(chain, residue, residue[place]))
            for place, _ in reversed(amiss):
                del residue[place]
            if amiss and not len(residue):
                emptied.append(number)
        for number in reversed(emptied):
            del chain[number]
    return taken


def _amiss(atom: gemmi.Atom) -> str:
    if not _symbol(atom.element.name):
        return "virtual" if atoms.is_virtual_site(atom.name) else "element"
    return "" if math.isfinite(atom.pos.x + atom.pos.y + atom.pos.z) else "coordinates"


def _check_occupancies(model: gemmi.Model, path: Path) -> list[str]:
    """Remarks about occupancies; InputError for what is none."""
    sites = list(model.all())
    values = np.array([site.atom.occ for site in sites])
    wrong = np.flatnonzero(~(values >= 0))
    if len(wrong):
        site = sites[wrong[0]]
        raise InputError(
            f"{path}: the occupancy of {_place(site.chain, site.residue, site.atom).text} is {site.atom.occ:g}; wanted "
            "0 to 1, or none: where its column holds charges or the like, write 1.00 there"
        )
    if not values.any():
        raise InputError(
            f"{path}: the occupancy of every atom is 0, so that there is no density; write 1.00, or leave them blank"
        )
    if len(above := np.flatnonzero(values > _LARGEST_OCCUPANCY)):
        return [f"{len(above):,} of its atoms have occupancies above 1, up to {values.max():g}, and count as often"]
    return []
