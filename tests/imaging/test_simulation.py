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
