from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.base.errors import ArgumentError
from engine.geometry import rotations
from engine.imaging import astra_gpu, fourier, fsc, projection, reconstruction
from engine.imaging.filters import shift_images
from engine.imaging.noise import NoiseModel
from engine.imaging.planes import Computed
from engine.imaging.volume import Volume
from tests.conftest import gaussians


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


def through(images, transfer):
    return np.fft.irfft2(np.fft.rfft2(images) * transfer, s=images.shape[1:]).astype(np.float32)


def twenty_defoci(count, size, rng):
    square = (fourier.half_plane_frequencies(size) ** 2).sum(axis=-1)
    defocus = rng.choice(np.linspace(40, 120, 20), count)
    return -np.sin(np.arcsin(0.1) + defocus[:, None, None] * square)


@pytest.mark.slow
def test_density_comes_back_from_images_of_twenty_defoci(rng):
    places = rng.uniform(-6, 6, (30, 3))
    density = gaussians((24, 24, 24), places.tolist(), [0.8] * 30, rng.uniform(0.5, 1.5, 30).tolist())
    volume = Volume(density, 2.5, np.zeros(3), "spots", center="box")
    poses = rotations.sample_orientations(600, rng)
    shifts, transfer = rng.uniform(-2, 2, (600, 2)), twenty_defoci(600, 41, rng)
    images = shift_images(through(projection.project_slices(volume, poses, 41), transfer), shifts)
    made = reconstruction.reconstruct(images, poses, volume, rng, 30, shifts=shifts, transfer=transfer)
    correlation = fsc.fourier_shell_correlation(made.density, density, 2.5)[1]
    assert correlation[: int(0.8 * len(correlation))].min() > 0.95
    computed = Computed((50, *transfer.shape[1:]), lambda indices: transfer[indices])
    arguments = images[:50], poses[:50], volume
    again = [
        reconstruction.reconstruct(*arguments, np.random.default_rng(0), 5, transfer=planes).density
        for planes in (transfer[:50], computed)
    ]
    np.testing.assert_array_equal(*again)
    ignored = reconstruction.reconstruct(images, poses, volume, rng, 30, shifts=shifts)
    assert fsc.fourier_shell_correlation(ignored.density, density, 2.5)[1].min() < 0.5


@pytest.mark.parametrize("snr", [None, 0.3])
def test_densities_are_those_of_direct_least_squares(rng, snr):
    """The system of all voxels, from plain sums over them, solved whole: of both halves, and of all they have."""
    size, count = 8, 60
    grid = Volume(np.zeros((6, 7, 8), np.float32), 1.0, np.zeros(3), "grid", center=(4.3, 2.8, 3.1))
    poses, shifts = rotations.sample_orientations(count, rng), rng.uniform(-1, 1, (count, 2))
    transfer = twenty_defoci(count, size, rng)
    power = rng.uniform(0.5, 3, (size, size // 2 + 1))
    images = rng.standard_normal((count, size, size)).astype(np.float32)
    halves = (np.arange(0, 20), np.arange(50, 22, -1))
    made = reconstruction.reconstruct(
        images, poses, grid, rng, 200, shifts=shifts, transfer=transfer, noise_power=power, halves=halves, snr=snr
    )
    k_v, k_u = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    inside = np.hypot(k_u, k_v) <= 0.5
    k = np.stack([k_u[inside], k_v[inside]])
    weight = np.where(k[0] == 0, 1, 2) * power[inside].mean() / power[inside]
    z, y, x = np.indices(grid.density.shape)
    places = np.stack([x.ravel() - 4.3, y.ravel() - 2.8, z.ravel() - 3.1])
    pixels = np.stack(np.meshgrid(*2 * [np.arange(size) - size // 2])).reshape(2, -1)

    def direct(members):
        matrix, right, diagonal = 0, 0, 0
        for number in members:
            moved = (poses[number].T @ places)[:2] + shifts[number][:, None]
            waves = np.exp(-2j * np.pi * k.T @ moved) * transfer[number][inside][:, None]
            values = np.exp(-2j * np.pi * k.T @ pixels) @ images[number].ravel()
            matrix = matrix + ((waves.conj().T * weight) @ waves).real
            right = right + ((waves.conj().T * weight) @ values).real
            diagonal += (weight * transfer[number][inside] ** 2).sum()
        ridge = 1e-3 if snr is None else len(matrix) / (snr * weight.sum() * len(members))
        return np.linalg.solve(matrix + ridge * diagonal * np.eye(len(matrix)), right).reshape(grid.density.shape)

    for density, members in zip((made.density, *made.halves), (np.concatenate(halves), *halves), strict=True):
        expected = direct(members)
        assert np.linalg.norm(density - expected) < 0.01 * np.linalg.norm(expected)


def test_the_ridge_of_the_ratio_is_the_best_for_voxels_that_are_independent(rng):
    white = Volume(rng.standard_normal((12, 12, 12)).astype(np.float32), 1.0, np.zeros(3), "white", center="box")
    poses = rotations.sample_orientations(100, rng)
    transfer = twenty_defoci(100, 20, rng)
    clean = through(projection.project_slices(white, poses, 20), transfer)
    noisy = NoiseModel(float(clean.var()) / 0.5).apply(clean, rng)

    def error(snr):
        made = reconstruction.reconstruct(noisy, poses, white, np.random.default_rng(0), 40, transfer=transfer, snr=snr)
        return np.linalg.norm(made.density - white.density) / np.linalg.norm(white.density)

    assert error(0.5) < min(error(0.1), error(2.5)) - 0.01
    assert error(0.5) < 0.8 * error(None)


@pytest.mark.parametrize(
    ("halves", "message"),
    [
        (([0, 1], [1, 2]), r"^halves have 2 and 2 images, 1 of them more than once"),
        (([], [1, 2]), r"^halves have 0 and 2 images"),
        (([0, 1], [2, 300]), r"^halves have the indices 0 to 300; wanted those of the 300 images"),
    ],
)
def test_half_sets_that_are_none_are_refused(toy_volume, seen, rng, halves, message):
    with pytest.raises(ArgumentError, match=message):
        reconstruction.reconstruct(*seen, toy_volume, rng, halves=halves)


def test_arrays_of_other_shapes_are_refused(toy_volume, seen, rng):
    with pytest.raises(ArgumentError, match=r"^shifts has the shape \(3, 2\); wanted \(300, 2\), for 300 images of 41"):
        reconstruction.reconstruct(*seen, toy_volume, rng, shifts=np.zeros((3, 2)))
    with pytest.raises(ArgumentError, match=r"^transfer has the shape \(300, 41\); wanted \(300, 41, 21\)"):
        reconstruction.reconstruct(*seen, toy_volume, rng, transfer=np.ones((300, 41)))
    with pytest.raises(ArgumentError, match=r"^noise_power has 0.0; wanted values above 0"):
        reconstruction.reconstruct(*seen, toy_volume, rng, noise_power=np.zeros((41, 21)))


def test_what_cgls_does_not_take_is_refused(toy_volume, seen, rng, monkeypatch):
    monkeypatch.setattr(astra_gpu, "require", lambda *_: None)
    with pytest.raises(ArgumentError, match=r"^method is 'cgls', which takes no transfer, noise_power or snr"):
        reconstruction.reconstruct(*seen, toy_volume, rng, method="cgls", snr=0.1)
