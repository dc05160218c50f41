from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg, stats
from scipy.spatial.transform import Rotation

from engine.base.errors import InputError
from engine.geometry import rotations


def test_euler_angles_are_the_written_product_of_elementary_rotations():
    rot, tilt, psi = np.radians([20.0, 50.0, -110.0])

    def about_z(a):
        return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])

    def about_y(a):
        return np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])

    expected = about_z(rot) @ about_y(tilt) @ about_z(psi)
    np.testing.assert_allclose(rotations.from_euler([20.0, 50.0, -110.0]), expected, atol=1e-15)


def test_viewing_direction_has_azimuth_rot_and_polar_angle_tilt():
    direction = rotations.viewing_directions(rotations.from_euler([30.0, 60.0, 77.0]))
    expected = [np.sin(np.pi / 3) * np.cos(np.pi / 6), np.sin(np.pi / 3) * np.sin(np.pi / 6), 0.5]
    np.testing.assert_allclose(direction, expected, atol=1e-15)


def test_euler_angles_survive_the_round_trip_and_agree_with_scipy(rng):
    matrices = Rotation.random(200, rng=rng).as_matrix()
    angles = rotations.to_euler(matrices)
    np.testing.assert_allclose(rotations.from_euler(angles), matrices, atol=1e-12)
    np.testing.assert_allclose(angles, Rotation.from_matrix(matrices).as_euler("ZYZ", degrees=True), atol=1e-9)
    assert angles.shape == (200, 3)


@pytest.mark.parametrize("angles", [[30.0, 0.0, 0.0], [-50.0, 180.0, 0.0]])
def test_euler_angles_at_the_poles_have_psi_zero(angles):
    np.testing.assert_allclose(rotations.to_euler(rotations.from_euler(angles)), angles, atol=1e-9)


def test_geodesic_distance_is_the_angle_of_the_relative_rotation(rng):
    a, b = Rotation.random(500, rng=rng), Rotation.random(500, rng=rng)
    expected = (a.inv() * b).magnitude()
    np.testing.assert_allclose(rotations.geodesic_distance(a.as_quat(), b.as_quat()), expected, atol=1e-12)
    np.testing.assert_allclose(rotations.geodesic_distance(a.as_quat(), -b.as_quat()), expected, atol=1e-12)


@pytest.mark.parametrize("angle", [1e-9, 1e-5, np.pi - 1e-9])
def test_geodesic_distance_keeps_its_digits_at_both_ends(angle):
    q = Rotation.from_rotvec([0, 0, angle]).as_quat()
    assert rotations.geodesic_distance(np.array([0, 0, 0, 1.0]), q) == pytest.approx(angle, rel=1e-12)


def test_quaternions_are_scipys(rng):
    random = Rotation.random(10, rng=rng)
    np.testing.assert_allclose(rotations.from_quaternion(3 * random.as_quat()), random.as_matrix(), atol=1e-14)
    result = rotations.to_quaternion(random.as_matrix()[None])[0]
    np.testing.assert_allclose(np.abs(np.sum(result * random.as_quat(), axis=1)), 1, atol=1e-14)  # q and -q are one


def test_a_rotation_vector_is_the_exponential_of_its_cross_product(rng):
    vectors = rng.normal(size=(20, 3))
    generators = np.cross(np.eye(3)[None], vectors[:, None, :])  # rows: e_i x v, so that generator @ a = v x a
    expected = [linalg.expm(generator) for generator in generators]
    np.testing.assert_allclose(rotations.from_rotation_vector(vectors), expected, atol=1e-13)
    np.testing.assert_allclose(rotations.from_rotation_vector([0, 0, np.pi / 2]) @ [1, 0, 0], [0, 1, 0], atol=1e-15)
    np.testing.assert_array_equal(rotations.from_rotation_vector(np.zeros((2, 3))), [np.eye(3)] * 2)


def test_rotation_vectors_survive_the_round_trip(rng):
    matrices = rotations.sample_orientations(50, rng).reshape(5, 10, 3, 3)
    vectors = rotations.to_rotation_vector(matrices)
    assert vectors.shape == (5, 10, 3)
    assert np.linalg.norm(vectors, axis=-1).max() <= np.pi
    np.testing.assert_allclose(rotations.from_rotation_vector(vectors), matrices, atol=1e-12)


def test_nearest_rotation_agrees_with_kabsch_of_scipy(rng):
    matrix = rng.standard_normal((20, 3, 3))
    for given, result in zip(matrix, rotations.nearest_rotation(matrix), strict=True):
        expected, _ = Rotation.align_vectors(given.T, np.eye(3))
        np.testing.assert_allclose(result, expected.as_matrix(), atol=1e-9)
        assert np.linalg.det(result) == pytest.approx(1.0)


def test_so3_sampling_is_haar_uniform(rng):
    poses = rotations.sample_orientations(20_000, rng)
    # Of a Haar-uniform rotation the angle has density (1 - cos d) / pi, and each column is uniform on the sphere.
    angle = Rotation.from_matrix(poses).magnitude()
    assert stats.kstest(angle, lambda d: (d - np.sin(d)) / np.pi).pvalue > 1e-3
    for column in range(3):
        assert stats.kstest(poses[:, 2, column], stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_euler_sampling_is_uniform_in_the_angles(rng):
    angles = rotations.to_euler(rotations.sample_orientations(20_000, rng, "half", "euler"))
    assert stats.kstest(angles[:, 1], stats.uniform(0, 72).cdf).pvalue > 1e-3
    assert stats.kstest(angles[:, 0] % 360, stats.uniform(0, 360).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("coverage", "intervals"),
    [
        ("full", ((0, 360), (0, 180), (0, 360))),
        ("half", ((0, 360), (0, 72), (0, 360))),
        ("quarter", ((0, 180), (0, 72), (0, 180))),
    ],
)
@pytest.mark.parametrize("sampling", ["so3", "euler"])
def test_published_coverages_are_filled_and_kept(rng, coverage, intervals, sampling):
    assert rotations.euler_region(coverage) == intervals
    angles = rotations.to_euler(rotations.sample_orientations(4000, rng, coverage, sampling))
    for column, (low, high) in zip(angles.T, intervals, strict=True):
        within = column if high == 180 and low == 0 and column.min() >= 0 else column % 360
        assert within.min() >= low - 1e-9
        assert within.max() <= high + 1e-9
        assert within.max() - within.min() > 0.95 * (high - low)


def test_so3_within_a_region_is_uniform_in_the_cosine_of_tilt(rng):
    region = ((10.0, 20.0), (30.0, 90.0), (-40.0, 40.0))
    angles = rotations.to_euler(rotations.sample_orientations(20_000, rng, region))
    cosine = np.cos(np.radians(angles[:, 1]))
    assert stats.kstest(cosine, stats.uniform(0, np.cos(np.radians(30))).cdf).pvalue > 1e-3


def test_the_same_generator_state_gives_the_same_poses():
    first, second = (rotations.sample_orientations(5, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("coverage", "message"),
    [
        ("most", "coverage is 'most'; wanted full, half, quarter"),
        (((0, 360), (90, 30), (0, 360)), r"tilt interval \[90, 30\] is empty or reversed"),
        (((5, 5), (0, 30), (0, 360)), r"rot interval \[5, 5\] is empty"),
        (((0, 361), (0, 30), (0, 360)), "wider than 360"),
        (((0, 360), (0, 190), (0, 360)), r"tilt \[0, 190\] reaches outside"),
        (((0, float("nan")), (0, 90), (0, 360)), "rot interval"),
    ],
)
def test_wrong_coverage_is_said(coverage, message):
    with pytest.raises(InputError, match=message):
        rotations.euler_region(coverage)


@pytest.mark.parametrize("sampling", ["so3", "euler"])
@pytest.mark.parametrize("count", [100, 3000])
def test_opposite_views_are_seen_where_the_coverage_has_them(sampling, count, rng):
    def seen(coverage):
        return rotations.opposites_are_seen(rotations.sample_orientations(count, rng, coverage, sampling))

    belt, cap, upper = (((0.0, 360.0), tilts, (0.0, 360.0)) for tilts in ((60.0, 120.0), (0.0, 30.0), (0.0, 90.0)))
    assert seen("full")
    assert seen(belt)
    assert not any(seen(coverage) for coverage in ("half", "quarter", cap, upper))


def test_one_view_has_no_opposite():
    assert not rotations.opposites_are_seen(np.eye(3)[None])
