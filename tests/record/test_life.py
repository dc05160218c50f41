"""Whether a run is alive: across processes, containers, machines with other clocks, file systems without locks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from engine.base import access, environment
from engine.base.errors import InputError
from engine.dispatch import backends
from engine.record import life
from engine.record.runlog import RunWriter
from engine.record.runrecord import clock_ahead, read_run
from engine.service import notes, runs
from engine.service.actor import Actor
from tests.record_testing import AN_ID, CONFIG, altered, finished

ME = Actor("me")
ROOT = Path(__file__).parents[2]
BREATHING = """
import sys, time
from pathlib import Path
from engine.config.schema import Config
from engine.record import life
from engine.record.runlog import RunWriter
life.BEAT_S = 0.05
run = RunWriter.create(Path(sys.argv[1]), Config(), [], run_id=sys.argv[2])
print("alive", flush=True)
if sys.argv[3:] == ["busy"]:
    sum(range(10**11))  # one call of C, which holds Python's lock
time.sleep(60)
"""


@pytest.fixture
def breathing(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process with a living run, AN_ID; words before it may put it into another container."""
    processes = []

    def start(*words: str, container: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        command = [*container, sys.executable, "-c", BREATHING, str(tmp_path), AN_ID, *words]
        processes.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        assert processes[-1].stdout is not None
        assert processes[-1].stdout.readline() == "alive\n"
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system has none."""
    monkeypatch.setattr(access, "lock", lambda descriptor, shared=False: None)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heart that beats twenty times a second."""
    monkeypatch.setattr(life, "BEAT_S", 0.05)


def elsewhere(path: Path) -> None:
    """Let the record say what one of another machine does: process ids and names that mean nothing here."""
    handle = {"host": "box", "pid": 1, "process_started": 1.0, "kernel": "other", "process_space": "pid:[1]"}
    altered(path, "run.json", host="box", pid=1, process_started=1.0, backend={"name": "local", "handle": handle})


# ---- with locks


def test_a_run_is_alive_while_its_process_is_whatever_its_record_says(tmp_path, breathing):
    process = breathing()
    elsewhere(tmp_path / AN_ID)
    assert read_run(tmp_path / AN_ID).status == "running"
    process.send_signal(signal.SIGSTOP)  # nor does it beat now
    os.utime(tmp_path / AN_ID / life.FILENAME, (1e9, 1e9))
    assert read_run(tmp_path / AN_ID).status == "running"
    process.kill()
    process.wait()
    record = read_run(tmp_path / AN_ID)
    assert (record.status, record.settled) == ("interrupted", True)


@pytest.mark.slow
def test_a_process_that_holds_pythons_lock_for_minutes_is_alive(tmp_path, breathing):
    breathing("busy")
    time.sleep(0.5)  # it is in there
    last = (tmp_path / AN_ID / life.FILENAME).stat().st_mtime_ns
    time.sleep(1)
    assert (tmp_path / AN_ID / life.FILENAME).stat().st_mtime_ns == last, "its threads stand still"
    assert life.pulse(tmp_path / AN_ID, lost_s=0.1).alive


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_run_in_another_container_is_alive_and_no_process_of_ours_is_stopped(tmp_path, breathing, monkeypatch):
    container = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    if subprocess.run([*container, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets us make no container")
    process = breathing(container=container)
    record = read_run(tmp_path / AN_ID)
    assert record.status == "running"
    assert record.facts.pid < 10, "a number that another process has here"
    assert backends.get().counts(record.facts.executor), "it has a share of this machine's cores"
    stopped = []
    monkeypatch.setattr(os, "kill", lambda pid, number: stopped.append(pid))
    with pytest.raises(InputError, match=r"another container of this machine.*; cancel it there"):
        runs.cancel(ME, tmp_path, AN_ID)
    assert stopped == []
    with pytest.raises(InputError, match="is running; cancel it first"):
        notes.archive(ME, tmp_path, AN_ID)
    monkeypatch.undo()
    (inside,) = psutil.Process(process.pid).children()
    inside.kill()
    process.wait()
    assert read_run(tmp_path / AN_ID).status == "interrupted"


def test_the_lock_is_taken_as_soon_as_it_can_be_had(tmp_path, quick):
    (tmp_path / life.FILENAME).touch()
    other = os.open(tmp_path / life.FILENAME, os.O_RDONLY)
    assert access.lock(other, shared=True)  # as a reader does for a moment
    heartbeat = life.Heartbeat(tmp_path)
    assert not json.loads((tmp_path / life.FILENAME).read_text())["locked"]
    assert life.pulse(tmp_path).alive
    os.close(other)
    until = time.monotonic() + 20
    while not json.loads((tmp_path / life.FILENAME).read_text() or "{}").get("locked"):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert life.pulse(tmp_path) == life.Pulse(True, True, pytest.approx(time.time(), abs=5))
    heartbeat.stop()
    assert life.pulse(tmp_path)[:2] == (False, True)


def test_a_copy_of_a_living_run_is_not_taken_for_dead_by_its_lock(tmp_path):
    run = RunWriter.create(tmp_path / "runs", CONFIG, [])
    shutil.copytree(run.path, tmp_path / AN_ID)
    assert life.pulse(tmp_path / AN_ID)[1] is False
    run.finish({})


def test_a_file_server_that_does_not_answer_holds_no_run_up(tmp_path, monkeypatch):
    answering = threading.Event()
    monkeypatch.setattr(access, "lock", lambda descriptor, shared=False: answering.wait(30))
    begun = time.monotonic()
    run = RunWriter.create(tmp_path, CONFIG, [])
    run.finish({})
    assert time.monotonic() - begun < 5
    answering.set()
    assert read_run(run.path).status == "finished"


# ---- without


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_run_is_alive_as_long_as_its_heart_beats(tmp_path, quick):
    run = RunWriter.create(tmp_path, CONFIG, [])
    elsewhere(run.path)
    assert read_run(run.path).status == "running"
    run._heartbeat.stop()
    for silent_s, status in ((life.LOST_S - 5, "running"), (life.LOST_S + 5, "interrupted")):
        os.utime(run.path / life.FILENAME, (time.time() - silent_s, time.time() - silent_s))
        record = read_run(run.path)
        assert (record.status, record.settled) == (status, False)


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize("ahead_s", [-7200.0, 7200.0])
def test_a_machine_whose_clock_is_wrong_is_seen_to_change_its_file(tmp_path, ahead_s):
    """Some file systems give a file the time of the machine that writes it."""
    run = RunWriter.create(tmp_path, CONFIG, [])
    run._heartbeat.stop()

    def beat(number: int) -> None:
        now = time.time() + ahead_s + number * life.BEAT_S
        os.utime(run.path / life.FILENAME, (now, now))

    beat(0)
    assert read_run(run.path).status == ("running" if ahead_s > 0 else "interrupted"), "all that one look can tell"
    beat(1)
    assert read_run(run.path).status == "running"
    assert read_run(run.path).status == "running"


@pytest.mark.usefixtures("no_locks")
def test_our_own_clock_may_be_wrong(tmp_path, monkeypatch):
    run = RunWriter.create(tmp_path, CONFIG, [])
    now = time.time
    for wrong_s in (-7200, 7200):
        monkeypatch.setattr(time, "time", lambda wrong_s=wrong_s: now() + wrong_s)
        monkeypatch.setattr(life, "_clocks", {})
        monkeypatch.setattr(life, "_watching", {})
        assert life.pulse(run.path).alive
    monkeypatch.undo()
    run.finish({})


@pytest.mark.usefixtures("no_locks")
def test_silence_that_was_watched_for_long_enough_is_death(tmp_path, monkeypatch):
    (tmp_path / life.FILENAME).write_text("{}")
    os.utime(tmp_path / life.FILENAME, (time.time() + 1e6, time.time() + 1e6))
    assert life.pulse(tmp_path, lost_s=60).alive, "its time has not come yet"
    begun = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: begun + 61)
    assert not life.pulse(tmp_path, lost_s=60).alive


@pytest.mark.usefixtures("no_locks")
def test_a_server_that_is_away_for_a_while_stops_no_heart(tmp_path, quick, monkeypatch):
    run = RunWriter.create(tmp_path, CONFIG, [])
    away, failures = threading.Event(), []

    def failing(call):
        def called(*given, **named):
            if away.is_set():
                failures.append(call)
                raise OSError(116, "Stale file handle")
            return call(*given, **named)

        return called

    monkeypatch.setattr(os, "utime", failing(os.utime))
    monkeypatch.setattr(os, "pwrite", failing(os.pwrite))
    away.set()
    until = time.monotonic() + 20
    while len(failures) < 4:
        assert time.monotonic() < until
        time.sleep(0.01)
    away.clear()
    last = (run.path / life.FILENAME).stat().st_mtime_ns
    while (run.path / life.FILENAME).stat().st_mtime_ns == last:
        assert time.monotonic() < until
        time.sleep(0.01)
    run.finish({})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"locked": true, "kernel": 3}', b"[" * 5000])
def test_a_damaged_heartbeat_tells_by_its_time(tmp_path, content):
    run = RunWriter.create(tmp_path, CONFIG, [])
    run._heartbeat.stop()
    (run.path / life.FILENAME).write_bytes(content)
    assert read_run(run.path).status == "running"
    os.utime(run.path / life.FILENAME, (1e9, 1e9 - 1))
    assert read_run(run.path).status == "interrupted"


# ---- what follows from it


@pytest.mark.usefixtures("no_locks")
def test_a_living_run_is_neither_archived_nor_deleted_even_if_it_seems_dead(tmp_path, quick):
    run = RunWriter.create(tmp_path, CONFIG, [])
    stopped = threading.Event()

    def beat_by_a_clock_two_hours_behind() -> None:
        run._heartbeat.stop()
        for number in range(10**6):
            now = time.time() - 7200 + number * 0.05
            os.utime(run.path / life.FILENAME, (now, now))
            if stopped.wait(0.05):
                return

    thread = threading.Thread(target=beat_by_a_clock_two_hours_behind)
    thread.start()
    try:
        for archived in (False, True):
            (run.path / "annotations.json").write_text(json.dumps({"archived": archived}))
            with pytest.raises(InputError, match="is running; cancel it first"):
                (notes.delete if archived else notes.archive)(ME, tmp_path, run.run_id)
        (run.path / "run.json").write_text("{")
        with pytest.raises(InputError, match="is running; cancel it first"):
            notes.delete(ME, tmp_path, run.run_id)
    finally:
        stopped.set()
        thread.join()
    os.utime(run.path / life.FILENAME, (1e9, 1e9))
    notes.delete(ME, tmp_path, run.run_id)
    assert not run.path.exists()


def test_what_is_left_of_a_heartbeat_goes_with_the_result(tmp_path):
    assert not (finished(tmp_path).path / life.FILENAME).exists()


def test_a_killed_run_lasted_until_its_last_sign_of_life_by_its_own_clock(tmp_path):
    run = RunWriter.create(tmp_path, CONFIG, [])
    run._heartbeat.stop()
    created = 3e9  # in the year 2065, by the clock of its machine
    altered(run.path, "run.json", created="2065-01-24T05:20:00Z")
    event = {"time": created + 30, "kind": "progress", "stage": "training", "fraction": 0.5, "values": {}}
    (run.path / "events.jsonl").write_text(json.dumps(event) + "\n")
    record = read_run(run.path)
    assert record.status == "interrupted"
    assert record.total_seconds == pytest.approx(30, abs=1)
    assert record.ended.timestamp() == pytest.approx(created + 30, abs=1)
    assert clock_ahead(record.created).days > 10_000
    beaten = (run.path / "run.json").stat().st_mtime + 90
    os.utime(run.path / life.FILENAME, (beaten, beaten))
    assert read_run(run.path).total_seconds == pytest.approx(90, abs=1), "it was alive for longer than it spoke"


def test_a_start_is_alive_by_the_same_heartbeat(tmp_path):
    backend, folder = backends.get(), tmp_path / ".launched" / AN_ID
    folder.mkdir(parents=True)
    process = {"host": "box", "pid": 1, "process_started": 1.0, "kernel": "other", "process_space": "pid:[1]"}
    (folder / "process.json").write_text(json.dumps(process))
    os.utime(folder / "process.json", (1e9, 1e9))
    assert backend.status(tmp_path, AN_ID).state == "failed"
    with backend.starting_up(tmp_path, AN_ID):
        assert backend.status(tmp_path, AN_ID).state == "starting"
        assert backend.starting(tmp_path) == [AN_ID]
    assert backend.status(tmp_path, AN_ID).state == "failed"
    with backend.starting_up(tmp_path, None), backend.starting_up(tmp_path, AN_ID[:-1] + "f"):
        pass
    assert os.listdir(tmp_path / ".launched") == [AN_ID], "who was not launched has no start to live in"


def test_this_process_is_where_it_says():
    here = environment.this_process()
    assert environment.is_here(here) is True
    assert environment.is_here(here | {"pid": 2**30}) is False
    assert environment.is_here(here | {"process_started": here["process_started"] + 50}) is False
    assert environment.is_here(here | {"process_space": "pid:[1]"}) is None
    assert environment.is_here(here | {"kernel": "other"}) is None
    old = {"host": here["host"], "pid": here["pid"], "process_started": here["process_started"]}
    assert environment.is_here(old) is True
    assert environment.is_here(old | {"host": "other"}) is None
