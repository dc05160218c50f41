from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, signal

from engine.base.errors import ArgumentError
from engine.imaging import filters
from engine.imaging.ctf import ContrastTransfer, transfer
from engine.imaging.preparation import by_background, cut_out, disc, prepared, resized, within
from engine.imaging.whitening import NoiseSpectrum


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
@pytest.mark.parametrize("flips", [True, False])
def test_phase_flip_whitening_and_crop_are_plain_fourier_sums(rng, full, size, flips):
    images, pixel_size = band_limited(rng, full, size / 2 - 0.5, count=2), 3.0
    ctf = ContrastTransfer.of([[9000, 12000], [25000, 25000]], astigmatism_degrees=[20, 0])
    spectrum = NoiseSpectrum(np.array([0, 1.0]), np.array([1.0, 9.0]), 1, 1)
    ratio = full / size
    small = filters.fourier_crop(images, size)
    made = prepared(small, ctf, pixel_size * ratio, flips, spectrum.whitening(size, ratio))
    assert (made.shape, made.dtype) == ((2, size, size), np.float32)
    for number in range(2):

        def factors(x, y, one=number):
            value = transfer(ctf[[one]], np.array([[x, y]]) / (full * pixel_size))[0, 0]
            return (np.sign(value) if flips else 1) * ratio / np.sqrt(1 + 8 * np.hypot(x, y) / full)

        np.testing.assert_allclose(made[number], direct(images[number], size, factors), atol=5e-5)


@pytest.mark.parametrize("full", [40, 41])
@pytest.mark.parametrize("size", [24, 23])
def test_the_crop_of_a_shifted_image_is_the_shifted_crop(rng, full, size):
    images = band_limited(rng, full, 10)
    shifts = rng.uniform(-4, 4, (5, 2))
    made = filters.fourier_crop(filters.shift_images(images, shifts), size)
    expected = filters.shift_images(filters.fourier_crop(images, size), shifts * size / full)
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_without_anything_to_do_images_are_the_same(images):
    assert prepared(images, None, 1.0, True, None) is images
    assert prepared(images, ContrastTransfer.of(np.full(5, 1e4)), 1.0, False, None) is images


def test_batches_do_not_matter(images, monkeypatch):
    ctf = ContrastTransfer.of(np.linspace(8000, 20000, 5))
    whole = prepared(images, ctf, 4.0, True, None)
    monkeypatch.setattr("engine.imaging.preparation._BATCH", 2)
    np.testing.assert_allclose(prepared(images, ctf, 4.0, True, None), whole, atol=1e-6)


def test_normalisation_is_of_the_background(images):
    y, x = np.indices((40, 40)) - 20
    images = 3 * images + 5 + 40 * (np.hypot(x, y) < 8).astype(np.float32)
    outside = np.hypot(x, y) > 20
    made = by_background(images)
    np.testing.assert_allclose(made[:, outside].mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(made[:, outside].std(axis=1), 1, atol=1e-5)
    assert made[:, 20, 20].min() > 10
    np.testing.assert_allclose(by_background(np.full((1, 40, 40), 4, np.float32)), 0, atol=1e-5)


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


@pytest.mark.parametrize(("full", "size"), [(24, 16), (25, 16), (24, 15), (25, 15), (17, 17)])
def test_the_middle_stays_the_middle(full, size):
    y, x = np.indices((full, full)) - full // 2
    images = np.stack([x, y]).astype(np.float32)  # each pixel holds its place
    expected = np.indices((size, size))[::-1] - size // 2
    np.testing.assert_array_equal(cut_out(images, size), expected)


def test_no_more_is_cut_out_than_there_is(images):
    with pytest.raises(ArgumentError, match=r"^size is 41 pixels and the images are 40 wide; wanted at most that"):
        cut_out(images, 41)


def test_a_mask_is_one_within_its_radius_and_falls_like_a_cosine():
    made = disc(25, 6.0)
    y, x = np.indices((25, 25)) - 12
    beyond = np.hypot(x, y) - 6
    assert (made[beyond <= 0] == 1).all()
    assert not made[beyond >= 4].any()
    edge = (beyond > 0) & (beyond < 4)
    np.testing.assert_allclose(made[edge], np.cos(np.pi * beyond[edge] / 8) ** 2, atol=1e-6)


def test_masked_images_are_standardised_before_and_after(images):
    mask = disc(40, 9.0)
    made = within(mask, 5 * images + 3)
    np.testing.assert_allclose(made.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(made.std(axis=(1, 2)), 1, atol=1e-5)
    outside = made[:, mask == 0]
    assert np.ptp(outside, axis=1).max() < 1e-5, "all 0 before the mean was subtracted"
    first, inside = made[0], mask == 1
    assert np.corrcoef(first[inside], images[0][inside])[0, 1] == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(within(None, images), filters.standardise(images))
