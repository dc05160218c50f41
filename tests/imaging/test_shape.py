"""Sizes of a ball, whose radii are known; coarser grids; the surface between inside and outside."""

from __future__ import annotations

import numpy as np
import pytest

from engine.imaging.shape import binned, block_means, outer_radius, radius_of_gyration, surface_level
from engine.imaging.volume import Volume


def ball(radius: float, voxel_size: float, height: float = 1.0, outside: float = 0.0) -> Volume:
    n = 61
    z, y, x = (voxel_size * (axis - c) for axis, c in zip(np.indices((n, n, n)), (30, 28.5, 31), strict=True))
    inside = np.sqrt(x**2 + y**2 + z**2) < radius
    return Volume(np.where(inside, height, outside).astype(np.float32), voxel_size, np.zeros(3), "ball")


@pytest.mark.parametrize("voxel_size", [1.0, 3.0])
def test_radii_of_a_ball(voxel_size):
    volume = ball(20 * voxel_size, voxel_size)
    assert outer_radius(volume) == pytest.approx(20 * voxel_size, rel=0.02)
    assert radius_of_gyration(volume) == pytest.approx(np.sqrt(3 / 5) * 20 * voxel_size, rel=0.01)


def test_the_surface_lies_between_inside_and_outside(rng):
    volume = ball(20, 1.0, height=5.0, outside=-1.0)
    noisy = volume.density + rng.normal(0, 0.5, volume.density.shape).astype(np.float32)
    threshold = noisy.mean() + surface_level(noisy) * noisy.std()
    assert 0.5 < threshold < 4.0
    assert outer_radius(Volume(noisy, 1.0, volume.origin, "noisy"), surface_level(noisy)) == pytest.approx(20, rel=0.03)


def test_the_level_does_not_depend_on_units(toy_density):
    assert surface_level(3 * toy_density - 7) == pytest.approx(surface_level(toy_density), rel=0.02)
    assert surface_level(np.ones((4, 4, 4))) == 0.0


def test_a_level_beyond_the_density_encloses_nothing(toy_volume):
    assert outer_radius(toy_volume, level=1e3) == 0.0


def test_blocks_are_averaged():
    density = np.arange(5 * 4 * 2, dtype=np.float32).reshape(5, 4, 2)
    means = block_means(density, 2)
    assert means.shape == (2, 2, 1)
    assert means[1, 0, 0] == pytest.approx(density[2:4, 0:2, 0:2].mean())
    assert block_means(density, 3).shape == (1, 1, 1)  # an axis shorter than a block is one block


def test_a_coarser_volume_lies_where_the_fine_one_does(toy_volume):
    coarse = binned(toy_volume, 2)
    assert coarse.density.shape == (12, 11, 13)
    assert coarse.voxel_size == 5.0
    assert coarse.center_of_mass == pytest.approx(toy_volume.center_of_mass, abs=0.05)
    assert binned(toy_volume, 1) is toy_volume
