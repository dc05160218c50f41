from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from engine.imaging.reference import common_radius, filtered_reference, soft_ball

SIDE = 40


@pytest.fixture
def radii():
    return np.sqrt(sum(k**2 for k in np.meshgrid(*2 * [np.fft.fftfreq(SIDE)], np.fft.rfftfreq(SIDE), indexing="ij")))


@pytest.mark.parametrize("made_of", ["all", "half"])
def test_signal_and_noise_are_told_apart_as_if_their_spectra_were_known(rng, radii, made_of):
    """Against Wiener's filter from the spectra themselves, which is the best that weights of shells can do."""

    def field(spectrum):
        return np.fft.irfftn(
            np.fft.rfftn(rng.standard_normal((SIDE,) * 3)) * np.sqrt(spectrum), s=(SIDE,) * 3, axes=(0, 1, 2)
        )

    signal_power, noise_power = 4 / (1 + (radii / 0.1) ** 4), np.full(radii.shape, 0.8)
    signal = field(signal_power)
    halves = tuple((signal + field(noise_power)).astype(np.float32) for _ in range(2))
    density, left = ((halves[0] + halves[1]) / 2, noise_power / 2) if made_of == "all" else (halves[0], noise_power)
    ideal = np.fft.rfftn(density) * signal_power / (signal_power + left)
    wanted = np.fft.irfftn(ideal, s=signal.shape, axes=(0, 1, 2))
    made = filtered_reference(density, halves, made_of, 2.0 * SIDE, np.full(3, SIDE / 2))
    assert np.linalg.norm(made - wanted) < 0.1 * np.linalg.norm(wanted)  # shells of 50 coefficients tell it to 5 %
    assert np.linalg.norm(made - signal) < 1.02 * np.linalg.norm(wanted - signal)
    assert np.linalg.norm(made - signal) < 0.75 * np.linalg.norm(density - signal)


def test_equal_halves_have_no_noise_and_only_the_ball_is_left(rng):
    density = rng.standard_normal((20, 24, 22)).astype(np.float32)
    center = np.array([10.0, 12.0, 9.0])
    made = filtered_reference(density, (density, density), "half", 5.0, center)
    z, y, x = np.indices(density.shape)
    distance = np.sqrt((x - 10) ** 2 + (y - 12) ** 2 + (z - 9) ** 2)
    np.testing.assert_allclose(made[distance <= 5], density[distance <= 5], atol=1e-4)
    assert not made[distance >= 9].any()


def test_the_ball_falls_like_a_cosine():
    ball = soft_ball((21, 21, 21), 4.0, np.full(3, 10.0))
    np.testing.assert_allclose(ball[10, 10, 10:20], [1, 1, 1, 1, 1, 0.853553, 0.5, 0.146447, 0, 0], atol=1e-6)


@pytest.mark.parametrize("radius", [8.0, 11.0])
def test_the_radius_of_what_two_densities_have_in_common_is_the_particles(rng, radius):
    """A ball of smooth signal in as strong noise: 99 % of it lie within the radius times the third root of 0.99."""
    center = np.array([19.0, 21.0, 20.0])
    z, y, x = np.indices((SIDE,) * 3)
    inside = np.sqrt((x - 19) ** 2 + (y - 21) ** 2 + (z - 20) ** 2) <= radius
    signal = ndimage.gaussian_filter(rng.standard_normal((SIDE,) * 3), 1.5)
    signal = inside * signal / signal[inside].std()
    halves = tuple((signal + rng.standard_normal(signal.shape)).astype(np.float32) for _ in range(2))
    assert common_radius(halves, center) == pytest.approx(radius * 0.99 ** (1 / 3), abs=1.5)
    everywhere = rng.standard_normal((SIDE,) * 3).astype(np.float32)
    assert 0.42 * SIDE < common_radius((everywhere, everywhere), center) <= 0.45 * SIDE
