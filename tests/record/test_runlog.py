from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from engine.base import files
from engine.base.errors import InputError
from engine.config.settings import config_from_dict, load_config
from engine.record.events import latest_progress, read_events
from engine.record.runlog import RunWriter
from engine.record.runrecord import read_run
from tests.record_testing import AN_ID, CONFIG, finished

ROOT = Path(__file__).parents[2]
CHILD = """
import sys, time
from pathlib import Path
from engine.config.settings import config_from_dict
from engine.record.runlog import RunWriter, cancel_on_sigterm
arguments = {"command": sys.argv, "run_id": sys.argv[2]}
with cancel_on_sigterm(), RunWriter.create(Path(sys.argv[1]), config_from_dict({}), **arguments) as run:
    with run.stage("siamese") as stage:
        stage.progress(0.25, {"step": 3})
        for step in range(1000):
            stage.record("loss", step=step, loss=1 / (1 + step))
        time.sleep(60)
"""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the middle of the run AN_ID, all its losses written."""
    command = [sys.executable, "-c", CHILD, str(tmp_path), AN_ID]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    until = time.monotonic() + 30
    while len(read_events(tmp_path / AN_ID)[0]) < 1002:
        assert time.monotonic() < until, "the child wrote nothing"
        time.sleep(0.02)
    yield process
    process.kill()
    process.communicate()


# ---- what is written reads back


def test_a_finished_run_tells_what_it_was_told(tmp_path: Path) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    earlier = time.monotonic() - 100
    command = ["engine", "run", "--json"]
    with RunWriter.create(tmp_path, CONFIG, command, name=" a  <b>name</b>\n", begun=earlier) as run:
        assert read_run(run.path).status == "running"
        begun = time.monotonic()
        with run.stage("projection"):
            time.sleep(0.05)
        middle = time.monotonic()
        with run.stage("recovery"):
            time.sleep(0.11)
        end = time.monotonic()
        run.reused("volume")
        run.finish({"angle_error_median": np.float32(0.125), "fsc_0.5_angstrom": np.nan, "count": np.int64(3)})
    record = read_run(run.path)
    assert record.status == "finished"
    assert record.message == ""
    assert record.config == CONFIG == load_config(run.path / "config.toml")
    assert record.name == "a <b>name</b>"
    assert record.command == ("engine", "run", "--json")
    assert record.metrics == {"angle_error_median": 0.125, "fsc_0.5_angstrom": None, "count": 3}
    assert list(record.seconds) == ["projection", "recovery"]
    assert 0.05 <= record.seconds["projection"] <= middle - begun
    assert 0.11 <= record.seconds["recovery"] <= end - middle
    assert record.total_seconds is not None
    assert 100.16 <= record.total_seconds <= time.monotonic() - earlier
    assert record.reused == ("volume",)
    assert record.created is not None
    assert record.ended is not None
    assert before <= record.created < record.ended <= datetime.now(UTC)
    assert record.host == socket.gethostname()
    assert record.facts is not None
    assert record.facts.pid == os.getpid()
    assert record.facts.seed == 7
    assert record.facts.packages["numpy"] == np.__version__
    assert record.facts.python == sys.version.split()[0]


def test_events_and_the_hook_tell_the_same_in_order(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    begun = time.time()
    with RunWriter.create(tmp_path, CONFIG, [], on_event=heard.append) as run:
        with run.stage("siamese") as stage:
            stage.record("loss", step=1, loss=np.float32(0.5), gradient=np.inf)
            run.log("halfway\nthere")
        run.finish({})
    events, offset = read_events(run.path)
    assert events == heard
    assert [event["kind"] for event in events] == ["stage_started", "loss", "log", "stage_ended", "run_ended"]
    assert events[1]["values"] == {"step": 1, "loss": 0.5, "gradient": None}
    assert events[1]["stage"] == events[2]["stage"] == "siamese"
    times = [begun - 0.001, *(event["time"] for event in events), time.time() + 0.001]  # written in whole milliseconds
    assert times == sorted(times)
    assert offset == (run.path / "events.jsonl").stat().st_size
    assert (run.path / "log.txt").read_text().endswith(" halfway\nthere\n")
    with pytest.raises(RuntimeError, match="closed"):
        run.log("too late")


def test_a_warning_is_an_event_of_its_own_and_a_line_of_the_log(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, CONFIG, []) as run:
        run.warn("poses are ambiguous")
        run.finish({})
    event = read_events(run.path)[0][0]
    assert (event["kind"], event["message"]) == ("warning", "poses are ambiguous")
    assert (run.path / "log.txt").read_text().endswith(" warning: poses are ambiguous\n")


def test_progress_is_thinned_but_its_first_and_last_are_kept_and_so_is_every_loss(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, CONFIG, []) as run:
        with run.stage("siamese") as stage:
            for step in range(2001):
                stage.progress(step / 4000, {"step": step})
                stage.record("loss", loss=step)
        run.finish({})
    events, _ = read_events(run.path)
    steps = [event["values"]["step"] for event in events if event["kind"] == "progress"]
    assert steps[0] == 0
    assert steps[-1] == 2000
    assert len(steps) <= 2 + 2 * run.seconds["siamese"] + 1
    assert [event["values"]["loss"] for event in events if event["kind"] == "loss"] == list(range(2001))


def test_latest_progress_is_found_behind_any_number_of_losses(tmp_path: Path) -> None:
    run = RunWriter.create(tmp_path, CONFIG, [])
    assert latest_progress(run.path) is None
    with run.stage("siamese") as stage:
        stage.progress(0.375, {"loss": 2.5})
        for step in range(3000):
            stage.record("loss", step=step, padding="x" * 100)
        latest = latest_progress(run.path)
        assert latest is not None
        assert (latest.stage, latest.fraction, latest.values) == ("siamese", 0.375, {"loss": 2.5})
    latest = latest_progress(run.path)
    assert latest is not None
    assert latest.fraction == 1.0
    run.finish({})


def test_events_are_read_in_increments_and_a_torn_last_line_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = finished(tmp_path)
    path = run.path / "events.jsonl"
    path.write_bytes(b'{"time": 1, "kind": "a"}\n{"time": 2, "kind": "b"}\n{"time": 3, "ki')
    events, offset = read_events(run.path)
    assert [event["kind"] for event in events] == ["a", "b"]
    with path.open("ab") as file:
        file.write(b'nd": "c"}\n\x00garbage\n{"time": 4, "kind": "d"}\n')
    events, end = read_events(run.path, offset)
    assert [event["kind"] for event in events] == ["c", "d", "damaged"]
    assert events[-1]["lines"] == 1
    assert "damaged" in caplog.text
    assert read_events(run.path, end) == ([], end)
    path.unlink()
    assert read_events(run.path, end) == ([], end)


def test_artefacts_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    run = RunWriter.create(tmp_path, CONFIG, [])
    run.save_arrays("arrays.npz", values=values)

    def torn() -> None:
        with run.writing("volume.mrc") as aside:
            assert aside.suffix == ".mrc"
            aside.write_text("half")
            raise OSError("torn")

    with pytest.raises(OSError, match="torn"):
        torn()
    with np.load(run.path / "arrays.npz", allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["values"], values)
        assert stored["values"].dtype == np.float32
    names = {path.name for path in run.path.iterdir()}
    assert names == {"config.toml", "run.json", "events.jsonl", "log.txt", "alive.json", "arrays.npz"}
    for name in ("../x", "/x", "a/b"):
        with pytest.raises(ValueError, match="plain file name"), run.writing(name):
            pass
    with pytest.raises(ValueError, match="allow_pickle"):
        run.save_arrays("arrays.npz", values=np.array([{}]))
    run.finish({})


# ---- how a run ends


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InputError("volume.source is wrong"), "failed", "volume.source is wrong"),
        (ZeroDivisionError("by\nzero"), "failed", "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), "cancelled", "cancelled by Ctrl-C"),
        (SystemExit(3), "failed", "SystemExit: 3"),
    ],
)
def test_an_exception_closes_the_record_and_goes_on(
    tmp_path: Path, error: BaseException, status: str, message: str
) -> None:
    with pytest.raises(type(error)), RunWriter.create(tmp_path, CONFIG, []) as run, run.stage("volume"):
        raise error
    record = read_run(run.path)
    assert (record.status, record.message) == (status, message)
    assert record.seconds.keys() == {"volume"}
    assert ("Traceback" in (run.path / "log.txt").read_text()) == message.startswith(("ZeroDivision", "SystemExit"))
    assert [event["kind"] for event in read_events(run.path)[0]][:2] == ["stage_started", "stage_failed"]


def test_leaving_without_finish_is_a_failure(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, CONFIG, []) as run:
        pass
    assert read_run(run.path).status == "failed"


def test_what_the_engine_logs_is_in_the_log_while_the_run_lasts(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, CONFIG, []) as run:
        logging.getLogger("engine.io.mrc").warning("MAP id is %s", "odd")
        run.finish({})
    logging.getLogger("engine.io.mrc").warning("afterwards")
    text = (run.path / "log.txt").read_text()
    assert "warning: MAP id is odd\n" in text
    assert "afterwards" not in text


def test_kill_9_in_mid_run_leaves_an_interrupted_run_with_all_its_lines(
    tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    other = finished(tmp_path, distance_mae=0.5)
    path = tmp_path / AN_ID
    assert read_run(path).status == "running"
    child.kill()
    until = time.monotonic() + 10
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE or read_run(path).status == "running":
        assert time.monotonic() < until
        time.sleep(0.01)  # its lock is released when the last of its threads has ended
    record = read_run(path)  # a zombie, for nobody has waited for it: still it is dead
    child.wait()
    assert record.status == read_run(path).status == "interrupted"
    assert record.message.startswith("interrupted in stage siamese")
    assert record.total_seconds is not None
    assert 0 <= record.total_seconds < 60
    losses = [event["values"]["loss"] for event in read_events(path)[0] if event["kind"] == "loss"]
    assert losses == [1 / (1 + step) for step in range(1000)]
    assert record.config == config_from_dict({})
    assert read_run(other.path).metrics == {"distance_mae": 0.5}


def test_sigterm_cancels(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) != 0
    record = read_run(tmp_path / AN_ID)
    assert (record.status, record.message) == ("cancelled", "cancelled by SIGTERM")
    assert record.seconds["siamese"] > 0


# ---- directories that do not take it


def test_an_unwritable_runs_directory_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for runs_dir in (file, file / "runs"):
        with pytest.raises(InputError, match=f"runs directory {runs_dir}: (Not a directory|File exists); .*--runs-dir"):
            RunWriter.create(runs_dir, CONFIG, [])


def test_a_run_that_cannot_be_made_complete_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str, encoding: str) -> None:
        if path.name == "run.json":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match=r"runs directory .* No space left on device"):
        RunWriter.create(tmp_path, CONFIG, [])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(path)]
    if mount is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    yield path
    subprocess.run(["umount", path], check=True)


def test_a_full_disk_fails_the_run_and_keeps_what_was_done(small_disk: Path) -> None:
    earlier = finished(small_disk, distance_mae=0.5)
    run = RunWriter.create(small_disk, CONFIG, [])

    def work() -> None:
        with run:
            run.save_arrays("first.npz", values=np.arange(9))
            run.save_arrays("second.npz", values=np.zeros(200_000))

    with pytest.raises(InputError, match=f"cannot write to {small_disk}/.*: No space left on device; free some space"):
        work()
    record = read_run(run.path)
    assert record.status == "failed"  # what could not be written whole is gone, so there is room for the result
    assert "No space left" in record.message
    assert not (run.path / "second.npz").exists()
    with np.load(run.path / "first.npz") as stored:
        np.testing.assert_array_equal(stored["values"], np.arange(9))
    assert read_run(earlier.path).metrics == {"distance_mae": 0.5}


def test_a_disk_that_takes_not_even_the_result_leaves_it_interrupted(small_disk: Path) -> None:
    script = """
import sys
from pathlib import Path
from engine.config.settings import config_from_dict
from engine.base.errors import InputError
from engine.record.runlog import RunWriter
with RunWriter.create(Path(sys.argv[1]), config_from_dict({}), []) as run:
    while True:
        run.record("loss", loss=0.123456789)
"""
    command = [sys.executable, "-c", script, str(small_disk)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "InputError: cannot write to" in done.stderr.splitlines()[-1]
    (path,) = small_disk.iterdir()
    assert read_run(path).status == "interrupted"
    events, offset = read_events(path)
    assert len(events) > 1000
    assert {event["values"]["loss"] for event in events} == {0.123456789}
    assert offset == (path / "events.jsonl").stat().st_size  # the line that did not fit was not begun


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunWriter.create(tmp_path, CONFIG, [])
    run.record("loss", loss=1)
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 60:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(InputError, match="No space left"):
        run.record("loss", loss=2, padding="x" * 60)
    monkeypatch.undo()
    run.record("loss", loss=3)
    assert [event["values"]["loss"] for event in read_events(run.path)[0]] == [1, 3]
    run.finish({})


# ---- what can be written


def test_plain_values_are_strict_json() -> None:
    tree = {"a": (np.float64(1.5), np.int8(-3), np.bool_(True)), 2: np.array([[1.0, np.nan]]), "n": None, "i": -np.inf}
    assert files.plain(tree) == {"a": [1.5, -3, True], "2": [[1.0, None]], "n": None, "i": None}
    json.dumps(files.plain(tree), allow_nan=False)


def test_a_file_name_that_is_no_unicode_can_be_recorded(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mrc")
    run = RunWriter.create(tmp_path, CONFIG, ["engine", name], name=name)
    run.log(name)
    run.fail(f"{name} is missing")
    record = read_run(run.path)
    assert (record.name, record.command, record.message) == ("caf .mrc", ("engine", "caf?.mrc"), "caf?.mrc is missing")
    assert read_events(run.path)[0][0]["message"] == "caf?.mrc"
