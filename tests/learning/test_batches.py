from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from engine.base.errors import InputError
from engine.geometry import rotations, symmetry
from engine.learning import batches


def test_nearest_neighbours_agree_with_a_k_d_tree(rng):
    points = rng.standard_normal((80, 3))
    _, expected = cKDTree(points).query(points, k=5)
    np.testing.assert_array_equal(batches.nearest_neighbours(points, 4), expected[:, 1:])


def test_more_neighbours_than_projections_is_said(rng):
    with pytest.raises(InputError, match=r"neighbours is 5; wanted fewer than the 5 projections"):
        batches.nearest_neighbours(rng.standard_normal((5, 3)), 5)


@pytest.fixture
def training(rng):
    poses = rotations.sample_orientations(400, rng)
    quaternions = rotations.to_quaternion(poses)
    return quaternions, batches.nearest_neighbours(poses.reshape(-1, 9), 8)


@pytest.mark.parametrize("strategy", ["random", "knn", "knn+random", "uniform"])
def test_weights_sum_to_one_and_no_image_meets_itself(strategy, training, rng):
    sampler = batches.BatchSampler(strategy, 32, *training)
    for _ in range(20):
        indices, weights = sampler.draw(rng)
        assert indices.shape == (32,)
        assert weights.shape == (32, 32)
        assert weights.sum() == pytest.approx(1, rel=1e-5)
        np.testing.assert_allclose(weights, weights.T, rtol=1e-6)
        assert not weights[indices[:, None] == indices[None]].any()


def mean_pair_distance(strategy, training, rng) -> float:
    sampler = batches.BatchSampler(strategy, 32, *training)
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


def test_neighbours_of_the_first_rows_are_those_of_all(rng):
    points = rng.standard_normal((80, 3))
    np.testing.assert_array_equal(batches.nearest_neighbours(points, 4, 30), batches.nearest_neighbours(points, 4)[:30])
    alike = np.zeros((6, 3))
    found = batches.nearest_neighbours(alike, 2, 6)
    assert found.shape == (6, 2)
    assert not (found == np.arange(6)[:, None]).any()


def test_a_sampler_starts_from_those_whose_neighbours_it_has(training, rng):
    quaternions, neighbours = training
    sampler = batches.BatchSampler("knn", 32, quaternions, neighbours[:40])
    for _ in range(20):
        indices, _ = sampler.draw(rng)
        assert indices[:16].max() < 40


def test_a_symmetric_object_is_sampled_by_distances_modulo_its_group(training, rng):
    sampler = batches.BatchSampler("uniform", 32, *training, elements=symmetry.group("D2"))
    indices, weights = sampler.draw(rng)
    poses = Rotation.from_quat(training[0][indices])
    group = Rotation.from_quat([[0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    expected = np.array([[min((a.inv() * g * b).magnitude() for g in group) for b in poses] for a in poses])
    np.testing.assert_allclose(sampler.distances(indices), expected, atol=1e-6)
    by_bin = np.histogram(expected, 32, (0, np.pi), weights=weights)[0]
    occupied = by_bin[by_bin > 0]
    np.testing.assert_allclose(occupied, 1 / len(occupied), rtol=1e-4)
    # No pose is further than 120 degrees from another's four equivalents.
    shares = batches.distances_shown(sampler, rng, 20, 9)
    assert shares[6:].sum() == 0
    assert shares[3:6].min() > 0


def test_distances_shown_are_those_of_the_strategy(training, rng):
    shares = {
        s: batches.distances_shown(batches.BatchSampler(s, 32, *training), rng, 100, 12) for s in ("random", "knn")
    }
    edges = np.linspace(0, np.pi, 13)
    haar = np.diff(edges - np.sin(edges)) / np.pi  # the integral of (1 - cos d) / pi
    np.testing.assert_allclose(shares["random"], haar, atol=0.015)
    assert shares["knn"].sum() == pytest.approx(1)
    true = np.degrees(rotations.geodesic_distance(training[0][:, None], training[0][training[1]]))
    expected = np.histogram(true, np.degrees(edges))[0] / true.size
    np.testing.assert_allclose(shares["knn"], expected, atol=0.04)


@pytest.mark.parametrize("strategy", ["random", "uniform", "knn", "knn+random"])
def test_a_batch_is_of_one_protein_and_every_protein_has_its_turn(rng, strategy):
    sizes = [12, 20, 15]
    owners = np.repeat(np.arange(3), sizes)
    poses = rotations.to_quaternion(rotations.sample_orientations(sum(sizes), rng))
    samplers = tuple(
        batches.BatchSampler(strategy, 8, poses[owners == owner], batches.nearest_neighbours(poses[owners == owner], 3))
        for owner in range(3)
    )
    sampler, turns = batches.SeveralSampler(samplers), np.zeros(3)
    seen = set()
    for _ in range(200):
        indices, weights = sampler.draw(rng)
        (owner,) = set(owners[indices])
        turns[owner] += 1
        seen |= set(indices.tolist())
        assert indices.dtype == np.int32
        assert weights.sum() == pytest.approx(1, abs=1e-5)
    assert turns.min() > 40
    assert seen == set(range(sum(sizes)))
