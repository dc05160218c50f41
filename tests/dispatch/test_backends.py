"""A second backend beside local processes: the same questions, asked of whichever runs the run."""

from __future__ import annotations

import json
import shutil
import socket
from types import SimpleNamespace

import pytest

from engine.base import environment
from engine.base.errors import InputError
from engine.cli.main import main
from engine.config.schema import Config
from engine.config.settings import config_to_toml
from engine.dispatch import backends, local, runqueue, worker
from engine.dispatch.backend import Backend, Launch, StartStatus
from engine.record.reading import BackendHandle
from engine.record.runlog import RunWriter
from engine.record.runrecord import new_run_id, read_run
from engine.service import notes, runs
from engine.service.actor import Actor

ME = Actor("me")
TINY = Config.model_validate(
    {
        "distance": {"method": "exact"}, "projections": {"count": 12, "size": 16},
        "volume": {"resolution": 20, "voxel_size": 10}, "recovery": {"restarts": 2},
        "reconstruction": {"enabled": False},
    }
)  # fmt: skip


class Cluster(Backend):
    """Keeps the jobs that it is given; each begins, fails or ends when the test says so."""

    name = "cluster"

    def __init__(self):
        self.jobs, self.runs, self.failed, self.cancelled, self.computing = {}, {}, {}, [], "job of nobody"

    def submit(self, launch, runs_dir, run_id=None):
        run_id = run_id or new_run_id(launch.config)
        assert run_id not in self.jobs, "a run was submitted twice"
        self.jobs[run_id] = launch
        return run_id

    def begin(self, runs_dir, run_id):
        """A node takes the job and makes the run's record."""
        launch, handle = self.jobs[run_id], BackendHandle(name=self.name, handle={"job": run_id[-6:]})
        self.runs[run_id] = RunWriter.create(
            runs_dir, launch.config, ["job"], run_id, launch.name, launched_by=launch.launched_by, backend=handle
        )

    def status(self, runs_dir, run_id):
        if (runs_dir / run_id).is_dir():
            return StartStatus("started")
        return StartStatus("failed", self.failed[run_id]) if run_id in self.failed else StartStatus("starting")

    def cancel(self, runs_dir, run_id, handle):
        self.cancelled.append((run_id, handle.handle))

    def output(self, runs_dir, run_id):
        return f"output of {run_id}" if run_id in self.jobs else ""

    def handle(self):
        return {"job": self.computing}

    def launched(self, runs_dir, run_ids):
        return self.jobs.keys() & set(run_ids)

    def starting(self, runs_dir):
        return [run_id for run_id in self.jobs if self.status(runs_dir, run_id).state == "starting"]

    def forget(self, runs_dir, run_id):
        self.jobs.pop(run_id, None)

    def prune(self, runs_dir):
        pass


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setattr(backends, "_BACKENDS", dict(backends._BACKENDS))
    monkeypatch.setattr(runqueue, "ensure_worker", lambda runs_dir: None)
    cluster = Cluster()
    backends.register(cluster)
    yield cluster
    for run in cluster.runs.values():
        if run.path.exists() and not (run.path / "result.json").exists():
            run.finish({})


@pytest.fixture
def pauses(monkeypatch):
    """What happens, one call each time, while the worker waits for its next look; it may wait no oftener."""
    calls = []
    monkeypatch.setattr(worker, "time", SimpleNamespace(sleep=lambda seconds: calls.pop(0)()))
    return calls


def test_a_run_of_another_backend_is_read_asked_and_cancelled_through_it(cluster, tmp_path):
    run_id = cluster.submit(Launch(Config(), "mine", launched_by="ada"), tmp_path)
    assert backends.status(tmp_path, run_id).state == "starting"
    assert backends.starting(tmp_path) == [run_id]
    cluster.begin(tmp_path, run_id)
    record = read_run(tmp_path / run_id)
    assert (record.status, record.launched_by) == ("running", "ada"), "its heartbeat tells that it runs"
    assert record.facts.executor == BackendHandle(name="cluster", handle={"job": run_id[-6:]})
    assert backends.status(tmp_path, run_id).state == "started"
    assert backends.output(tmp_path, run_id) == f"output of {run_id}"
    runs.cancel(ME, tmp_path, run_id)
    assert cluster.cancelled == [(run_id, {"job": run_id[-6:]})]
    cluster.runs[run_id].finish({})
    with pytest.raises(InputError, match="is not running, it is finished"):
        runs.cancel(ME, tmp_path, run_id)


def test_a_job_that_has_not_begun_is_given_once_and_waits_no_more(cluster, pauses, tmp_path):
    runs.set_at_a_time(ME, tmp_path, 2)
    first, second, third = runs.submit(Actor("ada"), tmp_path, [Config()] * 3, ["mine", None, None])

    def two_were_given():
        assert set(cluster.jobs) == {first, second}
        assert [run.run_id for run in runqueue.waiting(tmp_path)] == [third]
        for change in (runqueue.move_to_front, lambda folder, run_id: runqueue.withdraw(folder, [run_id])):
            with pytest.raises(InputError, match=f"{first} is not waiting in the queue"):
                change(tmp_path, first)

    def first_ends():
        assert set(cluster.jobs) == {first, second}, "two run at a time: both of the cluster's count"
        cluster.runs[first].finish({"distance_mae": 0.5})

    pauses += [
        two_were_given,
        lambda: cluster.begin(tmp_path, first),
        lambda: cluster.begin(tmp_path, second),
        first_ends,
        lambda: cluster.failed.update({third: "error: the node went away"}),
        lambda: cluster.runs[second].finish({}),
    ]
    worker.work(tmp_path, "cluster")
    assert set(cluster.jobs) == {first, second, third}
    record = read_run(tmp_path / first)
    assert (record.status, record.name, record.launched_by) == ("finished", "mine", "ada")
    record = read_run(tmp_path / third)
    assert (record.status, record.message, record.launched_by) == ("failed", "the node went away", "ada")
    assert f"output of {third}" in (record.path / "log.txt").read_text()
    assert list((tmp_path / ".queue").glob("2*")) == []


def test_the_run_itself_writes_down_the_handle_of_the_backend_that_started_it(cluster, tmp_path, capsys):
    cluster.computing = "job 4711"
    (tmp_path / "config.toml").write_text(config_to_toml(TINY))
    given = ["--runs-dir", str(tmp_path / "runs"), "--backend", "cluster", "--launched-by", "ada", "--json"]
    assert main(["run", str(tmp_path / "config.toml"), *given]) == 0
    record = read_run(tmp_path / "runs" / json.loads(capsys.readouterr().out)["run_id"])
    assert record.facts.executor == BackendHandle(name="cluster", handle={"job": "job 4711"})
    assert record.launched_by == "ada"


def test_a_backend_that_is_not_there_is_refused_before_anything_is_run(tmp_path, capsys):
    given = ["--runs-dir", str(tmp_path / "runs"), "--backend", "moon"]
    assert main(["run", *given]) == 2
    assert "no backend 'moon'; wanted one of local" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_record_of_a_backend_that_is_not_there_is_said(tmp_path):
    run = RunWriter.create(tmp_path, Config(), ["job"], backend=BackendHandle(name="moon", handle={}))
    with pytest.raises(InputError, match="no backend 'moon'; wanted one of local"):
        runs.cancel(ME, tmp_path, run.run_id)
    run.finish({})


def test_deleting_a_run_lets_its_backend_forget_it(cluster, tmp_path):
    run_id = cluster.submit(Launch(Config()), tmp_path)
    cluster.begin(tmp_path, run_id)
    cluster.runs[run_id].finish({})
    notes.archive(ME, tmp_path, run_id)
    notes.delete(ME, tmp_path, run_id)
    assert not (tmp_path / run_id).exists()
    assert cluster.jobs == {}


def test_runs_of_other_backends_and_machines_take_no_place(cluster):
    here = BackendHandle.local(socket.gethostname(), 1, 1.0)
    assert backends.get().counts(here)
    assert not backends.get().counts(BackendHandle.local("elsewhere", 1, 1.0))
    assert not backends.get().counts(BackendHandle(name="cluster", handle={}))
    assert cluster.counts(BackendHandle(name="cluster", handle={}))
    assert not cluster.counts(here)


def test_a_local_run_has_the_handle_of_its_process(tmp_path):
    record = runs.run(ME, tmp_path, TINY, ["test"])
    facts = json.loads((record.path / "run.json").read_text())
    process = environment.this_process()
    assert facts["backend"] == {"name": "local", "handle": process}
    assert {name: facts[name] for name in ("host", "pid", "process_started")}.items() <= process.items(), "as ever"
    assert environment.is_here(process)


def test_a_record_without_a_backend_is_of_a_local_process(tmp_path):
    run = RunWriter.create(tmp_path, Config(), ["test"])
    facts = json.loads((run.path / "run.json").read_text())
    assert facts["backend"]["name"] == "local"
    del facts["backend"], facts["launched_by"], facts["science"]
    (run.path / "run.json").write_text(json.dumps(facts))
    record = read_run(run.path)
    assert record.status == "running"
    assert record.facts.executor.handle == {name: facts[name] for name in ("host", "pid", "process_started")}
    assert (record.facts.launched_by, record.launched_by, record.science) == (None, facts["user"], 1)
    run.finish({})


def test_a_start_that_was_not_noted_may_be_repeated(tmp_path):
    run_id = new_run_id(Config())
    folder = tmp_path / local.FOLDER / run_id
    folder.mkdir(parents=True)
    assert backends.launched(tmp_path, [run_id]) == set()
    (folder / local.PROCESS).write_text("{}")
    assert backends.launched(tmp_path, [run_id]) == {run_id}
    shutil.rmtree(folder)
    (tmp_path / run_id).mkdir()
    assert backends.launched(tmp_path, [run_id]) == {run_id}, "it has a directory of its own"


def test_two_backends_of_one_name_are_refused(cluster):
    with pytest.raises(ValueError, match="named 'cluster' is registered already"):
        backends.register(Cluster())
