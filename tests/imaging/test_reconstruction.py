from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.base.errors import ArgumentError
from engine.geometry import rotations
from engine.imaging import fsc, projection, reconstruction
from engine.imaging.noise import NoiseModel


@pytest.fixture
def seen(toy_volume, rng):
    poses = rotations.sample_orientations(300, rng)
    return projection.project_slices(toy_volume, poses, toy_volume.diagonal), poses


def test_project_and_reconstruct_returns_the_density(toy_volume, seen, rng):
    found = reconstruction.reconstruct(*seen, toy_volume, rng)
    for density in (found.density, *found.halves):
        error = np.linalg.norm(density - toy_volume.density) / np.linalg.norm(toy_volume.density)
        assert error < 0.03
    frequencies, correlation = fsc.fourier_shell_correlation(found.density, toy_volume.density, 2.5)
    assert correlation[: len(correlation) // 2].min() > 0.99
    assert frequencies[-1] == pytest.approx(1 / 5.0)


def test_iterations_that_are_not_given_are_the_methods(toy_volume, seen):
    asked, default, fewer = (
        reconstruction.reconstruct(*seen, toy_volume, np.random.default_rng(0), number) for number in (10, None, 9)
    )
    np.testing.assert_array_equal(default.density, asked.density)
    assert not np.array_equal(fewer.density, asked.density)


def test_images_that_are_not_finite_are_refused(toy_volume, seen, rng):
    images, poses = seen[0].copy(), seen[1]
    images[3, 0, 0] = np.nan
    with pytest.raises(ArgumentError, match=r"^images\[3\] is not finite"):
        reconstruction.reconstruct(images, poses, toy_volume, rng)


def test_halves_are_different_images(toy_volume, seen, rng):
    images, poses = seen
    noisy = NoiseModel(float(images.var())).apply(images, rng)
    first, second = reconstruction.reconstruct(noisy, poses, toy_volume, rng).halves
    assert np.linalg.norm(first - second) > 0.05 * np.linalg.norm(first)


def test_wrong_poses_spoil_it(toy_volume, seen, rng):
    images, poses = seen
    wrong = poses @ Rotation.from_rotvec(rng.normal(0, 0.3, (len(poses), 3))).as_matrix()

    def resolution(used):
        found = reconstruction.reconstruct(images, used, toy_volume, rng)
        curve = fsc.fourier_shell_correlation(found.density, toy_volume.density, 2.5)
        return fsc.resolution_at(*curve, 0.5)

    assert resolution(wrong) > 1.3 * resolution(poses)
