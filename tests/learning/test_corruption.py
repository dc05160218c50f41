"""The corruption of training images in TensorFlow is that of the test images in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from engine.imaging import ctf, filters, preparation
from engine.imaging.ctf import ContrastTransfer
from engine.imaging.noise import NoiseModel, Spectrum
from engine.imaging.projection import project
from engine.imaging.simulation import sample_orientations
from engine.learning import corruption

tf = corruption.tf
ANY = tf.constant([0])  # numbers of images, where nothing depends on them
ASTIGMATIC = ContrastTransfer.of([[9_000.0, 12_000.0], [14_000.0, 14_000.0], [24_000.0, 20_000.0]], 35.0)


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
    ours = corruption.corruption(model, 0.0, size)(tf.constant(pattern), ANY, tf.constant([1, 2])).numpy()
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
    ours = corruption.corruption(NoiseModel(), 0.0, 40)(tf.constant(images), ANY, tf.constant([0, 0])).numpy()
    np.testing.assert_allclose(ours, filters.standardise(images), atol=1e-4)


def test_one_seed_gives_one_corruption_and_another_another(images):
    corrupt = corruption.corruption(NoiseModel(1.0), 3.0, 40)
    seeds = ([1, 2], [1, 2], [1, 3])
    one, again, other = (corrupt(tf.constant(images), ANY, tf.constant(seed)).numpy() for seed in seeds)
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.5


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_what_the_network_sees_does_not_depend_on_the_units(images, factor):
    corrupt = corruption.corruption(NoiseModel(), 0.0, images.shape[-1])
    seed = tf.constant([1, 2])
    plain, other = (corrupt(tf.constant(one), ANY, seed).numpy() for one in (images, images * np.float32(factor)))
    np.testing.assert_allclose(other, plain, atol=1e-4)
    np.testing.assert_allclose(other, filters.standardise(images), atol=1e-4)


@pytest.mark.parametrize("size", [40, 41])
def test_an_image_with_a_ctf_is_that_of_numpy(toy_volume, rng, size):
    """Multiplied, flipped and standardised: by the settings that were drawn, of which each occurs."""
    images, seed = project(toy_volume, sample_orientations(24, rng), size), tf.constant([5, 6])
    ours = corruption.corruption(NoiseModel(), 0.0, size, ASTIGMATIC, 3.0)(tf.constant(images), ANY, seed).numpy()
    drawn = corruption.draw_settings(24, 3, seed).numpy()
    assert set(drawn) == {0, 1, 2}
    settings = ASTIGMATIC[drawn]
    theirs = ctf.phase_flipped(ctf.applied(images, settings, 3.0), settings, 3.0)
    np.testing.assert_allclose(ours, filters.standardise(theirs), atol=1e-5)
    assert np.abs(ours - filters.standardise(ctf.applied(images, settings, 3.0))).max() > 0.5, "flipped"


def test_settings_are_drawn_uniformly_and_apart_from_the_noise():
    seeds = [tf.constant([7, step]) for step in range(40)]
    drawn = np.concatenate([corruption.draw_settings(500, 20, seed).numpy() for seed in seeds])
    assert stats.chisquare(np.bincount(drawn, minlength=20)).pvalue > 1e-3
    noise = np.concatenate([tf.random.stateless_normal((500,), seed).numpy() for seed in seeds])
    assert abs(np.corrcoef(drawn, noise)[0, 1]) < 0.03


def test_coloured_noise_is_that_of_numpy_from_the_same_white_noise():
    size, seed, spectrum = 32, tf.constant([1, 2]), Spectrum.coloured(4.0)
    model = NoiseModel(4.0, spectrum=spectrum)
    zeros = np.zeros((300, size, size), np.float32)
    ours = corruption.corruption(model, 0.0, size)(tf.constant(zeros), ANY, seed).numpy()

    class Drawn:
        """A generator that gives TensorFlow's numbers."""

        def standard_normal(self, shape, dtype):
            return tf.random.stateless_normal(shape, seed).numpy()

    np.testing.assert_allclose(ours, filters.standardise(model.apply(zeros, Drawn())), atol=1e-5)
    measured = (np.abs(np.fft.rfft2(ours)) ** 2).mean(axis=0)[:, 1:]
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, 1:])
    ratio = measured / (0.2 + 0.8 / (1 + (30 / 4 * frequency) ** 2))
    assert ratio.std() / ratio.mean() == pytest.approx(1 / np.sqrt(300), rel=0.25), "its formula, within sampling error"


def test_everything_together_in_the_order_of_the_test_images(toy_volume, rng):
    """Shift, CTF, noise, flip: the image is linear in the drawn noise, so that noise can be taken away again."""
    images, seed = project(toy_volume, sample_orientations(8, rng), 40), tf.constant([3, 9])
    model = NoiseModel(float(images.var()), spectrum=Spectrum.coloured(3.0))
    ours = corruption.corruption(model, 4.0, 40, ASTIGMATIC, 3.0)(tf.constant(images), ANY, seed).numpy()
    settings = ASTIGMATIC[corruption.draw_settings(8, 3, seed).numpy()]
    shifted = filters.shift_images(images, corruption.draw_shifts(8, 4.0, seed).numpy())
    white = tf.random.stateless_normal(images.shape, seed).numpy()
    noise = np.fft.irfft2(np.fft.rfft2(white) * np.sqrt(model.power(40)), s=(40, 40)) * model.standard_deviation
    noisy = (ctf.applied(shifted, settings, 3.0) + noise).astype(np.float32)
    np.testing.assert_allclose(ours, filters.standardise(ctf.phase_flipped(noisy, settings, 3.0)), atol=2e-4)


@pytest.mark.parametrize("size", [40, 41])
def test_a_mask_is_that_of_numpy(toy_volume, rng, size):
    images = project(toy_volume, sample_orientations(5, rng), size)
    mask, seed = preparation.disc(size, 11.0), tf.constant([1, 2])
    corrupt = corruption.corruption(NoiseModel(), 0.0, size, mask=mask)
    ours = corrupt(tf.constant(images), ANY, seed).numpy()
    np.testing.assert_allclose(ours, preparation.within(mask, images), atol=1e-4)
    assert np.abs(ours - filters.standardise(images)).max() > 0.1
