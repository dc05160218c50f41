"""The door to ASTRA, on any machine: its geometry is traced by splines, its CUDA algorithms are stood in for."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from scipy import ndimage, sparse
from scipy.sparse.linalg import lsqr

from engine.base.errors import ArgumentError
from engine.geometry import rotations
from engine.imaging import astra_gpu, reconstruction
from engine.imaging.choices import ITERATIONS
from engine.imaging.filters import fourier_crop
from engine.imaging.projection import project, project_slices
from engine.imaging.volume import Volume
from tests.conftest import gaussians, reference_projection
from tests.imaging_testing import relative_error

needs_astra = pytest.mark.skipif(importlib.util.find_spec("astra") is None, reason="needs ASTRA")
needs_cuda = pytest.mark.skipif(not astra_gpu.available(), reason="needs a CUDA device")


@pytest.fixture
def small():
    """A density off the middle of a box whose sides all differ, small enough for a matrix of its projections."""
    density = gaussians((15, 11, 13), [(1.0, 0.5, -1.0), (-1.5, -0.5, 2.0)], [1.5, 1.3], [1.0, 0.7])
    return Volume(density, 2.0, np.zeros(3), "small")


def voxels_on_rays(vectors, rows, columns, shape):
    """Indices (z, y, x), each (n, rows, columns, steps), of points a voxel apart on the rays of ``parallel3d_vec``.

    As ASTRA documents it: a row of ``vectors`` is the ray's direction, the middle of the detector, and the steps from
    a pixel to the next in its row (u) and in its column (v); the volume's middle is the origin.
    """
    ray, middle, u, v = (vectors[:, None, None, None, 3 * part : 3 * part + 3] for part in range(4))
    row, column, step = np.meshgrid(
        np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2, np.arange(-20.0, 21.0), indexing="ij"
    )
    points = middle + column[..., None] * u + row[..., None] * v + step[..., None] * ray
    x, y, z = np.moveaxis(points, -1, 0) + (np.array(shape[::-1])[:, None, None, None, None] - 1) / 2
    return z, y, x


def ray_matrix(vectors, rows, columns, shape):
    """The matrix from voxels to pixels (n * rows * columns), linear between voxels, as ASTRA's CUDA projector is."""
    places = np.stack(voxels_on_rays(vectors, rows, columns, shape)).reshape(3, -1)
    pixel = np.repeat(np.arange(len(vectors) * rows * columns), 41)
    below = np.floor(places).astype(int)
    parts = []
    for corner in np.ndindex(2, 2, 2):
        at = below + np.array(corner)[:, None]
        weight = np.prod(1 - np.abs(places - at), axis=0)
        inside = np.all((at >= 0) & (at < np.array(shape)[:, None]), axis=0)
        voxel = np.ravel_multi_index(at[:, inside], shape)
        parts.append(sparse.coo_array((weight[inside], (pixel[inside], voxel)), (pixel[-1] + 1, np.prod(shape))))
    return sum(parts[1:], parts[0]).tocsr()


@pytest.fixture
def astra_on_the_cpu(monkeypatch):
    """ASTRA's own geometries and data, with the two CUDA algorithms that are asked for done by a sparse matrix."""
    import astra

    asked, living = [], set()

    def matrix_of(geometry, grid):
        assert geometry["type"] == "parallel3d_vec"
        shape = (grid["GridSliceCount"], grid["GridRowCount"], grid["GridColCount"])
        rows, columns, vectors = (geometry[key] for key in ("DetectorRowCount", "DetectorColCount", "Vectors"))
        return ray_matrix(vectors, rows, columns, shape), (len(vectors), rows, columns), shape

    def create(settings):
        asked.append(settings)
        living.add(len(asked) - 1)
        return len(asked) - 1

    def run(number, iterations):
        settings = asked[number]
        assert settings["type"] == "CGLS3D_CUDA"
        of_images, of_volume = settings["ProjectionDataId"], settings["ReconstructionDataId"]
        matrix, (count, rows, columns), shape = matrix_of(
            astra.data3d.get_geometry(of_images), astra.data3d.get_geometry(of_volume)
        )
        sinogram = astra.data3d.get(of_images)
        assert sinogram.shape == (rows, count, columns)
        found = lsqr(matrix, sinogram.transpose(1, 0, 2).ravel(), iter_lim=iterations)[0]
        astra.data3d.store(of_volume, found.reshape(shape).astype(np.float32))

    def create_sino3d_gpu(density, geometry, grid):
        matrix, shape_of_images, shape = matrix_of(geometry, grid)
        assert density.shape == shape
        images = (matrix @ density.ravel()).reshape(shape_of_images).astype(np.float32)
        sinogram = np.ascontiguousarray(images.transpose(1, 0, 2))
        return astra.data3d.create("-proj3d", geometry, sinogram), sinogram

    monkeypatch.setattr(astra.algorithm, "create", create)
    monkeypatch.setattr(astra.algorithm, "run", run)
    monkeypatch.setattr(astra.algorithm, "delete", living.remove)
    monkeypatch.setattr(astra, "create_sino3d_gpu", create_sino3d_gpu)
    yield astra
    assert not living, "an algorithm was left behind"


@needs_astra
def test_it_is_there_where_astra_has_a_device():
    import astra

    assert astra_gpu.available() == astra.use_cuda()


def test_it_is_not_there_without_astra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not astra_gpu.available.__wrapped__()


@pytest.mark.parametrize("size", [24, 25])
def test_rays_of_the_geometry_make_the_images_of_the_convention(small, rng, size):
    poses = rotations.sample_orientations(4, rng)
    places = voxels_on_rays(astra_gpu.detector_vectors(poses, small, size), size, size, small.density.shape)
    values = ndimage.map_coordinates(small.density.astype(float), places, order=5, mode="constant")
    for image, pose in zip(values.sum(axis=-1), poses, strict=True):
        expected = reference_projection(small.density, pose, small.center_index, size)
        assert relative_error(image, expected) < 5e-3


@needs_astra
def test_projections_in_parts_are_those_of_the_convention(small, rng, astra_on_the_cpu, monkeypatch):
    monkeypatch.setattr(astra_gpu, "_BATCH", 3)
    poses = rotations.sample_orientations(7, rng)
    fractions = []
    images = astra_gpu.project(small, poses, 24, lambda fraction, values: fractions.append(fraction))
    expected = np.array([reference_projection(small.density, pose, small.center_index, 24) for pose in poses])
    assert images.dtype == np.float32
    assert relative_error(images, expected) < 0.05  # ASTRA interpolates linearly between voxels
    assert fractions == pytest.approx([3 / 7, 6 / 7, 1])


@pytest.mark.slow
@needs_astra
def test_least_squares_gives_the_density_back(small, rng, astra_on_the_cpu):
    poses = rotations.sample_orientations(60, rng)
    images = np.array([reference_projection(small.density, pose, small.center_index, 24) for pose in poses], np.float32)
    found = astra_gpu.reconstruct_cgls(images, poses, small, 30)
    assert found.shape == small.density.shape
    assert relative_error(found, small.density) < 0.1
    few = astra_gpu.reconstruct_cgls(images, poses, small, 1)
    assert relative_error(few, small.density) > 0.2, "the iterations are those asked for"
    wrong = astra_gpu.reconstruct_cgls(images, poses[::-1], small, 30)
    assert relative_error(wrong, small.density) > 0.5


@pytest.mark.slow
@needs_astra
def test_who_asks_for_cgls_has_all_images_and_both_halves_reconstructed_on_the_device(
    small, rng, astra_on_the_cpu, monkeypatch
):
    monkeypatch.setattr(astra_gpu, "available", lambda: True)
    asked = []
    on_device = astra_gpu.reconstruct_cgls
    monkeypatch.setattr(astra_gpu, "reconstruct_cgls", lambda *given: asked.append(given[-1]) or on_device(*given))
    poses = rotations.sample_orientations(60, rng)
    images = np.array([reference_projection(small.density, pose, small.center_index, 24) for pose in poses], np.float32)
    found = reconstruction.reconstruct(images, poses, small, rng, method="cgls")
    assert asked == 3 * [ITERATIONS["cgls"]] == [20, 20, 20]
    for density in (found.density, *found.halves):
        assert relative_error(density, small.density) < 0.15
    assert not np.array_equal(*found.halves)


@needs_astra
def test_a_device_that_is_there_is_not_used_unless_it_is_asked_for(small, rng, monkeypatch):
    def refuse(*given, **named):
        raise AssertionError("ASTRA was not asked for")

    poses = rotations.sample_orientations(3, rng)

    def made(projector="fourier", method="normal_equations"):
        images = project(small, poses, 24, projector=projector)
        rng = np.random.default_rng(0)
        return images, reconstruction.reconstruct(images, poses, small, rng, 2, method=method).density

    before = made()
    monkeypatch.setattr(astra_gpu, "available", lambda: True)
    monkeypatch.setattr(astra_gpu, "project", refuse)
    monkeypatch.setattr(astra_gpu, "reconstruct_cgls", refuse)
    for one, other in zip(made(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    for asked in ({"projector": "astra"}, {"method": "cgls"}):
        with pytest.raises(AssertionError):
            made(**asked)


def test_who_asks_for_astra_without_a_device_is_told_so_in_one_line(small, rng, monkeypatch):
    monkeypatch.setattr(astra_gpu, "available", lambda: False)
    poses = rotations.sample_orientations(3, rng)
    images = project(small, poses, 24)
    with pytest.raises(ArgumentError, match=r"^projector is 'astra', which needs a CUDA device, .*projector = fourier"):
        project(small, poses, 24, projector="astra")
    with pytest.raises(ArgumentError, match=r"^method is 'cgls', which needs a CUDA device, .*= normal_equations$"):
        reconstruction.reconstruct(images, poses, small, rng, method="cgls")


@needs_astra
def test_coarse_pixels_of_astra_are_cropped_from_its_full_images(small, rng, astra_on_the_cpu, monkeypatch):
    """So that training images are of the same projector as the test images."""
    monkeypatch.setattr(astra_gpu, "available", lambda: True)
    monkeypatch.setattr("engine.imaging.projection._BATCH_RAYS", 2)
    poses = rotations.sample_orientations(5, rng)
    full = project(small, poses, 30, projector="astra")
    coarse = project(small, poses, 20, 1.5 * small.voxel_size, projector="astra")
    np.testing.assert_allclose(coarse, fourier_crop(full, 20), atol=1e-6)
    assert relative_error(coarse, project_slices(small, poses, 20, 1.5)) < 0.05
    for size, pixels in ((20, 1.51), (30, 0.5)):
        with pytest.raises(ArgumentError, match=r"^pixel_size is .* with projector = astra$"):
            project(small, poses, size, pixels * small.voxel_size, projector="astra")


@needs_cuda
def test_astra_and_fourier_slices_agree(toy_volume, rng):
    poses = rotations.sample_orientations(20, rng)
    rays = project(toy_volume, poses, 36, projector="astra")
    slices = project(toy_volume, poses, 36, projector="fourier")
    assert 0 < relative_error(rays, slices) < 0.03  # ASTRA interpolates linearly between voxels
    assert astra_gpu.device_name()


@pytest.mark.slow
@needs_cuda
def test_both_least_squares_agree(toy_volume, rng):
    poses = rotations.sample_orientations(300, rng)
    images = project_slices(toy_volume, poses, toy_volume.diagonal)
    on_device = reconstruction.reconstruct(images, poses, toy_volume, rng, 30, method="cgls").density
    on_cpu = reconstruction.reconstruct(images, poses, toy_volume, rng, 30).density
    assert 0 < relative_error(on_device, on_cpu) < 0.1
