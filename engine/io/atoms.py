"""What the names of atoms and residues mean where a file does not say it: elements, waters, ions, virtual sites.

A name settles an element only where the residue is known: ``CA`` is a carbon in alanine and calcium in the ion ``CA``.
What it does not settle is left open (None), for :mod:`io.coordinates` to name and count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

Kind = Literal["amino", "nucleic", "modified", "other"]
"""Of residues: a standard amino acid, a standard nucleotide, a modified one of either, anything else."""

WATERS = frozenset({
    "HOH", "DOD", "WAT", "H2O", "HHO", "OHH", "OH2", "SOL", "TIP", "TIP2", "TIP3", "TIP4", "TIP5", "TIPS", "T3P",
    "T4P", "T5P", "T3H", "TP3", "TP4", "TP5", "TPF", "TP4E", "SPC", "SPCE", "SPCF", "SPF", "SPG", "OPC", "OPC3",
    "OP3", "PL3", "POL3", "DC4", "FB3", "FB4", "SWM", "SWM4", "SWM6", "WTR",
})  # fmt: skip
"""Residues that are water, if they have a water's atoms (:func:`is_water`): some are also codes of ligands in the PDB.

PDB: HOH, DOD. GROMACS, ``residuetypes.dat``: SOL, WAT, HOH, OHH, TIP, T3P, T4P, T5P, T3H. CHARMM, ``toppar``: TIP3,
TIP4, TIP5, TIPS, SPC, SPCE, and SWM4, SWM6 of its Drude models. Amber, ``solvents.lib`` and tleap's boxes: WAT, TP3,
TP4, TP5, TPF, SPC, SPF, SPG, OPC, OPC3 (OP3), POL3 (PL3), DC4, FB3, FB4. Desmond: SPC, T3P, T4P, T5P. MDTraj,
MDAnalysis and VMD: H2O, HHO, OHH, OH2, TIP2. PDB files cut names to three letters.
"""

_WATER_ATOM = re.compile(r"\d?[HD]\w*|O|OW\d?|OH2|OT|(EP|LP|MW|OM|IW|M)\w*")

ION_NAMES = {
    "SOD": "Na", "CLA": "Cl", "POT": "K", "CAL": "Ca", "CES": "Cs", "LIT": "Li", "RUB": "Rb", "BAR": "Ba",
    "CAD": "Cd", "IOD": "I", "IP": "Na", "IM": "Cl",
}  # fmt: skip
"""Ions that are not called by their element.

CHARMM, ``toppar_water_ions.str``: SOD to BAR (and CD2, MG, ZN2, which are); older force fields: CAD. PDB: IOD. Amber,
``ions94.lib``: IP, IM.
"""

_VIRTUAL = re.compile(r"EP[W\d]*|LP\w*|MW\d*")
"""Points that carry charge and no atom: GROMACS MW, LP1; Amber EPW, EP1; CHARMM LP1A."""

_BEADS = re.compile(r"BB\d?|SC\d|CEN|PO4|NC3|GL[12]|CNO|ROH|W|DENS|QVOL|QPDB")
"""Not atoms: Martini's beads (W is four waters), Rosetta's centroids, points that stand for a density (Situs)."""

_CAPS = frozenset({
    "ACE", "NME", "NMA", "NAC", "NH2", "NHE", "CT3", "FOR",
})  # fmt: skip
"""Ends of chains, with atoms called as in amino acids."""

_SAME_RESIDUE = {
    "HSD": "HIS", "HSE": "HIS", "HSP": "HIS", "HID": "HIS", "HIE": "HIS", "HIP": "HIS", "HISA": "HIS", "HISB": "HIS",
    "HISD": "HIS", "HISE": "HIS", "HISH": "HIS", "HISP": "HIS", "HIS1": "HIS", "HIS2": "HIS", "CYX": "CYS",
    "CYM": "CYS", "CYSH": "CYS", "CYS1": "CYS", "CYS2": "CYS", "ASH": "ASP", "ASPH": "ASP", "ASPP": "ASP",
    "GLH": "GLU", "GLUH": "GLU", "GLUP": "GLU", "LYN": "LYS", "LYSH": "LYS", "LSN": "LYS", "ARGN": "ARG",
    "TYM": "TYR", "ADE": "DA", "GUA": "DG", "CYT": "DC", "THY": "DT", "URA": "U", "T": "DT",
    "DADE": "DA", "DGUA": "DG", "DCYT": "DC", "DTHY": "DT", "RADE": "A", "RGUA": "G", "RCYT": "C", "RURA": "U",
}  # fmt: skip
"""Names of simulation programs (CHARMM, Amber, GROMACS) for protonation states and nucleotides, and the PDB's."""

_AMINO_ACIDS = frozenset({
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE", "LEU", "LYS", "MET", "PHE", "PRO", "SER",
    "THR", "TRP", "TYR", "VAL",
})  # fmt: skip

# Of standard residues: PDB names, and those of CHARMM, Amber, GROMACS and X-PLOR for the ends of chains.
_AMINO = (
    ("H", re.compile(r"\d?H\w*['\"*]*\w*")),
    ("D", re.compile(r"\d?D[ABGDEZH]?[A-Z]?\d{0,2}")),
    ("C", re.compile(r"C([ABGDEZH]?[123]?|AY|Y|AT|T)")),
    ("N", re.compile(r"N([DEZH]?[123]?|T)")),
    ("O", re.compile(r"O([GDEHT]?[123]?|XT|C[12]|Y|[123]P|P[123])")),
    ("S", re.compile(r"S[GD]")),
    ("Se", re.compile(r"SE")),
    ("P", re.compile(r"P")),
)
_NUCLEIC = (
    ("H", re.compile(r"\d?H\w*['\"*]*\w*")),
    ("D", re.compile(r"\d?D[O\d]?\w?['*]*\d?")),
    ("C", re.compile(r"C(\d{1,2}['*]?|5[MA])")),
    ("N", re.compile(r"N\d{1,2}")),
    ("O", re.compile(r"O(\d['*]?|P[123]|[123]P|[35]T|XT)")),
    ("P", re.compile(r"P")),
)
_STANDARD = {"amino": _AMINO, "nucleic": _NUCLEIC}

# Two letters that can be a metal (or silicon, selenium) in a ligand as well as C, N, O, P or S with a letter.
_EITHER = frozenset({
    "CA", "CD", "CO", "CR", "CU", "NI", "OS", "PB", "PD", "PT", "SB", "SE", "SI", "SN", "SR",
})  # fmt: skip
_EITHER_LETTERED = _EITHER - {"CA", "CD"}  # of longer names, CAA, CDA: no metal has two letters after its symbol
# Two letters that are one element: nothing else begins with the first of them, or is called by the second.
_TWO_LETTERS = frozenset({
    "CL", "BR", "FE", "ZN", "MG", "MN", "MO", "AL", "AG", "AU", "AS", "LI", "LA", "LU", "BA", "BE", "BI", "RB",
    "RE", "RH", "RU", "TI", "TL", "TB", "TM", "TA", "TE", "GA", "GD", "GE", "EU", "ER", "IN", "IR", "KR", "XE",
    "YB", "ZR",
})  # fmt: skip
_ONE_LETTER = frozenset("HDCNOPSFIBKVWYU")
_MOST_NAMED = 5


class Site(NamedTuple):
    """What a file says of an atom: its name, its element (empty where it gives none), its name in a PDB's columns."""

    name: str
    given: str
    columns: str | None = None


def standard_name(residue: str) -> str | None:
    """The PDB's name of a standard residue that a simulation program calls otherwise; None for other names.

    >>> standard_name("HSD"), standard_name("NALA"), standard_name("DA5"), standard_name("RU3"), standard_name("HEM")
    ('HIS', 'ALA', 'DA', 'U', None)
    """
    name = residue.upper()
    if name in _SAME_RESIDUE:
        return _SAME_RESIDUE[name]
    if len(name) == 4 and name[0] in "NC":  # Amber's first and last residues of a chain
        inner = _SAME_RESIDUE.get(name[1:], name[1:])
        return inner if inner in _AMINO_ACIDS else None
    match = re.fullmatch(r"([DR]?)([ACGTU])([35N]?)", name)  # Amber's nucleotides, within a chain and at its ends
    if match is None or (match[1] != "R" and not match[3]) or (not match[1] and match[3] == "N"):
        return None
    return "DT" if match[2] == "T" else match[1].replace("R", "") + match[2]


def is_cap(residue: str) -> bool:
    """Whether a residue is a cap of a chain of amino acids."""
    return residue.upper() in _CAPS


def is_water(residue: str, names: Collection[str]) -> bool:
    """Whether a residue with atoms of these names is water, by whatever name."""
    return residue.upper() in WATERS and all(_WATER_ATOM.fullmatch(name.upper()) for name in names)


def is_virtual_site(name: str) -> bool:
    """Whether an atom's name is that of a point without mass."""
    return _VIRTUAL.fullmatch(name.upper()) is not None


def kind_from_names(names: Collection[str]) -> Kind:
    """The kind of a residue that nobody knows by name: modified where it has a polymer's backbone."""
    plain = {name.upper().replace("*", "'") for name in names}
    has_backbone = plain >= {"N", "CA", "C"} or plain >= {"C1'", "C4'", "O4'"}
    return "modified" if has_backbone else "other"


@lru_cache(4096)
def certain_element(name: str, residue: str, kind: Kind) -> str | None:
    """The element that a name settles, whatever else a file says: in standard residues and in ions.

    >>> certain_element("CA", "ALA", "amino"), certain_element("CA", "CA", "other"), certain_element("CA", "X", "other")
    ('C', 'Ca', None)
    """
    name, residue = name.upper(), residue.upper()
    for symbol, pattern in _STANDARD.get(kind, ()):
        if pattern.fullmatch(name):
            return symbol
    if kind != "other":
        return None
    if name == residue and name in ION_NAMES:
        return ION_NAMES[name]
    letters, of_residue = (re.sub(r"[\d+-]", "", text) for text in (name, residue))
    if letters == "I" and residue == "IOD":
        return "I"
    is_symbol = letters in _TWO_LETTERS | _EITHER | {
        "NA",
        "CS",
        "HG",
        "SM",
        "PR",
        "CE",
        "HO",
    } or letters in _ONE_LETTER - {"W"}
    return letters.capitalize() if letters == of_residue and is_symbol else None


@lru_cache(4096)
def element_from_name(name: str, residue: str, kind: Kind, columns: str | None = None) -> str | None:
    """The element of an atom of which a file says nothing but its name; None where that leaves it open.

    Parameters
    ----------
    kind
        of the residue.
    columns
        the name as it stands in a PDB file's columns 13 to 16, if that file keeps to the format's rule that the symbol
        ends in the second of them: ``"CL1 "`` is then chlorine and ``" CL1"`` a carbon.
    """
    if symbol := certain_element(name, residue, kind):
        return symbol
    if kind in ("amino", "nucleic") or _BEADS.fullmatch(name.upper()):
        return None
    if columns is not None and kind == "other" and (symbol := _from_columns(columns)):
        return symbol
    if re.match(r"[A-Z][a-z]", name) and name[:2].upper() in _TWO_LETTERS | _EITHER:  # Cl1, Se
        return name[:2]
    match = re.match(r"\d*([A-Z]+)", name.upper())
    if match is None:
        return None
    letters = match[1]
    if letters[:2] in ("CL", "BR") or (letters[:2] == "SE" and kind == "modified"):
        return letters[:2].capitalize()
    if kind == "modified":
        return letters[0] if letters[0] in "HDCNOPS" or letters in ("F", "I", "B") else None
    return _in_a_ligand(letters, name.upper())


class Elements:
    """The elements of a file's atoms, residue by residue; and how often, and where, the file's own were overruled."""

    def __init__(self, kind_of: Callable[[str], Kind]) -> None:
        self._kind_of = kind_of
        self.overruled: Counter[str] = Counter()

    def of_residue(self, residue: str, sites: Sequence[Site]) -> list[str]:
        """The symbols of a residue's atoms, empty where nothing says what they are."""
        kind, names = self._kind_of(residue), {site.name for site in sites}
        if kind == "other":
            kind = kind_from_names(names)
        is_of_beads = kind == "other" and any(_BEADS.fullmatch(name.upper()) for name in names)
        return [self._of(site, residue, kind, is_of_beads) for site in sites]

    def remark(self) -> str:
        """What to say where names were followed against the file; empty where they agree."""
        total = self.overruled.total()
        return f"{total:,} of its atoms have the element of their names: {counted(self.overruled)}" if total else ""

    def _of(self, site: Site, residue: str, kind: Kind, is_of_beads: bool) -> str:
        certain = certain_element(site.name, residue, kind)
        if kind in _STANDARD and _BEADS.fullmatch(site.name.upper()):
            return ""  # whatever a program has made of the name
        if not site.given:
            return certain or "" if is_of_beads else element_from_name(site.name, residue, kind, site.columns) or ""
        is_guess = site.name.upper().lstrip("0123456789").startswith(site.given.upper())  # as programs make of names
        if certain is None or certain == site.given or {certain, site.given} == {"H", "D"} or not is_guess:
            return site.given
        self.overruled[f"{site.name} of {residue} taken as {certain}, not {site.given}"] += 1
        return certain


def counted(kinds: Counter[str]) -> str:
    """The most frequent of them with their numbers, in a line.

    >>> counted(Counter({"SC1 of ALA": 3, "BB of GLY": 1}))
    '3 SC1 of ALA, 1 BB of GLY'
    """
    named = [f"{count:,} {kind}" for kind, count in kinds.most_common(_MOST_NAMED)]
    others = len(kinds) - len(named)
    return ", ".join(named) + (f" and {others:,} more kinds" if others else "")


def _from_columns(columns: str) -> str | None:
    """By the PDB's rule; None for four letters, which begin in the first column whatever the symbol."""
    first, second = columns[0].upper(), columns[1].upper()
    if not first.isalpha():
        return second if second in ("HCNOPSFI" if columns[2].isalpha() else _ONE_LETTER) else None
    symbol = first + second
    is_symbol = symbol in _TWO_LETTERS | _EITHER | {"NA", "CS", "HG"}
    return symbol.capitalize() if is_symbol and columns[3] == " " else None


def _in_a_ligand(letters: str, name: str) -> str | None:
    """By a name in capitals and the letters (no digits) with which it begins."""
    if letters[0] == "H":
        return None if re.fullmatch(r"HG\d?", name) else "H"
    if len(letters) == 1:
        return letters if letters in _ONE_LETTER else None
    if letters[:2] in _TWO_LETTERS:
        return letters[:2].capitalize()
    if letters[:2] in (_EITHER if len(letters) == 2 else _EITHER_LETTERED):
        return None
    return letters[0] if letters[0] in "CNOPS" else None
