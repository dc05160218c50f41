from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.geometry.rotations import sample_orientations
from engine.poses.alignment import align_poses


def moved(poses, rng, mirrored: bool):
    """What recovery cannot tell apart: R -> A R B, or A R.T B."""
    a, b = Rotation.random(2, rng=rng).as_matrix()
    return a @ (np.swapaxes(poses, 1, 2) if mirrored else poses) @ b


@pytest.mark.parametrize("coverage", ["full", "half", "quarter"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_any_element_of_o4_is_undone_exactly(coverage, mirrored, rng):
    true = sample_orientations(200, rng, coverage)
    found = align_poses(moved(true, rng, mirrored), true, rng)
    assert found.errors.max() < 1e-7
    assert found.mirrored == mirrored
    np.testing.assert_allclose(found.poses, true, atol=1e-7)
    assert np.median(found.errors_before) > 0.3


@pytest.mark.parametrize("mirrored", [False, True])
def test_with_noise_it_is_the_noise_that_is_left(mirrored, rng):
    true = sample_orientations(1650, rng)
    noise = Rotation.from_rotvec(rng.normal(0, 0.05, (1650, 3)))
    found = align_poses(moved(true @ noise.as_matrix(), rng, mirrored), true, rng)
    np.testing.assert_allclose(found.errors, noise.magnitude(), atol=0.02)
    assert np.median(found.errors) == pytest.approx(np.median(noise.magnitude()), rel=0.02)


def test_a_one_sided_alignment_would_show_an_error_that_is_not_there(rng):
    true = sample_orientations(300, rng)
    recovered = moved(true, rng, mirrored=False)
    one_sided, _ = Rotation.align_vectors(true.reshape(-1, 3), recovered.reshape(-1, 3))
    left = Rotation.from_matrix(recovered @ one_sided.as_matrix().T)
    assert np.median((left.inv() * Rotation.from_matrix(true)).magnitude()) > 0.3
    assert np.median(align_poses(recovered, true, rng).errors) < 1e-7


def test_random_poses_do_not_align(rng):
    errors = align_poses(sample_orientations(500, rng), sample_orientations(500, rng), rng).errors
    assert np.median(errors) > 1.5


def test_four_poses_are_enough_to_run(rng):
    true = sample_orientations(4, rng)
    assert align_poses(moved(true, rng, mirrored=True), true, rng).errors.max() < 1e-6
