from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from engine.geometry import rotations
from engine.geometry.harmonics import degrees_of
from engine.geometry.symmetry import NO_SYMMETRY
from engine.poses import distance, metrics, pairs

TRACE = degrees_of(NO_SYMMETRY, 9)


def of_values(values):
    """Distances of as many pairs, whichever they are."""
    index = np.zeros(len(values), np.int32)
    return pairs.PairDistances(2, index, index + 1, values)


@pytest.fixture
def known(rng):
    poses = rotations.sample_orientations(40, rng)
    return poses, rotations.to_quaternion(poses), pairs.all_pairs(40)


def test_exact_distances_agree_with_scipy(known):
    poses, quaternions, all_pairs = known
    r = Rotation.from_matrix(poses)
    expected = (r[all_pairs.first].inv() * r[all_pairs.second]).magnitude()
    np.testing.assert_allclose(distance.exact_distances(quaternions, all_pairs).values, expected, atol=1e-6)


def test_perturbation_has_the_variance_given_where_it_is_not_clipped(rng):
    middle = np.full(124_750, np.pi / 2, np.float32)
    perturbed = distance.perturb_distances(of_values(middle), 0.04, rng).values
    assert perturbed.mean() == pytest.approx(np.pi / 2, abs=0.003)
    assert perturbed.var() == pytest.approx(0.04, rel=0.02)


def test_perturbation_stays_within_0_and_pi(rng):
    ends = np.concatenate([np.zeros(1000), np.full(1000, np.pi)]).astype(np.float32)
    perturbed = distance.perturb_distances(of_values(ends), 0.8, rng).values
    assert perturbed.min() == 0
    assert perturbed.max() == np.float32(np.pi)
    assert 0.4 < (perturbed[:1000] == 0).mean() < 0.6  # half of a centred error points outwards


def test_published_perturbed_distances_have_the_closed_form_error(known, rng):
    """Mean |e| of a Gaussian of variance v is sqrt(2 v / pi), away from the ends."""
    _, quaternions, all_pairs = known
    exact = distance.exact_distances(quaternions, all_pairs)
    inner = exact[(exact.values > 1) & (exact.values < 2.14)]
    estimated = distance.perturb_distances(inner, 0.01, rng)
    assert metrics.distance_metrics(estimated.values, inner.values)["distance_mae"] == pytest.approx(
        np.sqrt(0.02 / np.pi), rel=0.15
    )


def test_pixel_distances_agree_with_scipy(rng):
    images = rng.standard_normal((12, 7, 7)).astype(np.float32)
    expected = pdist(images.reshape(12, -1)) / 7
    np.testing.assert_allclose(distance.pixel_distances(images, pairs.all_pairs(12)), expected, rtol=1e-4)


def test_slope_calibration_is_least_squares_through_the_origin(rng):
    pixels = rng.uniform(0, 2, 500).astype(np.float32)
    angles = (1.3 * pixels + rng.normal(0, 0.05, 500)).astype(np.float32)
    expected = np.linalg.lstsq(pixels[:, None].astype(float), angles.astype(float))[0][0]
    found = distance.fit_calibration(pixels, angles, "slope")
    assert found(np.array([1.0], np.float32))[0] == pytest.approx(expected, rel=1e-6)
    assert found(np.array([50.0], np.float32))[0] == np.float32(np.pi)


def test_polynomial_calibration_recovers_a_curve(rng):
    pixels = rng.uniform(0, 2, 500).astype(np.float32)
    found = distance.fit_calibration(pixels, (0.2 + pixels**2 / 2).astype(np.float32), "polynomial")
    np.testing.assert_allclose(found(pixels), 0.2 + pixels**2 / 2, atol=1e-4)


def test_features_that_are_rotations_give_the_exact_distance_with_either_head(known):
    poses, quaternions, all_pairs = known
    exact = distance.exact_distances(quaternions, all_pairs)
    features = poses.reshape(-1, 9).astype(np.float32)
    by_chord, by_cosine = (
        distance.learned_distances(scaled, all_pairs, head, TRACE, distance.UNCALIBRATED).values
        for scaled, head in ((features, "euclidean"), (features / np.sqrt(3).astype(np.float32), "cosine"))
    )
    np.testing.assert_allclose(
        by_chord, exact.values, atol=2e-3
    )  # arccos of a float32 near -1 keeps half of its digits
    np.testing.assert_allclose(by_cosine, exact.values, atol=2e-3)


@pytest.mark.parametrize("head", ["cosine", "euclidean"])
def test_calibrated_features_give_the_distances_that_they_were_calibrated_to(known, head, rng):
    poses, quaternions, all_pairs = known
    features = poses.reshape(-1, 9).astype(np.float32) / np.float32(np.sqrt(3) if head == "cosine" else 1)
    features = (features + rng.normal(0, 0.02, features.shape)).astype(np.float32)
    exact = distance.exact_distances(quaternions, all_pairs)
    wanted = exact.with_values(0.2 + 0.8 * exact.values)
    calibration = distance.fit_feature_calibration(features, wanted, head, TRACE)
    found = distance.learned_distances(features, all_pairs, head, TRACE, calibration)
    assert np.abs(found.values - wanted.values).mean() < 0.05
    plain = distance.learned_distances(features, all_pairs, head, TRACE, distance.UNCALIBRATED)
    assert np.abs(plain.values - wanted.values).mean() > 0.1
