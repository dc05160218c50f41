from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.base.errors import ArgumentError
from engine.imaging import filters
from engine.imaging.noise import NoiseModel


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
