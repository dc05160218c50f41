from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

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


def test_fsc_of_a_density_with_itself_is_one_and_with_its_negative_minus_one(rng):
    density = rng.standard_normal((12, 15, 16)).astype(np.float32)
    _, same = fsc.fourier_shell_correlation(density, density, 1.0)
    _, opposite = fsc.fourier_shell_correlation(density, -density, 1.0)
    np.testing.assert_allclose(same, 1, atol=1e-12)
    np.testing.assert_allclose(opposite, -1, atol=1e-12)


def test_fsc_agrees_with_a_full_transform_shell_by_shell(rng):
    a, b = rng.standard_normal((2, 11, 14, 12))
    b += a
    k = np.stack(np.meshgrid(*[np.fft.fftfreq(n) for n in a.shape], indexing="ij"))
    shell = np.round(np.linalg.norm(k, axis=0) * 14).astype(int)
    fa, fb = np.fft.fftn(a), np.fft.fftn(b)
    expected = [
        np.sum((fa * fb.conj())[shell == s]).real
        / np.sqrt(np.sum(np.abs(fa[shell == s]) ** 2) * np.sum(np.abs(fb[shell == s]) ** 2))
        for s in range(1, 8)
    ]
    frequencies, found = fsc.fourier_shell_correlation(a, b, 2.0)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(frequencies, np.arange(1, 8) / 28)


def test_resolution_is_where_the_curve_first_falls_below():
    frequencies = np.array([0.1, 0.2, 0.3, 0.4])
    assert fsc.resolution_at(frequencies, np.array([1, 0.75, 0.25, 0.9]), 0.5) == pytest.approx(4.0)
    assert fsc.resolution_at(frequencies, np.array([1, 0.9, 0.8, 0.7]), 0.5) == pytest.approx(2.5)
    assert fsc.resolution_at(frequencies, np.array([0.1, 0.9, 0.8, 0.7]), 0.5) == np.inf
