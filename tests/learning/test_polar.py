from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from engine.learning import polar


def test_polar_sampling_agrees_with_spline_interpolation(rng):
    image = ndimage.gaussian_filter(rng.standard_normal((25, 25)), 2.0, mode="wrap")
    sampled = (image.ravel() @ polar.polar_sampling(25, 9.0, 6, 32)).reshape(32, 6)
    ring, angle = (np.arange(6) + 0.5) * 1.5, 2 * np.pi * (np.arange(32) + 0.5) / 32
    at = np.stack([12 + np.outer(np.sin(angle), ring), 12 + np.outer(np.cos(angle), ring)])
    expected = ndimage.map_coordinates(image, at, order=5, mode="grid-wrap")
    np.testing.assert_allclose(sampled, expected, atol=2e-4 * np.abs(image).max())


@pytest.mark.parametrize("size", [16, 17])
def test_polar_interpolation_at_pixels_is_the_pixel(size):
    positions = np.arange(size) - float(size // 2)
    np.testing.assert_allclose(polar.interpolation(positions, size), np.eye(size), atol=1e-12)
