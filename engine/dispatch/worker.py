"""Starts the runs that wait in the queue. No run is lost or runs twice, whenever the worker is killed.

A job stays in the queue until the run's directory exists, with the run or with the record of a failed start. A job
whose start was not recorded is started again; and of two processes with the same run id only one can create the run's
directory, the other ends without computing anything. A lock ensures that there is only one worker; the system releases
it if the process dies.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from ..base import environment
from ..base.errors import InputError
from ..base.paths import absolute
from ..config.schema import Config
from ..record.reading import LOCAL
from ..record.runlog import RunWriter
from ..record.runrecord import RUN_ID, RunRecord, is_run, read_run
from . import backends, queuefiles
from .backend import Backend, Launch, StartError
from .queuefiles import WORKER, Job, changing, locked
from .runqueue import QueuedRun, at_a_time, waiting

_POLL_S = 0.4
_TROUBLE_S = 10.0  # until the next try where the disk is full or the folder cannot be written


def work(runs_dir: Path, backend: str = LOCAL) -> None:
    """Be the worker until nothing waits; return at once where another one is running.

    ``backend`` is the name of the backend that runs the jobs. Raises InputError for an unknown one.
    """
    runs_dir, runs = absolute(runs_dir), backends.get(backend)
    # A job submitted meanwhile finds the lock free or is seen here: the lock is released before this check.
    while queuefiles.jobs(runs_dir):
        with locked(runs_dir, WORKER, wait_s=1) as ours:
            if not ours:
                return
            _Worker(runs_dir, runs).work()


class _Worker:
    """Starts waiting jobs. There is only one for a runs directory at a time."""

    def __init__(self, runs_dir: Path, backend: Backend) -> None:
        self._runs_dir, self._backend = runs_dir, backend
        self._ended: set[str] = set()
        self._problems: set[str] = set()

    def work(self) -> None:
        self._backend.prune(self._runs_dir)
        while True:
            try:
                if not self._step():
                    break
                time.sleep(_POLL_S)
            except (OSError, InputError) as error:
                self._say(str(error))
                time.sleep(_TROUBLE_S)
        self._backend.prune(self._runs_dir)

    def _say(self, problem: str) -> None:
        """Into the worker's log, each problem once."""
        if problem not in self._problems:
            self._problems.add(problem)
            print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {problem}", file=sys.stderr, flush=True)

    def _step(self) -> bool:
        """Settle started jobs, start as many as the limit allows; False if nothing is left to do.

        At the limit the jobs themselves are not read, so that a waiting worker costs next to nothing.
        """
        started = backends.launched(self._runs_dir, [run_id for run_id, _ in queuefiles.entries(self._runs_dir)])
        begun = queuefiles.jobs(self._runs_dir, started) if started else []
        for run_id, job, config in begun:
            try:
                self._settle(run_id, job, config)
            except (OSError, InputError) as error:  # the others are not to wait for it
                self._say(f"{run_id} cannot be settled: {error}")
        room = at_a_time(self._runs_dir) - self._running()
        if room <= 0:
            return True
        with changing(self._runs_dir):
            queued = waiting(self._runs_dir)[:room]
            for run in queued:
                self._start(run)
        return bool(queued or begun)

    def _start(self, run: QueuedRun) -> None:
        try:
            launch = Launch(run.config, run.name, run.sweep, run.launched_by)
            self._backend.submit(launch, self._runs_dir, run.run_id)
        except StartError as error:
            self._record_failure(launch, run.run_id, str(error))

    def _settle(self, run_id: str, job: Job, config: Config) -> None:
        """Take a started job out of the queue once its run has a directory, if need be one that records its failure."""
        state = "started"
        if not is_run(self._runs_dir / run_id):
            state, message = backends.status(self._runs_dir, run_id)
            if state == "failed":
                self._record_failure(Launch(config, job.name, job.sweep, job.submitter), run_id, message)
        if state != "starting":
            queuefiles.remove(self._runs_dir, run_id)

    def _record_failure(self, launch: Launch, run_id: str, message: str) -> None:
        command = [*environment.command_line().split(), "run", "--run-id", run_id]
        run = RunWriter.create(
            self._runs_dir, launch.config, command, run_id, launch.name, sweep=launch.sweep,
            launched_by=launch.launched_by,
        )  # fmt: skip
        if printed := backends.output(self._runs_dir, run_id).strip():
            run.log(printed)
        run.fail(message.removeprefix("error: "))

    def _running(self) -> int:
        """Running runs of the backend, whoever started them, and those that are being started."""
        alive = 0
        for run_id in _run_ids(self._runs_dir) - self._ended:
            record = _record(self._runs_dir / run_id)
            if record is None or (record.status != "running" and record.settled):
                self._ended.add(run_id)
            elif record.status == "running" and record.facts and self._backend.counts(record.facts.executor):
                alive += 1
        return alive + len(self._backend.starting(self._runs_dir))


def _record(path: Path) -> RunRecord | None:
    """The record of a run; None of one that is over, or gone."""
    if os.path.exists(path / "result.json"):
        return None
    try:
        return read_run(path)
    except InputError:
        return None


def _run_ids(runs_dir: Path) -> set[str]:
    with os.scandir(runs_dir) as entries:
        return {entry.name for entry in entries if RUN_ID.fullmatch(entry.name)}
