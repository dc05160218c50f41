from __future__ import annotations

import numpy as np
import pytest

from engine.base.errors import ArgumentError
from engine.geometry import rotations
from engine.imaging import filters, whitening
from engine.imaging.projection import project_slices

SIZE = 48


def spectrum(frequency):
    """Coloured: six times the power at low frequencies."""
    return 0.5 + 2.5 / (1 + (frequency / 0.12) ** 2)


def coloured(count, rng, size=SIZE):
    """Noise of that spectrum, cut out of fields four times as large, so that opposite edges do not match."""
    large = 2 * size
    k = np.hypot(np.fft.fftfreq(large)[:, None], np.fft.rfftfreq(large))
    white = rng.standard_normal((count, large, large))
    field = np.fft.irfft2(np.fft.rfft2(white) * np.sqrt(spectrum(k)), s=(large, large))
    return field[:, :size, :size].astype(np.float32)


def discs(size=SIZE, radius=18):
    y, x = np.indices((size, size)) - size // 2
    return (np.hypot(x, y) < radius).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("size", [48, 47])
def test_the_spectrum_is_that_of_the_noise_whatever_the_particles(rng, size):
    images = coloured(800, rng, size) + 7 * discs(size) + rng.normal(0, 3, (800, 1, 1)).astype(np.float32)
    measured = whitening.noise_spectrum(images[start : start + 300] for start in range(0, 800, 300))
    assert (measured.used, measured.count) == (800, 800)
    expected = spectrum(measured.frequencies)
    some = slice(3, size // 2 + 1)  # each ring by about 1.5 %, by repetition
    np.testing.assert_allclose(measured.power[some], expected[some], rtol=0.07)
    assert abs(np.mean(measured.power[some] / expected[some]) - 1) < 0.01
    np.testing.assert_allclose(measured.power[:3], expected[:3], rtol=0.2)


def test_batches_do_not_matter(rng):
    images = coloured(20, rng)
    whole, parts = (whitening.noise_spectrum(b).power for b in ([images], [images[:7], images[7:]]))
    np.testing.assert_allclose(parts, whole, rtol=1e-10)


def test_white_noise_has_its_variance_as_power(rng):
    measured = whitening.noise_spectrum([rng.normal(0, 3, (600, 32, 32)).astype(np.float32)])
    np.testing.assert_allclose(measured.power[2:17], 9, rtol=0.1)


@pytest.mark.slow
def test_whitened_noise_is_flat_within_sampling_error(rng):
    factors = whitening.noise_spectrum([coloured(800, rng)]).whitening(SIZE)
    other = coloured(800, rng)
    window = np.hanning(SIZE)[:, None] * np.hanning(SIZE)  # their edges do not match: without it these would leak
    spectra = np.abs(np.fft.rfft2(np.fft.irfft2(np.fft.rfft2(other) * factors, s=(SIZE, SIZE)) * window)) ** 2
    power = spectra.mean(axis=0) / (window**2).sum()
    ring = np.rint(np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)) * SIZE).astype(int)
    flat = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    np.testing.assert_allclose(flat[3 : SIZE // 2 - 1], 1, atol=0.08)


@pytest.mark.slow
def test_spectrum_follows_fourier_cropping(rng):
    measured = whitening.noise_spectrum([coloured(800, rng)])
    small = filters.fourier_crop(coloured(800, rng), 24)
    window = np.hanning(24)[:, None] * np.hanning(24)
    power = (np.abs(np.fft.rfft2(small * window)) ** 2).mean(axis=0) / (window**2).sum()
    expected = measured.on_plane(24, pixel_ratio=2.0)
    inner = np.hypot(np.fft.fftfreq(24)[:, None], np.fft.rfftfreq(24)) * 24
    some = (inner > 3) & (inner < 10)
    assert np.mean(power[some] / expected[some]) == pytest.approx(1, abs=0.05)


def test_outliers_and_broken_images_are_left_out(rng):
    images = coloured(300, rng)
    spoilt = images.copy()
    spoilt[:20] *= 30
    spoilt[20, 0, 0] = np.nan
    spoilt[21] = 4.0
    measured = whitening.noise_spectrum([spoilt])
    assert (measured.used, measured.count) == (278, 300)
    np.testing.assert_array_equal(measured.power, whitening.noise_spectrum([images[22:]]).power)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ArgumentError, match=r"^radius is 33 pixels and the images are 48 wide"):
        whitening.noise_spectrum([np.ones((2, SIZE, SIZE), np.float32)], radius=33)
    with pytest.raises(ArgumentError, match=r"^batches have no image with noise"):
        whitening.noise_spectrum([np.ones((2, SIZE, SIZE), np.float32)])
    with pytest.raises(ArgumentError, match=r"^batches have images of 48 and 40 pixels"):
        whitening.noise_spectrum([np.ones((2, SIZE, SIZE), np.float32), np.ones((2, 40, 40), np.float32)])


@pytest.mark.parametrize("sign", [1, -1])
def test_contrast_of_noisy_discs(rng, sign):
    images = coloured(400, rng) + sign * 0.1 * discs(radius=10)
    judged = whitening.contrast([(images[:100], None), (images[100:], None)])
    assert judged.sign == sign
    assert judged.standard_errors > 4


def test_contrast_of_noise_alone_is_not_known(rng):
    assert max(whitening.contrast([(coloured(100, rng), None)]).standard_errors for _ in range(5)) < 3.5


@pytest.mark.parametrize("sign", [1, -1])
def test_contrast_through_transfer_functions_and_by_a_map(toy_volume, rng, sign):
    """Transfer functions that are negative at low frequencies: particles of both stacks look dark in one, bright in
    the other, and the sign is the one that makes them transfer times projection.
    """
    clean = project_slices(toy_volume, rotations.sample_orientations(200, rng), SIZE)
    square = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)) ** 2
    transfer = -np.sin(0.1 + np.linspace(50, 90, 200)[:, None, None] * square)
    seen = np.fft.irfft2(np.fft.rfft2(clean) * transfer, s=(SIZE, SIZE))
    images = (sign * seen + rng.normal(0, 4 * seen.std(), seen.shape)).astype(np.float32)
    mean = project_slices(toy_volume, rotations.sample_orientations(50, rng), SIZE).mean(axis=0)
    for template in (None, mean):
        judged = whitening.contrast([(images, transfer)], template=template)
        assert judged.sign == sign
        assert judged.standard_errors > 5
