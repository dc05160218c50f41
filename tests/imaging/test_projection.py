from __future__ import annotations

import numpy as np
import pytest

from engine.geometry import rotations
from engine.imaging import filters, fourier
from engine.imaging.projection import project, project_slices
from engine.imaging.volume import Volume
from engine.io.loading import load_volume
from tests.conftest import reference_projection
from tests.imaging_testing import direct_transform, relative_error


def test_identity_pose_is_the_plain_sum_along_z(toy_density):
    volume = Volume(toy_density, 1.0, np.zeros(3), "toy")
    size = 31
    image = project(volume, np.eye(3)[None], size)[0]
    expected = np.zeros((size, size))
    _, ny, nx = toy_density.shape
    top, left = size // 2 - ny // 2, size // 2 - nx // 2
    expected[top : top + ny, left : left + nx] = toy_density.sum(axis=0)
    # The plain sum turns about voxel n // 2, the projection about the centre of mass.
    offset = (np.array([nx // 2, ny // 2]) - volume.center_index[:2])[None]
    moved = filters.shift_images(expected[None].astype(np.float32), offset)[0]
    assert relative_error(image, moved) < 1e-4


def test_any_pose_agrees_with_rays_through_splines(toy_volume, rng):
    poses = rotations.sample_orientations(4, rng)
    images = project_slices(toy_volume, poses, 32)
    for image, pose in zip(images, poses, strict=True):
        expected = reference_projection(toy_volume.density, pose, toy_volume.center_index, 32)
        assert relative_error(image, expected) < 5e-3


@pytest.mark.slow
def test_projections_of_5j0n_are_within_a_thousandth_of_the_direct_slice(shared_data, rng):

    volume = load_volume(str(shared_data / "5j0n.mrc"))
    assert volume.diagonal == 116
    poses = rotations.sample_orientations(3, rng)
    plane = fourier.half_plane_frequencies(116)
    chosen = rng.choice(plane.shape[0] * plane.shape[1], 150, replace=False)
    frequencies = fourier.slice_frequencies(poses, plane.reshape(-1, 2)[chosen])
    found = fourier.transform(volume.density, frequencies)
    assert relative_error(found, direct_transform(volume.density, frequencies)) < 1e-3
    # The published projections have a standard deviation of about 1.03 over the whole frame.
    many = project(volume, rotations.sample_orientations(64, rng))
    assert many.std() == pytest.approx(1.03, abs=0.03)


def test_centre_of_mass_lands_on_the_middle_pixel(toy_volume, rng):
    images = project(toy_volume, rotations.sample_orientations(5, rng), 33).astype(float)
    position = np.arange(33) - 33 // 2
    mass = images.sum(axis=(1, 2))
    np.testing.assert_allclose((images.sum(axis=1) @ position) / mass, 0, atol=2e-3)
    np.testing.assert_allclose((images.sum(axis=2) @ position) / mass, 0, atol=2e-3)
    np.testing.assert_allclose(mass, toy_volume.density.sum(), rtol=1e-4)


def test_turning_psi_turns_the_image_in_its_plane(toy_volume):
    first, second = project(toy_volume, rotations.from_euler([[40.0, 70.0, 10.0], [40.0, 70.0, 100.0]]), 33)
    # psi + 90: R' = R Rz(90), so image'(u, v) = image(-v, u).
    np.testing.assert_allclose(second, np.rot90(first, 1, axes=(0, 1)), atol=1e-3 * first.max())


def test_last_partial_batch_is_not_lost(toy_volume, rng, monkeypatch):
    poses = rotations.sample_orientations(7, rng)
    whole = project_slices(toy_volume, poses, 44)
    monkeypatch.setattr("engine.imaging.projection._BATCH_POINTS", 3 * 44 * 23)
    told = []
    parts = project_slices(toy_volume, poses, 44, progress=lambda fraction, values: told.append(fraction))
    np.testing.assert_allclose(parts, whole, atol=1e-4 * whole.max())
    assert told == pytest.approx([3 / 7, 6 / 7, 1.0])


def test_batches_side_by_side_give_the_digits_of_one_after_the_other(toy_volume, rng, monkeypatch):
    poses = rotations.sample_orientations(9, rng)
    monkeypatch.setattr("engine.imaging.projection._BATCH_POINTS", 2 * 44 * 23)
    monkeypatch.setattr("engine.imaging.projection.usable_cores", lambda: 1)
    alone = project(toy_volume, poses, 44)
    monkeypatch.setattr("engine.imaging.projection.usable_cores", lambda: 8)
    told = []
    together = project(toy_volume, poses, 44, progress=lambda fraction, values: told.append(values["projections"]))
    np.testing.assert_array_equal(together, alone)
    assert told == [2, 4, 6, 8, 9]


def test_a_small_frame_is_cut_out_not_wrapped_around(toy_volume, rng):
    poses = rotations.sample_orientations(3, rng)
    large = project(toy_volume, poses, 50)
    np.testing.assert_allclose(project(toy_volume, poses, 16), large[:, 17:33, 17:33], atol=2e-3 * large.max())


def test_coarse_pixels_equal_fourier_cropping(toy_volume, rng):
    poses = rotations.sample_orientations(3, rng)
    fine = project(toy_volume, poses, 48)
    coarse = project(toy_volume, poses, 32, 1.5 * toy_volume.voxel_size)
    assert relative_error(coarse, filters.fourier_crop(fine, 32)) < 2e-3
