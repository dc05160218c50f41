from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.base import environment
from engine.base.errors import InputError
from engine.config.settings import config_from_dict
from engine.record import life, reading
from engine.record.annotations import check_name
from engine.record.runlog import RunWriter
from engine.record.runrecord import RUN_ID, default_runs_dir, export_run, new_run_id, read_run, run_path
from tests.record_testing import AN_ID, CONFIG, altered, finished

ROOT = Path(__file__).parents[2]


# ---- what is not as it should be


@pytest.mark.parametrize(
    "run_id", ["..", "../../etc", AN_ID + "\n", AN_ID + "/..", AN_ID.upper(), "", AN_ID[:-1], "٢" + AN_ID[1:]]
)
def test_what_is_no_run_id_never_becomes_a_path(tmp_path: Path, run_id: str) -> None:
    for call in (
        lambda: run_path(tmp_path, run_id),
        lambda: export_run(tmp_path, run_id, tmp_path / "x"),
        lambda: RunWriter.create(tmp_path, CONFIG, [], run_id=run_id),
    ):
        with pytest.raises(InputError, match="is not a run id"):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("1bd2", "1bd2"),
        ("a/b/5J0N.map.gz", "5j0n"),
        ("emdb:3400", "emdb_3400"),
        ("C:\\x\\Ä.mrc", "volume"),
        ("x" * 99, "x" * 24),
    ],
)
def test_run_ids_are_sortable_readable_and_valid(source: str, word: str) -> None:
    config = config_from_dict({"volume": {"source": source}})
    ids = {new_run_id(config) for _ in range(50)}
    assert len(ids) == 50
    for run_id in ids:
        assert RUN_ID.fullmatch(run_id)
        assert run_id.split("-")[2] == word
        stamp = datetime.strptime(run_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
        assert abs(stamp - datetime.now(UTC)) < timedelta(seconds=3)


def test_an_id_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = RunWriter.create(tmp_path, CONFIG, [], run_id=AN_ID)
    with pytest.raises(InputError, match=f"run {AN_ID} exists already"):
        RunWriter.create(tmp_path, CONFIG, [], run_id=AN_ID)
    ids = iter([AN_ID, AN_ID, AN_ID[:-1] + "d"])
    monkeypatch.setattr("engine.record.runlog.new_run_id", lambda config: next(ids))
    second = RunWriter.create(tmp_path, CONFIG, [])
    assert second.run_id == AN_ID[:-1] + "d"
    assert {path.name for path in tmp_path.iterdir()} == {AN_ID, second.run_id}
    first.finish({})
    second.finish({})


def test_names_are_one_line_of_bounded_length() -> None:
    assert check_name(" a\tb\x00\n c ") == "a b c"
    assert check_name(" \n") is None
    with pytest.raises(InputError, match="201 characters; wanted at most 200"):
        check_name("x" * 201)


@pytest.mark.parametrize(
    ("filename", "content", "reason"),
    [
        ("run.json", None, "run.json is missing"),
        ("run.json", b"", "run.json is damaged: Invalid JSON"),
        ("run.json", b'{"format": 1, "run_id"', "run.json is damaged: Invalid JSON"),
        ("run.json", b"[1, 2]", "run.json is damaged: Input should be an object"),
        ("run.json", b"\xff\xfe\x00", "run.json is damaged"),
        ("run.json", b"[" * 100_000, "run.json is damaged"),
        ("result.json", b'{"status": "finished"}', "result.json is damaged: message: Field required"),
        ("result.json", b"\x00" * 500, "result.json is damaged"),
    ],
)
def test_a_damaged_record_says_what_is_wrong(tmp_path: Path, filename: str, content: bytes | None, reason: str) -> None:
    path = finished(tmp_path).path
    (path / filename).unlink()
    if content is not None:
        (path / filename).write_bytes(content)
    record = read_run(path)
    assert record.status == "damaged"
    assert record.message.startswith(reason)
    assert "\n" not in record.message
    assert record.created is not None
    assert abs(record.created - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("content", "reason", "config"),
    [
        (b"seed = ", "config.toml is damaged", {}),
        (b"\xff", "config.toml is damaged", {}),
        (None, "config.toml cannot be read", {}),
        (b"seed = 3\nsede = 4\n", "unknown key 'sede'", {"seed": 3, "sede": 4}),
    ],
)
def test_a_config_that_is_none_does_not_hide_the_results(
    tmp_path: Path, content: bytes | None, reason: str, config: dict[str, Any]
) -> None:
    path = finished(tmp_path, distance_mae=0.25).path
    (path / "config.toml").unlink()
    if content is not None:
        (path / "config.toml").write_bytes(content)
    record = read_run(path)
    assert (record.status, record.metrics, record.config) == ("finished", {"distance_mae": 0.25}, config)
    assert reason in record.message


def test_a_record_of_a_newer_version_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    path = finished(tmp_path, distance_mae=0.25).path
    altered(path, "run.json", format=99, engine_version="9.9", novelty={"x": 1})
    record = read_run(path)
    assert (record.status, record.metrics) == ("finished", {"distance_mae": 0.25})
    assert "newer PoseLab (9.9)" in record.message
    altered(path, "result.json", status="paused")
    record = read_run(path)
    assert record.status == "newer"
    assert re.search("record format 99, newer than 1 here; update PoseLab", record.message)
    altered(path, "run.json", command={"argv": []})
    assert (read_run(path).status, read_run(path).name) == ("newer", None)


def test_an_unknown_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no run {AN_ID} in "):
        read_run(tmp_path / AN_ID)


# ---- whether it lives


def before_heartbeats(run: RunWriter) -> None:
    """Let a run's record be as versions wrote it that kept no heartbeat of their own."""
    run._heartbeat.stop()
    (run.path / life.FILENAME).unlink()
    altered(run.path, "run.json", backend=None)


def test_a_process_that_only_has_the_same_number_is_not_the_run(tmp_path: Path) -> None:
    run = RunWriter.create(tmp_path, CONFIG, [])
    before_heartbeats(run)
    assert read_run(run.path).status == "running"
    started = environment.process_started(os.getpid())
    assert started is not None
    assert abs(psutil.boot_time() + started - psutil.Process().create_time()) < 1.5
    altered(run.path, "run.json", process_started=started - 100)
    assert read_run(run.path).status == "interrupted"
    assert not environment.is_alive(2**31 - 1, started)
    run.finish({})


def test_an_old_run_elsewhere_lives_as_long_as_its_events_change(tmp_path: Path) -> None:
    run = RunWriter.create(tmp_path, CONFIG, [])
    before_heartbeats(run)
    altered(run.path, "run.json", host="another", pid=2**30)
    for silent_s, status in ((119, "running"), (121, "interrupted")):
        os.utime(run.path / "events.jsonl", (time.time() - silent_s, time.time() - silent_s))
        assert read_run(run.path).status == status
    assert not read_run(run.path).settled, "it may only have been out of reach"
    os.utime(run.path / "events.jsonl", (1e9, 1e9))
    assert read_run(run.path).status == "interrupted"
    os.utime(run.path / "events.jsonl", (1e9 + 20, 1e9 + 20))
    assert read_run(run.path).status == "running", "it was seen to change, whatever its clock says"


# ---- taking a copy away


def test_export_copies_everything_and_overwrites_nothing(tmp_path: Path) -> None:
    run = finished(tmp_path / "runs", distance_mae=0.5)
    target = export_run(tmp_path / "runs", run.run_id, tmp_path / "deep" / "copy")
    assert {p.name: p.read_bytes() for p in target.iterdir()} == {p.name: p.read_bytes() for p in run.path.iterdir()}
    with pytest.raises(InputError, match="copy exists already"):
        export_run(tmp_path / "runs", run.run_id, target)
    (tmp_path / "empty").mkdir()
    export_run(tmp_path / "runs", run.run_id, tmp_path / "empty")
    assert (tmp_path / "empty" / "result.json").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file exists already"):
        export_run(tmp_path / "runs", run.run_id, tmp_path / "file")
    with pytest.raises(InputError, match=r"cannot export to .*: (Not a directory|File exists)"):
        export_run(tmp_path / "runs", run.run_id, tmp_path / "file" / "below")
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "deep", "empty", "file"}


def test_the_runs_directory_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSELAB_RUNS_DIR", str(tmp_path))
    assert default_runs_dir() == tmp_path
    monkeypatch.delenv("POSELAB_RUNS_DIR")
    assert default_runs_dir() == ROOT / "runs"


# ---- what it costs to read one


def test_the_record_knows_no_heavy_library() -> None:
    script = (
        "import sys, engine.dispatch.local; print({'tensorflow', 'pandas', 'duckdb', 'streamlit'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert reading.RECORD_FORMAT == 1
