from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.base.errors import ArgumentError
from engine.imaging import filters
from engine.imaging.noise import NoiseModel, Spectrum


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


def radial(size):
    return np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])


STEEP = Spectrum((10.0, 2.0, 1.0, 0.5, 0.5))


def test_white_noise_has_the_digits_that_it_had(rng):
    """Written down before noise could be coloured."""
    images = np.arange(4 * 8 * 8, dtype=np.float32).reshape(4, 8, 8)
    noisy = NoiseModel(2.5).apply(images, np.random.default_rng(7))
    np.testing.assert_array_equal(
        noisy[0, 0, :4],
        np.array([2.406444787979126, -0.8089901208877563, 3.8185653686523438, 0.17821550369262695], np.float32),
    )
    np.testing.assert_array_equal(
        noisy[3, 7, 4:],
        np.array([251.14874267578125, 253.6343536376953, 255.40380859375, 253.0253143310547], np.float32),
    )


@pytest.mark.parametrize("size", [48, 49])
@pytest.mark.parametrize("spectrum", [STEEP, Spectrum.coloured(3.0)], ids=["steep", "coloured"])
def test_coloured_noise_has_its_spectrum_and_the_given_variance(rng, size, spectrum):
    count = 600
    noisy = NoiseModel(9.0, spectrum=spectrum).apply(np.zeros((count, size, size), np.float32), rng)
    assert noisy.mean() == pytest.approx(0, abs=0.05)
    assert noisy.var() == pytest.approx(9.0, rel=0.03)
    measured = (np.abs(np.fft.rfft2(noisy)) ** 2).mean(axis=0) / size**2
    nodes = np.linspace(0, np.sqrt(0.5), len(spectrum.relative))
    shape = np.interp(radial(size), nodes, spectrum.relative)
    ratio = measured / shape
    # The power of a coefficient is exponential, so the mean of 600 scatters by 1 / sqrt(600) = 0.041.
    assert ratio.std() / ratio.mean() == pytest.approx(1 / np.sqrt(count), rel=0.2)
    for ring in range(6):
        inside = (radial(size) >= ring / 12) & (radial(size) < (ring + 1) / 12)
        assert ratio[inside].mean() == pytest.approx(ratio.mean(), rel=0.03)
    assert stats.kstest(noisy[:3].ravel()[::7] / noisy.std(), "norm").pvalue > 1e-3


def test_the_power_of_a_flat_spectrum_is_that_of_white_noise():
    np.testing.assert_allclose(NoiseModel(2.0, spectrum=Spectrum((3.0, 3.0))).power(32), 1)
    np.testing.assert_array_equal(NoiseModel(2.0).power(32), np.ones((32, 17)))


def test_the_mean_power_of_the_plane_is_one():
    """The whole plane: columns of the half between the first and the last stand for two."""
    twice = np.full(129, 2.0)
    twice[[0, -1]] = 1
    for spectrum in (STEEP, Spectrum.coloured(2.0)):
        assert (NoiseModel(1.0, spectrum=spectrum).power(256) * twice).sum() / 256**2 == pytest.approx(1, rel=2e-3)
    # r^2 over the square of side 1 around the origin: 1/12 + 1/12.
    nodes = np.linspace(0, np.sqrt(0.5), 2001)
    assert Spectrum(tuple(nodes**2)).mean == pytest.approx(1 / 6, rel=1e-5)


@pytest.mark.parametrize("pixel_size", [0.8, 2.0, 7.0])
def test_the_coloured_spectrum_is_its_formula_at_all_pixel_sizes(pixel_size):
    spectrum = Spectrum.coloured(pixel_size)
    frequency = np.linspace(0, np.sqrt(0.5), 337)
    formula = 0.2 + 0.8 / (1 + (30 * frequency / pixel_size) ** 2)
    np.testing.assert_allclose(spectrum.at(frequency) * spectrum.mean, formula, rtol=2e-3)
    coarse = Spectrum.coloured(pixel_size).on_larger_pixels(2.5)
    directly = Spectrum.coloured(2.5 * pixel_size)
    inside = frequency[frequency < 0.5]
    np.testing.assert_allclose(coarse.at(inside), directly.at(inside), rtol=2e-3)


@pytest.mark.parametrize("spectrum", [STEEP, Spectrum.coloured(3.0)], ids=["steep", "coloured"])
def test_coloured_noise_on_larger_pixels_is_what_fourier_cropping_leaves(rng, spectrum):
    model = NoiseModel(9.0, 0.5, spectrum)
    images = model.apply(np.zeros((600, 60, 60), np.float32), rng)
    cropped, coarse = filters.fourier_crop(images, 24), model.on_larger_pixels(60 / 24)
    assert cropped.var() == pytest.approx(coarse.variance, rel=0.03)
    assert coarse.variance > 1.2 * NoiseModel(9.0).on_larger_pixels(60 / 24).variance
    assert coarse.snr == model.snr
    measured = (np.abs(np.fft.rfft2(cropped)) ** 2).mean(axis=0) / 24**2 / coarse.variance
    ratio = (measured / coarse.power(24))[radial(24) < 0.5]  # cropping halves what it leaves on the edge
    assert ratio.mean() == pytest.approx(1, rel=0.02)
    assert ratio.std() == pytest.approx(1 / np.sqrt(600), rel=0.3)


@pytest.mark.parametrize(
    ("relative", "reach", "wanted"),
    [
        ((1.0,), 0.5, "relative has 1 values"), ((1.0, -1.0), 0.5, "relative has 2 values"),
        ((0.0, 0.0), 0.5, "relative has 2 values"), ((1.0, np.nan), 0.5, "relative has 2 values"),
        ((1.0, 2.0), 0.0, "reach is 0.0; wanted a number above 0"),
    ],
)  # fmt: skip
def test_spectra_that_cannot_be_are_refused(relative, reach, wanted):
    with pytest.raises(ArgumentError, match=f"^{wanted}"):
        Spectrum(relative, reach)


def test_models_are_hashable_and_equal_by_value():
    one, again = (NoiseModel(1.0, 0.1, Spectrum(np.array([2.0, 1.0]))) for _ in range(2))
    assert one == again
    assert len({one, again}) == 1
