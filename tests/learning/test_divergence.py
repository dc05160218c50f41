"""A training whose numbers are no longer finite ends at once, says why, and has told its losses so far."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.base.errors import naming
from engine.geometry import rotations
from engine.imaging import projection
from engine.imaging.noise import NoiseModel
from engine.imaging.simulation import TrainingSet
from engine.learning import batches, trainer
from tests.learning_testing import train_small_networks

pytestmark = pytest.mark.slow


@pytest.fixture
def training(toy_volume, monkeypatch):
    """Of 100 steps of a small network on 16 pixels; its reports go to the list that it is given."""
    train_small_networks(monkeypatch)
    rng = np.random.default_rng(5)
    poses, validation_poses = (rotations.sample_orientations(n, rng) for n in (60, 12))
    images, validation = (projection.project(toy_volume, p, 16, 2.0) for p in (poses, validation_poses))
    data = TrainingSet(images, poses, validation, validation_poses, NoiseModel(), 0.0)

    def train(told, learning_rate=4e-3, steps=100, patience=None, calibrate=False, offer=lambda state: None):
        schedule = trainer.Schedule(steps, learning_rate=learning_rate, patience=patience)
        sampler = batches.sampler_for(data, "random", 16, 3)
        made = trainer.Trainer(data, sampler, trainer.Objective(), schedule, 7.0, rng, calibrate)
        return made.run(lambda fraction, values: told.append(dict(values)), offer)

    return train


def double_of_the_step(monkeypatch, losses, spoil_at=None):
    """Steps that change nothing and have these losses; ``spoil_at`` one of them leaves a weight that is not finite."""
    steps, losses = itertools.count(1), iter(losses)

    def replacement(model, *_):
        def step(indices, weights, seed):
            if next(steps) == spoil_at:
                kernel = model.trainable_variables[0]
                kernel.assign(np.full(kernel.shape, np.nan, np.float32))
            return trainer.tf.constant(next(losses), trainer.tf.float32)

        return step

    monkeypatch.setattr(trainer, "_training_step", replacement)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("step", [1, 2, 17, 30])
def test_it_ends_at_the_step_whose_loss_is_not_finite(training, monkeypatch, step, bad):
    double_of_the_step(monkeypatch, [*(1 / n for n in range(1, step)), bad])
    told, kept = [], []
    rate = 0.5 * min(1.0, (step - 1) / 100 / 0.03 + 0.05) * (1 - (step - 1) / 100)
    with pytest.raises(trainer.DivergedError) as caught, naming():
        training(told, learning_rate=0.5, offer=lambda state: kept.append(state().step))
    message = str(caught.value)
    assert message == (
        f"the training diverged at step {step} of 100: the loss is no longer finite, at a learning rate of {rate:.3g}; "
        "wanted learning_rate below 0.5 (usual is 0.004)"
    )
    assert kept == list(range(1, step)), "nothing of it is kept to go on from"
    assert [values["step"] for values in told] == sorted({*range(10, step, 10), step - 1} - {0}), "losses so far"
    assert all(np.isfinite(values["loss"]) for values in told)


@pytest.mark.parametrize("calibrate", [False, True])  # to calibrate what is not finite ends in a LinAlgError
@pytest.mark.parametrize("step", [14, 20, 99, 100])
def test_it_ends_where_a_weight_is_not_finite_and_the_loss_was(training, monkeypatch, step, calibrate):
    double_of_the_step(monkeypatch, itertools.repeat(1.0), spoil_at=step)
    told = []
    with pytest.raises(trainer.DivergedError, match=r"what the network makes of the validation projections is no long"):
        training(told, calibrate=calibrate)
    assert told[-1] == {"step": -(-step // 10) * 10, "loss": 1.0}


def test_a_weight_that_is_not_finite_after_the_last_validation_is_seen(training, monkeypatch):
    """Where the clock ends a training there is none after the last step."""
    double_of_the_step(monkeypatch, itertools.repeat(1.0), spoil_at=14)
    fractions = iter([*(n / 100 for n in range(14)), 1.0])
    monkeypatch.setattr(trainer.Trainer, "_fraction", lambda self: next(fractions))
    with pytest.raises(trainer.DivergedError, match=r"at step 14 of 100: a weight of the network is no longer finite"):
        training([])


def test_a_learning_rate_that_is_far_too_high_diverges_without_a_traceback(training):
    told = []
    with pytest.raises(trainer.DivergedError, match=r"^the training diverged at step \d+ of 100: .* below 1e\+18 "):
        training(told, learning_rate=1e18)


def test_without_a_limit_the_clock_changes_nothing(training, monkeypatch):
    """A step that takes an hour is a step like others."""
    hours = itertools.count(0, 3600)
    monkeypatch.setattr(trainer.time, "monotonic", lambda: float(next(hours)))
    result = training([], steps=12)
    assert (result.steps, result.paced_by_clock) == (12, False)
    assert trainer.Schedule(12).max_seconds == float("inf")
