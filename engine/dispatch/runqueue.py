"""The queue of runs that wait for their turn.

Its worker (:mod:`dispatch.worker`) starts them, a limited number at a time. It is a process of its own, one per runs
directory, which outlives the app and ends by itself once nothing waits. :func:`ensure_worker` starts one where runs
wait and there is none.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ..base import environment
from ..base.errors import InputError
from ..base.files import read_small, writing
from ..base.paths import absolute
from ..config.schema import Config
from ..record.annotations import check_name
from ..record.runrecord import check_run_id
from . import backends, local, queuefiles
from .queuefiles import FOLDER, JOB, WORKER, Job, changing, locked, writing_to

MOST_AT_A_TIME = 64
_SETTINGS = "settings.json"


class QueuedRun(NamedTuple):
    """A run that waits; ``position`` 1 is the next one, ``submitted`` is in UTC, ``launched_by`` the submitter."""

    run_id: str
    name: str | None
    sweep: str | None
    config: Config
    submitted: datetime
    launched_by: str
    position: int


def submit(
    configs: Sequence[Config],
    runs_dir: Path,
    names: Sequence[str | None] | None = None,
    sweep: str | None = None,
    launched_by: str | None = None,
) -> list[str]:
    """Put runs at the end of the queue, in this order, and ensure that a worker is running; their run ids.

    ``sweep`` is the id that the runs of one sweep share; ``launched_by`` who submits them, this process's user when
    not given. Raises InputError for a name that is too long, before anything is queued, and where nothing can be
    written.
    """
    runs_dir = absolute(runs_dir)
    checked = [check_name(name) for name in names or [None] * len(configs)]
    submitted, user = datetime.now(UTC), environment.user()
    run_ids = []
    with writing_to(runs_dir), changing(runs_dir):
        first = max([time.time_ns(), *(job.order + 1 for _, job, _ in queuefiles.jobs(runs_dir))])
        for number, (config, name) in enumerate(zip(configs, checked, strict=True)):
            job = Job(
                order=first + number, name=name, sweep=sweep, submitted=submitted, user=user,
                launched_by=launched_by or user,
            )  # fmt: skip
            run_ids.append(queuefiles.add(runs_dir, config, job))
    ensure_worker(runs_dir)
    return run_ids


def waiting(runs_dir: Path) -> list[QueuedRun]:
    """The runs that have not been started yet, the next one first."""
    queued = queuefiles.jobs(runs_dir)
    launched = backends.launched(runs_dir, [run_id for run_id, _, _ in queued])
    jobs = [entry for entry in queued if entry[0] not in launched]
    return [
        QueuedRun(run_id, job.name, job.sweep, config, job.submitted, job.submitter, position)
        for position, (run_id, job, config) in enumerate(jobs, 1)
    ]


def find(runs_dir: Path, run_id: str) -> QueuedRun | None:
    """The waiting run with this id, if there is one."""
    return next((run for run in waiting(runs_dir) if run.run_id == run_id), None)


def problems(runs_dir: Path) -> dict[str, str]:
    """By run id a line for each entry of the queue that cannot be read; skipped until it is withdrawn or repaired."""
    messages = {}
    for run_id, path in queuefiles.entries(runs_dir):
        try:
            queuefiles.read(path)
        except InputError as error:
            messages[run_id] = f"queued run {run_id} is skipped: {error}; withdraw it and submit it again"
        except FileNotFoundError:
            continue  # started or withdrawn just now
    return messages


def withdraw(runs_dir: Path, run_ids: Sequence[str]) -> None:
    """Take runs out of the queue. Raises InputError for those that do not wait (any more), after all others are out."""
    late = []
    with writing_to(runs_dir), changing(runs_dir):
        for run_id in map(check_run_id, run_ids):
            if backends.launched(runs_dir, [run_id]) or not queuefiles.remove(runs_dir, run_id):
                late.append(run_id)
    if late:
        raise InputError(f"{', '.join(late)} is not waiting in the queue (any more); cancel what runs already")


def move_to_front(runs_dir: Path, run_id: str) -> None:
    """Move a waiting run to the front. Raises InputError for one that does not wait."""
    path = Path(runs_dir) / FOLDER / check_run_id(run_id)
    with writing_to(runs_dir), changing(runs_dir):
        jobs = {run_id: job for run_id, job, _ in queuefiles.jobs(runs_dir)}
        if run_id not in jobs or backends.launched(runs_dir, [run_id]):
            raise InputError(f"{run_id} is not waiting in the queue (any more)")
        first = jobs[run_id].model_copy(update={"order": min(job.order for job in jobs.values()) - 1})
        with writing(path / JOB) as aside:
            aside.write_text(first.model_dump_json(), encoding="utf-8")


def at_a_time(runs_dir: Path) -> int:
    """The number of queued runs that may run at the same time on this machine; 1 unless set."""
    try:
        number = json.loads(read_small(Path(runs_dir) / FOLDER / _SETTINGS))["at_a_time"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 1
    return number if isinstance(number, int) and 1 <= number <= MOST_AT_A_TIME else 1


def set_at_a_time(runs_dir: Path, number: int) -> None:
    """Change it, also for a worker that is running. Raises InputError for a number outside of 1 to 64."""
    if not 1 <= number <= MOST_AT_A_TIME:
        raise InputError(f"{number} runs at a time; wanted 1 to {MOST_AT_A_TIME}")
    with writing_to(runs_dir), writing(queuefiles.folder_of(runs_dir) / _SETTINGS) as aside:
        aside.write_text(json.dumps({"at_a_time": int(number)}), encoding="utf-8")


def ensure_worker(runs_dir: Path) -> None:
    """Start a worker, detached, where runs wait and there is none. Quick enough to be called often."""
    runs_dir = absolute(runs_dir)
    if not queuefiles.jobs(runs_dir):
        return
    with writing_to(runs_dir):
        with locked(runs_dir, WORKER, wait_s=0) as ours:
            pass  # its holder is running
        if ours:
            command = [sys.executable, "-m", environment.PACKAGE, "queue", "work", "--runs-dir", str(runs_dir)]
            local.start_detached(command, runs_dir / FOLDER / "worker.log")
