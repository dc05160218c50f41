"""Random proteins: chains of residues that resemble a protein at low resolution.

A protein is a cluster of globular domains through which one to four chains run. A chain grows residue by residue, 3.8 Å
from one C-alpha to the next, in helices, strands and loops with the bond and torsion angles that those have in real
C-alpha traces (Levitt, J. Mol. Biol. 104 (1976) 59), within the domain's ellipsoid and at least 4 Å from all other
residues; where it cannot continue it is traced back a few residues. The other atoms of a residue are placed
approximately around its C-alpha, which is accurate enough at the resolution of a projection.

A seed always gives the same protein: :data:`VERSION` is part of the key under which results are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

VERSION = 1
BOND = 3.8
"""Å from one C-alpha to the next."""
CLEARANCE = 4.0
"""Å, the least distance of two C-alphas that are not neighbours in a chain."""

Points = NDArray[np.float64]

_VOLUME = 150.0  # Å^3 a residue has in a domain; 135 in a real one, whose chain nature has had time to fold
_RESIDUES = (200, 1200)
_DOMAIN = (60, 220)  # residues
_MOST_CHAINS = 4
_TRIES = 24  # positions tried for a residue
_STEP_BACK = 8  # residues, and more each time the chain comes to the same end
_WALLED_IN = 200  # dead ends after which the chain ends here
_PATIENCE = 10  # dead ends after which the domain is enlarged by a twentieth

# Bond angle and torsion of a C-alpha trace and how far they spread, in degrees; shortest and longest piece, residues.
_PIECES = {
    "helix": ((91.0, 3.0), (50.0, 5.0), (8, 24)),
    "strand": ((123.0, 6.0), (-170.0, 15.0), (4, 10)),
    "loop": ((108.0, 15.0), None, (2, 9)),
}
_MOST_LIKELY_NEXT = (0.45, 0.3, 0.25)


@dataclass(frozen=True)
class Protein:
    """``residues`` (n, 3): C-alphas in Å, of all chains; ``chains``: where each begins, and n.

    ``atoms`` (m, 3) with their ``elements``: all atoms but hydrogen.
    """

    residues: Points
    chains: tuple[int, ...]
    atoms: Points
    elements: tuple[str, ...]


def random_protein(seed: int) -> Protein:
    """The protein of that seed: 200 to 1,200 residues in one to four chains."""
    rng = np.random.default_rng([VERSION, seed])
    total = round(float(np.exp(rng.uniform(*np.log(_RESIDUES)))))
    sizes = _domain_sizes(total, rng)
    chains = min(len(sizes), int(rng.integers(1, _MOST_CHAINS + 1)))
    first_domains = set(rng.choice(np.arange(1, len(sizes)), chains - 1, replace=False).tolist())
    placed: Points = np.empty((0, 3))
    starts: list[int] = []
    for number, (size, (centre, axes)) in enumerate(zip(sizes, _heap(sizes, rng), strict=True)):
        goes_on = number > 0 and number not in first_domains
        grown = _grown(placed, size, centre, axes, True, rng) if goes_on else None
        if grown is None:
            starts.append(len(placed))
            grown = _grown(placed, size, centre, axes, False, rng)
        assert grown is not None
        placed = grown
    chain_starts = (*starts, len(placed))
    atoms, elements = _atoms(placed, chain_starts, rng)
    return Protein(placed, chain_starts, atoms, elements)


def compact_chain(count: int, rng: np.random.Generator) -> Points:
    """C-alphas (count, 3) in Å of one chain within a sphere of the volume that so many residues take."""
    grown = _grown(np.empty((0, 3)), count, np.zeros(3), np.eye(3) * _radius(count), False, rng)
    assert grown is not None
    return grown


def _radius(count: int) -> float:
    return float((3 * count * _VOLUME / (4 * np.pi)) ** (1 / 3))


def _domain_sizes(total: int, rng: np.random.Generator) -> list[int]:
    sizes: list[int] = []
    while (left := total - sum(sizes)) > 0:
        size = int(rng.integers(_DOMAIN[0], _DOMAIN[1] + 1))
        sizes.append(left if left - size < _DOMAIN[0] else size)
    return sizes


def _heap(sizes: list[int], rng: np.random.Generator) -> list[tuple[Points, Points]]:
    """Centres (3,) and axes (3, 3) (columns, Å) of ellipsoids, each but the first touching the one before it."""
    domains: list[tuple[Points, Points]] = []
    radii: list[float] = []
    for size in sizes:
        stretch = np.exp(rng.normal(0.0, 0.25, 3))
        axes = _random_rotation(rng) * (stretch / np.prod(stretch) ** (1 / 3) * _radius(size))
        radius, centre = _radius(size), np.zeros(3)
        if domains:
            reach = radius + radii[-1]
            others = np.array([middle for middle, _ in domains])
            room = np.array(radii) + radius
            around = domains[-1][0] + reach * _directions(64, rng)
            overlap = np.maximum(room - np.linalg.norm(around[:, None] - others, axis=2), 0).sum(axis=1)
            # Among places that overlap little, the one nearest the middle or any: some clusters are round, some long.
            best = np.argsort(overlap, kind="stable")[:16]
            spread = np.linalg.norm(around[best] - others.mean(axis=0), axis=1)
            centre = around[best[np.argmin(spread)] if rng.random() < 0.7 else best[0]]
        domains.append((centre, axes))
        radii.append(radius)
    return domains


def _grown(
    placed: Points, count: int, centre: Points, axes: Points, goes_on: bool, rng: np.random.Generator
) -> Points | None:
    """``placed`` (n, 3) and after them ``count`` residues of a domain.

    ``goes_on``: bound to the last one placed; None where that is enclosed, which a chain of its own never is.
    """
    begin, end = len(placed), len(placed) + count
    points = np.concatenate([placed, np.empty((count, 3))])
    kinds = [""] * count  # of the piece that a residue belongs to
    left = [0] * count  # further residues of the piece
    into = np.linalg.inv(axes)
    reach, ends, farthest = 1.0, 0, begin
    here = begin
    while here < end:
        if here == begin and not goes_on:
            tries = centre + reach * (_directions(_TRIES, rng) * rng.random((_TRIES, 1))) @ axes.T
            places = _free(tries, points[:here])
            kind, remaining = "loop", 1
        else:
            bound = begin if not goes_on else max(0, begin - 3)
            last = here - begin - 1
            kind, remaining = (kinds[last], left[last] - 1) if last >= 0 and left[last] > 0 else _piece(rng)
            places = np.empty((0, 3))
            for attempt in (kind, "loop"):
                tries = _continued(points[bound:here], attempt, rng)
                outside = np.linalg.norm((tries - centre) @ into.T, axis=1)
                # A chain that comes from the domain before is still outside; it has to come nearer.
                limit = max(reach, float(np.linalg.norm((points[here - 1] - centre) @ into.T)) - 0.02)
                places = _free(tries[outside <= limit], points[: here - 1])
                if len(places):
                    kind, remaining = (attempt, remaining) if attempt == kind else (attempt, 1)
                    break
        if len(places):
            points[here], kinds[here - begin], left[here - begin] = places[0], kind, remaining
            here += 1
            if here > farthest:
                farthest, ends = here, 0
            continue
        ends += 1
        here = max(begin, here - _STEP_BACK * ends)
        if ends % _PATIENCE == 0:
            reach *= 1.05
        if goes_on and ends > _WALLED_IN:
            return None
    return points


def _piece(rng: np.random.Generator) -> tuple[str, int]:
    """The kind of a new piece, and its number of residues after the first."""
    kind = list(_PIECES)[rng.choice(len(_PIECES), p=_MOST_LIKELY_NEXT)]
    shortest, longest = _PIECES[kind][2]
    return kind, int(rng.integers(shortest, longest + 1)) - 1


def _continued(chain: Points, kind: str, rng: np.random.Generator) -> Points:
    """Places (tries, 3), in random order, for the residue after the last of a chain (n, 3)."""
    if len(chain) < 2:
        return chain[-1] + BOND * _directions(_TRIES, rng)
    (angle, angle_spread), torsion, _ = _PIECES[kind]
    bend = np.radians(np.clip(rng.normal(angle, angle_spread, _TRIES), 80.0, 150.0))
    turn = rng.uniform(-np.pi, np.pi, _TRIES)
    if torsion is not None and len(chain) > 2:
        turn = np.radians(rng.normal(*torsion, _TRIES))
    forward = (chain[-1] - chain[-2]) / np.linalg.norm(chain[-1] - chain[-2])
    before = chain[-2] - chain[-3] if len(chain) > 2 else _directions(1, rng)[0]
    normal = np.cross(before, forward)
    normal /= np.linalg.norm(normal)
    side = np.cross(normal, forward)
    steps = -np.cos(bend)[:, None] * forward + np.sin(bend)[:, None] * (
        np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * normal
    )
    return chain[-1] + BOND * steps


def _free(tries: Points, others: Points) -> Points:
    """Those of the places (n, 3) that are far enough from all others (m, 3)."""
    squared = ((tries[:, None] - others[None]) ** 2).sum(axis=2)
    return tries[(squared >= CLEARANCE**2).all(axis=1)]


def _directions(count: int, rng: np.random.Generator) -> Points:
    vectors = rng.standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _random_rotation(rng: np.random.Generator) -> Points:
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    return q * np.sign(np.diag(r))


def _atoms(residues: Points, chains: tuple[int, ...], rng: np.random.Generator) -> tuple[Points, tuple[str, ...]]:
    """N, C-alpha, C, O of each residue and a side chain of none to eight carbons that points away from the chain."""
    before, after = np.empty_like(residues), np.empty_like(residues)
    for begin, end in pairwise(chains):
        chain = residues[begin:end]
        before[begin + 1 : end], after[begin : end - 1] = chain[:-1], chain[1:]
        before[begin], after[end - 1] = 2 * chain[0] - chain[1], 2 * chain[-1] - chain[-2]
    backward, forward = _unit(before - residues), _unit(after - residues)
    outward = _unit(-(backward + forward) + 1e-3 * rng.standard_normal(residues.shape))
    sideways = _unit(np.cross(forward, backward) + 1e-3 * rng.standard_normal(residues.shape))
    carbonyl = residues + 1.52 * _unit(forward + 0.3 * outward)
    main = [residues + 1.46 * _unit(backward + 0.3 * outward), residues, carbonyl, carbonyl + 1.23 * sideways]
    atoms, elements = np.concatenate(main), np.repeat(["N", "C", "C", "O"], len(residues))
    lengths = rng.binomial(8, 0.48, len(residues))  # 3.8 heavy atoms on average, as in real proteins
    tips = residues
    for place in range(1, int(lengths.max(initial=0)) + 1):
        tips = tips + 1.3 * _unit(outward + 0.5 * rng.standard_normal(residues.shape))
        atoms = np.concatenate([atoms, tips[lengths >= place]])
    return atoms, (*elements.tolist(), *["C"] * (len(atoms) - len(elements)))


def _unit(vectors: Points) -> Points:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
