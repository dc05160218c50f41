"""What is within the ranges of images stays finite, and what is not is refused with a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.base.errors import ArgumentError
from engine.geometry.rotations import sample_orientations
from engine.imaging import filters, fsc, limits
from engine.imaging.projection import project
from engine.imaging.reconstruction import reconstruct
from engine.imaging.simulation import Acquisition, simulate

SIZE = 24


def scaled(volume, factor):
    return replace(volume, density=volume.density * np.float32(factor))


@pytest.mark.parametrize(
    ("factor", "acquisition"),
    [
        (limits.DENSITY.most, Acquisition(size=SIZE)),
        (limits.DENSITY.least, Acquisition(size=SIZE)),
        (limits.DENSITY.most, Acquisition(size=SIZE, noise_variance=limits.NOISE_VARIANCE.most)),
        (limits.DENSITY.least, Acquisition(size=SIZE, noise_variance=limits.NOISE_VARIANCE.least)),
        (1.0, Acquisition(size=SIZE, snr=limits.SNR.least, max_shift=SIZE / 2)),
        (1.0, Acquisition(size=SIZE, snr=limits.SNR.most, max_shift=SIZE / 2)),
    ],
)
def test_images_at_the_ends_of_the_ranges_stay_finite(toy_volume, factor, acquisition):
    volume = scaled(toy_volume, factor / toy_volume.density.max())
    particles = simulate(volume, acquisition, 20, np.random.default_rng(0))
    images = filters.shift_images(particles.images, -particles.shifts)
    standard = filters.standardise(filters.fourier_crop(images, SIZE // 2))
    np.testing.assert_allclose(standard.std(axis=(1, 2)), 1, rtol=1e-4)
    made = reconstruct(images, particles.truth.poses, volume, np.random.default_rng(1), 5)
    curve = fsc.fourier_shell_correlation(*made.halves, volume.voxel_size)[1]
    assert np.isfinite(made.density).all()
    assert made.density.any()
    assert np.isfinite(curve).all()


@pytest.mark.parametrize("exponent", [-80, -20, 1, 50, 80])
def test_a_reconstruction_scales_with_its_images(toy_volume, rng, exponent):
    """By powers of two, which change no digit: the squares of these pass both ends of single precision."""
    poses = sample_orientations(30, rng)
    images = project(toy_volume, poses, SIZE)
    plain = reconstruct(images, poses, toy_volume, np.random.default_rng(0), 5).density
    other = reconstruct(np.ldexp(images, exponent), poses, toy_volume, np.random.default_rng(0), 5).density
    np.testing.assert_array_equal(np.ldexp(other, -exponent), plain)


def test_noise_that_drowns_the_signal_is_refused(toy_volume):
    acquisition = Acquisition(size=SIZE, noise_variance=1e20)
    with pytest.raises(ArgumentError, match=r"^noise_variance is 1e20 .* variance of \d.*, so snr is \S+e-2\d; wanted"):
        simulate(toy_volume, acquisition, 4, np.random.default_rng(0))


def test_a_shift_is_at_most_half_of_the_frame():
    limits.check_shift(8.0, 16)
    limits.check_shift(0.0, 8)
    with pytest.raises(
        ArgumentError, match=r"^max_shift is 8\.5 pixels and the images are 16 wide; wanted at most 8: "
    ):
        limits.check_shift(8.5, 16)
