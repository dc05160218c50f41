from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import spearmanr

from engine.base.errors import ArgumentError
from engine.geometry import symmetry
from engine.geometry.rotations import from_quaternion, sample_orientations, to_quaternion
from engine.poses import frame, recovery
from engine.poses.distance import exact_distances
from engine.poses.pairs import PairDistances, all_pairs


def turned(poses, angles, rng):
    axes = rng.standard_normal((len(poses), 3))
    return (
        poses
        @ Rotation.from_rotvec(
            np.reshape(angles, (-1, 1)) * axes / np.linalg.norm(axes, axis=1, keepdims=True)
        ).as_matrix()
    )


@pytest.mark.parametrize("mirrored", [False, True])
def test_frame_and_hand_come_from_the_anchors_alone(rng, mirrored):
    poses = sample_orientations(90, rng)
    given = turned(poses, np.r_[np.full(60, 1.0), np.full(30, 0.05)], rng)
    other_hand = given.transpose(0, 2, 1) if mirrored else given
    left, right = sample_orientations(2, rng)
    framed = frame.in_frame_of_anchors(left @ other_hand @ right, poses[60:], rng)
    assert framed.mirrored == mirrored
    # The particles' own errors of 1 rad, random, do not matter: only what the anchors' errors leave is between them.
    assert np.max(frame.frame_errors(framed.poses, given[:60])) < 0.03
    assert np.median(framed.anchor_errors) == pytest.approx(0.05, abs=0.015)
    assert len(framed.poses) == 60


@pytest.mark.parametrize("name", ["C3", "D2", "T"])
def test_poses_of_symmetric_objects_come_into_the_frame_too(rng, name):
    elements = symmetry.group(name)
    poses = sample_orientations(60, rng)
    equivalent = Rotation.from_quat(elements[rng.integers(len(elements), size=60)]).as_matrix() @ poses
    turn = Rotation.from_quat(symmetry.normaliser(elements)[-1]).as_matrix()
    framed = frame.in_frame_of_anchors(turn @ equivalent @ sample_orientations(1, rng)[0], poses[40:], rng, elements)
    np.testing.assert_allclose(frame.frame_errors(framed.poses, poses[:40], elements), 0, atol=1e-6)


def test_too_few_anchors_are_refused(rng):
    poses = sample_orientations(10, rng)
    with pytest.raises(ArgumentError, match=r"^anchors are 3 of 10 poses in recovered; wanted at least 4"):
        frame.in_frame_of_anchors(poses, poses[7:], rng)
    with pytest.raises(ArgumentError, match=r"^anchors are 10 of 10"):
        frame.in_frame_of_anchors(poses, poses, rng)


def test_errors_in_the_frame_are_scipys_modulo_the_group_and_not_aligned(rng):
    first, second = sample_orientations(20, rng), sample_orientations(20, rng)
    plain = Rotation.from_matrix(first.transpose(0, 2, 1) @ second).magnitude()
    np.testing.assert_allclose(frame.frame_errors(first, second), plain, atol=1e-7)
    elements = symmetry.group("D3")
    moved = Rotation.from_quat(elements).as_matrix()[:, None] @ second
    smallest = np.min([Rotation.from_matrix(first.transpose(0, 2, 1) @ some).magnitude() for some in moved], axis=0)
    np.testing.assert_allclose(frame.frame_errors(first, second, elements), smallest, atol=1e-7)
    everywhere = first @ Rotation.from_rotvec([0, 0, 0.3]).as_matrix()
    np.testing.assert_allclose(frame.frame_errors(everywhere, first), 0.3)


def test_figures():
    errors = np.radians([1.0, 4.0, 6.0, 9.0, 30.0])
    figures = frame.frame_metrics(errors, np.array([0.5, 0.5, 0.25, 0.25, 0.1]))
    assert figures == pytest.approx(
        {
            "frame_angle_error_median": np.radians(6),
            "frame_angle_error_mean": np.radians(10),
            "frame_share_below_5_degrees": 0.4,
            "frame_share_below_10_degrees": 0.8,
            "confidence_weighted_error_mean": np.radians((0.5 + 2 + 1.5 + 2.25 + 3) / 1.6),
        }
    )
    assert "confidence_weighted_error_mean" not in frame.frame_metrics(errors)


def noise_of_pairs(poses, levels, pure, rng):
    """Distances with errors of variance ``level_i^2 + level_j^2``, those of pure noise random."""
    exact = exact_distances(to_quaternion(poses), all_pairs(len(poses)))
    i, j = exact.first, exact.second
    values = exact.values + np.hypot(levels[i], levels[j]) * rng.standard_normal(len(exact))
    random = np.isin(i, pure) | np.isin(j, pure)
    return exact.with_values(np.where(random, rng.uniform(0, np.pi, len(exact)), np.clip(values, 0, np.pi)))


def noise_of_features(poses, levels, pure, rng):
    """Distances of features with errors of the level, as of a network: one image's errors are alike in all pairs."""
    features = poses.reshape(len(poses), 9) + levels[:, None] * rng.standard_normal((len(poses), 9))
    features[pure] = rng.standard_normal((len(pure), 9))
    features *= np.sqrt(3) / np.linalg.norm(features, axis=1, keepdims=True)
    pairs = all_pairs(len(poses))
    traces = np.einsum("md,md->m", features[pairs.first], features[pairs.second])
    return PairDistances(pairs.count, pairs.first, pairs.second, np.arccos(np.clip((traces - 1) / 2, -1, 1)))


@pytest.mark.slow
@pytest.mark.parametrize("noise", [noise_of_pairs, noise_of_features])
def test_confidence_ranks_poses_by_their_errors_and_tells_noise(rng, noise):
    count, anchors = 240, 60
    poses = sample_orientations(count + anchors, rng)
    levels = np.r_[np.exp(rng.uniform(np.log(0.05), np.log(0.4), count)), np.full(anchors, 0.12)]
    pure = rng.choice(count, 24, replace=False)
    distances = noise(poses, levels, pure, rng)
    recovered = recovery.recover_poses(distances, rng)
    framed = frame.in_frame_of_anchors(recovered.poses, poses[count:], rng)
    errors = frame.frame_errors(framed.poses, poses[:count])
    both = np.concatenate([framed.poses, poses[count:]])
    confidence = frame.confidence(both, distances, recovered.calibration, anchors)
    assert np.all((confidence > 0) & (confidence <= 1))
    assert np.median(confidence[count:]) == pytest.approx(0.5, abs=0.01)
    confidence = confidence[:count]
    particles = np.setdiff1d(np.arange(count), pure)
    assert spearmanr(-confidence[particles], errors[particles]).statistic > 0.5
    least = np.argsort(confidence)[: count // 5]
    assert len(np.intersect1d(least, pure)) >= 0.9 * len(pure)
    surest = particles[confidence[particles] >= np.median(confidence[particles])]
    assert np.median(errors[surest]) < 0.85 * np.median(errors[particles])
    figures = frame.frame_metrics(errors, confidence)
    assert figures["confidence_weighted_error_mean"] < 0.8 * figures["frame_angle_error_mean"]
    alone = frame.confidence(recovered.poses, distances, recovered.calibration)[:count]
    assert spearmanr(-alone[particles], errors[particles]).statistic > 0.5


def test_confidence_is_modulo_the_group_and_needs_few_pairs(rng):
    elements = symmetry.group("D2")
    poses = sample_orientations(200, rng)
    pairs = all_pairs(200)[rng.random(19_900) < 0.2]
    exact = exact_distances(to_quaternion(poses), pairs, elements)
    wrong = np.arange(20)
    moved = Rotation.from_quat(elements[rng.integers(4, size=200)]).as_matrix() @ poses
    moved[wrong] = turned(moved[wrong], 0.5, rng)
    confidence = frame.confidence(moved, exact, elements=elements)
    assert confidence[wrong].max() < confidence[20:].min()
    assert frame.confidence(poses, exact, elements=elements) == pytest.approx(0.5)  # all of them exact


def test_variances_are_those_of_each_projection(rng):
    """Where residuals are sums of independent errors of known variances, their ratios are told."""
    poses = sample_orientations(300, rng)
    levels = rng.choice([0.1, 0.15, 0.2], 300)
    pairs = all_pairs(300)
    exact = exact_distances(to_quaternion(poses), pairs)
    errors = np.hypot(levels[pairs.first], levels[pairs.second]) * rng.standard_normal(len(pairs))
    confidence = frame.confidence(poses, exact.with_values(exact.values + errors))
    odds = 1 / confidence - 1
    means = [odds[levels == level].mean() for level in (0.1, 0.15, 0.2)]
    np.testing.assert_allclose(np.array(means) / means[1], [4 / 9, 1, 16 / 9], rtol=0.1)


def test_calibration_is_what_is_expected_of_a_distance(rng):
    poses = sample_orientations(50, rng)
    exact = exact_distances(to_quaternion(poses), all_pairs(50))
    shrunk = exact.with_values(0.4 + 0.8 * exact.values)
    assert frame.confidence(poses, shrunk, calibration=(0.4, 0.8)) == pytest.approx(0.5, abs=0.1)
    assert np.ptp(frame.confidence(poses, shrunk)) > 0.1


def test_an_image_that_matches_half_as_well_as_usual_has_four_times_the_variance():
    given = np.array([0.5, 0.5, 0.8, 0.5])
    made = frame.with_match(given, np.array([0.2, 0.1, 0.2, -0.3]))
    np.testing.assert_allclose(made[:3], 1 / (1 + 0.5625 * np.array([1, 4, 0.25])))
    assert 0 < made[3] < 1e-5
    assert frame.with_match(given, np.zeros(4)) is given


def test_projections_without_pairs_are_refused(rng):
    poses = from_quaternion(rng.standard_normal((4, 4)))
    some = PairDistances(4, np.array([0, 1], np.int32), np.array([1, 2], np.int32), np.ones(2))
    with pytest.raises(ArgumentError, match=r"^distances have no pair with projection 3"):
        frame.confidence(poses, some)
    with pytest.raises(ArgumentError, match=r"^distances are of 4 projections and poses are 3"):
        frame.confidence(poses[:3], some)
