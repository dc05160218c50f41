"""The Run page of runs that failed, were cancelled or interrupted, are damaged or running; addresses of none."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from engine.config.schema import Config
from engine.dispatch import backends
from engine.dispatch.backend import StartStatus
from engine.record.runlog import RunWriter
from engine.service import runs
from tests.app_testing import ROOT, UNKNOWN_ID, charts, failed_run, page, press, texts

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


# Runs that did not finish ------------------------------------------------------------------------------------------


def test_a_failed_run_gives_its_reason_and_what_to_do(runs_dir):
    path = failed_run(runs_dir, "the disk <i>/x</i> is full; free some space")
    app = page("run", path.name)
    (error,) = app.error
    shown_text = error.value.replace("\\", "")
    assert "the disk <i>/x</i> is full; free some space" in shown_text
    assert "run again" in shown_text
    assert "<i>" not in error.value
    assert "projections: stopped after" in texts(app.code)
    assert not app.metric


KILLED = """
import os, sys
from pathlib import Path
from engine.config.schema import Config
from engine.record.runlog import RunWriter
print(RunWriter.create(Path(sys.argv[1]), Config(), ["engine"]).run_id, flush=True)
os.kill(os.getpid(), 9)
"""


def test_an_interrupted_run_is_never_shown_as_running(runs_dir):
    command = [sys.executable, "-c", KILLED, str(runs_dir)]
    run_id = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    app = page("run", run_id)
    assert "its process ended without a result" in texts(app.error).replace("\\", "")
    assert not app.get("progress")


def test_a_running_run_shows_stages_losses_and_can_be_cancelled(runs_dir, monkeypatch):
    cancelled = []
    monkeypatch.setattr(runs, "cancel", lambda actor, folder, run_id: cancelled.append((folder, run_id)))
    with RunWriter.create(runs_dir, Config(), ["engine"]) as run:
        with run.stage("projections") as stage:
            stage.progress(1.0, {})
        with run.stage("training") as stage:
            stage.record("training", step=10, loss=1.5)
            stage.record("training", step=20, loss=0.5, validation_mae=0.2)
            stage.progress(0.5, {"step": 20})
            app = page("run", run.run_id)
            bars = {bar.proto.text.partition(":")[0]: bar.proto for bar in app.get("progress")}
            assert list(bars)[:3] == ["Volume", "Projections", "Training"]
            assert [bars[name].value for name in ("Volume", "Projections", "Training", "Distance")] == [100, 100, 50, 0]
            assert "50%" in bars["Training"].text
            assert "step 20" in bars["Training"].text
            assert "until the whole run is done" in texts(app.caption)
            (chart,) = app.get("plotly_chart")
            assert "Training of the network" in chart.proto.spec
            press(app, "Cancel")
            assert cancelled == [(runs_dir, run.run_id)]
        run.cancelled("")


def test_what_a_cancelled_run_had_finished_is_kept(finished, monkeypatch):
    result = json.loads((finished.path / "result.json").read_text())
    result |= {"status": "cancelled", "message": "cancelled by SIGTERM", "metrics": {}}
    (finished.path / "result.json").write_text(json.dumps(result))
    (finished.path / "poses.npz").unlink()
    app = page("run", finished.run_id)
    assert "was cancelled" in texts(app.info).replace("\\", "")
    (spec,) = charts(app)
    assert "Distances of" in spec
    assert not charts(page("run", finished.run_id, tab="Sphere"))
    assert len(charts(page("run", finished.run_id, tab="Projections"))) == 2


def test_the_losses_of_a_training_that_was_stopped_are_kept(runs_dir):
    with RunWriter.create(runs_dir, Config(), ["engine"]) as run:
        with run.stage("training") as stage:
            stage.record("training", step=10, loss=1.5)
        run.cancelled("cancelled by SIGTERM")
    (spec,) = charts(page("run", run.run_id, tab="Losses"))
    assert "Training of the network" in spec


@pytest.mark.parametrize(
    ("filename", "text", "message"),
    [
        ("run.json", "{", "run.json is damaged"),
        ("run.json", '{"format": 99}', "update PoseLab"),
        ("config.toml", "[projections]\ncount = 'many'\n", "projections.count is 'many'"),
    ],
)
def test_a_directory_altered_by_hand_is_reported(finished, filename, text, message):
    (finished.path / filename).write_text(text)
    app = page("run", finished.run_id)
    assert message in texts([*app.error, *app.warning]).replace("\\", "")


# Addresses that lead nowhere ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["<script>alert(1)</script>", "../../etc", "'; DROP TABLE runs", "x" * 5000, "\0"])
def test_a_malformed_id_gets_a_friendly_page(finished, asked):
    app = page("run", asked)
    (warning,) = app.warning
    assert "is not a run id; wanted one like" in warning.value.replace("\\", "")
    assert "<script>" not in warning.value
    assert [link.label for link in app.get("page_link")] == ["All runs"]


def test_an_unknown_id_gets_a_friendly_page(finished):
    app = page("run", UNKNOWN_ID)
    assert f"no run {UNKNOWN_ID} in" in texts(app.warning).replace("\\", "")


@pytest.mark.parametrize("state", ["starting", "failed"])
def test_a_run_without_a_record_yet(runs_dir, monkeypatch, state):
    status = StartStatus(state, "error: volume.source is 'x'; wanted y")
    monkeypatch.setattr(backends, "status", lambda folder, run_id: status)
    monkeypatch.setattr(backends, "output", lambda folder, run_id: "downloading <b>1</b> of 2")
    app = page("run", UNKNOWN_ID)
    if state == "starting":
        assert "the volume is being loaded" in texts(app.info)
        assert texts(app.code) == "downloading <b>1</b> of 2"
    else:
        shown_text = texts(app.error).replace("\\", "")
        assert shown_text == "The run could not start: volume.source is 'x'; wanted y"
