"""A second backend beside local processes: the same questions, asked of whichever runs the run."""

from __future__ import annotations

import json

import pytest

from engine.base.errors import InputError
from engine.config.schema import Config
from engine.dispatch import backends, worker
from engine.dispatch.backend import Backend, Launch, StartStatus
from engine.record.runlog import RunWriter
from engine.record.runrecord import BackendHandle, new_run_id, read_run
from engine.service import runs
from engine.service.actor import Actor


class Cluster(Backend):
    """Runs nothing: it writes the record that a job would write, and counts what it is asked."""

    name = "cluster"

    def __init__(self):
        self.cancelled, self.jobs = [], {}

    def submit(self, launch, runs_dir, run_id=None):
        run_id = run_id or new_run_id(launch.config)
        self.jobs[run_id] = f"job {len(self.jobs)}"
        handle = BackendHandle(name=self.name, handle={"job": self.jobs[run_id]})
        self.run = RunWriter.create(
            runs_dir, launch.config, ["job"], run_id, launch.name, launched_by=launch.launched_by, backend=handle
        )
        return run_id

    def status(self, runs_dir, run_id):
        return StartStatus("started" if (runs_dir / run_id).is_dir() else "starting")

    def cancel(self, runs_dir, run_id, handle):
        self.cancelled.append((run_id, handle.handle))

    def output(self, runs_dir, run_id):
        return f"output of {self.jobs[run_id]}" if run_id in self.jobs else ""

    def starting(self, runs_dir):
        return [run_id for run_id in self.jobs if not (runs_dir / run_id).is_dir()]

    def launched(self, runs_dir):
        return set(self.jobs)

    def prune(self, runs_dir):
        pass


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setattr(backends, "_BACKENDS", dict(backends._BACKENDS))
    cluster = Cluster()
    backends.register(cluster)
    return cluster


def test_a_run_of_another_backend_is_read_asked_and_cancelled_through_it(cluster, tmp_path):
    run_id = cluster.submit(Launch(Config(), "mine", launched_by="ada"), tmp_path)
    record = read_run(tmp_path / run_id)
    assert (record.status, record.launched_by) == ("running", "ada"), "its heartbeat tells that it runs"
    assert record.facts.executor == BackendHandle(name="cluster", handle={"job": "job 0"})
    assert backends.status(tmp_path, run_id).state == "started"
    assert backends.output(tmp_path, run_id) == "output of job 0"
    runs.cancel(Actor("me"), tmp_path, run_id)
    assert cluster.cancelled == [(run_id, {"job": "job 0"})]
    cluster.run.finish({})
    with pytest.raises(InputError, match="is not running, it is finished"):
        runs.cancel(Actor("me"), tmp_path, run_id)


def test_the_worker_starts_what_waits_on_the_backend_it_is_given(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.dispatch.runqueue.ensure_worker", lambda runs_dir: None)
    (run_id,) = runs.submit(Actor("ada"), tmp_path, [Config()], ["mine"])
    started = cluster.submit

    def submit_and_finish(launch, runs_dir, run_id=None):
        started(launch, runs_dir, run_id)
        cluster.run.finish({"distance_mae": 0.5})

    monkeypatch.setattr(cluster, "submit", submit_and_finish)
    worker.work(tmp_path, cluster)
    record = read_run(tmp_path / run_id)
    assert (record.status, record.name, record.launched_by) == ("finished", "mine", "ada")
    assert list((tmp_path / ".queue").glob("2*")) == []


def test_a_backend_that_is_not_there_is_said(tmp_path):
    handle = BackendHandle(name="moon", handle={})
    run = RunWriter.create(tmp_path, Config(), ["job"], backend=handle)
    with pytest.raises(InputError, match="no backend 'moon'; wanted one of local"):
        runs.cancel(Actor("me"), tmp_path, run.run_id)
    run.finish({})


def test_a_record_without_a_backend_is_of_a_local_process(tmp_path):
    run = RunWriter.create(tmp_path, Config(), ["test"])
    facts = json.loads((run.path / "run.json").read_text())
    assert facts["backend"]["name"] == "local"
    del facts["backend"], facts["launched_by"], facts["science"]
    (run.path / "run.json").write_text(json.dumps(facts))
    record = read_run(run.path)
    assert record.status == "running"
    assert record.facts.executor.handle == {name: facts[name] for name in ("host", "pid", "process_started")}
    assert (record.launched_by, record.science) == (facts["user"], 1)
    run.finish({})


def test_two_backends_of_one_name_are_refused(cluster):
    with pytest.raises(ValueError, match="named 'cluster' is registered already"):
        backends.register(Cluster())
