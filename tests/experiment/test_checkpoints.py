"""Long trainings: cut off and gone on with, stopped early; the files that this needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine.base.progress import silent
from engine.config.settings import load_config
from engine.experiment import checkpoints, pipeline, stagecache
from engine.experiment.checkpoints import Checkpoint
from engine.geometry import rotations
from engine.imaging import projection
from engine.imaging.noise import NoiseModel
from engine.imaging.simulation import TrainingSet
from engine.learning import batches, trainer
from engine.learning.state import TrainState
from engine.poses.pairs import PairDistances
from engine.record.events import read_events
from tests.learning_testing import train_small_networks

ROOT = Path(__file__).parents[2]
SIAMESE = [
    "projections.count=40", "projections.size=24", "volume.resolution=16", "volume.voxel_size=6",
    "projections.snr=2", "projections.max_shift=1", "training.projections=100", "training.validation_projections=20",
    "training.steps=30", "training.max_seconds=1000", "training.image_size=16", "training.batch_size=8",
    "reconstruction.enabled=false", "recovery.restarts=3",
]  # fmt: skip


def snapshot(step=7, **others):
    rng = np.random.default_rng(step)
    made = {
        "seconds": 1.5, "paced_by_clock": False, "validation_mae": float("nan"),
        "generator": rng.bit_generator.state, "history": ((0.25, {"step": 10, "loss": 1 / 3}),),
        "variables": (rng.standard_normal((2, 3)).astype(np.float32), np.array(step)),
    }  # fmt: skip
    return TrainState(step, **made | others)


def kept(folder, key="key", **others):
    checkpoint = Checkpoint(folder, key, every_s=0)
    checkpoint.offer(lambda: snapshot(**others))
    return checkpoint


# Files --------------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_read_back_as_it_was(tmp_path):
    best = (np.float32([1, 2]),)
    result = kept(tmp_path, best=best, best_mae=0.1, best_step=5, waited=2).load()
    expected = snapshot(best=best, best_mae=0.1, best_step=5, waited=2)
    assert (result.step, result.seconds, result.history) == (7, 1.5, expected.history)
    assert (result.best_mae, result.best_step, result.waited) == (0.1, 5, 2)
    assert np.isnan(result.validation_mae)
    for one, two in zip((*result.variables, *result.best), (*expected.variables, *best), strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.dtype == two.dtype
    one, two = np.random.default_rng(0), np.random.default_rng(7)
    one.bit_generator.state = result.generator
    assert one.random() == two.random()


def test_a_checkpoint_is_taken_only_so_often(tmp_path):
    def must_not_be_taken():
        raise AssertionError

    checkpoint = Checkpoint(tmp_path, "key", every_s=1000)
    checkpoint.offer(must_not_be_taken)
    assert checkpoint.load() is None
    assert not checkpoint.path.exists()


def test_where_nothing_is_kept_no_checkpoint_is(tmp_path, monkeypatch):
    monkeypatch.setenv("POSELAB_CACHE_GB", "0")
    assert not kept(tmp_path).path.exists()


def test_a_full_disk_costs_the_checkpoint_only(tmp_path, monkeypatch, caplog):
    def full(*args, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.np, "savez", full)
    checkpoint = kept(tmp_path)
    assert "no checkpoint of the training is kept: [Errno 28] No space left" in caplog.text
    assert list(checkpoint.path.parent.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut short", "altered", "empty", "no archive", "other settings", "lacks something"])
def test_what_cannot_be_used_is_told_of_in_one_line(tmp_path, caplog, damage):
    checkpoint = kept(tmp_path)
    content = checkpoint.path.read_bytes()
    if damage == "other settings":
        other = kept(tmp_path, "other")
        other.path.replace(checkpoint.path)
    elif damage == "lacks something":
        with checkpoint.path.open("wb") as file:
            np.savez(file, facts=np.array('{"key": "key", "step": 3}'))
    else:
        middle = len(content) // 3
        checkpoint.path.write_bytes(
            {
                "cut short": content[:middle], "altered": content[:middle] + b"\xff" * 40 + content[middle + 40 :],
                "empty": b"", "no archive": b"something else",
            }[damage]
        )  # fmt: skip
    assert checkpoint.load() is None
    (message,) = [record.getMessage() for record in caplog.records]
    assert "cannot be used, the training starts anew: " in message
    assert "\n" not in message
    assert checkpoint.path.exists()


def test_a_finished_training_leaves_no_checkpoint_and_takes_forgotten_ones_with_it(tmp_path):
    mine, yours, forgotten = (kept(tmp_path, key) for key in ("mine", "yours", "forgotten"))
    month = time.time() - 31 * 24 * 3600
    os.utime(forgotten.path, (month, month))
    mine.remove()
    assert [checkpoint.path.exists() for checkpoint in (mine, yours, forgotten)] == [False, True, False]
    mine.remove()


def test_the_stage_cache_leaves_checkpoints_alone(tmp_path, monkeypatch):
    checkpoint = kept(tmp_path)
    monkeypatch.setenv("POSELAB_CACHE_GB", "0.000001")
    stagecache.store(tmp_path, "projections", "a", {"x": np.zeros(10)})
    assert checkpoint.load() is not None


# Training -----------------------------------------------------------------------------------------------------------


class CutOffError(Exception):
    """What ends a training in these tests."""


@pytest.fixture
def train(toy_volume):
    """Trains for 30 steps on 16 pixels."""
    rng = np.random.default_rng(5)
    poses, validation_poses = (rotations.sample_orientations(n, rng) for n in (60, 12))
    images, validation = (projection.project(toy_volume, p, 16, 2.0) for p in (poses, validation_poses))

    data = TrainingSet(images, poses, validation, validation_poses, NoiseModel(0.1), 1.0)

    def run(progress=silent, seed=1, steps=30, patience=None, resumed=None, **others):
        schedule = trainer.Schedule(steps, 1000.0, patience=patience)
        sampler = batches.sampler_for(data, "uniform", 8, 3)
        rng = np.random.default_rng(seed)
        training = trainer.Trainer(data, sampler, trainer.Objective(), schedule, 7.0, rng)
        if resumed is not None:
            training.resume(resumed)
        return training.run(progress, **others)

    return run


def weights(trained):
    return trained.model.get_weights()


@pytest.fixture
def small(monkeypatch):
    """Trainings are of a small network."""
    train_small_networks(monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("patience", [None, 40])
def test_a_training_cut_off_and_gone_on_with_is_bit_for_bit_the_uninterrupted_one(train, tmp_path, patience, small):
    wholly_told = []
    whole = train(lambda fraction, values: wholly_told.append((fraction, values)), patience=patience)
    reports = []
    checkpoint = Checkpoint(tmp_path, "key", every_s=0)

    def cut_off(fraction, values):
        if values["step"] == 20:
            raise CutOffError

    with pytest.raises(CutOffError):
        train(cut_off, patience=patience, offer=checkpoint.offer)
    resumed = checkpoint.load()
    assert resumed.step == 19
    ended = train(
        lambda fraction, values: reports.append((fraction, values)), patience=patience, resumed=resumed,
        offer=checkpoint.offer,
    )  # fmt: skip
    for one, two in zip(weights(ended), weights(whole), strict=True):
        np.testing.assert_array_equal(one, two)
    assert reports == wholly_told, "the learning curve is whole"
    assert (ended.steps, ended.validation_mae, ended.best_step) == (30, whole.validation_mae, whole.best_step)
    assert ended.seconds > resumed.seconds
    assert checkpoint.load().step == 29


@pytest.mark.slow
def test_another_checkpoint_gives_another_network(train, tmp_path, small):
    """Else the comparison above would show nothing."""
    checkpoint = Checkpoint(tmp_path, "key", every_s=0)
    train(seed=2, steps=20, offer=checkpoint.offer)
    ended, whole = train(resumed=checkpoint.load()), train()
    assert any(not np.array_equal(one, two) for one, two in zip(weights(ended), weights(whole), strict=True))


@pytest.fixture
def validations(monkeypatch):
    """Lets validations find errors given in advance; and the weights that each found."""
    seen, errors_of = [], {}

    def give(errors):
        remaining = iter(errors)

        def embed(model, images, batch_size=256, on_gpu=False):
            weights = b"".join(weight.tobytes() for weight in model.get_weights())
            if weights not in errors_of:
                seen.append(model.get_weights())
                errors_of[weights] = next(remaining)
            return np.full((len(images), 9), errors_of[weights])

        # The features hold the error alone; distances are then off by that much.
        def of_pairs(pairs, values):
            return PairDistances(pairs.count, pairs.first, pairs.second, values)

        monkeypatch.setattr(trainer, "embed", embed)
        monkeypatch.setattr(
            trainer, "exact_distances", lambda quaternions, pairs, elements: of_pairs(pairs, np.zeros(len(pairs)))
        )
        monkeypatch.setattr(trainer, "fit_feature_calibration", lambda *settings: trainer.UNCALIBRATED)
        monkeypatch.setattr(
            trainer, "learned_distances", lambda features, pairs, *others: of_pairs(pairs, features[pairs.first, 0])
        )
        return seen

    return give


@pytest.mark.slow
def test_without_improvement_it_stops_and_the_best_weights_are_back(train, validations, small):
    seen = validations([0.5, 0.4, 0.3, 0.35, 0.3, 0.4, 0.1, 0.0])
    reports = []
    trained = train(lambda fraction, values: reports.append(values), patience=3)
    assert (trained.steps, trained.best_step, trained.stopped_early) == (6, 3, True)
    assert trained.validation_mae == pytest.approx(0.3)
    for one, two in zip(weights(trained), seen[2], strict=True):
        np.testing.assert_array_equal(one, two)
    assert [values["validation_mae"] for values in reports] == pytest.approx([0.5, 0.4, 0.3, 0.35, 0.3, 0.4])


@pytest.mark.slow
def test_improving_it_goes_on_to_the_end(train, validations, small):
    validations(np.linspace(0.9, 0.1, 30))
    trained = train(patience=1)
    assert (trained.steps, trained.best_step, trained.stopped_early) == (30, 30, False)


@pytest.mark.slow
def test_patience_counts_across_an_interruption(train, validations, tmp_path, small):
    validations([0.5, 0.6, 0.7])
    checkpoint = Checkpoint(tmp_path, "key", every_s=0)

    def cut_off(fraction, values):
        if values["step"] == 3:
            raise CutOffError

    with pytest.raises(CutOffError):
        train(cut_off, patience=3, offer=checkpoint.offer)
    validations([0.7, 0.8, 0.1])
    trained = train(patience=3, resumed=checkpoint.load())
    assert (trained.steps, trained.best_step, trained.validation_mae) == (4, 1, pytest.approx(0.5))


# Runs ---------------------------------------------------------------------------------------------------------------


def run(folder, *overrides):
    return pipeline.run_experiment(load_config(None, [*SIAMESE, *overrides]), folder, ["test"])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return run(tmp_path_factory.mktemp("uninterrupted"))


KILLED = """
import os, signal, sys
from pathlib import Path
from engine.experiment import checkpoints, pipeline
from engine.config.settings import load_config
checkpoints.Checkpoint.__init__.__defaults__ = (0.0, *checkpoints.Checkpoint.__init__.__defaults__[1:])
def watch(event):
    if event["kind"] == "training" and event["values"]["step"] == 20:
        os.kill(os.getpid(), signal.SIGKILL)
pipeline.run_experiment(load_config(None, sys.argv[2:]), Path(sys.argv[1]), ["test"], on_event=watch)
"""


@pytest.mark.slow
def test_a_killed_run_is_gone_on_with_by_the_next_of_the_same_settings(uninterrupted, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), *SIAMESE], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    (file,) = tmp_path.glob(".cache/training-checkpoints/*/checkpoint.npz")
    other = run(tmp_path, "training.learning_rate=0.001")
    assert "goes on" not in (other.path / "log.txt").read_text(), "another experiment does not use it"
    assert file.exists()

    again = run(tmp_path)
    assert (
        "training goes on at step 19 of 30, where an earlier run of it was cut off"
        in (again.path / "log.txt").read_text()
    )
    assert again.metrics == uninterrupted.metrics
    curves = [np.load(record.path / "training.npz")["curve"] for record in (again, uninterrupted)]
    np.testing.assert_array_equal(*curves)
    events, _ = read_events(again.path)
    steps = [event["values"]["step"] for event in events if event["kind"] == "training"]
    assert steps == curves[1][:, 0].tolist()
    assert not file.parent.exists(), "removed when the training has finished"


@pytest.mark.slow
def test_a_damaged_checkpoint_is_left_aside(uninterrupted, tmp_path):
    entry = next((uninterrupted.path.parent / ".cache" / "training").iterdir())
    damaged = Checkpoint(tmp_path, entry.name).path
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"PK\x03\x04 and then nothing")
    again = run(tmp_path)
    log = (again.path / "log.txt").read_text()
    assert log.count("cannot be used, the training starts anew") == 1
    assert again.metrics == uninterrupted.metrics


@pytest.mark.slow
def test_an_early_stop_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "_VALIDATIONS_STOPPING", 30)
    record = run(tmp_path, "training.patience=1", "training.learning_rate=0.5")
    with np.load(record.path / "training.npz") as arrays:
        assert arrays["stopped_early"]
        assert arrays["best_step"] < arrays["steps"] < 30
        assert arrays["validation_mae"] == np.nanmin(arrays["curve"][:, 2])
        assert arrays["curve"][-1, 0] == arrays["steps"]
        best_step = int(arrays["best_step"])
    log = (record.path / "log.txt").read_text()
    assert f"training stopped early; the weights are those of step {best_step}\n" in log
