from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import squareform

from engine.base.errors import ArgumentError
from engine.geometry import rotations
from engine.poses import distance, pairs


def test_all_pairs_are_in_scipys_condensed_order():
    six = pairs.all_pairs(6)
    square = squareform(np.arange(15))
    np.testing.assert_array_equal(square[six.first, six.second], np.arange(15))
    assert six.complete
    assert not six[1:].complete


def test_balancing_weights_make_every_occupied_bin_equal(rng):
    distances = np.concatenate([rng.uniform(2, 3, 900), rng.uniform(0.5, 1, 100)])
    weights = pairs.distance_balancing_weights(distances)
    assert weights.sum() == pytest.approx(1)
    edges = np.linspace(0, np.pi, 33)
    per_bin, _ = np.histogram(distances, edges, weights=weights)
    occupied = per_bin[per_bin > 0]
    np.testing.assert_allclose(occupied, 1 / len(occupied))


def pairs_in_order(chosen):
    return list(zip(chosen.first.tolist(), chosen.second.tolist(), strict=True))


def identities(chosen):
    return set(pairs_in_order(chosen))


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ([0, 1], [1], r"shapes .*\(2,\).*\(1,\).*one length"),
        ([[0]], [[1]], r"wanted arrays \(m,\)"),
        ([0, 1], [1, 5], r"first and second have the indices 0 to 5; wanted indices below count, which is 3"),
        ([-1], [1], r"indices -1 to 1"),
    ],
)
def test_pairs_that_are_none_are_refused(first, second, wanted):
    with pytest.raises(ArgumentError, match=wanted):
        pairs.Pairs(3, np.array(first), np.array(second))


def test_a_printed_set_of_pairs_is_a_line_without_its_arrays(test_set):
    assert repr(test_set[:9]) == "PairDistances(9 of the 1,770 pairs of 60 projections)"


def test_distances_as_a_square_are_scipys(test_set):
    np.testing.assert_array_equal(test_set.square(), squareform(test_set.values))


@pytest.fixture
def test_set(rng):
    quaternions = rotations.to_quaternion(rotations.sample_orientations(60, rng))
    return distance.exact_distances(quaternions, pairs.all_pairs(60))


def test_few_projections_have_all_their_pairs_looked_at(rng):
    ours = pairs.candidate_pairs(60, rng)
    np.testing.assert_array_equal((ours.first, ours.second), np.triu_indices(60, 1))


def test_of_many_projections_random_pairs_are_looked_at_each_once(rng):
    count, most = 3000, 200_000
    some = pairs.candidate_pairs(count, rng, most)
    first, second = some.first, some.second
    assert len(some) == pytest.approx(most, abs=5 * np.sqrt(most))
    assert np.all(first < second)
    assert first.min() == 0
    assert second.max() == count - 1
    code = first.astype(int) * count + second
    assert np.all(np.diff(code) > 0), "in order, none twice"
    partners = np.bincount(np.concatenate([first, second]), minlength=count)
    # Each projection has a binomial number of partners.
    share = most / (count * (count - 1) / 2)
    variance = (count - 1) * share * (1 - share)
    assert partners.mean() == pytest.approx(2 * most / count, rel=0.02)
    assert partners.var() == pytest.approx(variance, rel=0.15)


@pytest.mark.parametrize("strategy", ["random", "uniform"])
def test_selected_pairs_are_as_many_as_asked_and_different(strategy, test_set, rng):
    chosen = pairs.select_pairs(strategy, 10, test_set, rng)
    assert len(chosen) == len(identities(chosen)) == 300


def test_knn_selection_agrees_with_sorting_the_distance_matrix(test_set, rng):
    chosen = pairs.select_pairs("knn", 6, test_set, rng)
    square = squareform(test_set.values)
    np.fill_diagonal(square, np.inf)
    expected = {tuple(sorted((i, int(j)))) for i in range(60) for j in np.argsort(square[i])[:6]}
    assert identities(chosen) == expected


def test_knn_and_random_selection_holds_both_kinds(test_set, rng):
    both = pairs.select_pairs("knn+random", 12, test_set, rng)
    near = pairs.select_pairs("knn", 6, test_set, rng)
    assert identities(near) <= identities(both)
    assert len(both) == len(identities(both))
    far = [value for pair, value in zip(pairs_in_order(both), both.values, strict=True) if pair not in identities(near)]
    assert np.mean(far) > 2 * near.values.mean()
