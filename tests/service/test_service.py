"""Whose action it was is kept: in the queue, in records, in the catalogue, in the log."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from engine.api_records import run_experiment
from engine.base import environment
from engine.cli.main import main
from engine.config.schema import Config
from engine.dispatch import runqueue
from engine.io.mrc import write_map
from engine.record import catalogue
from engine.record.runrecord import read_run
from engine.service import notes, runs
from engine.service.actor import Actor

ROOT = Path(__file__).parents[2]


def test_who_launched_a_run_is_in_its_queue_entry_record_and_catalogue(tmp_path, monkeypatch):
    monkeypatch.setattr(runqueue, "ensure_worker", lambda runs_dir: None)
    (run_id,) = runs.submit(Actor("ada@lab"), tmp_path, [Config()])
    job = json.loads((tmp_path / ".queue" / run_id / "job.json").read_text())
    assert (job["launched_by"], job["user"]) == ("ada@lab", environment.user())
    (waiting,) = runqueue.waiting(tmp_path)
    assert waiting.launched_by == "ada@lab"
    small = Config.model_validate(
        {
            "distance": {"method": "exact"}, "projections": {"count": 12, "size": 16},
            "volume": {"resolution": 20, "voxel_size": 10}, "recovery": {"restarts": 2},
            "reconstruction": {"enabled": False},
        }
    )  # fmt: skip
    record = runs.run(Actor("ada@lab"), tmp_path, small, ["test"])
    assert record.launched_by == "ada@lab"
    assert json.loads((record.path / "run.json").read_text())["launched_by"] == "ada@lab"
    (row,) = catalogue.list_runs(tmp_path)
    assert row["launched_by"] == "ada@lab"


def test_a_queue_entry_of_an_earlier_version_was_submitted_by_its_user(tmp_path, monkeypatch):
    monkeypatch.setattr(runqueue, "ensure_worker", lambda runs_dir: None)
    (run_id,) = runs.submit(Actor("ada"), tmp_path, [Config()])
    path = tmp_path / ".queue" / run_id / "job.json"
    job = json.loads(path.read_text())
    del job["launched_by"]
    path.write_text(json.dumps(job | {"user": "student"}))
    assert [run.launched_by for run in runqueue.waiting(tmp_path)] == ["student"]


def test_paths_are_those_of_the_folder_in_which_they_were_given(tmp_path, monkeypatch, toy_density):
    """The worker works in another folder, where a file of the same name must not take its place."""
    monkeypatch.setattr(runqueue, "ensure_worker", lambda runs_dir: None)
    mine, runs_dir = tmp_path / "mine", tmp_path / "runs"
    mine.mkdir()
    monkeypatch.chdir(mine)
    tables = {"volume": {"source": "map.mrc"}, "training": {"volumes": ["other.mrc"]}}
    runs.submit(Actor("ada"), runs_dir, [Config.model_validate(tables)])
    (waiting,) = runqueue.waiting(runs_dir)
    assert waiting.config.volume.source == str(mine / "map.mrc")
    assert waiting.config.training.volumes == (str(mine / "other.mrc"),)

    write_map(mine / "map.mrc", toy_density, 2.5, np.zeros(3))
    small = {
        "distance": {"method": "exact"}, "projections": {"count": 12, "size": 16}, "volume": {"source": "map.mrc"},
        "recovery": {"restarts": 2}, "reconstruction": {"enabled": False},
    }  # fmt: skip
    record = run_experiment(small, "runs of mine")
    assert record.path.parent == mine / "runs of mine"
    assert record.config.volume.source == str(mine / "map.mrc")
    assert record.facts.folder == str(mine)
    monkeypatch.chdir("/")
    where = ["--runs-dir", str(record.path.parent)]
    assert main(["runs", "export", record.run_id, str(tmp_path / "out"), "--particles", *where]) == 0
    assert (tmp_path / "out" / "particles.mrcs").stat().st_size == 1024 + 12 * 16 * 16 * 4


def test_queueing_loads_no_heavy_library():
    script = (
        "import sys, engine.service.runs, engine.service.notes, engine.service.volumes\n"
        "print({'tensorflow', 'duckdb', 'sklearn', 'astra', 'streamlit'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_every_action_is_in_the_log_with_its_actor(tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr(runqueue, "ensure_worker", lambda runs_dir: None)
    eve = Actor("eve")
    (run_id,) = runs.submit(eve, tmp_path, [Config()])
    runs.withdraw(eve, tmp_path, [run_id])
    assert [f"eve: {what}" for what in ("queues 1 runs", f"withdraws {run_id}")] == caplog.messages[-2:]


def test_archive_and_restore(finished):
    runs_dir, run_id = finished.path.parent, finished.run_id
    notes.archive(Actor("me"), runs_dir, run_id)
    assert read_run(finished.path).annotations.archived
    notes.restore(Actor("me"), runs_dir, run_id)
    assert not read_run(finished.path).annotations.archived
