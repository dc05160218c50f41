"""Poses from distances of a symmetric object: :mod:`poses.recovery` with the smallest distance over the group.

``min_g d(g R_i, R_j)`` has no Gram matrix of rank 9, so there is no spectral initialisation. Instead, some
projections, the landmarks, are placed by **simulated annealing**, several times (:mod:`poses.symmetric_start`). All
others are placed on a grid by their distances to the best placement of these, and a **descent** by L-BFGS, alternating
with the choice of the closest group element for each pair, optimises all of them. Projections that would fit better
elsewhere are moved there.

Learned distances of a symmetric object are far less certain where two elements bring a pair about equally close, which
is where the distances are large: the last descents **weight** each pair by the inverse variance of the previous
residuals among pairs with similar given distances (iteratively reweighted least squares).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.spatial.distance import squareform
from scipy.spatial.transform import Rotation

from ..base.errors import ArgumentError
from ..base.progress import Progress, silent
from ..geometry.rotations import from_quaternion
from ..geometry.symmetry import left_matrices
from .pairs import Indices, PairDistances, all_pairs
from .recovery import Recovery
from .symmetric_start import annealed_by_turns, annealed_on_grid, smallest_distances, turned_to_fit

Array = NDArray[np.floating]

_GRID = 1500
_LANDMARKS = 100
_CHAINS = 8  # placements of the landmarks
_REFINED = 3  # of them, annealed further
_ROUNDS = 12
_SETTLED = 1e-4  # relative; a round that gains less is the last
_ALIKE = 30  # bins of pairs with similar given distances
_WEIGHTINGS = 2
_LEAST_VARIANCE = 1e-3  # relative to the mean one: bounds the weight of a pair
_ZERO = 1e-20  # rad^2


def recover_symmetric_poses(
    distances: PairDistances,
    elements: Array,
    rng: np.random.Generator,
    max_iterations: int = 200,
    progress: Progress = silent,
) -> Recovery:
    """Poses of projections from estimated distances of all pairs, for a group (|G|, 4) of rotations.

    The result is known up to the group's elements (independently for each pose), a rotation of the image frame and a
    rotation that maps the group onto itself. ``start_residuals`` are the losses of the placements after their first
    descent.

    Raises
    ------
    ArgumentError
        when not all pairs are given.
    """
    count, values = distances.count, distances.values
    if not distances.complete:
        raise ArgumentError(
            "{distances} are of {given:,} pairs; recovery of a symmetric object wants all {all:,} of its {count:,} "
            "projections", "distances", given=len(distances), all=count * (count - 1) // 2, count=count,
        )  # fmt: skip
    given = squareform(values.astype(float))
    left = left_matrices(elements)
    grid = Rotation.random(_GRID, rng=rng).as_quat()
    landmarks = rng.permutation(count)[:_LANDMARKS]
    among = given[np.ix_(landmarks, landmarks)]
    between = smallest_distances(grid, grid, left)
    placements = []
    for number in range(_CHAINS):
        start = grid[annealed_on_grid(between, among, rng)]
        placements.append(_descend(start, among, left, max_iterations))
        progress(0.2 * (number + 1) / _CHAINS, {"loss": min(loss for _, loss in placements)})
    placements.sort(key=lambda entry: entry[1])
    refined = [
        _descend(annealed_by_turns(quaternions, among, elements, rng), among, left, max_iterations)
        for quaternions, _ in placements[:_REFINED]
    ]
    known, _ = min(refined + placements[:1], key=lambda entry: entry[1])
    progress(0.3, {})
    start = turned_to_fit(_placed(grid, known, given[:, landmarks], left), known, given[:, landmarks], elements, rng)
    start[landmarks] = known
    quaternions, loss, curve = _settle(start, given, left, grid, max_iterations, progress)
    for _ in range(_WEIGHTINGS):
        induced = squareform(closest_elements(quaternions, left)[0], checks=False)
        weights = spread_weights(values, induced - values)
        quaternions, _ = _descend(quaternions, given, left, max_iterations, weights)
    loss = float(np.mean((squareform(closest_elements(quaternions, left)[0], checks=False) - values) ** 2))
    progress(1.0, {"loss": loss})
    residuals = np.array([loss for _, loss in placements])
    return Recovery(from_quaternion(quaternions), loss, np.array(curve), residuals, np.array([0.0, 1.0]))


def spread_weights(given: Array, differences: Array) -> Array:
    """Weights (m,) with mean one for pairs with given distances (m,): the inverse variance of ``differences`` (m,).

    The variance is that among pairs with similar given distances, a thirtieth of all pairs.
    """
    variance = np.empty(len(given))
    for alike in np.array_split(np.argsort(given), min(_ALIKE, len(given))):
        variance[alike] = np.mean(differences[alike].astype(float) ** 2)
    weights = 1 / (variance + _LEAST_VARIANCE * variance.mean() + _ZERO)
    return weights / weights.mean()


def symmetric_loss(
    quaternions: Array, first: Indices, partner: NDArray[np.intp], distances: Array, left: Array, weights: Array
) -> tuple[float, Array]:
    """Mean weighted squared difference (rad^2) of given distances (m,) and those of quaternions (n, 4), with gradient.

    ``partner`` (m,) encodes the pose R_j, and the group element g applied to it, with which pose ``first`` (m,) is
    compared, ``d(R_i, g R_j)``: it is ``g * n + j``, with g an index into ``left`` (|G|, 4, 4).
    """
    count = len(quaternions)
    moved = np.einsum("gab,nb->gna", left, quaternions).reshape(-1, 4)
    s = np.einsum("mi,mi->m", np.take(quaternions, first, axis=0), np.take(moved, partner, axis=0))
    cosine = np.minimum(np.abs(s), 1.0)
    difference = 2 * np.arccos(cosine) - distances
    slope = -4.0 / len(s) * weights * difference * np.sign(s) / np.maximum(np.sqrt(1 - cosine**2), 1e-7)
    coefficients = sparse.csr_array((slope, (first, partner)), shape=(count, len(moved)))
    backward = (coefficients.T @ quaternions).reshape(len(left), count, 4)
    gradient = coefficients @ moved + np.einsum("gab,gna->nb", left, backward)
    gradient -= quaternions * np.einsum("ni,ni->n", gradient, quaternions)[:, None]
    return float(np.mean(weights * difference**2)), gradient


def closest_elements(quaternions: Array, left: Array) -> tuple[Array, NDArray[np.intp]]:
    """``min_g d(R_i, g R_j)`` (n, n) in rad and the index of the element that attains it (n, n)."""
    best = np.full((len(quaternions), len(quaternions)), -1.0)
    choice = np.zeros(best.shape, dtype=np.intp)
    for number, matrix in enumerate(left):
        s = np.abs(quaternions @ (quaternions @ matrix.T).T)
        closer = s > best
        best[closer] = s[closer]
        choice[closer] = number
    return 2 * np.arccos(np.minimum(best, 1.0)), choice


def _settle(
    quaternions: Array, given: Array, left: Array, grid: Array, max_iterations: int, progress: Progress = silent
) -> tuple[Array, float, list[float]]:
    """Descend and move projections that fit better elsewhere until the loss settles; with the loss of every round."""
    quaternions, loss = _descend(quaternions, given, left, max_iterations)
    curve = [loss]
    for number in range(_ROUNDS):
        moved = _moved_to_better_places(quaternions, given, left, grid)
        tried, tried_loss = _descend(moved, given, left, max_iterations)
        gained = loss - tried_loss
        if gained > 0:
            quaternions, loss = tried, tried_loss
            curve.append(loss)
        progress(0.4 + 0.6 * (number + 1) / _ROUNDS, {"loss": loss})
        if gained <= _SETTLED * loss:
            break
    return quaternions, loss, curve


def _descend(
    quaternions: Array, given: Array, left: Array, max_iterations: int, weights: Array | None = None
) -> tuple[Array, float]:
    """Local minimum, alternating the choice of closest elements with L-BFGS; equal weights when not given."""
    shape = quaternions.shape
    pairs = all_pairs(len(given))
    first, second = pairs.first, pairs.second
    distances = given[first, second]
    weights = np.ones(len(distances)) if weights is None else weights
    loss = np.inf
    for _ in range(_ROUNDS):
        _, choice = closest_elements(quaternions, left)
        partner = choice[first, second] * len(given) + second

        def objective(flat: Array, partner: NDArray[np.intp] = partner) -> tuple[float, Array]:
            free = flat.reshape(shape)
            norms = np.linalg.norm(free, axis=1, keepdims=True)
            value, gradient = symmetric_loss(free / norms, first, partner, distances, left, weights)
            return value, (gradient / norms).ravel()

        options = {"maxiter": max_iterations, "ftol": 1e-7, "gtol": 1e-12}
        result = minimize(objective, quaternions.ravel(), jac=True, method="L-BFGS-B", options=options)
        solution = result.x.reshape(shape)
        quaternions = solution / np.linalg.norm(solution, axis=1, keepdims=True)
        gained = loss - result.fun
        loss = float(result.fun)
        if gained <= _SETTLED * loss:
            break
    return quaternions, loss


def _moved_to_better_places(quaternions: Array, given: Array, left: Array, grid: Array) -> Array:
    """Half of the projections that fit better at some grid orientation, those that gain most, are moved there."""
    induced, _ = closest_elements(quaternions, left)
    own = ((induced - given) ** 2).sum(axis=1)
    places, misfit = _best_places(grid, quaternions, given, left)
    gain = own - misfit
    better = np.flatnonzero(gain > 0)
    chosen = better[np.argsort(-gain[better])][: (len(better) + 1) // 2]
    moved = quaternions.copy()
    moved[chosen] = grid[places[chosen]]
    return moved


def _placed(grid: Array, known: Array, to_known: Array, left: Array) -> Array:
    """Each projection at the grid orientation whose distances to the known (k, 4) fit ``to_known`` (n, k) best."""
    return grid[_best_places(grid, known, to_known, left)[0]]


def _best_places(grid: Array, known: Array, to_known: Array, left: Array) -> tuple[NDArray[np.intp], Array]:
    """For each row of distances (n, k) the best of the grid orientations and its sum of squared differences."""
    from_grid = smallest_distances(grid, known, left).astype(float)
    misfit = (from_grid**2).sum(axis=1)[:, None] - 2 * from_grid @ to_known.T + (to_known**2).sum(axis=1)[None]
    return misfit.argmin(axis=0), misfit.min(axis=0)
