from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

from engine.imaging import filters


@pytest.fixture
def blob():
    y, x = np.indices((40, 40)) - 20
    return np.exp(-((x - 2.0) ** 2 + (y + 3.0) ** 2) / 18)[None].astype(np.float32)


def test_whole_pixel_shift_is_a_roll(blob):
    moved = filters.shift_images(blob, np.array([[3.0, -5.0]]))
    np.testing.assert_allclose(moved[0], np.roll(blob[0], (-5, 3), axis=(0, 1)), atol=1e-6)


def test_part_of_a_pixel_agrees_with_scipy(blob):
    moved = filters.shift_images(blob, np.array([[0.3, -1.6]]))
    expected = ndimage.fourier_shift(np.fft.fft2(blob[0].astype(float)), (-1.6, 0.3))
    np.testing.assert_allclose(moved[0], np.fft.ifft2(expected).real, atol=1e-5)


def test_shift_and_its_opposite_cancel(blob):
    shift = np.array([[4.25, 2.5]])
    np.testing.assert_allclose(filters.shift_images(filters.shift_images(blob, shift), -shift), blob, atol=1e-5)


def test_shifts_are_triangular(rng):
    shifts = filters.draw_shifts(20_000, 8.0, rng)
    assert stats.kstest(shifts.ravel(), stats.triang(0.5, -8, 16).cdf).pvalue > 1e-3
    assert not filters.draw_shifts(3, 0.0, rng).any()


def test_standardised_images_have_mean_0_and_deviation_1(rng):
    images = rng.normal(7, 3, (4, 20, 20)).astype(np.float32)
    images[3] = 5.0
    done = filters.standardise(images)
    np.testing.assert_allclose(done[:3].mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(done[:3].std(axis=(1, 2)), 1, atol=1e-5)
    assert not done[3].any()


@pytest.mark.parametrize(("full", "small"), [(40, 24), (41, 24), (40, 23)])
def test_fourier_crop_keeps_mean_place_and_shape_of_a_smooth_image(full, small):
    def gaussian(size):
        y, x = (np.indices((size, size)) - size // 2) * full / size
        return np.exp(-((x - 4.0) ** 2 + (y + 2.0) ** 2) / 32)

    cropped = filters.fourier_crop(gaussian(full)[None].astype(np.float32), small)[0]
    np.testing.assert_allclose(cropped, gaussian(small), atol=2e-3)


def test_fourier_crop_scales_white_noise_by_the_ratio_of_pixels(rng):
    noise = rng.normal(0, 3, (40, 60, 60)).astype(np.float32)
    assert filters.fourier_crop(noise, 30).var() == pytest.approx(9 / 4, rel=0.05)
