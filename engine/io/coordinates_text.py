"""The text of a PDB or mmCIF file, put right where gemmi would guess or read nothing: the gemmi door's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby

import gemmi

from ..base.errors import InputError
from . import atoms, pdb_lines

_IS_CIF = re.compile(r"(?:\s+|#[^\n]*\n)*data_", re.IGNORECASE)
_SITE = "_atom_site."


def repaired(text: str, remark: Callable[[str], None]) -> str:
    """A file's text with what gemmi would guess put right; the text itself where there is nothing to put right.

    ``remark`` is called with a line about what was put right, without the file's name.

    Raises
    ------
    InputError
        without the file's name, for what is no number where one is wanted, and for a CIF of something else.
    ValueError, RuntimeError
        for what gemmi cannot parse.
    """
    if _IS_CIF.match(text):
        return _repaired_cif(text, remark)
    pdb = pdb_lines.repaired(text, _kind, symbol)
    for line in pdb.remarks:
        remark(line)
    return pdb.text


def _repaired_cif(text: str, remark: Callable[[str], None]) -> str:
    document = gemmi.cif.read_string(text)
    block = document[0]
    loop = block.find_loop(f"{_SITE}Cartn_x").get_loop()
    if loop is None:
        if not len(block.find_values(f"{_SITE}Cartn_x")):
            _refuse_other_cif(block)
        return text
    changed = False
    tags = {tag.lower() for tag in loop.tags}  # small and capital letters are the same
    if f"{_SITE}type_symbol" not in tags:
        remark("it has no _atom_site.type_symbol; the elements are taken from the atoms' names")
    for leaf, value in (("type_symbol", "?"), ("id", "1"), ("label_alt_id", "."), ("label_asym_id", "A")):
        if f"{_SITE}{leaf}" not in tags:  # without which gemmi reads no atoms, and says nothing
            loop.add_columns([f"{_SITE}{leaf}"], value)
            changed = True
    symbols, elements = block.find_values(f"{_SITE}type_symbol"), atoms.Elements(_kind)
    for residue, rows, names in _residues(block):
        given = [gemmi.cif.as_string(symbols[row]) for row in rows]
        sites = [atoms.Site(name, symbol(given_symbol)) for name, given_symbol in zip(names, given, strict=True)]
        standard = atoms.standard_name(residue) or residue
        for row, text_given, element in zip(rows, given, elements.of_residue(standard, sites), strict=True):
            if (element or "X").upper() != text_given.upper():
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
    """Name the content of a CIF without atoms' positions, where it is known."""
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
def symbol(text: str) -> str:
    """The element that a field for elements names, with or without a charge; empty where its density is not known."""
    match = re.match(r"\s*([A-Za-z]{1,2})(?![A-Za-z])", text)
    element = gemmi.Element(match[1] if match else "X")
    return element.name if element.atomic_number and element.c4322 else ""
