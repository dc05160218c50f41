from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from engine.base.errors import InputError
from engine.geometry import rotations
from engine.poses import distance, manifold, pairs
from engine.poses.alignment import align_poses
from engine.poses.choices import MOST_HELD, MOST_PAIRS
from engine.poses.embedding import poses_from_embedding


def on_so3(count, rng, coverage="full", variance=0.0):
    poses = rotations.sample_orientations(count, rng, coverage)
    distances = distance.exact_distances(rotations.to_quaternion(poses), pairs.all_pairs(count))
    if variance:
        distances = distance.perturb_distances(distances, variance, rng)
    return poses, distances


# Embeddings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [2, 3])
def test_mds_finds_points_that_are_there_up_to_turning_them(dimensions, rng):
    given = pdist(rng.standard_normal((40, dimensions)))
    points = manifold.embed(squareform(given), dimensions, "mds")
    np.testing.assert_allclose(pdist(points), given, atol=1e-3)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-9)
    assert manifold.stress(squareform(given), points) < 1e-3


def test_isomap_unrolls_what_is_curved(rng):
    """Points of a half circle, with the distances across it: Isomap lays its arc out straight, MDS cannot."""
    angles = np.sort(rng.uniform(0, np.pi, 80))
    chords = 2 * np.sin(np.abs(np.subtract.outer(angles, angles)) / 2)
    unrolled = manifold.embed(chords, 2, "isomap")
    assert np.ptp(unrolled[:, 0]) == pytest.approx(np.ptp(angles), rel=0.02)
    assert np.ptp(unrolled[:, 1]) < 0.1
    assert np.ptp(manifold.embed(chords, 2, "mds")[:, 0]) < 0.8 * np.ptp(angles)


@pytest.mark.parametrize("method", manifold.METHODS)
def test_two_groups_stay_apart(method, rng):
    place = np.concatenate([rng.normal(0, 0.1, (25, 3)), rng.normal(2, 0.1, (25, 3))])
    points = manifold.embed(squareform(pdist(place)), 2, method)
    middle = [points[:25].mean(axis=0), points[25:].mean(axis=0)]
    own, other = (np.linalg.norm(points[:25] - centre, axis=1) for centre in middle)
    assert np.all(own < other)


@pytest.mark.parametrize("method", manifold.METHODS)
def test_turns_about_one_axis_are_a_closed_ring(method):
    """The seed's pictures: in-plane turns make a circle, and neighbours on it stay neighbours."""
    around = np.arange(0, 360, 6.0)
    quaternions = rotations.to_quaternion(rotations.from_euler(np.stack([0 * around, 0 * around, around], axis=1)))
    points = manifold.embed(rotations.geodesic_distance(quaternions[:, None], quaternions[None]), 2, method)
    steps = np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1)
    radii = np.linalg.norm(points, axis=1)
    assert radii.min() > 0.9 * radii.max()
    np.testing.assert_allclose(steps, 2 * np.sin(np.radians(3)) * radii.mean(), rtol=0.15)


@pytest.mark.parametrize("method", manifold.METHODS)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_same_distances_give_the_same_points(method, dimensions, rng):
    full = squareform(on_so3(50, rng, variance=0.1)[1].values)
    one, two = (manifold.embed(full, dimensions, method, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (50, dimensions)


@pytest.mark.parametrize("method", manifold.METHODS)
def test_projections_that_are_all_alike_are_one_point(method):
    np.testing.assert_array_equal(manifold.embed(np.zeros((9, 9)), 3, method), np.zeros((9, 3)))


@pytest.mark.parametrize("method", ["mds", "isomap"])
def test_points_on_a_line_leave_the_second_dimension_empty(method):
    line = np.linspace(0, 1, 30)
    points = manifold.embed(np.abs(np.subtract.outer(line, line)), 2, method)
    assert np.ptp(points, axis=0) == pytest.approx([1, 0], abs=1e-3)


def test_what_cannot_be_embedded_is_said(monkeypatch):
    with pytest.raises(InputError, match="in 3 dimensions of 4 projections; wanted at least 5 of them"):
        manifold.embed(np.ones((4, 4)) - np.eye(4), 3, "mds")
    with pytest.raises(InputError, match="method is 'tsne'; wanted one of mds, spectral, isomap"):
        manifold.embed(np.ones((9, 9)) - np.eye(9), 2, "tsne")

    def without_eigenvectors(*_):  # as LAPACK, on some machines, where too many eigenvalues are the same
        raise ValueError("the leading minor is not positive definite")

    monkeypatch.setattr("sklearn.manifold.Isomap.fit_transform", without_eigenvectors)
    with pytest.raises(InputError, match="Isomap finds no directions in the distances; wanted some that differ"):
        manifold.embed(np.ones((30, 30)) - np.eye(30), 2, "isomap")


# Spectrum -----------------------------------------------------------------------------------------------------------


def test_the_spectrum_of_exact_distances_ends_at_nine(rng):
    values = manifold.gram_spectrum(squareform(on_so3(150, rng)[1].values).astype(float))
    assert np.all(np.diff(values) <= 0)
    assert values[8] > 0.5 * 150 / 3
    np.testing.assert_allclose(values[9:], 0, atol=1e-3)
    assert values.sum() == pytest.approx(3 * 150)
    assert manifold.share_of_rank(values) == pytest.approx(1)


def test_the_nine_eigenvalues_of_haar_poses_tend_to_a_third_of_their_number(rng):
    values = manifold.gram_spectrum(squareform(on_so3(1200, rng)[1].values))
    np.testing.assert_allclose(values[:9], 400, rtol=0.25)
    quarter = manifold.gram_spectrum(squareform(on_so3(300, rng, "quarter")[1].values))
    assert quarter[0] > 2 * 300 / 3, "poses that are no uniform ones are told by it"


def test_errors_show_beyond_the_ninth(rng):
    values = manifold.gram_spectrum(squareform(on_so3(150, rng, variance=0.2)[1].values))
    assert values[9] > 5
    assert values[-1] < -5
    assert 0.3 < manifold.share_of_rank(values) < 0.95


# Starts of the recovery ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coverage", ["full", "quarter"])
def test_mds_of_exact_chords_gives_the_poses_though_it_is_centred(coverage, rng):
    poses, given = on_so3(120, rng, coverage)
    found, _ = poses_from_embedding(manifold.pose_embedding(given, "mds"), rng, 50)
    assert np.median(align_poses(found, poses, rng).errors) < 1e-5


@pytest.mark.slow
def test_isomap_of_uniform_poses_gives_them_nearly(rng):
    poses, given = on_so3(300, rng)
    found, _ = poses_from_embedding(manifold.pose_embedding(given, "isomap"), rng, 50)
    assert np.median(align_poses(found, poses, rng).errors) < 0.2


@pytest.mark.slow
def test_pairs_that_are_not_given_are_paths(rng):
    poses, distances = on_so3(200, rng)
    points = manifold.pose_embedding(distances[distances.values < 1.5], "mds")
    found, _ = poses_from_embedding(points, rng, 50)
    assert np.median(align_poses(found, poses, rng).errors) < 0.2


@pytest.mark.parametrize("method", ["mds", "isomap"])
def test_few_projections_fill_nine_columns(method, rng):
    _, given = on_so3(5, rng)
    points = manifold.pose_embedding(given, method)
    assert points.shape == (5, 9)
    assert np.isfinite(points).all()


def test_the_limit_is_that_of_the_matrix_that_is_held():
    assert MOST_PAIRS >= MOST_HELD * (MOST_HELD - 1) // 2
