"""What is known of images is not what they are: a defocus that is off, another noise, a part of the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.base.errors import ArgumentError
from engine.imaging.noise import NoiseModel, Spectrum
from engine.imaging.reference import without_part
from engine.imaging.simulation import Acquisition, simulate
from engine.imaging.volume import Volume


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_a_defocus_that_is_off_is_in_what_is_known_of_images_and_not_in_the_images(toy_volume):
    right = Acquisition(size=24, snr=1.0, defocus=(8000.0, 20_000.0))
    images = [simulate(toy_volume, one, 6, rng()) for one in (right, replace(right, defocus_error=700.0))]
    np.testing.assert_array_equal(images[1].images, images[0].images)
    np.testing.assert_allclose(images[1].ctf.defocus_angstrom, images[0].ctf.defocus_angstrom + 700, rtol=1e-12)
    assert not np.array_equal(images[1].corrected(), images[0].corrected()), "phases are flipped by what is known"


def test_training_goes_by_the_defocus_that_is_known():
    off = Acquisition(defocus=(8000.0, 20_000.0), defocus_error=-500.0)
    assert off.as_known() == Acquisition(defocus=(7500.0, 19_500.0))
    assert Acquisition(defocus=9000.0, defocus_error=500.0).as_known().defocus == 9500.0
    assert Acquisition(defocus_error=500.0).as_known() == Acquisition()
    assert Acquisition().as_known() == Acquisition()
    with pytest.raises(ArgumentError, match="are all 0, with which there is no contrast"):
        Acquisition(defocus=500.0, defocus_error=-500.0, spherical_aberration=0, amplitude_contrast=0)


def test_noise_that_is_stronger_has_a_lower_ratio_and_the_same_spectrum():
    noise = NoiseModel(2.0, 0.5, Spectrum.coloured(3.0))
    assert noise.times(4) == NoiseModel(8.0, 0.125, noise.spectrum)
    assert noise.times(4).signal_variance == noise.signal_variance
    assert NoiseModel().times(4) == NoiseModel()
    assert noise.times(1) == noise


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_a_part_of_a_reference_lacks_its_share_at_one_end(toy_volume, share):
    part = without_part(toy_volume, share)
    mass = np.maximum(toy_volume.density, 0).sum(dtype=float)
    assert np.maximum(part.density, 0).sum(dtype=float) == pytest.approx((1 - share) * mass, rel=1e-5)
    whole_layers = [
        np.array_equal(part.density[:, :, x], toy_volume.density[:, :, x]) for x in range(part.density.shape[2])
    ]
    cut = whole_layers.index(False)
    assert not any(whole_layers[cut:])
    assert not part.density[:, :, cut + 1 :].any()
    np.testing.assert_allclose(part.center_index, toy_volume.center_index, rtol=1e-12)
    assert (part.mass_index < part.center_index)[0], "and so it is no longer in the middle"


def test_without_nothing_all_is_there(toy_volume):
    np.testing.assert_array_equal(without_part(toy_volume, 0.0).density, toy_volume.density)
    negative = Volume(-np.ones((8, 8, 8), np.float32), 1.0, np.zeros(3), "hole", center="box")
    negative.density[4, 4, 2:6] = 1
    np.testing.assert_array_equal(without_part(negative, 0.5).density[4, 4], [-1, -1, 1, 1, 0, 0, 0, 0])
