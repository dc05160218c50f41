"""The catalogue of runs: what its rows have, and how they follow the directories."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.config.settings import config_from_dict, config_to_dict
from engine.record import catalogue
from engine.record.runlog import RunWriter
from engine.record.runrecord import read_run
from engine.service import notes
from engine.service.actor import Actor
from tests.catalogue_testing import CONFIG, ROOT, finished

ME = Actor("somebody")


def test_a_row_has_what_the_record_has(tmp_path: Path) -> None:
    path = finished(tmp_path, name="O'Brien; DROP TABLE runs --", distance_mae=np.float32(0.25), fsc=np.nan)
    record = read_run(path)
    (row,) = catalogue.list_runs(tmp_path)
    assert row == catalogue.get_run(tmp_path, path.name)
    for key in ("run_id", "status", "name", "message", "created", "ended", "total_seconds", "peak_memory_mb"):
        assert row[key] == getattr(record, key)
    assert (row["user"], row["host"], row["reused"]) == (record.user, record.host, ["volume"])
    assert row["created"].tzinfo == UTC
    assert row["metrics"] == {"distance_mae": 0.25, "fsc": None}
    assert row["seconds"] == record.seconds
    assert row["config"] == config_to_dict(CONFIG)
    assert (row["seed"], row["source"], row["coverage"], row["sampling"]) == (2**63 - 1, "6msm", "half", "euler")
    assert (row["count"], row["noise_variance"], row["snr"], row["max_shift"]) == (12, 16.0, None, 2.5)
    assert (row["distance_method"], row["pairs_strategy"]) == ("exact", "knn")


def test_coverage_of_ones_own_is_its_intervals(tmp_path: Path) -> None:
    config = config_from_dict({"projections": {"coverage": [[0, 90], [0, 45.5], [10, 20]]}})
    with RunWriter.create(tmp_path, config, []) as run:
        run.finish({})
    (row,) = catalogue.list_runs(tmp_path)
    assert json.loads(row["coverage"]) == [[0, 90], [0, 45.5], [10, 20]]


def test_the_newest_come_first_and_questions_narrow(tmp_path: Path) -> None:
    paths = [finished(tmp_path, number) for number in range(3)]
    with pytest.raises(InputError), RunWriter.create(tmp_path, CONFIG, []):
        raise InputError("wrong")
    rows = catalogue.list_runs(tmp_path)
    assert [row["created"] for row in rows] == sorted((row["created"] for row in rows), reverse=True)
    assert [row["status"] for row in rows] == ["failed", "finished", "finished", "finished"]
    assert rows[0]["message"] == "wrong"
    assert [row["run_id"] for row in catalogue.list_runs(tmp_path, statuses=["finished"])] == [
        path.name for path in reversed(paths)
    ]
    assert catalogue.list_runs(tmp_path, statuses=[]) == []
    assert catalogue.list_runs(tmp_path, limit=2) == rows[:2]
    assert catalogue.list_runs(tmp_path, statuses=["finished"], limit=1) == rows[1:2]


def test_what_is_noted_about_a_run_is_in_its_row(tmp_path: Path) -> None:
    path = finished(tmp_path, name="first")
    with RunWriter.create(tmp_path, CONFIG, [], sweep="20260101 <b>") as run:
        run.finish({})
    second, first = catalogue.list_runs(tmp_path)
    assert (first["sweep"], second["sweep"]) == (None, "20260101 <b>")
    assert [first[key] for key in ("name", "tags", "starred", "note", "archived")] == ["first", [], False, "", False]
    notes.annotate(ME, tmp_path, path.name, name="mine", tags=["a", "b"], starred=True, note="two\nlines")
    row = catalogue.get_run(tmp_path, path.name)
    assert [row[key] for key in ("name", "tags", "starred", "note")] == ["mine", ["a", "b"], True, "two\nlines"]


def test_archived_runs_are_asked_for(tmp_path: Path) -> None:
    paths = [finished(tmp_path, number) for number in range(3)]

    def places(**asked: Any) -> list[int]:
        return [paths.index(tmp_path / row["run_id"]) for row in catalogue.list_runs(tmp_path, **asked)]

    notes.annotate(ME, tmp_path, paths[1].name, archived=True)
    assert places() == places(archived=False) == [2, 0]
    assert places(archived=True) == [1]
    assert places(archived=None) == [2, 1, 0]
    assert places(statuses=["finished"], limit=1) == [2]
    assert places(statuses=["failed"], archived=None) == []
    notes.annotate(ME, tmp_path, paths[1].name, archived=False)
    assert places() == [2, 1, 0]


def test_runs_are_numbered_in_the_order_they_were_made_whatever_is_asked_for(tmp_path: Path) -> None:
    paths = [finished(tmp_path, number) for number in range(4)]
    notes.annotate(ME, tmp_path, paths[1].name, archived=True)
    assert [row["number"] for row in catalogue.list_runs(tmp_path)] == [4, 3, 1]
    assert [row["number"] for row in catalogue.list_runs(tmp_path, archived=True)] == [2]
    assert catalogue.get_run(tmp_path, paths[2].name)["number"] == 3


def test_what_happens_to_the_directories_is_seen_by_the_next_question(tmp_path: Path) -> None:
    first, second = finished(tmp_path, 1), finished(tmp_path, 2)
    assert len(catalogue.list_runs(tmp_path)) == 2
    shutil.rmtree(first)
    assert [row["run_id"] for row in catalogue.list_runs(tmp_path)] == [second.name]
    shutil.copytree(second, first)
    assert {row["run_id"] for row in catalogue.list_runs(tmp_path)} == {first.name, second.name}
    result = json.loads((first / "result.json").read_text()) | {"metrics": {"distance_mae": 0.125}}
    (first / "result.json").write_text(json.dumps(result))
    assert catalogue.get_run(tmp_path, first.name)["metrics"] == {"distance_mae": 0.125}
    run = RunWriter.create(tmp_path, CONFIG, [])
    assert catalogue.get_run(tmp_path, run.run_id)["status"] == "running"
    run.finish({"distance_mae": 0.5})
    assert catalogue.get_run(tmp_path, run.run_id)["metrics"] == {"distance_mae": 0.5}


def test_a_running_run_whose_process_goes_becomes_interrupted(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from engine.config.schema import Config
from engine.record.runlog import RunWriter
run = RunWriter.create(Path(sys.argv[1]), Config(), [])
print(run.run_id, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    done = finished(tmp_path)
    assert catalogue.get_run(tmp_path, run_id)["status"] == "running"
    process.kill()
    process.communicate()
    row = catalogue.get_run(tmp_path, run_id)
    assert row["status"] == "interrupted"
    assert row["ended"] is not None
    assert catalogue.get_run(tmp_path, done.name)["status"] == "finished"


def test_nothing_is_read_again_when_nothing_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        finished(tmp_path, number)
    rows = catalogue.list_runs(tmp_path)

    def unexpected(path: Path) -> None:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(catalogue, "read_run", unexpected)
    assert catalogue.list_runs(tmp_path) == rows


def test_damaged_and_foreign_directories_do_no_harm(tmp_path: Path) -> None:
    good = finished(tmp_path, 1, distance_mae=0.5)
    ids = [f"20260101-0000{number}-1bd2-abcdef" for number in range(10, 15)]
    for run_id in ids:
        (tmp_path / run_id).mkdir()
    (tmp_path / ids[1] / "run.json").write_bytes(b"{")
    shutil.copytree(good, tmp_path / ids[2], dirs_exist_ok=True)
    facts = json.loads((good / "run.json").read_text())
    (tmp_path / ids[2] / "run.json").write_text(json.dumps(facts | {"name": "nul \x00 <b>"}))
    (tmp_path / ids[2] / "config.toml").write_text(
        'seed = "x"\nvolume = 3\n[projections]\ncoverage = 1979-05-27\ncount = true'
    )
    shutil.copytree(good, tmp_path / ids[3], dirs_exist_ok=True)
    (tmp_path / ids[3] / "run.json").write_text(json.dumps(facts | {"format": 99, "pid": "none"}))
    (tmp_path / ids[4] / "run.json").write_text(json.dumps(facts | {"name": "surrogate \udc80"}))
    (tmp_path / "notes").mkdir()
    (tmp_path / ".part-1234-x").mkdir()
    (tmp_path / "20260101-000099-1bd2-abcdef").write_text("a file")
    rows = {row["run_id"]: row for row in catalogue.list_runs(tmp_path)}
    assert rows.keys() == {good.name, *ids}
    assert [rows[run_id]["status"] for run_id in ids] == ["damaged", "damaged", "finished", "newer", "damaged"]
    assert rows[ids[0]]["message"] == "run.json is missing"
    assert rows[ids[0]]["created"] == datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)
    assert rows[ids[2]]["name"] == "nul \x00 <b>"
    assert (rows[ids[2]]["seed"], rows[ids[2]]["source"], rows[ids[2]]["count"]) == (None, None, None)
    assert rows[ids[2]]["coverage"] is None
    assert rows[ids[2]]["config"] == {"projections": {}}, "what is wrong is told in the message, and shown nowhere else"
    assert "seed is 'x'" in rows[ids[2]]["message"]
    assert rows[ids[2]]["metrics"] == rows[good.name]["metrics"] == {"distance_mae": 0.5}
    (tmp_path / ids[0] / "run.json").write_text(json.dumps(facts))
    assert catalogue.get_run(tmp_path, ids[0])["status"] == "running"  # no result, and this process is alive


def test_only_run_ids_are_asked_for(tmp_path: Path) -> None:
    finished(tmp_path)
    for run_id in ("x' OR 1=1 --", "../etc", ""):
        with pytest.raises(InputError, match="is not a run id"):
            catalogue.get_run(tmp_path, run_id)
    with pytest.raises(InputError, match=r"no run 20260101-000000-1bd2-ffffff in .*runs list"):
        catalogue.get_run(tmp_path, "20260101-000000-1bd2-ffffff")
