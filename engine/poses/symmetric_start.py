"""Initialisation of :mod:`poses.symmetric_recovery`: some of the projections, placed by simulated annealing.

The symmetric stress has many local minima, in most of which some poses are off by a rotation that maps the group onto
itself (for D4 an eighth of a turn, for example). A descent cannot leave them; a **heat bath** can (Gibbs sampling;
Geman and Geman, 1984): one projection after the other is drawn anew among orientations with probability proportional to
``exp(-misfit / temperature)``, while the temperature falls; the misfit is the sum of the squared differences of its
distances to all others.

First, all orientations of a grid are possible for each projection, and the temperature passes through the range in
which most of the order forms. Then each is only rotated from its current orientation, half of the trials about the axis
of highest order: for Cn and Dn that rotation changes distances so much less than a tilt that it settles later, at
temperatures and in steps too small for the grid.

Temperatures are in units of the variance of the distances, times the number of distances of a projection.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..geometry.symmetry import left_matrices

Array = NDArray[np.floating]
Single = NDArray[np.float32]
Places = NDArray[np.intp]

_HOT, _COLD, _SWEEPS = 0.2, 0.02, 150
_TURN_HOT, _TURN_COLD, _TURN_SWEEPS = 0.01, 1e-4, 40
_TURNS = 120  # tried for a projection at a time
_SMALLEST, _LARGEST = 0.01, 1.0  # rad, of the turns about any axis
_NO_VARIANCE = 1e-6  # rad^2; distances that differ less are all the same


def smallest_distances(first: Array, second: Array, left: Array) -> Single:
    """``min_g d(R_i, g R_j)`` (n, m) in rad of quaternions (n, 4) and (m, 4); ``left`` (|G|, 4, 4) is the group."""
    best = np.zeros((len(first), len(second)), dtype=np.float32)
    for matrix in left:
        np.maximum(best, np.abs(first.astype(np.float32) @ (second @ matrix.T).T.astype(np.float32)), out=best)
    return 2 * np.arccos(np.minimum(best, 1))


def annealed_on_grid(between: Single, given: Array, rng: np.random.Generator) -> Places:
    """Places (k,) on a grid for projections with given distances (k, k), by a heat bath over the whole grid.

    ``between`` (n, n) in rad are the distances of the grid's orientations.
    """
    wanted = given.astype(np.float32)
    squares = between**2
    places = rng.integers(len(between), size=len(given))
    rows = between[places]
    for temperature in _cooled(_HOT, _COLD, _SWEEPS, given):
        total = squares[places].sum(axis=0)
        for number in rng.permutation(len(given)):
            total -= squares[places[number]]
            # A projection's distance to itself is 0, so its own row has no part in the product.
            place = _drawn(total - 2 * (wanted[number] @ rows), temperature, rng)
            places[number], rows[number] = place, between[place]
            total += squares[place]
    return places


def annealed_by_turns(quaternions: Array, given: Array, elements: Array, rng: np.random.Generator) -> Array:
    """Quaternions (k, 4) after a heat bath of rotations from where they are, for given distances (k, k)."""
    left = left_matrices(elements)
    quaternions = quaternions.copy()
    moved = np.einsum("gab,nb->gna", left, quaternions).astype(np.float32)
    others = ~np.eye(len(given), dtype=bool)
    for temperature in _cooled(_TURN_HOT, _TURN_COLD, _TURN_SWEEPS, given):
        turns = _turns(elements, rng)
        for number in rng.permutation(len(given)):
            tried = turns @ quaternions[number]
            misfit = ((_to_moved(tried, moved) - given[number]) ** 2) @ others[number]
            quaternions[number] = tried[_drawn(misfit, temperature, rng)]
            moved[:, number] = left @ quaternions[number]
    return quaternions


def turned_to_fit(
    quaternions: Array, known: Array, to_known: Array, elements: Array, rng: np.random.Generator, sweeps: int = 4
) -> Array:
    """Each of quaternions (n, 4) rotated so that its distances to known ones (k, 4) fit ``to_known`` (n, k) best."""
    moved = np.einsum("gab,nb->gna", left_matrices(elements), known).astype(np.float32)
    quaternions = quaternions.copy()
    for _ in range(sweeps):
        turns = _turns(elements, rng)
        for number, wanted in enumerate(to_known):
            tried = turns @ quaternions[number]
            quaternions[number] = tried[((_to_moved(tried, moved) - wanted) ** 2).sum(axis=1).argmin()]
    return quaternions


def _cooled(hot: float, cold: float, sweeps: int, given: Array) -> Array:
    """Temperatures (sweeps,) in rad^2 for given distances (k, k)."""
    variance = max(float(given[~np.eye(len(given), dtype=bool)].var()), _NO_VARIANCE)
    return np.geomspace(hot, cold, sweeps) * variance * len(given)


def _drawn(misfit: Array, temperature: float, rng: np.random.Generator) -> int:
    """An index, drawn with probability proportional to ``exp(-misfit / temperature)``."""
    odds = np.cumsum(np.exp((misfit - misfit.min()) * np.float32(-1 / temperature)))
    return min(int(np.searchsorted(odds, rng.random() * odds[-1])), len(odds) - 1)


def _to_moved(tried: Array, moved: Single) -> Single:
    """``min_g d`` (t, k) in rad from tried quaternions (t, 4) to those of (|G|, k, 4), moved by the group."""
    cosines = np.abs(tried.astype(np.float32) @ moved.reshape(-1, 4).T)
    return 2 * np.arccos(np.minimum(cosines.reshape(len(tried), *moved.shape[:2]).max(axis=1), 1))


def _turns(elements: Array, rng: np.random.Generator) -> Array:
    """Left matrices (t, 4, 4) of trial rotations: none; about the axis of highest order; small and large about any."""
    number = _TURNS // 2
    smallest = elements[1:][np.abs(elements[1:, 3]).argmax()]
    full = 2 * np.arccos(min(abs(smallest[3]), 1.0))
    axis = smallest[:3] / np.linalg.norm(smallest[:3])
    about_axis = np.outer((np.arange(number) + rng.random()) / number * full, axis)
    directions = rng.standard_normal((number, 3))
    sizes = np.exp(rng.uniform(np.log(_SMALLEST), np.log(_LARGEST), number))
    about_any = directions / np.linalg.norm(directions, axis=1, keepdims=True) * sizes[:, None]
    return left_matrices(Rotation.from_rotvec(np.concatenate([np.zeros((1, 3)), about_axis, about_any])).as_quat())
