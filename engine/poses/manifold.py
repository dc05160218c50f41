"""Embeddings of projections in two or three dimensions from their distances alone; and their Gram matrix.

Distances are full symmetric matrices (n, n) in radians with zeros on the diagonal. Three methods of scikit-learn:
``mds`` preserves all distances as well as possible, ``isomap`` those along paths through near neighbours, ``spectral``
only neighbourhoods. SO(3) is a closed manifold of dimension three, which no so low-dimensional space can hold without
distortion, so none of these embeddings is faithful; the rank 9 of the Gram matrix of traces ``1 + 2 cos d`` is exact.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ArgumentError
from ..base.quantities import shown
from .embedding import RANK, completed_distances
from .pairs import PairDistances

Array = NDArray[np.floating]
METHODS = ("mds", "spectral", "isomap")

_NEIGHBOURS = 10
_MDS_ITERATIONS = 200
_START_ITERATIONS = 50  # of an initialisation, which the descent of the recovery improves


def embed(distances: Array, dimensions: int, method: str, seed: int = 0) -> Array:
    """Points (n, dimensions), centred, for projections at these distances (n, n) in rad; seeded.

    ``mds`` and ``isomap`` are in rad, ``spectral`` has no unit.

    Raises
    ------
    ArgumentError
        for an unknown method, for fewer projections than an embedding in so many dimensions needs, and where Isomap
        finds no directions.
    """
    count = len(distances)
    if count < dimensions + 2:
        raise ArgumentError(
            "an embedding in {given} {dimensions} of {count} projections; wanted at least {least} of them",
            "dimensions", given=dimensions, count=count, least=dimensions + 2,
        )  # fmt: skip
    distances = distances.astype(float)
    if not distances.any():
        return np.zeros((count, dimensions))
    if method == "mds":
        points = _mds(distances, dimensions, _MDS_ITERATIONS)
    elif method == "spectral":
        points = _spectral(distances, dimensions, seed)
    elif method == "isomap":
        points = isomap(distances, dimensions)
    else:
        raise ArgumentError(
            "{method} is {given}; wanted one of {all}", "method", given=shown(method), all=", ".join(METHODS)
        )
    return points - points.mean(axis=0)


def pose_embedding(distances: PairDistances, method: Literal["mds", "isomap"]) -> Array:
    """Points (n, 9) near the vectorised poses up to an orthogonal matrix, from distances of pairs.

    ``mds`` embeds the chords ``|R_i - R_j| = sqrt(8) sin(d / 2)``. ``isomap`` embeds the angles: the entries of
    the matrix are the smoothest non-constant functions on SO(3), so the leading nine directions are these, up to a
    factor. Both are centred, which poses need not be, so the points are moved back onto the sphere on which vectorised
    poses lie. Missing distances are imputed by shortest paths.
    """
    full = completed_distances(distances).astype(float)
    dimensions = min(RANK, distances.count - 1)
    if method == "mds":
        points = _mds(np.sqrt(8) * np.sin(full / 2), dimensions, _START_ITERATIONS)
    else:
        points = isomap(full, dimensions)
    return np.pad(_onto_poses_sphere(points), ((0, 0), (0, RANK - dimensions)))


def stress(distances: Array, points: Array) -> float:
    """Kruskal's stress-1 of points (n, dimensions) for distances (n, n): 0 if preserved, 1 if all points coincide."""
    given = distances[np.triu_indices(len(distances), 1)].astype(float)
    first, second = np.triu_indices(len(points), 1)
    kept = np.linalg.norm(points[first] - points[second], axis=1)
    return float(np.sqrt(np.sum((kept - given) ** 2) / np.sum(given**2)))


def isomap(distances: Array, dimensions: int) -> Array:
    """Isomap's points (n, dimensions) in rad (Tenenbaum, de Silva & Langford, 2000), from distances (n, n).

    With as many neighbours as make the graph connected, at least ten.
    """
    from sklearn.manifold import Isomap

    method = Isomap(
        n_neighbors=_connecting_neighbours(distances), n_components=dimensions, metric="precomputed",
        eigen_solver="dense",  # the other starts from unseeded random numbers
    )  # fmt: skip
    try:
        return method.fit_transform(distances)
    except ValueError as error:  # LAPACK gives no eigenvectors where too many eigenvalues are the same
        raise ArgumentError(
            "Isomap finds no directions in the {distances}; wanted some that differ", "distances"
        ) from error


def gram_spectrum(distances: Array) -> Array:
    """Eigenvalues (n,), largest first, of the Gram matrix (n, n) of traces ``1 + 2 cos d``.

    For exact distances all beyond the ninth vanish; for orientations uniform on SO(3) the nine tend to n / 3 each.
    They always add up to 3 n; errors of the distances appear as further eigenvalues, some of them negative.
    """
    gram = 1 + 2 * np.cos(distances.astype(float))
    np.fill_diagonal(gram, 3.0)
    return np.linalg.eigvalsh(gram)[::-1]


def share_of_rank(eigenvalues: Array) -> float:
    """Fraction of the sum of squares of the eigenvalues (n,) in the nine leading ones: 1 for exact distances."""
    leading = np.sort(np.abs(eigenvalues))[::-1][:RANK]
    return float(np.sum(leading**2) / np.sum(eigenvalues**2))


def _onto_poses_sphere(points: Array) -> Array:
    """Points (n, r) translated and scaled so that they lie near a sphere of radius sqrt(3), as rows ``vec R`` do.

    The sphere through them is the solution of linear equations (Kasa, 1976): ``2 x . c + (radius^2 - |c|^2) = |x|^2``.
    """
    equations = np.column_stack([2 * points, np.ones(len(points))])
    solution = np.linalg.lstsq(equations, np.sum(points**2, axis=1), rcond=1e-6)[0]
    centre = solution[:-1]
    radius = np.sqrt(max(solution[-1] + centre @ centre, 1e-12))
    return (points - centre) * (np.sqrt(3) / radius)


def _mds(distances: Array, dimensions: int, iterations: int) -> Array:
    """Metric scaling by majorisation (de Leeuw's SMACOF), from the classical one."""
    from sklearn.manifold import ClassicalMDS, smacof

    with np.errstate(invalid="ignore"):  # the square root of an eigenvalue a little below 0: a dimension without extent
        start = np.nan_to_num(ClassicalMDS(dimensions, metric="precomputed").fit_transform(distances))
    return smacof(
        distances, n_components=dimensions, init=start, n_init=1, max_iter=iterations, normalized_stress=False
    )[0]


def _spectral(distances: Array, dimensions: int, seed: int) -> Array:
    from sklearn.manifold import SpectralEmbedding

    nearest = min(_NEIGHBOURS, len(distances) - 1)
    width = float(np.median(np.partition(distances, nearest, axis=1)[:, nearest])) or float(distances.max()) or 1.0
    affinity = np.exp(-0.5 * (distances / width) ** 2)
    method = SpectralEmbedding(dimensions, affinity="precomputed", random_state=seed)
    with warnings.catch_warnings():
        # Groups of projections far from all others are drawn apart, which is correct.
        warnings.filterwarnings("ignore", "Graph is not fully connected", UserWarning)
        return method.fit_transform(affinity)


def _connecting_neighbours(distances: Array) -> int:
    """The smallest doubling of ten neighbours (fewer for very few projections) that makes the graph connected."""
    from scipy.sparse.csgraph import connected_components
    from sklearn.neighbors import kneighbors_graph

    most = len(distances) - 1
    neighbours = min(_NEIGHBOURS, most)
    while neighbours < most:
        graph = kneighbors_graph(distances, neighbours, metric="precomputed")
        if connected_components(graph, directed=False, return_labels=False) == 1:
            break
        neighbours = min(2 * neighbours, most)
    return neighbours
