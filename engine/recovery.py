"""Poses from distances: minimise the difference between the given and the induced distances.

Two steps. The **start** is spectral: the traces ``1 + 2 cos d_ij = tr(R_i^T R_j) = <vec R_i, vec R_j>`` form a Gram
matrix of rank 9, whose leading eigenvectors are the vectorised poses up to one orthogonal 9 x 9 matrix. That matrix is
found by alternating projections from many random starts on a subset of the projections, which costs milliseconds. The
**refinement** minimises the mean squared difference of the distances themselves over unit quaternions, on all pairs
given, with L-BFGS and exact gradients.

Distances do not change under ``R -> A R B`` nor ``R -> R.T``, so the result is one of many equally good ones;
:mod:`engine.alignment` compares it to known poses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from scipy.sparse.csgraph import shortest_path
from scipy.sparse.linalg import eigsh

from engine.errors import InputError
from engine.pairs import Indices
from engine.progress import Progress, silent
from engine.rotations import from_quaternion, nearest_rotation, to_quaternion

Array = NDArray[np.floating]

_RANK = 9
_SUBSET = 200  # projections on which the 9 x 9 matrix is sought
_ALTERNATIONS = 60


@dataclass(frozen=True)
class Recovery:
    """Recovered poses (n, 3, 3), their loss (mean squared difference of distances, rad^2) and how it got there.

    ``loss_curve`` is the loss at each iteration of the refinement, the first at its start, the last that of ``poses``;
    ``start_residuals`` are the residuals of all spectral starts, of which the smallest was refined.
    """

    poses: Array
    loss: float
    loss_curve: Array
    start_residuals: Array


def recover_poses(
    count: int,
    first: Indices,
    second: Indices,
    distances: NDArray[np.floating],
    rng: np.random.Generator,
    restarts: int = 50,
    max_iterations: int = 200,
    progress: Progress = silent,
) -> Recovery:
    """Poses of ``count`` projections from estimated distances (rad) of pairs ``(first, second)``.

    Raises
    ------
    InputError
        when the pairs leave some projections unconnected to the others: their relative poses are undetermined.
    """
    _require_connected(count, first, second)
    starts = []
    for gram in _completed_grams(count, first, second, distances):
        poses, residuals = poses_from_embedding(_leading_embedding(gram), rng, restarts)
        quaternions = to_quaternion(poses)
        starts.append((recovery_loss(quaternions, first, second, distances)[0], quaternions, residuals))
    _, quaternions, residuals = min(starts, key=lambda start: start[0])
    progress(0.3, {"start_residual": float(residuals.min())})
    quaternions, loss_curve = _refine(quaternions, first, second, distances.astype(float), max_iterations, progress)
    progress(1.0, {"loss": float(loss_curve[-1])})
    return Recovery(from_quaternion(quaternions), float(loss_curve[-1]), loss_curve, residuals)


def recovery_loss(
    quaternions: Array, first: Indices, second: Indices, distances: NDArray[np.floating]
) -> tuple[float, Array]:
    """Mean squared difference (rad^2) between distances induced by unit quaternions (n, 4) and given ones, and its
    gradient.

    ``d = 2 arccos |s|`` with ``s = q_i . q_j``; the gradient (n, 4) is the one along the unit sphere. It is finite
    where arccos is not smooth: at s = 1 the direction it multiplies vanishes as fast as its derivative grows.
    """
    s = np.einsum("mi,mi->m", quaternions[first], quaternions[second])
    cosine = np.minimum(np.abs(s), 1.0)
    difference = 2.0 * np.arccos(cosine) - distances
    slope = -4.0 / len(s) * difference * np.sign(s) / np.maximum(np.sqrt(1.0 - cosine**2), 1e-7)
    count = len(quaternions)
    coefficients = sparse.csr_array((slope, (first, second)), shape=(count, count))
    gradient = coefficients @ quaternions + coefficients.T @ quaternions
    gradient -= quaternions * np.einsum("ni,ni->n", gradient, quaternions)[:, None]
    return float(np.mean(difference**2)), gradient


def poses_from_embedding(embedding: Array, rng: np.random.Generator, restarts: int) -> tuple[Array, Array]:
    """Rotations nearest to an embedding (n, 9) that equals their vectorised matrices up to an orthogonal 9 x 9 matrix.

    Minimises ``sum_i |X_i A - vec R_i|^2`` over orthogonal A and rotations R_i by turns, each step in closed form
    (Kabsch for R_i, orthogonal Procrustes for A), from random A. About one start in seven ends in the global minimum,
    where the residual is that of the noise; the others are an order of magnitude above. Starts are cheap: they see a
    subset.

    Returns
    -------
    poses (n, 3, 3) and the mean squared residual of every start (restarts,).
    """
    subset = embedding[rng.permutation(len(embedding))[:_SUBSET]]
    maps = np.linalg.qr(rng.standard_normal((restarts, _RANK, _RANK)))[0]
    for _ in range(_ALTERNATIONS):
        u, _, vt = np.linalg.svd(subset.T @ _nearest_vectors(subset @ maps))
        maps = u @ vt
    mapped = subset @ maps
    residuals = np.mean((mapped - _nearest_vectors(mapped)) ** 2, axis=(1, 2))
    best = embedding @ maps[residuals.argmin()]
    return nearest_rotation(best.reshape(-1, 3, 3)), residuals


def _nearest_vectors(vectors: Array) -> Array:
    return nearest_rotation(vectors.reshape(*vectors.shape[:-1], 3, 3)).reshape(vectors.shape)


def _require_connected(count: int, first: Indices, second: Indices) -> None:
    graph = sparse.coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    pieces, labels = sparse.csgraph.connected_components(graph, directed=False)
    if pieces > 1:
        alone = count - np.bincount(labels).max()
        raise InputError(
            f"the {len(first)} pairs that recovery uses leave {alone} of {count} projections unconnected to the "
            "others, so their poses are undetermined; raise recovery.max_distance or recovery.pairs_per_projection"
        )


def _completed_grams(
    count: int, first: Indices, second: Indices, distances: NDArray[np.floating]
) -> list[NDArray[np.float32]]:
    """Gram matrices (n, n) of traces ``1 + 2 cos d``; pairs that are not given are filled in two ways.

    Shortest paths through the given pairs (Isomap; Tenenbaum, de Silva & Langford, 2000) suit neighbours; the mean
    trace suits pairs drawn at random. Either is then improved by a few rounds of replacing what is missing by the best
    approximation of rank 9 (hard-impute; Mazumder, Hastie & Tibshirani, 2010).
    """
    traces = (1 + 2 * np.cos(distances)).astype(np.float32)
    if 2 * len(first) == count * (count - 1):
        return [_symmetric(count, first, second, traces, 0.0)]
    weights = np.maximum(distances, 1e-9)  # an explicit zero would be read as a missing pair
    graph = sparse.csr_array((weights, (first, second)), shape=(count, count))
    paths = np.minimum(shortest_path(graph, directed=False), np.pi)
    by_paths = (1 + 2 * np.cos(paths)).astype(np.float32)
    by_mean = _symmetric(count, first, second, traces, float(traces.mean()))
    return [_impute(gram, first, second, traces) for gram in (by_paths, by_mean)]


def _symmetric(
    count: int, first: Indices, second: Indices, traces: NDArray[np.float32], fill: float
) -> NDArray[np.float32]:
    gram = np.full((count, count), fill, dtype=np.float32)
    gram[first, second] = gram[second, first] = traces
    np.fill_diagonal(gram, 3.0)
    return gram


def _impute(
    gram: NDArray[np.float32], first: Indices, second: Indices, traces: NDArray[np.float32], rounds: int = 10
) -> NDArray[np.float32]:
    for _ in range(rounds):
        embedding = _leading_embedding(gram)
        gram = np.clip(embedding @ embedding.T, -1, 3).astype(np.float32)
        gram[first, second] = gram[second, first] = traces
        np.fill_diagonal(gram, 3.0)
    return gram


def _leading_embedding(gram: NDArray[np.float32]) -> Array:
    """Rows (n, 9) whose Gram matrix is the best approximation of rank 9 (classical scaling; Torgerson, 1952)."""
    if len(gram) <= 2 * _RANK:
        values, vectors = np.linalg.eigh(gram)
    else:
        values, vectors = eigsh(gram, k=_RANK, v0=np.ones(len(gram), dtype=np.float32))
    embedding = vectors[:, -_RANK:] * np.sqrt(np.maximum(values[-_RANK:], 0))
    missing = _RANK - embedding.shape[1]
    return np.pad(embedding.astype(float), ((0, 0), (missing, 0))) if missing > 0 else embedding.astype(float)


def _refine(
    quaternions: Array,
    first: Indices,
    second: Indices,
    distances: Array,
    max_iterations: int,
    progress: Progress,
) -> tuple[Array, Array]:
    """Local minimum of :func:`recovery_loss`: quaternions (n, 4) and the loss at each iteration."""
    shape = quaternions.shape

    def objective(flat: Array) -> tuple[float, Array]:
        free = flat.reshape(shape)
        norms = np.linalg.norm(free, axis=1, keepdims=True)
        loss, gradient = recovery_loss(free / norms, first, second, distances)
        return loss, (gradient / norms).ravel()

    curve = [objective(quaternions.ravel())[0]]

    def record(intermediate_result: object) -> None:
        curve.append(float(intermediate_result.fun))  # type: ignore[attr-defined]
        progress(0.3 + 0.7 * min(1.0, len(curve) / max_iterations), {"iteration": len(curve) - 1, "loss": curve[-1]})

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
