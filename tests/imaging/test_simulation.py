from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage, stats

from engine.base.errors import ArgumentError
from engine.base.randomness import stream
from engine.imaging import ctf, filters, simulation
from engine.imaging.noise import NoiseModel
from engine.imaging.projection import project
from engine.imaging.simulation import Acquisition


def test_training_projections_at_low_resolution_equal_cropped_full_ones(toy_volume):
    settings = Acquisition(size=40)
    data = simulation.simulate_training(toy_volume, settings, NoiseModel(2.0), 6, 4, 24, np.random.default_rng(1))
    full = filters.fourier_crop(project(toy_volume, data.poses, 40), 24)
    assert np.linalg.norm(data.images - full) < 0.02 * np.linalg.norm(full)
    assert data.noise.variance == pytest.approx(2.0 * (24 / 40) ** 2)


def test_the_size_of_the_validation_set_changes_nothing_in_the_training_set(toy_volume):
    few, many = (
        simulation.simulate_training(
            toy_volume, Acquisition(size=32), NoiseModel(), 8, count, 24, stream(4, "training projections")
        )
        for count in (3, 9)
    )
    np.testing.assert_array_equal(few.images, many.images)
    np.testing.assert_array_equal(few.poses, many.poses)
    assert (len(few.validation_poses), len(many.validation_poses)) == (3, 9)


def test_support_radius_of_a_disc():
    y, x = np.indices((64, 64)) - 32
    disc = (np.hypot(x, y) <= 20).astype(np.float32)[None]
    assert simulation.support_radius(disc) == pytest.approx(21, abs=0.6)


def acquired(volume, count=6, size=40, seed=3, **settings):
    return simulation.simulate(volume, Acquisition(size=size, **settings), count, np.random.default_rng(seed))


def test_a_simulation_multiplies_by_the_ctf_that_it_gives(toy_volume):
    plain = acquired(toy_volume, max_shift=3.0)
    with_ctf = acquired(toy_volume, max_shift=3.0, defocus=15_000.0, voltage=200.0, amplitude_contrast=0.07)
    np.testing.assert_array_equal(with_ctf.truth.poses, plain.truth.poses)
    np.testing.assert_array_equal(with_ctf.truth.shifts, plain.truth.shifts)
    np.testing.assert_array_equal(with_ctf.truth.clean, plain.truth.clean)
    assert plain.ctf is None
    assert repr(with_ctf.ctf) == (
        "ContrastTransfer(6 images, defocus 15,000 Å, 200 kV, Cs 2.7 mm, amplitude contrast 0.07)"
    )
    expected = ctf.applied(plain.images, with_ctf.ctf, plain.pixel_size)
    np.testing.assert_allclose(with_ctf.images, expected, atol=1e-4 * np.abs(expected).max())
    assert np.linalg.norm(with_ctf.images - plain.images) > 0.3 * np.linalg.norm(plain.images)


def test_each_image_has_its_own_defocus_from_a_range(toy_volume):
    defoci = acquired(toy_volume, 300, 16, defocus=(8_000.0, 30_000.0)).ctf.defocus_angstrom
    np.testing.assert_array_equal(defoci[:, 0], defoci[:, 1])
    assert stats.kstest(defoci[:, 0], stats.uniform(8_000, 22_000).cdf).pvalue > 1e-3
    table = Acquisition(defocus=(8_000.0, 30_000.0)).contrasts().defocus_angstrom[:, 0]
    assert (table.min(), table.max()) == (pytest.approx(8_043, abs=1), pytest.approx(29_957, abs=1))
    assert len(Acquisition(defocus=(9_000.0, 9_000.0)).contrasts()) == 1


@pytest.mark.parametrize("noise_spectrum", ["white", "coloured"])
def test_snr_and_noise_variance_are_those_of_images_with_their_ctf(toy_volume, noise_spectrum):
    clean = acquired(toy_volume, 200, defocus=(8_000.0, 30_000.0)).images
    noisy = acquired(toy_volume, 200, defocus=(8_000.0, 30_000.0), snr=0.5, noise_spectrum=noise_spectrum)
    assert noisy.noise.variance == pytest.approx(2 * clean.var(), rel=1e-4)
    assert np.var(noisy.images - clean) == pytest.approx(noisy.noise.variance, rel=0.03)
    given = acquired(toy_volume, 200, defocus=(8_000.0, 30_000.0), noise_variance=noisy.noise.variance)
    assert given.noise.snr == pytest.approx(0.5, rel=1e-4)


def test_white_noise_is_where_there_is_none(toy_volume):
    assert acquired(toy_volume, noise_spectrum="coloured").noise == NoiseModel()


def test_training_projections_with_ctf_equal_cropped_test_projections(toy_volume):
    """At the network's pixels the CTF has its values at their frequencies: as cropping the full images leaves it."""
    rng = np.random.default_rng(1)
    settings = Acquisition(size=40, defocus=12_000.0)
    data = simulation.simulate_training(toy_volume, settings, NoiseModel(), 6, 4, 24, rng)
    assert data.pixel_size == pytest.approx(toy_volume.voxel_size * 40 / 24)
    full = project(toy_volume, data.validation_poses, 40)
    many = data.ctf[np.zeros(4, int)]
    seen = filters.fourier_crop(ctf.applied(full, many, toy_volume.voxel_size), 24)
    prepared = filters.standardise(ctf.phase_flipped(seen, many, data.pixel_size))
    assert np.linalg.norm(data.validation_images - prepared) < 0.03 * np.linalg.norm(prepared)
    unflipped = filters.standardise(seen)
    assert np.linalg.norm(data.validation_images - unflipped) > 0.3 * np.linalg.norm(prepared)
    signal = filters.signal_variance(ctf.applied(data.images, data.ctf[np.zeros(6, int)], data.pixel_size))
    assert data.signal_variance == pytest.approx(signal)


@pytest.mark.parametrize("settings", [{"noise_variance": 3.0}, {"snr": 0.2}])
def test_a_preview_has_the_noise_of_the_whole(toy_volume, settings):
    """Of a large smooth volume, on pixels twice as wide; in the units of the original ones."""
    large = replace(toy_volume, density=ndimage.zoom(toy_volume.density, 6, order=1))
    common = settings | {"defocus": 20_000.0, "noise_spectrum": "coloured"}
    acquisition = Acquisition(size=260, **common)
    seen = simulation.preview(large, acquisition, 4, np.random.default_rng(2))
    whole = simulation.simulate(large, acquisition, 4, np.random.default_rng(2))
    assert seen.size == 130
    assert seen.noise.variance == pytest.approx(whole.noise.variance, rel=0.1)
    assert seen.noise.snr == pytest.approx(whole.noise.snr, rel=0.1)
    assert seen.noise.spectrum == whole.noise.spectrum
    shown = (
        seen.images
        - simulation.preview(
            large, replace(acquisition, noise_variance=None, snr=None), 4, np.random.default_rng(2)
        ).images
    )
    assert shown.var() == pytest.approx(whole.noise.on_larger_pixels(2).variance, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"defocus": (30_000.0, 8_000.0)}, r"defocus is \[30000, 8000\]; wanted the lower end first"),
        (
            {"defocus": 0.0, "spherical_aberration": 0.0, "amplitude_contrast": 0.0},
            "defocus, spherical_aberration and ",
        ),
    ],
)
def test_microscopes_that_cannot_be_are_refused(settings, wanted):
    with pytest.raises(ArgumentError, match=f"^{wanted}"):
        Acquisition(**settings)
