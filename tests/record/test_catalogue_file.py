"""The file of the catalogue: missing, damaged, in use by others, on file systems without locks."""

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
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from engine.base import access
from engine.base.errors import InputError
from engine.record import catalogue
from engine.record.runlog import RunWriter
from tests.catalogue_testing import CONFIG, ROOT, finished


def holding(runs_dir: Path) -> subprocess.Popen[str]:
    """Another process that has the catalogue open until it is killed."""
    script = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('open', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", script, str(runs_dir / catalogue.FILENAME)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


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
    outputs = [process.communicate(timeout=180) for process in processes]
    watching.set()
    for watcher in watchers:
        watcher.join()
    assert [process.returncode for process in processes] == [0] * 6, outputs
    assert outputs == [("", "")] * 6
    rows = catalogue.list_runs(tmp_path)
    recorded = {(row["metrics"]["number"], row["metrics"]["repeat"], row["seed"]) for row in rows}
    assert recorded == {(number, repeat, 10 * number + repeat) for number in range(6) for repeat in range(4)}
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
