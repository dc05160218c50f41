"""Graphs of neighbours and their recall, against those that sorting each projection's distances gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import squareform

from engine.analysis.figures import neighbours as figures
from tests.analysis.figures.conftest import COUNT
from tests.figure_testing import assert_csv_holds


def nearest(distances, k):
    """The k nearest of each projection, as sets."""
    away = distances + np.diag(np.full(len(distances), np.inf))
    return [set(np.argsort(row, kind="stable")[:k].tolist()) for row in away]


@pytest.mark.parametrize("by_pose", [True, False])
def test_a_graph_has_the_ten_nearest_and_says_which_the_other_has(poses, estimated, true, by_pose):
    figure = figures.neighbour_graph(estimated, poses, "C1", by_pose)
    own, other = (nearest(each, 10) for each in (true, squareform(estimated)))
    if not by_pose:
        own, other = other, own
    columns = figure.panel["nearest"].columns
    edges = {}
    for projection, neighbour, edge in zip(
        *(columns[name].tolist() for name in ("projection", "neighbour", "edge")), strict=True
    ):
        edges[projection, neighbour] = edge
    assert len(edges) == COUNT**2
    for (projection, neighbour), edge in edges.items():
        expected = 0 if neighbour not in own[projection] else 1 if neighbour in other[projection] else 2
        assert edge == expected
    assert figure.title == f"The 10 nearest, by {'true pose' if by_pose else 'estimated distance'}"
    assert figure.panel.colour.categories[2] == ("not by estimate" if by_pose else "not by true pose")
    assert_csv_holds(figure)


def test_both_graphs_are_in_one_order_which_keeps_neighbours_together(poses, estimated, true):
    one, other = (figures.neighbour_graph(estimated, poses, "C1", by_pose).panel["nearest"] for by_pose in (1, 0))
    order = one.grid("projection")[:, 0]
    assert sorted(order) == list(range(COUNT))
    for series in (one, other):
        np.testing.assert_array_equal(series.grid("projection"), np.tile(order[:, None], COUNT))
        np.testing.assert_array_equal(series.grid("neighbour"), np.tile(order, (COUNT, 1)))
    beside = true[order[:-1], order[1:]].mean()
    assert beside < 0.6 * true[np.triu_indices(COUNT, 1)].mean()


def test_of_many_projections_a_part_is_taken(poses, estimated):
    figure = figures.neighbour_graph(estimated, poses, "C1", by_pose=False, most=30)
    assert figure.panel["nearest"].grid("edge").shape == (30, 30)
    assert figure.title == "The 10 nearest of the first 30, by estimated distance"


def test_recall_is_the_share_of_the_truly_nearest_beside_chance(poses, estimated, true):
    figure = figures.recall(estimated, poses, "C1", 0.25)
    recall, chance, of_all = figure.panel.series
    assert recall.columns["x"].tolist() == chance.columns["x"].tolist() == list(range(1, 51))
    for k in (1, 2, 10, 50):
        pairs = zip(nearest(true, k), nearest(squareform(estimated), k), strict=True)
        assert recall.columns["y"][k - 1] == pytest.approx(100 * np.mean([len(a & b) / k for a, b in pairs]))
        assert chance.columns["y"][k - 1] == pytest.approx(100 * k / 59)
    assert (of_all.columns["x"].tolist(), of_all.columns["y"].tolist()) == ([10], [25.0])
    assert (figure.panel.y.title, recall.name) == ("recall (%)", "60 projections")
    assert_csv_holds(figure)
    assert len(figures.recall(estimated, poses, "C1", None).panel.series) == 2


def test_four_projections_are_enough(poses, true):
    few = squareform(true[:4, :4], checks=False)
    assert figures.recall(few, poses, "C1", 1.0).panel.series[0].columns["x"].tolist() == [1, 2, 3]
    assert figures.neighbour_graph(few, poses, "C1", True).title == "The 3 nearest, by true pose"
