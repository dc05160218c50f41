"""Records that earlier versions left: the first, with calibration, a sweep, with symmetry, before the wings."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from engine.analysis import comparison
from engine.config.history import ADDED, ORIGINAL, SCIENCE, completed
from engine.config.schema import Config
from engine.config.settings import config_to_dict, known_keys
from engine.record import catalogue
from engine.record.runlog import RunWriter
from engine.record.runrecord import read_run
from engine.service import notes
from engine.service.actor import Actor

RECORDS = Path(__file__).parents[1] / "data" / "records"
FIRST, CALIBRATED, SYMMETRIC, LAST, *SWEPT = sorted(path.name for path in RECORDS.iterdir())
NOTED, UNNOTED = sorted(SWEPT, key=lambda run_id: not (RECORDS / run_id / "annotations.json").exists())
"""Two seeds of one sweep, of the same version as ``CALIBRATED``."""


@pytest.fixture
def runs_dir(tmp_path):
    shutil.copytree(RECORDS, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.mark.parametrize("run_id", [FIRST, CALIBRATED, SYMMETRIC, LAST])
def test_an_old_record_is_read_whole(runs_dir, run_id):
    record = read_run(runs_dir / run_id)
    assert (record.status, record.message) == ("finished", "")
    assert isinstance(record.config, Config)
    assert (record.launched_by, record.science) == ("student", 1)
    assert record.metrics["angle_error_median"] < 1e-6


def test_old_records_are_listed_compared_and_the_catalogue_rebuilt_from_them(runs_dir):
    rows = catalogue.list_runs(runs_dir)
    assert {row["run_id"] for row in rows} == {FIRST, CALIBRATED, SYMMETRIC, LAST, *SWEPT}
    assert catalogue.rebuild(runs_dir) == 6
    assert catalogue.list_runs(runs_dir) == rows
    single = [row for row in sorted(rows, key=lambda row: row["run_id"]) if row["sweep"] is None]
    differences = comparison.differences(single)
    assert differences["recovery.calibrate"] == [False, True, True, True]
    assert differences.keys() == {
        "recovery.calibrate", "distance.feature_dim", "training.steps", "training.max_seconds",
        "training.learning_rate",
    }  # fmt: skip


def test_an_old_sweep_keeps_its_notes_and_poses_and_its_seeds_are_folded(runs_dir):
    noted, unnoted = read_run(runs_dir / NOTED), read_run(runs_dir / UNNOTED)
    assert noted.sweep == unnoted.sweep is not None
    assert (noted.name, noted.facts.name, unnoted.name) == ("perturbed, first seed", "sweep: seed=0", "sweep: seed=1")
    assert (noted.annotations.tags, noted.annotations.starred) == (("old", "perturbed"), True)
    assert np.median(noted.arrays("poses.npz")["errors"]) == pytest.approx(noted.metrics["angle_error_median"])
    rows = catalogue.list_runs(runs_dir)
    assert {NOTED, UNNOTED} in [{row["run_id"] for row in group} for group in comparison.fold_seeds(rows)]
    assert [row["tags"] for row in rows if row["run_id"] == NOTED] == [["old", "perturbed"]]
    assert notes.annotate(Actor("me"), runs_dir, NOTED, note="").tags == ("old", "perturbed")


def test_a_key_that_an_old_record_lacks_is_what_its_run_used_not_todays_default(runs_dir):
    assert Config().recovery.calibrate is True
    assert read_run(runs_dir / FIRST).config.recovery.calibrate is False
    assert "calibrate" not in (runs_dir / FIRST / "config.toml").read_text()


def test_what_a_record_says_is_kept():
    table = config_to_dict(Config())
    assert completed(table) == table
    assert completed({"recovery": {"calibrate": True}})["recovery"]["calibrate"] is True
    odd = {"recovery": 5, "seed": 3}
    assert completed(odd)["recovery"] == 5


def without_newer_keys(path, **hardware):
    """A record of the last version whose runs took what was there: ASTRA where they saw CUDA, the clock's limit."""
    table = tomllib.loads((path / "config.toml").read_text())
    del table["device"], table["projections"]["projector"], table["reconstruction"]["method"]
    (path / "config.toml").write_text(tomli_w.dumps(table))
    facts = json.loads((path / "run.json").read_text())
    facts.pop("devices")
    facts["hardware"] |= hardware
    (path / "run.json").write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("gpus", "astra", "used"),
    [
        (["NVIDIA H100 80GB HBM3"], True, ("astra", "cgls")),
        (["NVIDIA H100 80GB HBM3"], False, ("fourier", "normal_equations")),
        ([], True, ("fourier", "normal_equations")),
    ],
)
def test_runs_from_before_there_was_a_choice_took_astra_where_they_saw_cuda(runs_dir, gpus, astra, used):
    path = runs_dir / LAST
    facts = json.loads((path / "run.json").read_text())
    facts["hardware"]["gpus"] = gpus
    facts["packages"] = {"numpy": "2"} | ({"astra-toolbox": "2.5.0"} if astra else {})
    (path / "run.json").write_text(json.dumps(facts))
    config = read_run(path).config
    assert (config.projections.projector, config.reconstruction.method) == used
    assert (config.device, config.reconstruction.iterations) == ("auto", 10)
    assert [row["config"]["projections"]["projector"] for row in catalogue.list_runs(runs_dir) if row["run_id"] == LAST]
    assert Config().projections.projector == "fourier"


@pytest.mark.parametrize(("steps", "limit"), [(1800, 186.5), (None, 551.7)])  # 30 s, and 1 s for every 11.5 steps
def test_a_training_that_met_the_clock_before_that_had_to_be_asked_for_had_its_limit(runs_dir, steps, limit):
    config = Config.model_validate({"training": {"steps": steps}})

    def read(message, old=True):
        with RunWriter.create(runs_dir, config, ["test"], devices={}) as run:
            run.warn(message)
            run.finish({})
        if old:
            without_newer_keys(run.path)
        return read_run(run.path)

    met = "training met training.max_seconds and was shortened: another run may end with other numbers"
    assert read(met).config.training.max_seconds == limit
    assert read("something else").config == config, "a limit that was not met changed nothing"
    assert read(met, old=False).config == config
    assert isinstance(read(met).config, Config)
    assert completed({"training": 5}, cut_by_clock=True)["training"] == 5


def test_every_key_has_a_history():
    """A new key goes to the end of ``ADDED``, with what runs did before it came."""
    assert sorted(known_keys()) == sorted([*ORIGINAL, *ADDED])
    Config.model_validate(completed({}))


def test_runs_of_different_science_are_no_seeds_of_one_experiment(runs_dir):
    record = read_run(runs_dir / LAST)
    with RunWriter.create(runs_dir, record.config, ["test"]) as run:
        run.finish(dict(record.metrics))
    rows = [row for row in catalogue.list_runs(runs_dir) if row["run_id"] in (LAST, run.run_id)]
    assert {row["science"] for row in rows} == {1, SCIENCE}
    assert len(comparison.fold_seeds(rows)) == 2
    levels = comparison.by_factor(rows, ["projections.coverage"])
    ((_, reason),) = levels.left_out
    assert reason in (f"science version is 1, not {SCIENCE}", f"science version is {SCIENCE}, not 1")
    assert len(comparison.fold_seeds([row | {"science": SCIENCE} for row in rows])) == 1
