"""Which projections are neighbours by their true poses, which by estimated distances, and how well the two agree.

Distances are full symmetric matrices (n, n), or condensed in SciPy's order (n * (n - 1) / 2,). The ``k`` nearest of a
projection are the ``k`` others at the smallest distances; ties go to the lower index.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from ..base.errors import ArgumentError

Array = NDArray[np.floating]

NEIGHBOURS = 10
"""k of the metric ``neighbour_recall_at_10``."""


def nearest(distances: Array, k: int) -> NDArray[np.int32]:
    """Indices (n, k) of each projection's nearest others, nearest first, from distances (n, n).

    Raises ArgumentError unless 0 < k < n.
    """
    count = len(distances)
    if not 0 < k < count:
        raise ArgumentError(
            "{k} is {given}; wanted at least 1 and at most {most} neighbours of {count} projections", "k", given=k,
            most=count - 1, count=count,
        )  # fmt: skip
    neighbours = np.empty((count, k), dtype=np.int32)
    for row in range(count):
        others = distances[row].copy()
        others[row] = np.inf
        farthest = np.partition(others, k - 1)[k - 1]
        inside = np.flatnonzero(others <= farthest)
        neighbours[row] = inside[np.argsort(others[inside], kind="stable")[:k]]
    return neighbours


def adjacency(distances: Array, k: int) -> NDArray[np.bool_]:
    """The kNN graph (n, n): row i marks the k nearest of projection i, so it need not be symmetric."""
    graph = np.zeros(distances.shape, dtype=bool)
    np.put_along_axis(graph, nearest(distances, k), True, axis=1)
    return graph


def recall(true: Array, estimated: Array, ks: Sequence[int]) -> Array:
    """Recall at each k (len(ks),): the share of the k truly nearest that are among the k nearest by estimate.

    A mean over all projections; both distances (n, n). By chance it is k / (n - 1).
    """
    most = max(ks)
    return _shared(nearest(true, most), nearest(estimated, most), ks)


def neighbour_recall(true: Array, estimated: Array, count: int) -> float:
    """Recall at ten from condensed distances of ``count`` projections; at ``count // 2`` for fewer than twenty."""
    k = min(NEIGHBOURS, count // 2)
    by_pose, by_estimate = (nearest(squareform(distances, checks=False), k) for distances in (true, estimated))
    return float(_shared(by_pose, by_estimate, [k])[0])


def seriation(distances: Array) -> NDArray[np.intp]:
    """An order (n,) that puts near projections together: that of the leaves of their average-linkage tree."""
    return leaves_list(linkage(squareform(distances, checks=False), "average", optimal_ordering=True))


def _shared(true: NDArray[np.int32], estimated: NDArray[np.int32], ks: Sequence[int]) -> Array:
    """Shares (len(ks),) from ranked neighbours (n, at least max(ks)): one is shared at k if both ranks are below."""
    same = true[:, :, None] == estimated[:, None, :]
    first, second = np.nonzero(same)[1:]
    needed = np.bincount(np.maximum(first, second), minlength=true.shape[1])
    shared = np.cumsum(needed)
    return np.array([shared[k - 1] / (len(true) * k) for k in ks])
