from __future__ import annotations

import numpy as np
import pytest

from engine.imaging import resampling
from engine.imaging.volume import Volume
from tests.conftest import gaussians

CENTRES, WIDTHS, HEIGHTS = [(-4.0, 1.0, 2.0), (3.0, -2.0, 0.5)], [3.0, 2.5], [1.0, 1.5]


@pytest.mark.parametrize(("voxel_size", "shape"), [(3.0, (28, 30, 33)), (1.25, (29, 30, 31)), (2.0, (28, 29, 30))])
def test_resampling_gives_the_density_that_those_voxels_would_have(voxel_size, shape):
    """Gaussians are known anywhere; resampled they have to agree with the formula at the new voxels."""
    volume = Volume(gaussians(shape, CENTRES, WIDTHS, HEIGHTS), 2.0, np.array([10.0, -5.0, 0.0]), "blobs")
    made = resampling.resampled(volume, voxel_size)
    assert made.voxel_size == voxel_size
    places = (
        made.origin[:, None] + voxel_size * np.stack([np.ravel(axis) for axis in np.indices(made.density.shape)])[::-1]
    )
    middle = np.array([n // 2 for n in shape[::-1]])
    x, y, z = (places - volume.origin[:, None]) / 2.0 - middle[:, None]
    expected = sum(
        height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / (2 * width**2))
        for (cx, cy, cz), width, height in zip(CENTRES, WIDTHS, HEIGHTS, strict=True)
    )
    np.testing.assert_allclose(made.density.ravel(), expected, atol=6e-3 * volume.density.max())
    np.testing.assert_allclose(made.center_of_mass, volume.center_of_mass, atol=0.05)
    mass, before = made.density.sum() * voxel_size**3, volume.density.sum() * 8
    assert mass == pytest.approx(before, rel=1e-3)


def test_detail_that_larger_voxels_cannot_hold_is_left_out_and_not_folded_back(rng):
    white = Volume(rng.standard_normal((24, 24, 24)).astype(np.float32), 1.0, np.zeros(3), "noise")
    made = resampling.resampled(white, 2.0)
    # An eighth of the frequencies is left, each with its power; folded back, the variance would stay 1.
    middle = made.density[2:-2, 2:-2, 2:-2]
    assert middle.var() == pytest.approx(1 / 8, rel=0.15)
