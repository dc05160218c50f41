"""Which atoms of a model count: the gemmi door's."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import gemmi
import numpy as np
from numpy.typing import NDArray

from ..base.errors import InputError
from . import atoms
from .coordinates_text import symbol
from .strays import strays

_MOST_STRAYS = 3  # that are named
_LARGEST_OCCUPANCY = 1.005  # 1 as it is rounded
_LARGEST_SUM = 1.05  # of several that are rounded


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


def remove_waters_and_hydrogens(model: gemmi.Model) -> None:
    """In place; waters by all their names."""
    model.remove_waters()
    for chain in model:
        for place in reversed(range(len(chain))):
            if atoms.is_water(chain[place].name, [atom.name for atom in chain[place]]):
                del chain[place]
    model.remove_hydrogens()


def remove_what_is_not_understood(model: gemmi.Model, path: Path) -> list[str]:
    """Remarks about what was left out; InputError where that is more than what stays."""
    out = _remove(model)
    unknown, lost = out["element"], out["coordinates"]
    count = model.count_atom_sites() + len(unknown) + len(lost)
    if 2 * (len(unknown) + len(lost)) > count and len(unknown) >= len(lost):
        raise InputError(
            f"{path}: {len(unknown):,} of its {count:,} atoms have no element, and names that give none "
            f"({_kinds(unknown)}); wanted atoms: pseudo-atoms and coarse-grained beads have no density"
        )
    if 2 * (len(unknown) + len(lost)) > count:
        raise InputError(
            f"{path}: an atom's coordinates are not finite numbers: those of {lost[0].text}, and of {len(lost) - 1:,} "
            f"more of its {count:,} atoms; wanted x, y, z in Å, in the format's columns"
        )
    remarks = []
    for places, reason in ((unknown, "their elements are unknown"), (lost, "their coordinates are not finite numbers")):
        if places:
            remarks.append(f"{len(places):,} of its {count:,} atoms are left out, {reason}: {_kinds(places)}")
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
    """Take out virtual sites and what lacks an ``element`` or ``coordinates``; these atoms, by their fault."""
    taken: dict[str, list[_Place]] = {"virtual": [], "element": [], "coordinates": []}
    for chain in model:
        emptied = []
        for number, residue in enumerate(chain):
            faulty = [(place, fault) for place, atom in enumerate(residue) if (fault := _fault(atom))]
            for place, fault in faulty:
                taken[fault].append(_place(chain, residue, residue[place]))
            for place, _ in reversed(faulty):
                del residue[place]
            if faulty and not len(residue):
                emptied.append(number)
        for number in reversed(emptied):
            del chain[number]
    return taken


def _fault(atom: gemmi.Atom) -> str:
    if not symbol(atom.element.name):
        return "virtual" if atoms.is_virtual_site(atom.name) else "element"
    return "" if math.isfinite(atom.pos.x + atom.pos.y + atom.pos.z) else "coordinates"


def check_occupancies(model: gemmi.Model, path: Path) -> list[str]:
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
            f"{path}: the density is 0 everywhere, for every atom has occupancy 0; write 1.00, or leave it blank"
        )
    remarks = []
    if len(above := np.flatnonzero(values > _LARGEST_OCCUPANCY)):
        remarks.append(
            f"{len(above):,} of its atoms have occupancies above 1, up to {values.max():g}, which are used as given"
        )
    sums: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    for site in sites:
        if site.atom.has_altloc():
            sums[site.chain.name, str(site.residue.seqid), site.atom.name] += site.atom.occ
    if several := [total for total in sums.values() if total > _LARGEST_SUM]:
        remarks.append(
            f"{len(several):,} of its atoms have alternatives whose occupancies add up to more than 1, "
            f"up to {max(several):.3g}, which are used as given"
        )
    return remarks
