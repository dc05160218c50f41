"""The figures of recorded particles as data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.constants import c, electron_mass, elementary_charge, h
from scipy.spatial.transform import Rotation

from engine.analysis.figures import distances, particles
from engine.imaging.ctf import ContrastTransfer
from tests.figure_testing import assert_csv_holds


def test_errors_against_the_reference_are_in_degrees_on_one_axis(rng):
    errors = {"distances alone": rng.gamma(2, 0.1, 300), "refined": rng.gamma(2, 0.01, 300)}
    data = particles.reference_errors(errors)
    assert_csv_holds(data)
    assert [panel.title for panel in data.panels] == list(errors)
    assert data.panels[0].x.range == data.panels[1].x.range
    for panel, values in zip(data.panels, errors.values(), strict=True):
        assert panel["median"].columns["x"][0] == pytest.approx(np.degrees(np.median(values)))
        beyond = np.count_nonzero(np.degrees(values) > panel.x.range[1])
        assert panel["projections"].columns["projections"].sum() == 300 - beyond
    assert data.values["frame_angle_error_median"] == pytest.approx(np.median(errors["distances alone"]))
    assert "reference" in data.panels[0].x.label
    assert "true" not in data.panels[0].x.label + data.title
    assert len(particles.reference_errors({"distances alone": errors["refined"]}).panels) == 1


def test_the_error_by_confidence_is_that_of_tenths_of_the_particles(rng):
    confidence = rng.permutation(np.linspace(0.1, 1.0, 100))
    errors = np.radians(101 - np.argsort(np.argsort(confidence)))  # 101, ... 2 degrees, falling with the confidence
    data = particles.error_by_confidence(confidence, errors)
    assert_csv_holds(data)
    _, band, median = data.panel.series
    np.testing.assert_allclose(median.columns["y"], 101 - 4.5 - 10 * np.arange(10))
    np.testing.assert_allclose(band.columns["low"], median.columns["y"] - 3.6)
    assert (np.diff(median.columns["x"]) > 0).all()
    assert data.values["ratio"] == pytest.approx(26.5 / 51.5)


def test_a_few_particles_have_an_error_by_confidence_too():
    assert len(particles.error_by_confidence(np.array([0.2, 0.4]), np.zeros(2)).panel["median"]) == 1


def test_every_particle_is_in_the_histogram_of_the_confidence(rng):
    data = particles.confidences(rng.uniform(0.01, 1.0, 77))
    assert_csv_holds(data)
    assert data.panel["particles"].columns["particles"].sum() == 77


def test_particles_stand_above_what_they_match_from_either_end(rng):
    confidence = np.array([0.9, 0.8, 0.3, 0.1])
    images, projections = rng.normal(size=(2, 4, 6, 6)).astype(np.float32)
    most, least = (particles.matches(confidence, images, projections, most) for most in (True, False))
    for data, places in ((most, [0, 1]), (least, [3, 2])):
        assert_csv_holds(data)
        shown = [series.grid("value") for series in data.panel.series]
        np.testing.assert_array_equal(shown, np.concatenate([images[places], projections[places]]))
        assert [data.values[f"confidence of {n}"] for n in (1, 2)] == confidence[places].tolist()
    alone = particles.matches(confidence, images, None, True)
    assert (len(alone.panel.series), alone.panel.values["rows"]) == (2, 1)


def test_the_power_of_the_noise_is_shown_by_resolution_where_the_pixels_are_known():
    frequencies, power = np.array([0.0, 0.25, 0.5]), np.array([3.0, 2.0, 1.0])
    data = particles.noise_power(frequencies, power, 2.0)
    assert data.panel["noise"].columns["x"].tolist() == [0.0, 0.125, 0.25]
    assert (data.panel.x.unit, particles.noise_power(frequencies, power, None).panel.x.unit) == ("1/Å", "1/px")


def test_white_noise_has_its_variance_as_power_and_a_wave_its_frequency(rng):
    size, pixel = 32, 3.0
    noise = rng.normal(scale=2.0, size=(200, size, size)).astype(np.float32)
    flat = particles.spectrum(noise, pixel, None).panel["images"].columns
    np.testing.assert_allclose(flat["y"][2:], 4.0, rtol=0.06)
    assert flat["x"][-1] == pytest.approx(1 / (2 * pixel))
    wave = np.broadcast_to(np.cos(2 * np.pi * 5 * np.arange(size) / size), (1, size, size)).astype(np.float32)
    peak = particles.spectrum(wave + 3, pixel, None).panel["images"].columns
    assert peak["x"][np.argmax(peak["y"])] == pytest.approx(5 / (size * pixel))


def test_the_ctf_is_that_of_the_least_the_middle_and_the_largest_defocus(rng):
    ctf = ContrastTransfer.of(np.array([[30000.0, 30000.0], [10000.0, 10000.0], [20000.0, 20000.0]]))
    data = particles.spectrum(rng.normal(size=(2, 16, 16)).astype(np.float32), 4.0, ctf)
    assert_csv_holds(data)
    _, transfers = data.panels
    assert [series.name for series in transfers.series] == ["at 1.00 µm", "at 2.00 µm", "at 3.00 µm"]
    volts = 300e3 * elementary_charge
    wavelength = h / np.sqrt(2 * electron_mass * volts * (1 + volts / (2 * electron_mass * c**2))) * 1e10
    k = transfers["at 2.00 µm"].columns["x"]
    gamma = np.pi * wavelength * 2e4 * k**2 - np.pi / 2 * 2.7e7 * wavelength**3 * k**4 + np.arcsin(0.1)
    np.testing.assert_allclose(transfers["at 2.00 µm"].columns["y"], np.sin(gamma) ** 2, atol=1e-4)
    defoci = particles.defoci(ctf)
    assert defoci.panel["particles"].columns["particles"].sum() == 3
    assert "1.00 to 3.00 µm" in defoci.title


def test_estimated_distances_are_beside_those_of_evenly_distributed_poses():
    angles = Rotation.random(40_000, rng=3).magnitude()
    data = distances.estimated_distances(angles)
    assert_csv_holds(data)
    bars, even = data.panel.series
    assert bars.columns["pairs"].sum() == pytest.approx(even.columns["y"].sum()) == 40_000
    np.testing.assert_allclose(bars.columns["pairs"], even.columns["y"], atol=5 * np.sqrt(even.columns["y"].max()))
