"""Figures of merit against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from engine.poses import metrics
from engine.poses.alignment import Alignment
from engine.poses.metrics import error_by_distance


def test_error_by_distance_is_that_of_each_bin(rng):
    exact = np.arccos(1 - 2 * rng.random(5000))
    estimated = (exact + np.where(exact > np.pi / 2, 0.03, -0.01)).astype(np.float32)
    found = error_by_distance(estimated, exact)
    middle = (np.arange(18) + 0.5) * np.pi / 18
    wanted = np.where(middle > np.pi / 2, 0.03, -0.01)
    assert found.shape == (18, 4)
    for quantile in range(3):
        assert np.allclose(found[:, quantile], wanted, atol=1e-6)
    assert np.allclose(found[:, 3], np.abs(wanted), atol=1e-6)


def test_error_quantiles_are_those_of_a_normal_error(rng):
    exact = np.full(200_000, 1.0)
    found = error_by_distance(1.0 + 0.1 * rng.standard_normal(200_000), exact)
    (bin_of_all,) = np.flatnonzero(~np.isnan(found[:, 0]))
    assert bin_of_all == int(1.0 / (np.pi / 18))
    assert found[bin_of_all] == pytest.approx([-0.12816, 0.0, 0.12816, 0.1 * np.sqrt(2 / np.pi)], abs=1.5e-3)


def test_too_few_pairs_say_nothing_and_pi_is_in_the_last_bin():
    exact = np.concatenate([np.full(7, 0.05), np.full(20, np.float32(np.pi))]).astype(np.float32)
    found = error_by_distance(exact, exact)
    assert np.isnan(found[:-1]).all()
    assert list(found[-1]) == [0, 0, 0, 0]
    assert np.isnan(error_by_distance(np.empty(0), np.empty(0))).all()


def test_distance_metrics_against_hand_computed_values():
    found = metrics.distance_metrics(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.5, 2.0]))
    assert found["distance_mae"] == pytest.approx(0.5)
    assert found["distance_rmse"] == pytest.approx(np.sqrt(1.25 / 3))


def test_distance_histogram_counts_every_pair_once(rng):
    exact = rng.uniform(0, np.pi, 1000).astype(np.float32)
    exact[0] = np.float32(np.pi)  # above pi in double precision
    counts, edges = metrics.distance_histogram(exact * 0.5, exact, bins=10)
    assert counts.sum() == 1000
    assert counts[:, 6:].sum() == 0, "the second axis must be the estimated distance"
    assert counts[6:].sum() > 300
    np.testing.assert_allclose(edges, np.linspace(0, np.pi, 11))


def test_angle_metrics_are_median_and_mean_after_and_before_alignment():
    errors, before = np.array([0.1, 0.2, 0.9, 0.4]), np.array([2.0, 3.0, 1.0, 2.5])
    found = metrics.angle_metrics(Alignment(np.tile(np.eye(3), (4, 1, 1)), errors, before, np.eye(4)))
    assert found == {
        "angle_error_median": pytest.approx(0.3), "angle_error_mean": pytest.approx(0.4),
        "angle_error_median_unaligned": pytest.approx(2.25), "angle_error_mean_unaligned": pytest.approx(2.125),
    }  # fmt: skip
