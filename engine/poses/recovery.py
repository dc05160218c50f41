"""Poses from distances: minimise the difference between the given and the induced distances.

Three steps. The **initialisation** is spectral (:mod:`poses.embedding`), which avoids local minima; or, for
comparison, another embedding (:mod:`poses.manifold`) or the best of many random starts. The **descent** minimises
the mean squared difference of the distances over unit quaternions, on all given pairs, with L-BFGS and exact gradients.
The **calibration** corrects for systematic errors of the estimated distances (a network's predictions shrink towards
the mean; noise cannot push a distance beyond 0 or pi): with the poses of the descent, the expected estimate is fitted
as a polynomial of the induced distance, and the descent continues with it in place of the induced distance. No true
pose is used.

Distances are invariant under ``R -> A R B`` and under ``R -> R.T``, so the result is one of many equally good ones;
:mod:`poses.alignment` aligns it with known poses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

from ..base.errors import ArgumentError
from ..base.progress import Progress, silent
from ..geometry.rotations import from_quaternion, geodesic_distance, to_quaternion
from .choices import Initialisation
from .embedding import embeddings, poses_from_embedding
from .manifold import pose_embedding
from .pairs import PairDistances, Pairs

Array = NDArray[np.floating]

_IDENTITY = Polynomial([0.0, 1.0])
_DEGREE = 5  # of the calibration
_LEAST_GAIN = 0.01  # of the loss; a calibration that lowers it by less changes no pose
_CALIBRATION_PAIRS = 500_000
_BLOCK = 1 << 20  # pairs processed together: bounds the work space
_TRIAL_ITERATIONS = 25  # of each random start
_TRIAL_PAIRS = 50  # pairs per projection (so 100 partners each) on which a random start is tried
_EXACT = 1e-9  # rad^2; the loss that rounding leaves where distances are exact in single precision


class UnconnectedError(ArgumentError):
    """The pairs leave some projections unconnected to the others."""


@dataclass(frozen=True, eq=False, repr=False)
class Recovery:
    """Recovered poses (n, 3, 3), their loss (mean squared difference of distances, rad^2) and how it was reached.

    ``loss_curve`` is the loss at each iteration of the descent from the start, before any calibration;
    ``start_residuals`` are the residuals of all starts from an embedding, or the losses of all random ones (rad^2), of
    which the smallest was taken. ``calibration`` holds the coefficients of the expected estimate (rad) as a polynomial
    of the induced distance (rad), constant first; (0, 1) where there was none.
    """

    poses: Array
    loss: float
    loss_curve: Array
    start_residuals: Array
    calibration: Array

    def __repr__(self) -> str:
        return f"Recovery({len(self.poses):,} poses, loss {self.loss:.4g} rad²)"


def recover_poses(
    distances: PairDistances,
    rng: np.random.Generator,
    restarts: int = 50,
    max_iterations: int = 200,
    calibrate: bool = True,
    progress: Progress = silent,
    initialisation: Initialisation = "spectral",
) -> Recovery:
    """Poses of projections from estimated distances of pairs of them.

    ``max_iterations`` bounds each descent: the first, and the one after each of the two calibrations. Estimates
    without noticeable systematic errors are not calibrated. ``restarts`` is the number of starts of the search that
    follows an embedding, or of random initialisations, each of them short and on part of the pairs.

    Raises
    ------
    ArgumentError
        for distances that are not finite, and when the pairs leave some projections unconnected to the others: their
        relative poses are undetermined.
    """
    _require_finite(distances)
    _require_connected(distances)
    if initialisation == "random":
        quaternions, residuals = _best_random_start(distances, rng, restarts, progress)
    else:
        quaternions, residuals = _embedded_start(distances, rng, restarts, initialisation)
    progress(0.3, {"start_residual": float(residuals.min())})
    quaternions, curve = _descend(quaternions, distances, _IDENTITY, max_iterations, 0.3, 0.4, progress)
    expected = _IDENTITY
    for begin in (0.7, 0.85) if calibrate else ():
        better = _expected_estimate(quaternions, distances, expected, rng)
        if better is None:
            break
        expected = better
        descent = _descend(quaternions, distances, expected, max_iterations, begin, 0.15, progress)
        quaternions = descent[0]
    loss = recovery_loss(quaternions, distances)[0]
    progress(1.0, {"loss": loss})
    return Recovery(from_quaternion(quaternions), loss, curve, residuals, np.asarray(expected.coef, dtype=float))


def recovery_loss_from(quaternions: Array, distances: PairDistances, max_iterations: int = 200) -> float:
    """The loss (rad^2) at the local minimum that the descent reaches from these unit quaternions (n, 4)."""
    _, curve = _descend(quaternions, distances, _IDENTITY, max_iterations, 0.0, 1.0, silent)
    return float(curve[-1])


def recovery_loss(
    quaternions: Array, distances: PairDistances, expected: Polynomial = _IDENTITY
) -> tuple[float, Array]:
    """Mean squared difference (rad^2) between distances induced by unit quaternions (n, 4) and given ones, and its
    gradient; with ``expected``, between that polynomial of the induced distances and the given ones.

    ``d = 2 arccos |s|`` with ``s = q_i . q_j``; the gradient (n, 4) is the one along the unit sphere. It is finite
    where arccos is not smooth: at s = 1 the direction it multiplies vanishes as fast as its derivative grows.
    """
    count, slope = len(quaternions), expected.deriv()
    total, gradient = 0.0, np.zeros_like(quaternions)
    for start in range(0, len(distances), _BLOCK):
        block = slice(start, start + _BLOCK)
        i, j = distances.first[block], distances.second[block]
        # np.take gathers rows in a third of the time of fancy indexing.
        s = np.einsum("mi,mi->m", np.take(quaternions, i, axis=0), np.take(quaternions, j, axis=0))
        cosine = np.minimum(np.abs(s), 1.0)
        induced = 2.0 * np.arccos(cosine)
        difference = (induced if expected is _IDENTITY else expected(induced)) - distances.values[block]
        total += float(difference @ difference)
        factor = difference * np.sign(s) / np.maximum(np.sqrt(1.0 - cosine**2), 1e-7)
        if expected is not _IDENTITY:
            factor *= slope(induced)
        coefficients = sparse.csr_array((factor, (i, j)), shape=(count, count))
        gradient += coefficients @ quaternions + coefficients.T @ quaternions
    gradient *= -4.0 / len(distances)
    gradient -= quaternions * np.einsum("ni,ni->n", gradient, quaternions)[:, None]
    return total / len(distances), gradient


def _require_finite(distances: PairDistances) -> None:
    wrong = np.count_nonzero(~np.isfinite(distances.values))
    if wrong:
        raise ArgumentError(
            "{distances}: {wrong:,} of {count:,} are NaN or infinite; wanted angles in radians, from 0 to pi",
            "distances", wrong=wrong, count=len(distances),
        )  # fmt: skip


def _require_connected(pairs: Pairs) -> None:
    count = pairs.count
    graph = sparse.coo_array((np.ones(len(pairs)), (pairs.first, pairs.second)), shape=(count, count))
    pieces, labels = sparse.csgraph.connected_components(graph, directed=False)
    if pieces > 1:
        alone = count - np.bincount(labels).max()
        raise UnconnectedError(
            "the {given} pairs of {distances} leave {alone} of {count} projections unconnected to the others, so their "
            "poses are undetermined; wanted more pairs", "distances", given=len(pairs), alone=alone, count=count,
        )  # fmt: skip


def _embedded_start(
    distances: PairDistances, rng: np.random.Generator, restarts: int, method: Literal["spectral", "mds", "isomap"]
) -> tuple[Array, Array]:
    """Unit quaternions (n, 4) from an embedding of the distances; residuals of the search for them (restarts,)."""
    candidates = embeddings(distances, rng) if method == "spectral" else [pose_embedding(distances, method)]
    starts = []
    for embedding in candidates:
        poses, residuals = poses_from_embedding(embedding, rng, restarts)
        quaternions = to_quaternion(poses)
        starts.append((recovery_loss(quaternions, distances)[0], quaternions, residuals))
    _, quaternions, residuals = min(starts, key=lambda start: start[0])
    return quaternions, residuals


def _best_random_start(
    distances: PairDistances, rng: np.random.Generator, restarts: int, progress: Progress
) -> tuple[Array, Array]:
    """Unit quaternions (n, 4) after the best of short descents from random ones; the loss of each (restarts,)."""
    count = distances.count
    some = distances[rng.choice(len(distances), min(len(distances), count * _TRIAL_PAIRS), replace=False)]
    best: Array = np.empty((count, 4))
    losses = np.full(restarts, np.inf)
    for number in range(restarts):
        start = rng.standard_normal((count, 4))
        start /= np.linalg.norm(start, axis=1, keepdims=True)
        tried, curve = _descend(start, some, _IDENTITY, _TRIAL_ITERATIONS, 0.0, 0.0, silent)
        losses[number] = curve[-1]
        if losses[number] == losses.min():
            best = tried
        progress(0.3 * (number + 1) / restarts, {"loss": float(losses.min())})
    return best, losses


def _expected_estimate(
    quaternions: Array, distances: PairDistances, now: Polynomial, rng: np.random.Generator
) -> Polynomial | None:
    """Least-squares polynomial of the given distances against those that the quaternions induce.

    None where it fits hardly better than the current polynomial ``now``, and where it is not monotonic: larger
    distances could then not be distinguished from smaller ones.
    """
    if len(distances) > _CALIBRATION_PAIRS:
        distances = distances[rng.integers(len(distances), size=_CALIBRATION_PAIRS)]
    induced = geodesic_distance(quaternions[distances.first], quaternions[distances.second])
    given = distances.values
    fitted = Polynomial.fit(induced, given, min(_DEGREE, len(np.unique(induced)) - 1)).convert()
    loss_now, loss_then = (float(np.mean((curve(induced) - given) ** 2)) for curve in (now, fitted))
    rises = bool(np.all(fitted.deriv()(np.linspace(induced.min(), induced.max(), 100)) > 0))
    return fitted if rises and loss_now - loss_then > max(_LEAST_GAIN * loss_now, _EXACT) else None


def _descend(
    quaternions: Array,
    distances: PairDistances,
    expected: Polynomial,
    max_iterations: int,
    begin: float,
    share: float,
    progress: Progress,
) -> tuple[Array, Array]:
    """Local minimum of :func:`recovery_loss`: quaternions (n, 4) and the loss at each iteration.

    ``begin`` and ``share`` give the part of the overall progress that this covers.
    """
    shape = quaternions.shape

    def objective(flat: Array) -> tuple[float, Array]:
        free = flat.reshape(shape)
        norms = np.linalg.norm(free, axis=1, keepdims=True)
        loss, gradient = recovery_loss(free / norms, distances, expected)
        return loss, (gradient / norms).ravel()

    curve = [objective(quaternions.ravel())[0]]

    def record(intermediate_result: object) -> None:
        curve.append(float(intermediate_result.fun))  # type: ignore[attr-defined]
        done = min(1.0, len(curve) / max_iterations)
        progress(begin + share * done, {"iteration": len(curve) - 1, "loss": curve[-1]})

    result = minimize(
        objective,
        quaternions.ravel(),
        jac=True,
        method="L-BFGS-B",
        callback=record,
        # The loss is a mean over all pairs: its gradient with respect to one pose is of the order 1 / n.
        options={"maxiter": max_iterations, "ftol": 1e-9, "gtol": 1e-12},
    )
    solution = result.x.reshape(shape)
    curve[-1] = float(result.fun)
    return solution / np.linalg.norm(solution, axis=1, keepdims=True), np.array(curve)
