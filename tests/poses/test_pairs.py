from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.distance import squareform
from scipy.spatial.transform import Rotation

from engine.base.errors import InputError
from engine.geometry import rotations, symmetry
from engine.poses import distance, pairs


def test_all_pairs_are_in_scipys_condensed_order():
    first, second = pairs.all_pairs(6)
    square = squareform(np.arange(15))
    np.testing.assert_array_equal(square[first, second], np.arange(15))


def test_nearest_neighbours_agree_with_a_k_d_tree(rng):
    points = rng.standard_normal((80, 3))
    _, expected = cKDTree(points).query(points, k=5)
    np.testing.assert_array_equal(pairs.nearest_neighbours(points, 4), expected[:, 1:])


def test_more_neighbours_than_projections_is_said(rng):
    with pytest.raises(InputError, match=r"pairs.neighbours is 5; wanted fewer than the 5 projections"):
        pairs.nearest_neighbours(rng.standard_normal((5, 3)), 5)


def test_balancing_weights_make_every_occupied_bin_equal(rng):
    distances = np.concatenate([rng.uniform(2, 3, 900), rng.uniform(0.5, 1, 100)])
    weights = pairs.distance_balancing_weights(distances)
    assert weights.sum() == pytest.approx(1)
    edges = np.linspace(0, np.pi, 33)
    per_bin, _ = np.histogram(distances, edges, weights=weights)
    occupied = per_bin[per_bin > 0]
    np.testing.assert_allclose(occupied, 1 / len(occupied))


@pytest.fixture
def training(rng):
    poses = rotations.sample_orientations(400, rng)
    quaternions = rotations.to_quaternion(poses)
    return quaternions, pairs.nearest_neighbours(poses.reshape(-1, 9), 8)


@pytest.mark.parametrize("strategy", ["random", "knn", "knn+random", "uniform"])
def test_weights_sum_to_one_and_no_image_meets_itself(strategy, training, rng):
    sampler = pairs.BatchSampler(strategy, 32, *training)
    for _ in range(20):
        indices, weights = sampler.draw(rng)
        assert indices.shape == (32,)
        assert weights.shape == (32, 32)
        assert weights.sum() == pytest.approx(1, rel=1e-5)
        np.testing.assert_allclose(weights, weights.T, rtol=1e-6)
        assert not weights[indices[:, None] == indices[None]].any()


def mean_pair_distance(strategy, training, rng) -> float:
    sampler = pairs.BatchSampler(strategy, 32, *training)
    total = 0.0
    for _ in range(50):
        indices, weights = sampler.draw(rng)
        q = training[0][indices]
        total += float((weights * rotations.geodesic_distance(q[:, None], q[None])).sum())
    return total / 50


def test_each_strategy_shows_the_network_other_distances(training, rng):
    found = {s: mean_pair_distance(s, training, rng) for s in ("random", "knn", "knn+random", "uniform")}
    # The mean angle of a Haar-uniform rotation is pi/2 + 2/pi. Balanced over [0, pi] it would be pi/2; a batch seldom
    # has pairs in the first bins, so it stays above.
    assert found["random"] == pytest.approx(np.pi / 2 + 2 / np.pi, abs=0.05)
    assert np.pi / 2 < found["uniform"] < found["random"] - 0.4
    assert found["knn"] < 0.7
    assert found["knn+random"] == pytest.approx((found["knn"] + found["random"]) / 2, abs=0.05)


@pytest.fixture
def test_set(rng):
    quaternions = rotations.to_quaternion(rotations.sample_orientations(60, rng))
    first, second = pairs.all_pairs(60)
    return first, second, distance.exact_distances(quaternions, first, second)


def test_few_projections_have_all_their_pairs_looked_at(rng):
    for ours, expected in zip(pairs.candidate_pairs(60, rng), np.triu_indices(60, 1), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_of_many_projections_random_pairs_are_looked_at_each_once(rng):
    count, most = 3000, 200_000
    first, second = pairs.candidate_pairs(count, rng, most)
    assert len(first) == pytest.approx(most, abs=5 * np.sqrt(most))
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
    chosen = pairs.select_pairs(strategy, 10, 60, *test_set, rng)
    assert len(chosen) == len(np.unique(chosen)) == 300


def test_knn_selection_agrees_with_sorting_the_distance_matrix(test_set, rng):
    first, second, distances = test_set
    chosen = pairs.select_pairs("knn", 6, 60, *test_set, rng)
    square = squareform(distances)
    np.fill_diagonal(square, np.inf)
    expected = {tuple(sorted((i, int(j)))) for i in range(60) for j in np.argsort(square[i])[:6]}
    assert {(int(first[k]), int(second[k])) for k in chosen} == expected


def test_knn_and_random_selection_holds_both_kinds(test_set, rng):
    both = pairs.select_pairs("knn+random", 12, 60, *test_set, rng)
    near = pairs.select_pairs("knn", 6, 60, *test_set, rng)
    assert set(near) <= set(both)
    assert len(both) == len(np.unique(both))
    far = test_set[2][np.setdiff1d(both, near)]
    assert far.mean() > 2 * test_set[2][near].mean()


def test_neighbours_of_the_first_rows_are_those_of_all(rng):
    points = rng.standard_normal((80, 3))
    np.testing.assert_array_equal(pairs.nearest_neighbours(points, 4, 30), pairs.nearest_neighbours(points, 4)[:30])
    alike = np.zeros((6, 3))
    found = pairs.nearest_neighbours(alike, 2, 6)
    assert found.shape == (6, 2)
    assert not (found == np.arange(6)[:, None]).any()


def test_a_sampler_starts_from_those_whose_neighbours_it_has(training, rng):
    quaternions, neighbours = training
    sampler = pairs.BatchSampler("knn", 32, quaternions, neighbours[:40])
    for _ in range(20):
        indices, _ = sampler.draw(rng)
        assert indices[:16].max() < 40


def test_a_symmetric_object_is_sampled_by_distances_modulo_its_group(training, rng):
    sampler = pairs.BatchSampler("uniform", 32, *training, elements=symmetry.group("D2"))
    indices, weights = sampler.draw(rng)
    poses = Rotation.from_quat(training[0][indices])
    group = Rotation.from_quat([[0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    expected = np.array([[min((a.inv() * g * b).magnitude() for g in group) for b in poses] for a in poses])
    np.testing.assert_allclose(sampler.distances(indices), expected, atol=1e-6)
    by_bin = np.histogram(expected, 32, (0, np.pi), weights=weights)[0]
    occupied = by_bin[by_bin > 0]
    np.testing.assert_allclose(occupied, 1 / len(occupied), rtol=1e-4)
    # No pose is further than 120 degrees from another's four equivalents.
    shares = pairs.distances_shown(sampler, rng, 20, 9)
    assert shares[6:].sum() == 0
    assert shares[3:6].min() > 0


def test_distances_shown_are_those_of_the_strategy(training, rng):
    shares = {s: pairs.distances_shown(pairs.BatchSampler(s, 32, *training), rng, 100, 12) for s in ("random", "knn")}
    edges = np.linspace(0, np.pi, 13)
    haar = np.diff(edges - np.sin(edges)) / np.pi  # the integral of (1 - cos d) / pi
    np.testing.assert_allclose(shares["random"], haar, atol=0.015)
    assert shares["knn"].sum() == pytest.approx(1)
    true = np.degrees(rotations.geodesic_distance(training[0][:, None], training[0][training[1]]))
    expected = np.histogram(true, np.degrees(edges))[0] / true.size
    np.testing.assert_allclose(shares["knn"], expected, atol=0.04)
