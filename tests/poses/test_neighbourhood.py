from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import squareform

from engine.base.errors import InputError
from engine.geometry import rotations
from engine.poses import distance, neighbourhood, pairs

ON_A_LINE = np.abs(np.subtract.outer([0.0, 1.0, 2.1, 3.3, 4.6], [0.0, 1.0, 2.1, 3.3, 4.6]))


def by_pose(count, rng, variance):
    quaternions = rotations.to_quaternion(rotations.sample_orientations(count, rng))
    exact = distance.exact_distances(quaternions, pairs.all_pairs(count))
    return exact.values, distance.perturb_distances(exact, variance, rng).values


def test_the_nearest_are_the_nearest_and_never_oneself():
    assert neighbourhood.nearest(ON_A_LINE, 2).tolist() == [[1, 2], [0, 2], [1, 3], [2, 4], [3, 2]]


def test_of_equal_distances_the_first_projections_are_taken():
    alike = np.ones((5, 5)) - np.eye(5)
    assert neighbourhood.nearest(alike, 2).tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]
    assert neighbourhood.nearest(np.zeros((4, 4)), 1).ravel().tolist() == [1, 0, 0, 0], "at distance 0 of all others"


def test_the_graph_has_k_neighbours_a_row_and_need_not_be_symmetric():
    graph = neighbourhood.adjacency(ON_A_LINE, 1)
    assert np.argwhere(graph).tolist() == [[0, 1], [1, 0], [2, 1], [3, 2], [4, 3]]


@pytest.mark.parametrize("k", [0, 5, 99])
def test_more_neighbours_than_there_are_others_are_refused(k):
    with pytest.raises(InputError, match=f"^k is {k}; wanted at least 1 and at most 4 neighbours of 5 projections$"):
        neighbourhood.nearest(ON_A_LINE, k)


def test_recall_is_the_share_of_common_neighbours():
    swapped = ON_A_LINE.copy()
    swapped[0, 1], swapped[0, 4] = swapped[0, 4], swapped[0, 1]  # row 0 takes its farthest for its nearest
    assert neighbourhood.recall(ON_A_LINE, swapped, [1, 2, 3, 4]).tolist() == pytest.approx([4 / 5, 9 / 10, 14 / 15, 1])
    assert neighbourhood.recall(ON_A_LINE, 2 * ON_A_LINE**2, [1, 3]).tolist() == [1, 1], "only the order matters"


def by_definition(exact, estimated, k):
    """The mean share of common neighbours, of condensed distances, row by row."""
    nearest = []
    for full in (squareform(exact), squareform(estimated)):
        np.fill_diagonal(full, np.inf)
        nearest.append([set(np.argsort(row, kind="stable")[:k]) for row in full])
    return np.mean([len(true & given) / k for true, given in zip(*nearest, strict=True)])


def test_recall_agrees_with_its_definition(rng):
    exact, estimated = by_pose(60, rng, 0.1)
    expected = by_definition(exact, estimated, 7)
    assert 0.2 < expected < 0.9
    assert neighbourhood.recall(squareform(exact), squareform(estimated), [7])[0] == pytest.approx(expected)


def test_the_metric_falls_with_the_errors_to_chance(rng):
    exact, few = by_pose(200, rng, 0.01)
    noise = rng.random(len(exact)).astype(np.float32)
    values = [neighbourhood.neighbour_recall(exact, given, 200) for given in (exact, few, noise)]
    assert values[0] == 1
    assert values[1] == pytest.approx(by_definition(exact, few, 10))
    assert 0.4 < values[1] < 0.95
    assert values[2] == pytest.approx(10 / 199, abs=0.03)


def test_few_projections_have_fewer_neighbours(rng):
    exact, noise = by_pose(4, rng, 5.0)
    assert neighbourhood.neighbour_recall(exact, exact, 4) == 1
    # Four projections have three others each; of two neighbours one at least is then common.
    assert neighbourhood.neighbour_recall(exact, noise, 4) == pytest.approx(by_definition(exact, noise, 2))


def test_the_order_puts_near_projections_together(rng):
    shuffled = rng.permutation(40)
    position = np.empty(40)
    position[shuffled] = np.concatenate([np.linspace(0, 0.5, 20), np.linspace(2, 2.5, 20)])
    order = neighbourhood.seriation(np.abs(np.subtract.outer(position, position)))
    assert sorted(order) == list(range(40))
    steps = np.diff(position[order])
    assert np.count_nonzero(np.abs(steps) > 0.03) == 1, "two groups, each in its own order, one jump between them"
