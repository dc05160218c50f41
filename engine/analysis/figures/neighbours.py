"""Graphs of nearest neighbours, by true pose and by estimate, and how well the two agree.

``estimated``, ``poses`` and ``symmetry`` are those of :mod:`analysis.figures.manifold`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .data import Axis, Figure, Panel, Series, cells
from .manifold import true_distances

Array = NDArray[np.floating]

_IN_A_MATRIX = 200  # projections: a cell of more would be less than a pixel
_MOST_NEIGHBOURS = 50


def neighbour_graph(estimated: Array, poses: Array, symmetry: str, by_pose: bool, most: int = _IN_A_MATRIX) -> Figure:
    """The graph of the ten nearest by true pose, or by estimate, of the first ``most`` projections: a row a cell of its
    matrix, rows and columns in one order of true pose.

    ``edge`` is 0 where there is none, 1 for one that the other of the two graphs has as well, 2 for one that it has
    not; ``projection`` and ``neighbour`` are the numbers of both ends.
    """
    from scipy.spatial.distance import squareform

    from ...poses import neighbourhood

    distances = squareform(estimated, checks=False)
    count = min(len(distances), most)
    k = min(neighbourhood.NEIGHBOURS, count - 1)
    true = true_distances(poses, symmetry, count)
    order = neighbourhood.seriation(true)
    in_order = np.ix_(order, order)
    graph, other = (neighbourhood.adjacency(each, k)[in_order] for each in (true, distances[:count, :count]))
    if not by_pose:
        graph, other = other, graph
    place = np.arange(count, dtype=np.int16)
    row, column = np.broadcast_arrays(order[:, None], order[None])
    columns = cells(
        place, place, edge=np.where(graph, np.where(other, 1, 2), 0).astype(np.uint8),
        projection=row.astype(np.int16), neighbour=column.astype(np.int16),
    )  # fmt: skip
    alone = "not by estimate" if by_pose else "not by true pose"
    edge = Axis("edge", range=(0.0, 2.0), categories=("none", "by both", alone))
    ends = (-0.5, count - 0.5)
    panel = Panel(
        Axis("neighbour, in the same order", range=ends), Axis("projection, in order of true pose", range=ends[::-1]),
        (Series("nearest", "heatmap", columns),), colour=edge,
    )  # fmt: skip
    which = "true pose" if by_pose else "estimated distance"
    some = "" if count == len(distances) else f" of the first {count}"
    return Figure(
        "nearest-by-pose" if by_pose else "nearest-by-estimate", f"The {k} nearest{some}, by {which}", (panel,),
        f"Matrix of the {k} nearest neighbours by {which}: edges by both true pose and estimate, and those {alone}.",
    )  # fmt: skip


def recall(estimated: Array, poses: Array, symmetry: str, of_all: float | None) -> Figure:
    """Recall in % at k = 1 ... 50 of the truly nearest among the nearest by estimate, and that of chance.

    ``of_all`` is the run's metric, recall at ten among all its projections, from 0 to 1.
    """
    from scipy.spatial.distance import squareform

    from ...poses import neighbourhood

    distances = squareform(estimated, checks=False)
    count = len(distances)
    ks = np.arange(1, min(_MOST_NEIGHBOURS, count - 1) + 1)
    shares = 100 * neighbourhood.recall(true_distances(poses, symmetry, count), distances, ks.tolist())
    series = [
        Series(f"{count:,} projections", "line", {"x": ks, "y": shares}),
        Series("by chance", "reference", {"x": ks, "y": 100 * ks / (count - 1)}),
    ]
    if of_all is not None:
        name = f"among all of the run's projections, at {neighbourhood.NEIGHBOURS}"
        point = {"x": np.array([neighbourhood.NEIGHBOURS]), "y": np.array([100 * of_all])}
        series.append(Series(name, "points", point))
    panel = Panel(
        Axis("k, neighbours", range=(0.0, float(ks[-1] + 1))), Axis("recall", "%", range=(0.0, 103.0)), tuple(series)
    )
    return Figure(
        "recall", "Neighbours by true pose that the estimate finds", (panel,),
        "Share of the k nearest by true pose that are among the k nearest by estimated distance.",
    )  # fmt: skip
