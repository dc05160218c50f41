from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad

from engine.base.errors import ArgumentError
from engine.geometry import rotations
from engine.poses import distance, embedding, pairs
from engine.poses.alignment import align_poses
from engine.poses.embedding import poses_from_embedding
from engine.poses.recovery import UnconnectedError, recover_poses, recovery_loss


def problem(count, rng, coverage="full", variance=0.0):
    poses = rotations.sample_orientations(count, rng, coverage)
    distances = distance.exact_distances(rotations.to_quaternion(poses), pairs.all_pairs(count))
    if variance:
        distances = distance.perturb_distances(distances, variance, rng)
    return poses, distances


def median_error(found, poses, rng):
    return np.median(align_poses(found.poses, poses, rng).errors)


@pytest.mark.parametrize("coverage", ["full", "half", "quarter"])
@pytest.mark.parametrize("count", [4, 30, pytest.param(300, marks=pytest.mark.slow)])
def test_exact_distances_give_exact_poses(coverage, count, rng):
    poses, given = problem(count, rng, coverage)
    found = recover_poses(given, rng)
    if count > 4:  # six distances of four poses leave reflections that are no poses' fault
        assert np.median(align_poses(found.poses, poses, rng).errors) < 1e-3
    assert found.loss < 1e-6
    assert np.linalg.det(found.poses) == pytest.approx(np.ones(count))


@pytest.mark.slow
def test_perturbed_distances_reach_the_published_error(rng):
    """Published: E_OR 0.0991 rad at variance 0.2, with 1,650 projections; here with 400 and the same error at most."""
    poses, given = problem(400, rng, variance=0.2)
    found = recover_poses(given, rng)
    assert np.median(align_poses(found.poses, poses, rng).errors) < 0.0991
    assert found.loss < 0.2, "the induced distances lie closer to the given than the true ones do"


def test_loss_is_the_returned_solutions_and_the_curve_ends_there(rng):
    _, distances = problem(60, rng, variance=0.1)
    found = recover_poses(distances, rng)
    quaternions = rotations.to_quaternion(found.poses)
    induced = rotations.geodesic_distance(quaternions[distances.first], quaternions[distances.second])
    by_definition = np.mean((induced - distances.values) ** 2)
    assert found.loss == pytest.approx(by_definition, rel=1e-5)
    assert found.loss_curve[-1] == pytest.approx(found.loss, rel=0.01), "calibration hardly costs any of the plain loss"
    assert np.all(np.diff(found.loss_curve) <= 1e-12)


def test_gradient_agrees_with_finite_differences(rng):
    poses, distances = problem(6, rng, variance=0.3)
    start = rotations.to_quaternion(poses)

    def at(flat):
        free = flat.reshape(-1, 4)
        norm = np.linalg.norm(free, axis=1, keepdims=True)
        return recovery_loss(free / norm, distances), norm

    error = check_grad(lambda x: at(x)[0][0], lambda x: (at(x)[0][1] / at(x)[1]).ravel(), start.ravel())
    assert error < 1e-6


@pytest.mark.slow
def test_many_random_starts_find_the_same_best_residual(rng):
    poses = rotations.sample_orientations(150, rng)
    turned = poses.reshape(-1, 9) @ np.linalg.qr(rng.standard_normal((9, 9)))[0]
    found, residuals = poses_from_embedding(turned, rng, 60)
    assert np.sum(residuals < 1e-12) >= 3, "the global minimum must be hit more than once, or luck decides"
    assert np.median(align_poses(found, poses, rng).errors) < 1e-7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "per_projection"), [("random", 60), ("knn", 20), ("knn+random", 40), ("uniform", 60)]
)
def test_a_part_of_the_pairs_is_enough(strategy, per_projection, rng):
    poses, distances = problem(300, rng)
    used = pairs.select_pairs(strategy, per_projection, distances, rng)
    assert len(used) < len(distances) / 4
    found = recover_poses(used, rng)
    assert np.median(align_poses(found.poses, poses, rng).errors) < 0.01


@pytest.mark.slow
def test_close_pairs_are_enough(rng):
    poses, distances = problem(400, rng)
    found = recover_poses(distances[distances.values < 1.2], rng)
    assert np.median(align_poses(found.poses, poses, rng).errors) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("coverage", ["full", "quarter"])
def test_more_projections_than_a_matrix_is_held_for(coverage, rng, monkeypatch):
    monkeypatch.setattr(embedding, "MOST_HELD", 500)
    poses = rotations.sample_orientations(1500, rng, coverage)
    some = pairs.candidate_pairs(1500, rng, 90_000)
    found = recover_poses(distance.exact_distances(rotations.to_quaternion(poses), some), rng)
    assert found.loss < 1e-9
    assert np.median(align_poses(found.poses, poses, rng).errors) < 1e-4


@pytest.mark.slow
def test_systematic_errors_of_the_distances_are_found_and_allowed_for(rng):
    poses = rotations.sample_orientations(400, rng, "full", "euler")
    exact = distance.exact_distances(rotations.to_quaternion(poses), pairs.all_pairs(400))
    bent = (0.3 + 0.8 * exact.values - 0.05 * exact.values**2).astype(np.float32)
    given = distance.perturb_distances(exact.with_values(bent), 0.1, rng)
    plain, calibrated = (recover_poses(given, rng, calibrate=choice) for choice in (False, True))
    assert median_error(calibrated, poses, rng) < 0.8 * median_error(plain, poses, rng)
    at = np.linspace(0.5, 2.5, 9)
    expected = np.polynomial.Polynomial(calibrated.calibration)(at)
    np.testing.assert_allclose(expected, 0.3 + 0.8 * at - 0.05 * at**2, atol=0.06)
    np.testing.assert_array_equal(plain.calibration, [0, 1])


@pytest.mark.slow
def test_distances_that_cannot_go_below_zero_are_allowed_for(rng):
    """Errors of 0.9 rad clipped to [0, pi], on the quarter of the sphere where distances are short."""
    poses, given = problem(600, rng, "quarter", variance=0.8)
    plain, calibrated = (recover_poses(given, rng, calibrate=choice) for choice in (False, True))
    assert median_error(calibrated, poses, rng) < 0.9 * median_error(plain, poses, rng)


@pytest.mark.slow
def test_without_systematic_errors_nothing_is_calibrated(rng):
    _, given = problem(100, rng)
    one, other = (recover_poses(given, np.random.default_rng(3), calibrate=choice) for choice in (True, False))
    np.testing.assert_array_equal(one.calibration, [0, 1])
    np.testing.assert_array_equal(one.poses, other.poses)


@pytest.mark.slow
@pytest.mark.parametrize("coverage", ["full", "quarter"])
@pytest.mark.parametrize("variance", [0.0, 0.2])
def test_the_spectral_start_never_loses_to_another_embedding_or_to_random_ones(coverage, variance, rng):
    _, given = problem(60, rng, coverage, variance)
    spectral = recover_poses(given, rng)
    for other in ("mds", "isomap", "random"):
        found = recover_poses(given, rng, restarts=3 if other == "random" else 50, initialisation=other)
        assert spectral.loss <= 1.001 * found.loss + 1e-6, other
        if other == "mds":
            assert found.loss == pytest.approx(spectral.loss, rel=0.01, abs=1e-6)


def test_a_random_start_often_ends_elsewhere(rng):
    _, given = problem(60, rng)
    losses = [recover_poses(given, np.random.default_rng(n), 1, initialisation="random").loss for n in range(6)]
    assert np.count_nonzero(np.array(losses) > 0.01) >= 3
    assert recover_poses(given, rng).loss < 1e-6


def test_of_many_random_starts_the_best_is_taken(rng):
    _, given = problem(60, rng)
    found = recover_poses(given, rng, 12, initialisation="random")
    assert found.start_residuals.shape == (12,)
    assert found.start_residuals.min() < 0.8 * found.start_residuals.max()
    assert found.loss_curve[0] == pytest.approx(found.start_residuals.min()), "the descent goes on from there"


def test_unconnected_projections_are_said(rng):
    _, distances = problem(20, rng)
    kept = (distances.first < 10) == (distances.second < 10)
    with pytest.raises(UnconnectedError, match=r"90 pairs of distances leave 10 of 20 projections unconnected"):
        recover_poses(distances[kept], rng)


def test_distances_that_are_no_numbers_are_refused(rng):
    _, distances = problem(20, rng)
    wrong = distances.values.copy()
    wrong[3] = np.nan
    with pytest.raises(ArgumentError, match=r"distances: 1 of 190 are NaN or infinite; wanted angles"):
        recover_poses(distances.with_values(wrong), rng)


def test_the_same_seed_gives_the_same_poses(rng):
    _, given = problem(50, rng, variance=0.1)
    one, two = (recover_poses(given, np.random.default_rng(8)) for _ in range(2))
    np.testing.assert_array_equal(one.poses, two.poses)
