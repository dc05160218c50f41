from __future__ import annotations

import numpy as np
import pytest

from engine.base.randomness import stream
from engine.imaging import filters, simulation
from engine.imaging.noise import NoiseModel
from engine.imaging.simulation import Acquisition


def test_training_projections_at_low_resolution_equal_cropped_full_ones(toy_volume):
    settings = Acquisition(size=40)
    data = simulation.simulate_training(toy_volume, settings, NoiseModel(2.0), 6, 4, 24, np.random.default_rng(1))
    from engine.imaging.projection import project

    full = filters.fourier_crop(project(toy_volume, data.poses, 40), 24)
    assert np.linalg.norm(data.images - full) < 0.02 * np.linalg.norm(full)
    assert data.noise.variance == pytest.approx(2.0 * (24 / 40) ** 2)


def test_test_training_and_validation_poses_never_meet(toy_volume):
    settings = Acquisition(size=32)
    test = simulation.simulate(toy_volume, settings, 50, stream(0, "test projections"))
    data = simulation.simulate_training(
        toy_volume, settings, NoiseModel(), 60, 20, 24, stream(0, "training projections")
    )
    everything = np.concatenate([test.truth.poses, data.poses, data.validation_poses]).reshape(-1, 9).round(9)
    assert len(np.unique(everything, axis=0)) == 130


def test_the_size_of_one_set_changes_nothing_in_another(toy_volume):
    settings = Acquisition(size=32)
    few = simulation.simulate(toy_volume, settings, 5, stream(4, "test projections"))
    many = simulation.simulate(toy_volume, settings, 9, stream(4, "calibration"))
    again = simulation.simulate(toy_volume, settings, 5, stream(4, "test projections"))
    np.testing.assert_array_equal(few.images, again.images)
    assert not np.array_equal(few.truth.poses, many.truth.poses[:5])


def test_support_radius_of_a_disc():
    y, x = np.indices((64, 64)) - 32
    disc = (np.hypot(x, y) <= 20).astype(np.float32)[None]
    assert simulation.support_radius(disc) == pytest.approx(21, abs=0.6)
