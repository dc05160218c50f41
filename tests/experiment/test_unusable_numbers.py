"""Numbers that are not finite end a run in one line; results that the clock made are nobody else's."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.cli.main import main
from engine.config.schema import Config
from engine.config.settings import load_config
from engine.experiment import pipeline
from engine.experiment.stages import distance, projections, reconstruction, recovery, training
from engine.poses import recovery as numeric_recovery
from engine.record.events import read_events
from engine.record.runrecord import read_run

QUICK = [
    "projections.count=24", "projections.size=20", "distance.method=exact", "volume.resolution=20",
    "recovery.restarts=3", "reconstruction.iterations=2",
]  # fmt: skip
LEARNING = [
    *QUICK, "distance.method=siamese", "training.projections=64", "training.validation_projections=16",
    "training.batch_size=8", "training.image_size=16",
]  # fmt: skip
RUN_ID = "20260101-000000-1bd2-000000"


def run(folder, *settings, base=QUICK, **named):
    return pipeline.run_experiment(load_config(None, [*base, *settings]), folder, ["test"], **named)


def failure(folder, *settings, base=QUICK):
    """The one line with which a run failed, the same on the record and for its caller; its record."""
    with pytest.raises(InputError) as caught:
        run(folder, *settings, base=base, run_id=RUN_ID)
    record = read_run(folder / RUN_ID)
    assert (record.status, record.message) == ("failed", str(caught.value))
    assert "Traceback" not in (record.path / "log.txt").read_text()
    assert len(record.message.splitlines()) == 1
    return record


def spoilt(monkeypatch, stage, *fields):
    """The stage with a number in its result that is none."""
    right = stage.run

    def spoil(self, *given):
        result = right(self, *given)
        for field in fields:
            inner, _, leaf = field.partition(".")
            part = getattr(result, inner)
            array = np.array(getattr(part, leaf) if leaf else part)
            array.flat[3] = np.nan if field == fields[0] else -np.inf
            result = replace(result, **{inner: replace(part, **{leaf: array}) if leaf else array})
        return result

    monkeypatch.setattr(stage, "run", spoil)


@pytest.mark.parametrize(
    ("stage", "fields", "message"),
    [
        (projections.ProjectionsStage, ["images"], "projections: images hold"),
        (distance.DistanceStage, ["estimated.values"], "distance: estimated hold"),
        (recovery.RecoveryStage, ["poses"], "recovery: poses hold"),
        (reconstruction.ReconstructionStage, ["half1", "density"], "reconstruction: density, half1 hold"),
    ],
)
def test_a_result_that_is_not_finite_ends_the_run_and_is_not_kept(tmp_path, monkeypatch, stage, fields, message):
    spoilt(monkeypatch, stage, *fields)
    record = failure(tmp_path)
    assert record.message.startswith(f"{message} numbers that are not finite; some value of the density, the noise or")
    kept = {path.name for path in (tmp_path / ".cache").glob("*")}
    assert stage.name not in kept
    monkeypatch.undo()
    finished = run(tmp_path)
    assert finished.status == "finished"
    assert set(finished.reused) == kept, "what was right is used again"


def test_linear_algebra_that_finds_no_solution_is_told_with_its_stage(tmp_path, monkeypatch):
    def fail(*given):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(numeric_recovery, "_embedded_start", fail)
    message = failure(tmp_path).message
    assert message.startswith(
        "recovery: linear algebra found no solution (SVD did not converge); look at the results of"
    )


def test_a_result_that_would_not_come_again_and_all_that_is_made_of_it_are_nobody_elses(tmp_path, monkeypatch):
    """Else one network's errors could stand beside another network's poses."""
    monkeypatch.setattr(distance.DistanceStage, "repeatable", lambda self, result: False)
    for _ in range(2):
        assert run(tmp_path).reused == ("projections",) * len(list(tmp_path.glob("2*"))[1:])
        assert {path.name for path in (tmp_path / ".cache").iterdir()} == {"projections"}
    monkeypatch.undo()
    run(tmp_path)
    assert set(run(tmp_path).reused) == {"projections", "distance", "recovery", "reconstruction"}


def test_a_training_that_the_clock_shortened_would_not_come_again():
    stage, facts = training.TrainingStage(), (1, 1.0, 0.1, False, 1, np.zeros(2), np.zeros((1, 3)))
    for by_clock in (False, True):
        assert stage.repeatable(training.TrainedNetwork(*facts[:2], by_clock, *facts[2:])) is not by_clock
    assert stage.longest(Config(), None) == float("inf")


@pytest.mark.slow
def test_a_run_whose_training_diverges_fails_with_its_losses_and_without_a_traceback(tmp_path, monkeypatch, capsys):
    from engine.learning import trainer

    losses = itertools.chain([1 / n for n in range(1, 27)], itertools.repeat(float("nan")))
    monkeypatch.setattr(
        trainer, "_training_step", lambda *_: lambda *_: trainer.tf.constant(next(losses), trainer.tf.float32)
    )
    record = failure(tmp_path, "training.learning_rate=0.5", "training.steps=50", base=LEARNING)
    assert record.message == (
        "the training diverged at step 27 of 50: the loss is no longer finite, at a learning rate of 0.24; "
        "wanted training.learning_rate below 0.5 (usual is 0.004)"
    )
    kept = [event["values"] for event in read_events(record.path)[0] if event["kind"] == "training"]
    assert [values["step"] for values in kept][-1] == 26
    assert all(np.isfinite(values["loss"]) for values in kept)
    assert not (tmp_path / ".cache" / "training").exists()
    arguments = [part for setting in [*LEARNING, "training.learning_rate=0.5"] for part in ("--set", setting)]
    assert main(["run", "--runs-dir", str(tmp_path), *arguments]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: the training diverged at step 1 of 1,800: ")
