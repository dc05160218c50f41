from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from engine.base import environment
from engine.base.errors import InputError
from engine.config.settings import config_from_dict, load_config
from engine.dispatch import backends, local
from engine.dispatch.backend import Launch
from engine.record.events import read_events
from engine.record.runlog import RunWriter
from engine.record.runrecord import read_run

ROOT = Path(__file__).parents[2]
LOCAL = local.LocalBackend()
AN_ID = "20260102-030405-1bd2-0a1b2c"

# Stands in for ``python -m engine``: its own parser reads what the launcher asks; the seed says what happens then.
STAND_IN = """
import sys
sys.path.insert(0, {root!r})
del sys.modules["engine"]
import os, time
from pathlib import Path
from engine.cli.main import _parser
from engine.config.settings import load_config
from engine.record.runlog import RunWriter, cancel_on_sigterm
given = _parser().parse_args()
assert given.command.__name__ == "_run"
config = load_config(given.config)
if config.seed == 1:
    sys.exit("volume.source is 'nowhere'; wanted a volume\\n")
if config.seed == 2:
    os.abort()
print("the run speaks", flush=True)
time.sleep(0.3)
with cancel_on_sigterm(), RunWriter.create(
    given.runs_dir, config, sys.argv, given.run_id, given.name, launched_by=given.launched_by
) as run:
    with run.stage("siamese"):
        if config.seed == 3:
            time.sleep(60)
    run.record("process", sid=os.getsid(0), pid=os.getpid(), ppid=os.getppid(), cwd=os.getcwd())
    run.finish({{"distance_mae": 0.5}})
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The runs directory of a project whose command line is the stand-in."""
    project = tmp_path / "project"
    (project / "engine").mkdir(parents=True)
    (project / "engine" / "__init__.py").touch()
    (project / "engine" / "__main__.py").write_text(STAND_IN.format(root=str(ROOT)))
    monkeypatch.setattr(environment, "PROJECT_ROOT", project)
    yield project / "runs"
    for path in (project / "runs").glob("2*"):
        if read_run(path).status == "running":
            backends.cancel(project / "runs", path.name)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def test_a_run_is_started_detached_and_leaves_its_record(project: Path) -> None:
    config = config_from_dict({"seed": 5, "projections": {"coverage": [[0, 90], [0, 45], [0, 10]]}})
    run_id = LOCAL.submit(Launch(config, name="--json O'Brien; rm -rf \\"), project)
    assert LOCAL.status(project, run_id) == ("starting", "")
    wait_for(lambda: LOCAL.status(project, run_id).state != "starting")
    assert LOCAL.status(project, run_id) == ("started", "")
    wait_for(lambda: read_run(project / run_id).status != "running")
    record = read_run(project / run_id)
    assert record.status == "finished"
    assert record.config == config == load_config(project / local.FOLDER / run_id / "config.toml")
    assert record.name == "--json O'Brien; rm -rf \\"
    (handle,) = [event["values"] for event in read_events(record.path)[0] if event["kind"] == "process"]
    assert handle["sid"] == handle["pid"]
    assert handle["ppid"] != os.getpid()
    assert handle["cwd"] == str(project.parent)
    assert LOCAL.output(project, run_id) == "the run speaks\n"
    wait_for(lambda: environment.process_started(handle["pid"]) is None)
    assert [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize(("seed", "message"), [(1, "volume.source is 'nowhere'; wanted a volume"), (2, None)])
def test_a_run_that_dies_before_its_directory_tells_why(project: Path, seed: int, message: str | None) -> None:
    run_id = LOCAL.submit(Launch(config_from_dict({"seed": seed})), project)
    wait_for(lambda: LOCAL.status(project, run_id).state != "starting")
    status = LOCAL.status(project, run_id)
    assert status.state == "failed"
    assert status.message == (message or "it ended without a word")
    assert not (project / run_id).exists()


def test_a_run_is_cancelled(project: Path) -> None:
    run_id = LOCAL.submit(Launch(config_from_dict({"seed": 3})), project)
    wait_for(lambda: LOCAL.status(project, run_id).state == "started")
    wait_for(lambda: len(read_events(project / run_id)[0]) > 0)
    backends.cancel(project, run_id)
    wait_for(lambda: read_run(project / run_id).status != "running")
    assert read_run(project / run_id).status == "cancelled"
    with pytest.raises(InputError, match=f"run {run_id} is not running, it is cancelled"):
        backends.cancel(project, run_id)


def test_nobody_elses_process_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: stopped.append(pid))
    run = RunWriter.create(tmp_path, config_from_dict({}), [])
    facts = json.loads((run.path / "run.json").read_text())

    def altered(**handle: object) -> None:
        backend = {"name": "local", "handle": facts["backend"]["handle"] | handle}
        (run.path / "run.json").write_text(json.dumps(facts | {"backend": backend} | handle))

    altered(process_started=facts["process_started"] - 60)  # another process has its number by now
    with pytest.raises(InputError, match="is not to be found; cancel it by hand"):
        backends.cancel(tmp_path, run.run_id)
    altered(process_space="pid:[1]", host="box")
    with pytest.raises(InputError, match=r"runs on box \(another container of this machine\); cancel it there"):
        backends.cancel(tmp_path, run.run_id)
    altered(kernel="another", host="elsewhere")
    with pytest.raises(InputError, match="runs on elsewhere; cancel it there"):
        backends.cancel(tmp_path, run.run_id)
    assert stopped == []
    (run.path / "run.json").write_text(json.dumps(facts))
    backends.cancel(tmp_path, run.run_id)
    assert stopped == [os.getpid()]
    run.finish({})


def test_what_was_never_started_or_is_no_id_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no run {AN_ID} was started"):
        LOCAL.status(tmp_path, AN_ID)
    assert LOCAL.output(tmp_path, AN_ID) == ""
    for call in (LOCAL.status, LOCAL.output, backends.cancel):
        with pytest.raises(InputError, match="is not a run id"):
            call(tmp_path, "../" + AN_ID)


def test_an_unwritable_runs_directory_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"cannot write to the runs directory .*/file/runs: Not a directory"):
        LOCAL.submit(Launch(config_from_dict({})), tmp_path / "file" / "runs")
