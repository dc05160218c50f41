"""The corruption of training images in TensorFlow is that of the test images in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.imaging import filters
from engine.imaging.noise import NoiseModel
from engine.imaging.projection import project
from engine.imaging.simulation import sample_orientations
from engine.learning import corruption

tf = corruption.tf


@pytest.fixture
def images(toy_volume, rng):
    return project(toy_volume, sample_orientations(12, rng), 40)


def frequencies(size):
    return (tf.constant(np.fft.rfftfreq(size), tf.float32), tf.constant(np.fft.fftfreq(size), tf.float32))


@pytest.mark.parametrize("size", [40, 41])
def test_a_shift_moves_an_image_as_numpy_does(toy_volume, rng, size):
    images = project(toy_volume, sample_orientations(6, rng), size)
    shifts = rng.uniform(-5, 5, (6, 2)).astype(np.float32)
    ours = corruption.shifted(tf.constant(images), tf.constant(shifts), *frequencies(size)).numpy()
    np.testing.assert_allclose(ours, filters.shift_images(images, shifts), atol=2e-5 * images.max())


def test_shifts_have_the_same_distribution():
    drawn = corruption.draw_shifts(20_000, 6.0, tf.constant([3, 4])).numpy()
    assert drawn.shape == (20_000, 2)
    reference = filters.draw_shifts(20_000, 6.0, np.random.default_rng(0))
    for axis in (0, 1):
        assert stats.kstest(drawn[:, axis], stats.triang(0.5, -6, 12).cdf).pvalue > 1e-3
        assert stats.ks_2samp(drawn[:, axis], reference[:, axis]).pvalue > 1e-3
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.03


def test_noise_has_the_models_variance_and_spectrum():
    """On images whose own variance is known, for a standardised image has lost its units."""
    size, model = 32, NoiseModel(4.0)
    pattern = np.zeros((200, size, size), np.float32)
    pattern[:, ::2] = 6.0  # variance 9, at a single frequency
    ours = corruption.corruption(model, 0.0, size)(tf.constant(pattern), tf.constant([1, 2])).numpy()
    theirs = filters.standardise(model.apply(pattern, np.random.default_rng(0)))

    def noise_in(standardised):
        spectra = np.abs(np.fft.rfft2(standardised)) ** 2
        spectra[:, size // 2, 0] = np.nan  # the pattern
        spectra[:, 0, 0] = np.nan  # the mean
        return spectra.mean(axis=0) / size**2

    for spectrum in (noise_in(ours), noise_in(theirs)):
        assert np.nanmean(spectrum) == pytest.approx(4 / (9 + 4), rel=0.02)
        assert np.nanstd(spectrum) / np.nanmean(spectrum) < 0.12, "flat: 200 images leave 0.07"
    assert stats.ks_2samp(ours[:20].ravel(), theirs[:20].ravel()).pvalue > 1e-3


def test_without_noise_and_shift_images_are_standardised_alone(images):
    ours = corruption.corruption(NoiseModel(), 0.0, 40)(tf.constant(images), tf.constant([0, 0])).numpy()
    np.testing.assert_allclose(ours, filters.standardise(images), atol=1e-4)


def test_one_seed_gives_one_corruption_and_another_another(images):
    corrupt = corruption.corruption(NoiseModel(1.0), 3.0, 40)
    one, again, other = (corrupt(tf.constant(images), tf.constant(seed)).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.5


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_what_the_network_sees_does_not_depend_on_the_units(images, factor):
    corrupt = corruption.corruption(NoiseModel(), 0.0, images.shape[-1])
    seed = tf.constant([1, 2])
    plain, other = (corrupt(tf.constant(one), seed).numpy() for one in (images, images * np.float32(factor)))
    np.testing.assert_allclose(other, plain, atol=1e-4)
    np.testing.assert_allclose(other, filters.standardise(images), atol=1e-4)
