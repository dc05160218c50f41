from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from engine.base import access
from engine.base.errors import InputError
from engine.config.settings import config_from_dict, config_to_dict
from engine.record import catalogue
from engine.record.runlog import RunWriter
from engine.record.runrecord import read_run
from engine.service import notes
from engine.service.actor import Actor

ME = Actor("somebody")

ROOT = Path(__file__).parents[2]
CONFIG = config_from_dict(
    {
        "seed": 2**63 - 1,
        "volume": {"source": "6msm"},
        "projections": {"coverage": "half", "sampling": "euler", "count": 12, "noise_variance": 16, "max_shift": 2.5},
        "distance": {"method": "exact"},
        "pairs": {"strategy": "knn"},
    }
)


def finished(runs_dir: Path, number: int = 0, name: str | None = None, **metrics: Any) -> Path:
    run_id = f"20260101-0000{number:02}-1bd2-{number:06x}"
    with RunWriter.create(runs_dir, CONFIG, ["engine"], run_id=run_id, name=name) as run:
        with run.stage("volume"):
            pass
        run.reused("volume")
        run.finish(metrics)
    return run.path


def holding(runs_dir: Path) -> subprocess.Popen[str]:
    """Another process that has the catalogue open until it is killed."""
    script = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('open', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", script, str(runs_dir / catalogue.FILENAME)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


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

    def found(**asked: Any) -> list[int]:
        return [paths.index(tmp_path / row["run_id"]) for row in catalogue.list_runs(tmp_path, **asked)]

    notes.annotate(ME, tmp_path, paths[1].name, archived=True)
    assert found() == found(archived=False) == [2, 0]
    assert found(archived=True) == [1]
    assert found(archived=None) == [2, 1, 0]
    assert found(statuses=["finished"], limit=1) == [2]
    assert found(statuses=["failed"], archived=None) == []
    notes.annotate(ME, tmp_path, paths[1].name, archived=False)
    assert found() == [2, 1, 0]


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


def test_before_the_first_run_there_is_nothing_and_nothing_is_said(tmp_path: Path) -> None:
    notices: list[str] = []
    assert catalogue.list_runs(tmp_path / "none", on_notice=notices.append) == []
    assert not (tmp_path / "none").exists()
    assert catalogue.list_runs(tmp_path, on_notice=notices.append) == []
    run = RunWriter.create(tmp_path / "new", CONFIG, [])
    assert catalogue.sync(tmp_path / "new", on_notice=notices.append)
    run.finish({})
    (tmp_path / "new" / catalogue.FILENAME).unlink()
    assert [row["status"] for row in catalogue.list_runs(tmp_path / "new", on_notice=notices.append)] == ["finished"]
    assert notices == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"runs directory .*file: Not a directory"):
        catalogue.list_runs(tmp_path / "file")


@pytest.mark.parametrize(
    "damage",
    ["missing", "empty", "garbage", "truncated", "overwritten", "other schema", "other tables", "pipe", "loop", "zero"],
)
def test_a_catalogue_that_is_missing_or_damaged_is_made_anew_and_said(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        finished(tmp_path, number, distance_mae=number)
    rows = catalogue.list_runs(tmp_path)
    path = tmp_path / catalogue.FILENAME
    content = path.read_bytes()
    caplog.clear()
    if damage in ("missing", "pipe", "loop", "zero"):
        path.unlink()
        if damage == "pipe":
            os.mkfifo(path)
        elif damage != "missing":
            path.symlink_to(path if damage == "loop" else "/dev/zero")
    elif damage == "other schema":
        with duckdb.connect(path) as connection:
            connection.execute("UPDATE version SET schema = 0")
    elif damage == "other tables":
        with duckdb.connect(path) as connection:
            connection.execute("ALTER TABLE runs DROP COLUMN metrics")
    else:
        garbage = np.random.default_rng(0).bytes(len(content))
        path.write_bytes(
            {
                "empty": b"",
                "garbage": garbage,
                "truncated": content[: len(content) // 2],
                "overwritten": content[:4096] + garbage[4096:],
            }[damage]
        )
    notices: list[str] = []
    assert catalogue.list_runs(tmp_path, on_notice=notices.append) == rows
    (notice,) = notices
    assert notice.startswith(
        "catalogue.duckdb was " + ("missing" if damage in ("missing", "loop") else "damaged or of another")
    )
    assert notice.endswith("made anew from 3 run directories, nothing is lost")
    assert "\n" not in notice
    assert notice in caplog.text
    assert catalogue.list_runs(tmp_path, on_notice=notices.append) == rows
    assert len(notices) == 1
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {catalogue.FILENAME}


def test_rebuild_gives_the_same_rows(tmp_path: Path) -> None:
    for number in range(3):
        finished(tmp_path, number, distance_mae=number)
    rows = catalogue.list_runs(tmp_path)
    with duckdb.connect(tmp_path / catalogue.FILENAME) as connection:
        connection.execute("UPDATE runs SET status = 'wrong'")
    assert catalogue.list_runs(tmp_path)[0]["status"] == "wrong"
    assert catalogue.rebuild(tmp_path) == 3
    assert catalogue.list_runs(tmp_path) == rows
    with pytest.raises(InputError, match="cannot write the catalogue"):
        catalogue.rebuild(tmp_path / "none")


class Clock:
    """Stands for the module ``time``: it goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_who_finds_it_taken_waits_a_second_at_most_and_still_gets_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(tmp_path, 1)
    rows = catalogue.list_runs(tmp_path)
    process = holding(tmp_path)
    try:
        clock = Clock()
        monkeypatch.setattr(catalogue, "time", clock)
        assert not catalogue.sync(tmp_path)
        assert 1 < clock.now < 1.05
        finished(tmp_path, 2)
        notices: list[str] = []
        clock.now = 0.0
        answer = catalogue.list_runs(tmp_path, on_notice=notices.append)
        assert 1 < clock.now < 1.05
        assert len(answer) == 2
        assert answer[1:] == rows
        assert notices == []
    finally:
        process.kill()
        process.communicate()
    assert catalogue.list_runs(tmp_path) == answer


def test_a_folder_that_takes_no_catalogue_can_still_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finished(tmp_path)
    (tmp_path / catalogue.FILENAME).mkdir()
    notices: list[str] = []
    assert [row["run_id"] for row in catalogue.list_runs(tmp_path, on_notice=notices.append)] == [path.name]
    assert "cannot be used" in notices[-1]
    assert not catalogue.sync(tmp_path)
    (tmp_path / catalogue.FILENAME).rmdir()
    catalogue.sync(tmp_path)
    connect = duckdb.connect

    def denied(database: str | Path) -> duckdb.DuckDBPyConnection:
        if database == ":memory:":
            return connect(database)
        raise duckdb.IOException(f'IO Error: Cannot open file "{database}": Permission denied')

    monkeypatch.setattr(duckdb, "connect", denied)
    before = (tmp_path / catalogue.FILENAME).stat()
    notices.clear()
    assert len(catalogue.list_runs(tmp_path, on_notice=notices.append)) == 1
    assert "Permission denied" in notices[0]
    assert (tmp_path / catalogue.FILENAME).stat().st_ino == before.st_ino  # another's catalogue is not replaced


@pytest.mark.parametrize("there", [False, True])
def test_a_file_system_without_locks_costs_no_time_and_rows_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    paths = [finished(tmp_path, number, distance_mae=number) for number in range(3)]
    if there:
        rows = catalogue.list_runs(tmp_path)
    connect, clock = duckdb.connect, Clock()

    def without_locks(database: str | Path) -> duckdb.DuckDBPyConnection:
        if database == ":memory:":
            return connect(database)
        raise duckdb.IOException(f'IO Error: Could not set lock on file "{database}": No locks available')

    monkeypatch.setattr(duckdb, "connect", without_locks)
    monkeypatch.setattr(access, "has_locks", lambda folder: False)
    monkeypatch.setattr(catalogue, "time", clock)
    notices: list[str] = []
    assert not catalogue.sync(tmp_path, notices.append)
    answer = catalogue.list_runs(tmp_path, on_notice=notices.append)
    assert [row["run_id"] for row in answer] == [path.name for path in reversed(paths)]
    assert not there or answer == rows
    monkeypatch.setattr(catalogue, "read_run", lambda path: pytest.fail(f"{path} was read again"))
    assert catalogue.list_runs(tmp_path, on_notice=notices.append) == answer
    assert (clock.now, notices) == (0.0, []), "nobody waited, and there is nothing to be told again and again"
    monkeypatch.undo()
    shutil.rmtree(paths[1])
    assert len(catalogue.list_runs(tmp_path)) == 2


@pytest.mark.parametrize("value", ["'3'", "'null'", "'{'", "'[1]'", "NULL"])
def test_a_catalogue_with_other_things_in_it_is_made_anew(tmp_path: Path, value: str) -> None:
    finished(tmp_path, 1, distance_mae=0.5)
    rows = catalogue.list_runs(tmp_path)
    with duckdb.connect(tmp_path / catalogue.FILENAME) as connection:
        connection.execute("ALTER TABLE runs ALTER metrics TYPE VARCHAR")
        connection.execute(f"UPDATE runs SET metrics = {value}")
    assert catalogue.list_runs(tmp_path) == rows


@pytest.mark.slow
def test_six_processes_at_once_are_all_recorded(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from engine.record import catalogue
from engine.config.settings import config_from_dict
from engine.record.runlog import RunWriter
runs_dir, number = Path(sys.argv[1]), int(sys.argv[2])
sys.stdin.readline()
for repeat in range(4):
    config = config_from_dict({"seed": 10 * number + repeat})
    with RunWriter.create(runs_dir, config, ["engine"]) as run:
        catalogue.sync(runs_dir)
        for step in range(200):
            run.record("loss", step=step)
        run.finish({"number": number, "repeat": repeat})
    catalogue.sync(runs_dir)
"""
    processes = []
    for number in range(6):
        command = [sys.executable, "-W", "error", "-c", script, str(tmp_path), str(number)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(command, cwd=ROOT, text=True, **pipes))
    answers: list[int] = []
    watching = threading.Event()

    def watch() -> None:
        while not watching.is_set():
            answers.append(len(catalogue.list_runs(tmp_path)))

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in processes]
    watching.set()
    for watcher in watchers:
        watcher.join()
    assert [process.returncode for process in processes] == [0] * 6, said
    assert said == [("", "")] * 6
    rows = catalogue.list_runs(tmp_path)
    found = {(row["metrics"]["number"], row["metrics"]["repeat"], row["seed"]) for row in rows}
    assert found == {(number, repeat, 10 * number + repeat) for number in range(6) for repeat in range(4)}
    assert {row["status"] for row in rows} == {"finished"}
    assert max(answers) <= 24
    for row in rows:
        lines = (tmp_path / row["run_id"] / "events.jsonl").read_text().splitlines()
        assert [json.loads(line)["values"]["step"] for line in lines[:-1]] == list(range(200))


@pytest.mark.slow
def test_kill_9_while_the_catalogue_is_written_harms_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [finished(tmp_path, number, distance_mae=number) for number in range(3)]
    script = """
import sys
from pathlib import Path
from engine.record import catalogue
catalogue.rebuild(Path(sys.argv[1]))
print("begun", flush=True)
while True:
    catalogue.rebuild(Path(sys.argv[1]))
    (Path(sys.argv[1]) / sys.argv[2] / "config.toml").touch()
    catalogue.sync(Path(sys.argv[1]))
"""
    for seed in range(4):
        command = [sys.executable, "-c", script, str(tmp_path), paths[0].name]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.037 * (1 + seed))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it was at work until then"
        rows = catalogue.list_runs(tmp_path)
        assert [row["metrics"]["distance_mae"] for row in rows] == [2, 1, 0]
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        catalogue.list_runs(tmp_path)
    assert caplog.text == ""


def test_only_run_ids_are_asked_for(tmp_path: Path) -> None:
    finished(tmp_path)
    for run_id in ("x' OR 1=1 --", "../etc", ""):
        with pytest.raises(InputError, match="is not a run id"):
            catalogue.get_run(tmp_path, run_id)
    with pytest.raises(InputError, match=r"no run 20260101-000000-1bd2-ffffff in .*runs list"):
        catalogue.get_run(tmp_path, "20260101-000000-1bd2-ffffff")
