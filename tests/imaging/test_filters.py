from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

from engine.base.errors import ArgumentError
from engine.base.randomness import stream
from engine.imaging import filters, simulation
from engine.imaging.noise import NoiseModel
from engine.imaging.simulation import Acquisition


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


def test_noise_is_white_and_of_the_given_variance(rng):
    images = np.zeros((50, 32, 32), np.float32)
    noisy = NoiseModel(16.0).apply(images, rng)
    assert noisy.var() == pytest.approx(16.0, rel=0.03)
    assert stats.kstest(noisy[:5].ravel() / 4, "norm").pvalue > 1e-3
    power = (np.abs(np.fft.fft2(noisy)) ** 2).mean(axis=0) / 32**2
    assert power.std() / power.mean() < 0.25  # 1 / sqrt(50) = 0.14 for a flat spectrum
    assert not images.any(), "the clean images were written to"


def test_snr_and_variance_say_the_same(rng):
    clean = rng.normal(0, 2, (10, 30, 30)).astype(np.float32)
    by_ratio = NoiseModel.for_signal(clean, snr=0.25)
    assert by_ratio.variance == pytest.approx(16, rel=0.1)
    assert by_ratio.signal_variance == pytest.approx(clean.var(), rel=1e-5)
    assert NoiseModel.for_signal(clean, by_ratio.variance).snr == pytest.approx(0.25)
    assert NoiseModel.for_signal(clean) == NoiseModel(0.0, float("inf"))


@pytest.mark.parametrize(
    ("variance", "snr", "wanted"),
    [(-1, 1, "variance is -1"), (np.nan, 1, "variance is nan"), (1, 0, "snr is 0")],
)
def test_noise_that_cannot_be_is_refused(variance, snr, wanted):
    with pytest.raises(ArgumentError, match=f"^{wanted}; wanted a number"):
        NoiseModel(variance, snr)


def test_noise_on_larger_pixels_is_what_fourier_cropping_leaves(rng):
    images = NoiseModel(9.0).apply(np.zeros((60, 60, 60), np.float32), rng)
    assert filters.fourier_crop(images, 24).var() == pytest.approx(
        NoiseModel(9.0).on_larger_pixels(60 / 24).variance, rel=0.05
    )


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


def test_training_projections_at_low_resolution_equal_cropped_full_ones(toy_volume):
    settings = Acquisition(size=40)
    data = simulation.simulate_training(toy_volume, settings, NoiseModel(2.0), 6, 4, 24, np.random.default_rng(1))
    from engine.imaging.projection import project

    full = filters.fourier_crop(project(toy_volume, data.poses, 40), 24)
    assert np.linalg.norm(data.images - full) < 0.02 * np.linalg.norm(full)
    assert data.noise.variance == pytest.approx(2.0 * (24 / 40) ** 2)


def test_test_training_and_validation_poses_never_meet(toy_volume):
    settings = Acquisition(size=32)
    test = simulation.simulate(toy_volume, settings, 50, stream(0, "test projections"))
    data = simulation.simulate_training(
        toy_volume, settings, NoiseModel(), 60, 20, 24, stream(0, "training projections")
    )
    everything = np.concatenate([test.truth.poses, data.poses, data.validation_poses]).reshape(-1, 9).round(9)
    assert len(np.unique(everything, axis=0)) == 130


def test_the_size_of_one_set_changes_nothing_in_another(toy_volume):
    settings = Acquisition(size=32)
    few = simulation.simulate(toy_volume, settings, 5, stream(4, "test projections"))
    many = simulation.simulate(toy_volume, settings, 9, stream(4, "calibration"))
    again = simulation.simulate(toy_volume, settings, 5, stream(4, "test projections"))
    np.testing.assert_array_equal(few.images, again.images)
    assert not np.array_equal(few.truth.poses, many.truth.poses[:5])


def test_support_radius_of_a_disc():
    y, x = np.indices((64, 64)) - 32
    disc = (np.hypot(x, y) <= 20).astype(np.float32)[None]
    assert simulation.support_radius(disc) == pytest.approx(21, abs=0.6)
