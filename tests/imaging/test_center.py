"""The centre of rotation: of mass, the box's voxel n // 2, or any other; and what RELION makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.base.errors import ArgumentError
from engine.geometry import rotations
from engine.geometry.rotations import geodesic_distance, to_quaternion
from engine.imaging import fourier, fsc, reconstruction
from engine.imaging.filters import shift_images
from engine.imaging.projection import project_slices, relion_shifts
from engine.imaging.resampling import resampled
from engine.imaging.shape import binned, outer_radius, radius_of_gyration
from engine.imaging.volume import Volume
from engine.poses.refinement import refine_poses
from tests.conftest import gaussians, reference_projection
from tests.imaging_testing import relative_error

SIZE = 40


@pytest.fixture
def aside() -> Volume:
    """In a cube of 40 voxels, with its centre of mass 5 voxels from the middle."""
    density = gaussians(
        (SIZE,) * 3,
        centres_xyz=[(6.0, 0.0, 3.0), (3.0, -4.0, 4.0), (2.0, 2.0, 7.0), (0.0, -1.0, 1.0)],
        widths=[1.8, 2.0, 1.6, 1.7],
        heights=[1.0, 0.7, 0.5, 0.9],
    )
    volume = Volume(density, 2.5, np.zeros(3), "aside")
    assert np.linalg.norm(volume.center_offset) == pytest.approx(5, abs=0.3)
    return volume


@pytest.fixture
def poses(rng):
    return rotations.sample_orientations(12, rng)


@pytest.mark.parametrize("center", ["mass", "box", (18.0, 23.5, 20.25)])
def test_a_volume_is_projected_about_its_centre(aside, poses, center):
    volume = replace(aside, center=center)
    index = {"mass": aside.mass_index, "box": np.full(3, SIZE // 2)}.get(center, center)
    np.testing.assert_array_equal(volume.center_index, index)
    np.testing.assert_array_equal(volume.center_offset, np.subtract(index, SIZE // 2))
    some = poses[:3]
    expected = [reference_projection(aside.density, pose, np.asarray(index, float), SIZE) for pose in some]
    assert relative_error(project_slices(volume, some, SIZE), np.array(expected)) < 2e-3


def test_origins_are_those_of_a_map_that_turns_about_voxel_n_2(aside, poses, rng, aspire):
    """ASPIRE turns the map about voxel n // 2, as RELION does; only the origins tell it that ours turned elsewhere."""
    shifts = rng.uniform(-3, 3, (len(poses), 2))
    images = shift_images(project_slices(aside, poses, SIZE), shifts)
    peer = aspire.volume.Volume(aside.density, pixel_size=aside.voxel_size).project(poses.astype(np.float32)).asnumpy()

    def least_correlation(moves) -> float:
        moved = shift_images(np.ascontiguousarray(peer), moves)
        return min(np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(images, moved, strict=True))

    assert least_correlation(relion_shifts(poses, shifts, aside.center_offset)) > 0.999
    assert least_correlation(shifts) < 0.6
    about_the_box = replace(aside, center="box")
    np.testing.assert_array_equal(relion_shifts(poses, shifts, about_the_box.center_offset), shifts)


@pytest.mark.slow
def test_projections_about_the_box_give_the_density_on_its_grid(aside, rng):
    volume = replace(aside, center="box")
    poses = rotations.sample_orientations(300, rng)
    images = project_slices(volume, poses, SIZE)
    made = reconstruction.reconstruct(images, poses, volume, rng).density
    assert fsc.fourier_shell_correlation(made, volume.density, 2.5)[1][: SIZE // 4].min() > 0.99
    elsewhere = reconstruction.reconstruct(images, poses, aside, rng).density
    assert fsc.fourier_shell_correlation(elsewhere, volume.density, 2.5)[1][: SIZE // 4].min() < 0.5


@pytest.mark.slow
def test_poses_are_refined_about_the_box(aside, poses):
    volume = replace(aside, center="box")
    images = np.array(
        [reference_projection(volume.density, pose, volume.center_index, SIZE) for pose in poses], dtype=np.float32
    )
    start = poses @ rotations.from_euler([4.0, 3.0, -2.0])
    refined = refine_poses(images, start, volume.density, volume.center_index).poses
    assert np.max(geodesic_distance(to_quaternion(refined), to_quaternion(poses))) < 1e-3


@pytest.mark.parametrize("center", ["box", (18.0, 23.5, 20.25)])
def test_volumes_on_other_voxels_turn_about_the_same_place(aside, center):
    volume = replace(aside, center=center)
    place = volume.origin + volume.voxel_size * volume.center_index
    for other in (binned(volume, 2), binned(volume, 3), resampled(volume, 3.1)):
        np.testing.assert_allclose(other.origin + other.voxel_size * other.center_index, place, atol=1e-9)


def test_the_centre_changes_the_outer_radius_but_not_that_of_gyration(aside):
    about_the_box = replace(aside, center="box")
    assert radius_of_gyration(about_the_box) == radius_of_gyration(aside)
    assert outer_radius(about_the_box) > 1.2 * outer_radius(aside)
    assert about_the_box.fingerprint != aside.fingerprint


def test_a_centre_that_is_none_is_refused(aside):
    with pytest.raises(ArgumentError, match=r"^center is 'middle'; wanted 'mass', 'box' or a voxel index"):
        replace(aside, center="middle")


def test_direct_sums_agree_with_the_shift_of_the_slice(aside, poses):
    """``F(R k) exp(2 pi i k . offset)`` is the transform about the other centre: the sign of the offset."""
    plane = fourier.half_plane_frequencies(SIZE)[:3, :3].reshape(-1, 2)
    z, y, x = np.indices(aside.density.shape)
    for pose in poses[:2]:
        from_centre = np.stack([a - c for a, c in zip((x, y, z), aside.center_index, strict=True)], axis=-1)
        in_image = from_centre @ pose[:, :2]
        expected = np.exp(-2j * np.pi * in_image.reshape(-1, 2) @ plane.T).T @ aside.density.ravel().astype(float)
        image = project_slices(aside, pose[None], SIZE)[0]
        found = np.fft.rfft2(np.fft.ifftshift(image))[:3, :3].ravel()
        np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())
