from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from engine.geometry import rotations
from engine.imaging import astra_gpu
from engine.imaging.projection import project_slices
from tests.imaging_testing import relative_error


def test_astra_is_not_called_without_a_device():
    if importlib.util.find_spec("astra") is None:
        assert not astra_gpu.available()
    else:
        import astra

        assert astra_gpu.available() == astra.use_cuda()


def test_astra_geometry_passes_through_the_centre_of_mass(toy_volume, rng):
    """On any machine: the detector's pixel size // 2 must lie on the line through the centre of mass along the ray."""
    poses = rotations.sample_orientations(5, rng)
    size = 32
    vectors = astra_gpu.detector_vectors(poses, toy_volume, size)
    ray, centre, u, v = vectors[:, :3], vectors[:, 3:6], vectors[:, 6:9], vectors[:, 9:]
    middle_pixel = centre + (size // 2 - (size - 1) / 2) * (u + v)
    box_middle = (np.array(toy_volume.density.shape[::-1]) - 1) / 2
    from_mass = middle_pixel - (toy_volume.center_index - box_middle)
    np.testing.assert_allclose(np.cross(from_mass, ray), 0, atol=1e-12)
    np.testing.assert_allclose(np.cross(u, v), ray, atol=1e-12)


@pytest.mark.skipif(not astra_gpu.available(), reason="needs a CUDA device")
def test_astra_and_fourier_slices_agree(toy_volume, rng):
    poses = rotations.sample_orientations(20, rng)
    rays = astra_gpu.project(toy_volume, poses, 36, lambda fraction, values: None)
    slices = project_slices(toy_volume, poses, 36)
    assert relative_error(rays, slices) < 0.03  # ASTRA interpolates linearly between voxels
