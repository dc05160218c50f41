"""Poses up to one orthogonal 9 x 9 matrix, by linear algebra; and the search for that matrix.

The traces ``1 + 2 cos d_ij = tr(R_i^T R_j) = <vec R_i, vec R_j>`` form a Gram matrix of rank 9, whose leading
eigenvectors are the vectorised poses up to one orthogonal 9 x 9 matrix. Up to a few thousand projections the full
matrix is held, with missing pairs imputed. Beyond, only the given pairs are held: the leading eigenvectors of the
sparse matrix are improved by alternating least squares, and time and memory grow with the number of pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import shortest_path
from scipy.sparse.linalg import eigsh

from ..geometry.rotations import nearest_rotation
from .choices import MOST_HELD
from .pairs import PairDistances, Pairs

Array = NDArray[np.floating]

RANK = 9
_SUBSET = 200  # projections on which the 9 x 9 matrix is sought
_ALTERNATIONS = 60
_SPARSE_PAIRS = 50  # pairs per projection (so 100 partners each) that the sparse embedding uses
_SPARSE_ROUNDS = 20


def embeddings(distances: PairDistances, rng: np.random.Generator) -> list[Array]:
    """Candidates (n, 9) for the vectorised poses up to an orthogonal matrix, from distances of pairs.

    Up to :data:`poses.choices.MOST_HELD` projections, missing pairs are imputed by shortest paths, which suits
    pairs of neighbours, and by the mean trace, which suits random pairs: two candidates.
    """
    if distances.count > MOST_HELD:
        return [_sparse_embedding(distances, rng)]
    return [_leading_embedding(gram) for gram in _completed_grams(distances)]


def completed_distances(distances: PairDistances) -> Array:
    """All distances (n, n) in rad; missing ones are imputed by shortest paths through the given ones."""
    if distances.complete:
        return distances.square()
    weights = np.maximum(distances.values, 1e-9)  # an explicit zero would be read as a missing pair
    graph = _matrix(distances, weights)
    return np.minimum(shortest_path(graph, directed=False), np.pi)


def poses_from_embedding(embedding: Array, rng: np.random.Generator, restarts: int) -> tuple[Array, Array]:
    """Rotations nearest to an embedding (n, 9) that equals their vectorised matrices up to an orthogonal 9 x 9 matrix.

    Minimises ``sum_i |X_i A - vec R_i|^2`` over orthogonal A and rotations R_i by alternating, each step in closed
    form (Kabsch for R_i, orthogonal Procrustes for A), from random A. About one start in seven reaches the global
    minimum, where the residual is that of the noise; the residuals of the others are an order of magnitude larger.
    Starts are cheap: they use a subset of the projections.

    Returns
    -------
    poses (n, 3, 3) and the mean squared residual of every start (restarts,).
    """
    subset = embedding[rng.permutation(len(embedding))[:_SUBSET]]
    maps = np.linalg.qr(rng.standard_normal((restarts, RANK, RANK)))[0]
    for _ in range(_ALTERNATIONS):
        u, _, vt = np.linalg.svd(subset.T @ _nearest_vectors(subset @ maps))
        maps = u @ vt
    mapped = subset @ maps
    residuals = np.mean((mapped - _nearest_vectors(mapped)) ** 2, axis=(1, 2))
    best = embedding @ maps[residuals.argmin()]
    return nearest_rotation(best.reshape(-1, 3, 3)), residuals


def _nearest_vectors(vectors: Array) -> Array:
    return nearest_rotation(vectors.reshape(*vectors.shape[:-1], 3, 3)).reshape(vectors.shape)


def _matrix(pairs: Pairs, values: Array) -> sparse.csr_array:
    """Sparse (n, n) with ``values`` (m,) at the pairs, each entered once."""
    return sparse.csr_array((values, (pairs.first, pairs.second)), shape=(pairs.count, pairs.count))


def _completed_grams(distances: PairDistances) -> list[NDArray[np.float32]]:
    """Gram matrices (n, n) of traces ``1 + 2 cos d``; missing pairs are imputed in two ways.

    Shortest paths through the given pairs (Isomap; Tenenbaum, de Silva & Langford, 2000) suit neighbours; the mean
    trace suits random pairs. Both are then improved by a few rounds of replacing the missing entries with the best
    approximation of rank 9 (hard-impute; Mazumder, Hastie & Tibshirani, 2010).
    """
    traces = (1 + 2 * np.cos(distances.values)).astype(np.float32)
    if distances.complete:
        return [_symmetric(distances, traces, 0.0)]
    by_paths = (1 + 2 * np.cos(completed_distances(distances))).astype(np.float32)
    by_mean = _symmetric(distances, traces, float(traces.mean()))
    return [_impute(gram, distances, traces) for gram in (by_paths, by_mean)]


def _symmetric(pairs: Pairs, traces: NDArray[np.float32], fill: float) -> NDArray[np.float32]:
    gram = np.full((pairs.count, pairs.count), fill, dtype=np.float32)
    gram[pairs.first, pairs.second] = gram[pairs.second, pairs.first] = traces
    np.fill_diagonal(gram, 3.0)
    return gram


def _impute(
    gram: NDArray[np.float32], pairs: Pairs, traces: NDArray[np.float32], rounds: int = 10
) -> NDArray[np.float32]:
    for _ in range(rounds):
        embedding = _leading_embedding(gram)
        gram = np.clip(embedding @ embedding.T, -1, 3).astype(np.float32)
        gram[pairs.first, pairs.second] = gram[pairs.second, pairs.first] = traces
        np.fill_diagonal(gram, 3.0)
    return gram


def _leading_embedding(gram: NDArray[np.float32]) -> Array:
    """Rows (n, 9) whose Gram matrix is the best approximation of rank 9 (classical scaling; Torgerson, 1952)."""
    if len(gram) <= 2 * RANK:
        values, vectors = np.linalg.eigh(gram)
    else:
        values, vectors = eigsh(gram, k=RANK, v0=np.ones(len(gram), dtype=np.float32))
    embedding = vectors[:, -RANK:] * np.sqrt(np.maximum(values[-RANK:], 0))
    missing = RANK - embedding.shape[1]
    return np.pad(embedding.astype(float), ((0, 0), (missing, 0))) if missing > 0 else embedding.astype(float)


def _sparse_embedding(distances: PairDistances, rng: np.random.Generator) -> Array:
    """The factor (n, 9) of the given entries of the Gram matrix, from those alone.

    Alternating least squares (Jain, Netrapalli & Sanghavi, 2013): with one factor known, each row of the other is the
    solution of a 9 x 9 system.
    """
    count, wanted = distances.count, min(len(distances), distances.count * _SPARSE_PAIRS)
    some = distances[rng.choice(len(distances), wanted, replace=False)] if wanted < len(distances) else distances
    a, b = np.concatenate([some.first, some.second]), np.concatenate([some.second, some.first])
    traces = np.tile((1 + 2 * np.cos(some.values)).astype(np.float32), 2)
    gram = sparse.csr_array((traces, (a, b)), shape=(count, count))
    given = sparse.csr_array((np.ones_like(traces), (a, b)), shape=(count, count))
    _, vectors = eigsh(gram, k=RANK, v0=np.ones(count, dtype=np.float32), tol=1e-2)
    factor = np.asarray(vectors, dtype=np.float32) * np.float32(np.sqrt(count / 3))  # rows of a pose have norm sqrt(3)
    rows, columns = np.triu_indices(RANK)
    for _ in range(_SPARSE_ROUNDS):
        products = given @ (factor[:, rows] * factor[:, columns])
        normal = np.empty((count, RANK, RANK))
        normal[:, rows, columns] = normal[:, columns, rows] = products
        normal += 1e-3 * np.eye(RANK)  # for projections in fewer than nine pairs
        other = np.linalg.solve(normal, (gram @ factor)[:, :, None].astype(float))[:, :, 0]
        factor = _balanced(other, factor.astype(float)).astype(np.float32)
    return factor.astype(float)


def _balanced(left: Array, right: Array) -> Array:
    """X (n, r) with ``X X^T`` near ``left @ right.T``, for factors (n, r) of a symmetric matrix."""
    core = np.linalg.lstsq(left.T @ left, left.T @ right, rcond=None)[0]  # right = left @ core
    values, vectors = np.linalg.eigh((core + core.T) / 2)
    return left @ (vectors * np.sqrt(np.maximum(values, 1e-6)))
