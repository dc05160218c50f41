from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage, signal

from engine.base.errors import ArgumentError
from engine.imaging import filters
from engine.imaging.planes import Computed
from engine.imaging.preparation import Preparation, resized, soft_disc
from engine.imaging.whitening import NoiseSpectrum

PLAIN = Preparation(24, phase_flip=False, normalisation="none")


@pytest.fixture
def images(rng):
    """White noise, smoothed so that nothing is left at the Nyquist frequency of 24 pixels; 40 pixels wide."""
    return band_limited(rng, 40, 10)


def band_limited(rng, size, highest, count=5):
    k = np.hypot(np.fft.fftfreq(size, 1 / size)[:, None], np.fft.rfftfreq(size, 1 / size))
    spectra = np.fft.rfft2(rng.standard_normal((count, size, size))) * (k < highest)
    return np.fft.irfft2(spectra, s=(size, size)).astype(np.float32)


def direct(image, size, factors):
    """The cropped image as a plain sum over waves, ``factors`` (a function of k_x, k_y in cycles a frame) on each."""
    full = image.shape[0]
    at = np.arange(full) - full // 2
    new = np.arange(size) - size // 2
    total = np.zeros((size, size))
    for k_y in range(-(size // 2) + 1, (size + 1) // 2):
        for k_x in range(-(size // 2) + 1, (size + 1) // 2):
            wave = np.exp(-2j * np.pi * (k_y * at[:, None] + k_x * at) / full)
            back = np.exp(2j * np.pi * (k_y * new[:, None] + k_x * new) / size)
            total += (factors(k_x, k_y) * (image * wave).sum() * back).real / full**2
    return total


@pytest.mark.parametrize(("full", "size"), [(24, 16), (25, 16), (24, 15), (25, 15), (17, 17)])
def test_phase_flip_whitening_and_crop_are_plain_fourier_sums(rng, full, size):
    images = band_limited(rng, full, size / 2 - 0.5, count=2)
    k_y, k_x = np.fft.fftfreq(full, 1 / full)[:, None], np.fft.rfftfreq(full, 1 / full)
    transfer = np.stack([np.cos(0.4 + 0.05 * (k_x**2 + 2 * k_y**2)), np.cos(0.03 * (k_x**2 + k_y**2))])
    spectrum = NoiseSpectrum(np.array([0, 1.0]), np.array([1.0, 9.0]), 1, 1)
    prepared = Preparation(size, spectrum=spectrum, normalisation="none")(images, transfer)
    assert (prepared.shape, prepared.dtype) == ((2, size, size), np.float32)

    def first(x, y):
        return np.sign(np.cos(0.4 + 0.05 * (x**2 + 2 * y**2))) / np.sqrt(1 + 8 * np.hypot(x, y) / full)

    def second(x, y):
        return np.sign(np.cos(0.03 * (x**2 + y**2))) / np.sqrt(1 + 8 * np.hypot(x, y) / full)

    for made, image, factors in zip(prepared, images, (first, second), strict=True):
        np.testing.assert_allclose(made, direct(image, size, factors), atol=2e-5)


def test_with_nothing_but_the_crop_it_is_fourier_cropping(images):
    np.testing.assert_allclose(PLAIN(images), filters.fourier_crop(images, 24), atol=1e-6)


def test_transfer_functions_may_be_computed_as_needed(images, rng, monkeypatch):
    monkeypatch.setattr("engine.imaging.preparation._BATCH", 2)
    transfer, asked = rng.standard_normal((5, 40, 21)), []

    def compute(indices):
        asked.append(indices.tolist())
        return transfer[indices]

    flipped = Preparation(24, normalisation="none")
    np.testing.assert_array_equal(flipped(images, Computed(transfer.shape, compute)), flipped(images, transfer))
    assert asked == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("full", [40, 41])
@pytest.mark.parametrize("size", [24, 23])
def test_the_crop_of_a_shifted_image_is_the_shifted_crop(rng, full, size):
    images = band_limited(rng, full, 10)
    shifts = rng.uniform(-4, 4, (5, 2))
    made = replace(PLAIN, size=size)(filters.shift_images(images, shifts))
    np.testing.assert_allclose(
        made, filters.shift_images(replace(PLAIN, size=size)(images), shifts * size / full), atol=1e-5
    )


def test_normalisation_is_of_the_background_or_of_the_whole(images, rng):
    y, x = np.indices((40, 40)) - 20
    images = 3 * images + 5 + 40 * (np.hypot(x, y) < 8).astype(np.float32)
    outside = np.hypot(*np.meshgrid(*2 * [np.arange(24) - 12])) > 12
    made = replace(PLAIN, normalisation="background")(images)
    np.testing.assert_allclose(made[:, outside].mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(made[:, outside].std(axis=1), 1, atol=1e-5)
    assert made[:, 12, 12].min() > 10
    whole = replace(PLAIN, normalisation="whole")(images)
    np.testing.assert_allclose(whole.std(axis=(1, 2)), 1, atol=1e-5)
    constant = replace(PLAIN, normalisation="background")(np.full((1, 40, 40), 4, np.float32))
    np.testing.assert_allclose(constant, 0, atol=1e-5)


def test_the_mask_is_soft_and_in_pixels_of_the_images(images):
    masked, plain = replace(PLAIN, mask_radius=10.0)(images), PLAIN(images)
    radius = np.hypot(*np.meshgrid(*2 * [np.arange(24) - 12])) * 40 / 24
    np.testing.assert_array_equal(masked[:, radius <= 10], plain[:, radius <= 10])
    assert not masked[:, radius > 10 + 0.08 * 40].any()
    edge = soft_disc(100, 30)[50, 80:89]
    np.testing.assert_allclose(edge, signal.windows.hann(17)[8:], atol=1e-6)


def test_steps_without_what_they_need_are_refused(images):
    with pytest.raises(ArgumentError, match=r"^phase_flip is true and transfer is not given"):
        Preparation(24)(images)
    with pytest.raises(ArgumentError, match=r"^size is 48 and the images are 40 pixels wide"):
        replace(PLAIN, size=48)(images)
    with pytest.raises(ArgumentError, match=r"^transfer has the shape \(4, 40, 21\); wanted \(5, 40, 21\)"):
        Preparation(24)(images, np.ones((4, 40, 21)))


def test_batches_do_not_matter_and_progress_ends_at_one(images, monkeypatch):
    fractions = []
    whole = replace(PLAIN, normalisation="background")(images)
    monkeypatch.setattr("engine.imaging.preparation._BATCH", 2)
    parts = replace(PLAIN, normalisation="background")(images, progress=lambda fraction, _: fractions.append(fraction))
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert fractions == [0.4, 0.8, 1.0]


@pytest.mark.parametrize(("full", "size"), [(41, 25), (41, 57), (25, 25), (40, 25)])
def test_same_field_of_view_is_fourier_cropping_and_padding(rng, full, size):
    """SciPy's resampling of a periodic signal along each axis, the origin moved to the first pixel."""
    images = band_limited(rng, full, min(full, size) / 2 - 1)
    made, _ = resized(images, 1.0, size, full / size)
    rolled = np.fft.ifftshift(images, axes=(1, 2)).astype(float)
    expected = np.fft.fftshift(signal.resample(signal.resample(rolled, size, axis=1), size, axis=2), axes=(1, 2))
    np.testing.assert_allclose(made, expected, atol=2e-5)


@pytest.mark.parametrize(("full", "size", "ratio"), [(40, 24, 1.37), (41, 60, 0.8), (40, 41, 1.0), (41, 80, 0.71)])
def test_particles_of_another_pixel_size_lie_where_they_did(full, size, ratio):
    def gaussian(n, pixel):
        y, x = (np.indices((n, n)) - n // 2) * pixel
        return 3 + np.exp(-((x - 4.0) ** 2 + (y + 2.0) ** 2) / 18)

    made, shifts = resized(gaussian(full, 1.0)[None].astype(np.float32), 1.0, size, ratio, np.array([[4.0, -2.0]]))
    np.testing.assert_allclose(made[0], gaussian(size, ratio), atol=3e-3)
    np.testing.assert_allclose(shifts, [[4.0 / ratio, -2.0 / ratio]])
    centre = ndimage.center_of_mass(made[0].astype(float) - 3)
    np.testing.assert_allclose(np.array(centre)[::-1] - size // 2, shifts[0], atol=0.15)


def test_detail_beyond_the_new_pixels_is_left_out(rng):
    white = rng.standard_normal((200, 40, 40)).astype(np.float32)
    made, _ = resized(white, 1.0, 20, 2.0)
    assert made.var() == pytest.approx((19 / 40) ** 2, rel=0.03)
