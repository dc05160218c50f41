"""What names mean, against the PDB's own naming and that of the programs whose names they are."""

from __future__ import annotations

import pytest

from engine.io import atoms


@pytest.mark.parametrize(
    ("residue", "name", "element"),
    [
        ("ALA", "CA", "C"), ("GLU", "CD", "C"), ("LYS", "CE", "C"), ("ILE", "CD", "C"), ("ARG", "NE", "N"),
        ("HIS", "ND1", "N"), ("VAL", "HG11", "H"), ("ARG", "HE", "H"), ("SER", "HG", "H"), ("ALA", "1HB", "H"),
        ("ALA", "DA", "D"), ("CYS", "SG", "S"), ("GLY", "OT1", "O"), ("GLY", "OXT", "O"), ("GLY", "OC2", "O"),
        ("SEC", "SE", "Se"), ("ALA", "SC1", None), ("ALA", "BB", None), ("ALA", "CEN", None), ("ALA", "MN1", None),
    ],
)  # fmt: skip
def test_names_in_amino_acids_settle_the_element(residue, name, element):
    assert atoms.element_from_name(name, residue, "amino") == atoms.certain_element(name, residue, "amino") == element


@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("P", "P"), ("OP1", "O"), ("O1P", "O"), ("O5'", "O"), ("O5*", "O"), ("C1'", "C"), ("C5M", "C"), ("C7", "C"),
        ("N9", "N"), ("H5'1", "H"), ("HO2'", "H"), ("H3T", "H"), ("S", None), ("C", None), ("BB1", None),
    ],
)  # fmt: skip
def test_names_in_nucleotides_settle_the_element(name, element):
    assert atoms.element_from_name(name, "DA", "nucleic") == element


@pytest.mark.parametrize(
    ("residue", "name", "element"),
    [
        ("CA", "CA", "Ca"), ("CAL", "CAL", "Ca"), ("SOD", "SOD", "Na"), ("CLA", "CLA", "Cl"), ("POT", "POT", "K"),
        ("Na+", "Na+", "Na"), ("NA+", "NA+", "Na"), ("Cl-", "Cl-", "Cl"), ("MG2", "MG", "Mg"), ("ZN2", "ZN", "Zn"),
        ("CD2", "CD2", "Cd"), ("K", "K", "K"), ("IOD", "I", "I"), ("HG", "HG", "Hg"), ("LIG", "CA", None),
    ],
)  # fmt: skip
def test_ions_by_the_names_of_programs(residue, name, element):
    assert atoms.certain_element(name, residue, "other") == element


@pytest.mark.parametrize(
    ("name", "columns", "element"),
    [
        ("C10", None, "C"), ("C10", "C10 ", "C"), ("CL1", "CL1 ", "Cl"), ("CL1", " CL1", "C"), ("CL1", None, "Cl"),
        ("Cl2", None, "Cl"), ("BR", None, "Br"), ("FE", None, "Fe"), ("O2'", None, "O"), ("HO2", None, "H"),
        ("CA", None, None), ("CA", " CA ", "C"), ("CA", "CA  ", "Ca"), ("SE", None, None), ("NA", " NA ", "N"),
        ("NB", None, "N"), ("HG", None, None), ("HG12", "HG12", "H"), ("Q1", None, None), ("DENS", None, None),
        ("UNK", " UNK", None), ("*", None, None), ("1", None, None),
    ],
)  # fmt: skip
def test_in_ligands_the_columns_decide_and_else_only_what_has_one_meaning(name, columns, element):
    assert atoms.element_from_name(name, "LIG", "other", columns) == element


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("HSD", "HIS"), ("HIE", "HIS"), ("CYX", "CYS"), ("NALA", "ALA"), ("CHIE", "HIS"), ("DA5", "DA"), ("RU3", "U"),
        ("A3", "A"), ("THY", "DT"), ("ADE", "DA"), ("ALA", None), ("A", None), ("DA", None), ("HEM", None),
        ("AN", None),
    ],
)  # fmt: skip
def test_residues_as_simulation_programs_call_them(name, standard):
    assert atoms.standard_name(name) == standard


def test_waters():
    names = "HOH WAT SOL TIP TIP3 TP3 T3P TIP4 T4P TIP5 TP4 SPC SPCE OPC OPC3 SWM4 H2O DOD OH2 sol"
    for name in names.split():
        assert atoms.is_water(name, ["OW", "HW1", "HW2", "MW"])
        assert atoms.is_water(name, ["OH2"])


def test_a_ligand_whose_code_is_a_waters_name_is_none():
    assert not atoms.is_water("T3P", ["P", "O5'", "C5'"])  # thymidine 3'-phosphate
    assert not atoms.is_water("GOL", ["O"])


def test_elements_of_a_residue_whose_kind_nobody_knows_follow_its_backbone():
    elements = atoms.Elements(lambda residue: "other")
    sites = [atoms.Site(name, "") for name in ("N", "CA", "C", "CD", "SE")]
    assert elements.of_residue("XYZ", sites) == ["N", "C", "C", "C", "Se"]
    assert elements.of_residue("POP", [atoms.Site(name, "") for name in ("NC3", "PO4", "C1A")]) == ["", "", ""]


def test_only_elements_that_were_guessed_from_the_name_are_overruled():
    elements = atoms.Elements(lambda residue: "amino")
    sites = [atoms.Site("CA", "Ca"), atoms.Site("CB", "C"), atoms.Site("CA", "S"), atoms.Site("HA", "D")]
    assert elements.of_residue("ALA", sites) == ["C", "C", "S", "D"]
    assert elements.remark() == "1 of its atoms have the element of their names: 1 CA of ALA taken as C, not Ca"


def test_beads_are_no_atoms_whatever_element_a_program_made_of_their_names():
    elements = atoms.Elements(lambda residue: "amino")
    assert elements.of_residue("PHE", [atoms.Site("BB", "B"), atoms.Site("SC1", "S")]) == ["", ""]
    elements = atoms.Elements(lambda residue: "other")
    assert elements.of_residue("W", [atoms.Site("W", "")]) == [""]  # Martini's water, or tungsten
    assert elements.of_residue("W", [atoms.Site("W", "W")]) == ["W"]
    assert elements.of_residue("LIG", [atoms.Site("SC1", "S")]) == ["S"]
