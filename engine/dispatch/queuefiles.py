"""The queue's files: ``runs/.queue/<run_id>/`` is a waiting run, with ``config.toml`` and ``job.json``; and its locks.

The operations on the queue are in :mod:`dispatch.runqueue`.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from ..base.errors import InputError
from ..base.files import ASIDE, building
from ..base.paths import make_folder, require_reachable
from ..config.schema import Config
from ..config.settings import config_to_toml, load_config
from ..record.runrecord import RUN_ID, new_run_id

FOLDER = ".queue"
JOB, CONFIG = "job.json", "config.toml"
CHANGES, WORKER = "lock", "worker.lock"
"""The locks of :func:`locked`: for changes of the queue, held for milliseconds; for being its worker."""


class Job(BaseModel):
    """``job.json``. Jobs go by ``order``, then id. ``user`` is the system's user of the process that submitted it;
    ``launched_by`` the actor (None where an earlier PoseLab submitted it).
    """

    model_config = ConfigDict(frozen=True)
    order: int
    name: str | None
    sweep: str | None
    submitted: AwareDatetime
    user: str
    launched_by: str | None = None

    @property
    def submitter(self) -> str:
        """Who submitted it, as far as it is known."""
        return self.launched_by or self.user


# Entries --------------------------------------------------------------------------------------------------------------


def entries(runs_dir: Path) -> list[tuple[str, Path]]:
    """Id and directory of everything in the queue, in no order."""
    folder = Path(runs_dir) / FOLDER
    try:
        require_reachable(folder)
        return [(name, folder / name) for name in os.listdir(folder) if RUN_ID.fullmatch(name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"queue {folder}: {error.strerror}; wanted a folder that can be read") from error


def jobs(runs_dir: Path, run_ids: Collection[str] | None = None) -> list[tuple[str, Job, Config]]:
    """The readable entries of the queue (of these ids), in order, started or not."""
    readable = []
    folder = Path(runs_dir) / FOLDER
    for run_id, path in entries(runs_dir) if run_ids is None else [(run_id, folder / run_id) for run_id in run_ids]:
        try:
            readable.append((run_id, *read(path)))
        except (InputError, FileNotFoundError):
            continue  # :func:`dispatch.runqueue.problems` reports it
    return sorted(readable, key=lambda entry: (entry[1].order, entry[0]))


def read(path: Path) -> tuple[Job, Config]:
    """Raises FileNotFoundError for an entry that is gone, InputError for one that is damaged."""
    path.stat()
    try:
        return _read_once(path, (path / JOB).stat().st_mtime_ns)
    except InputError:
        path.stat()
        raise
    except FileNotFoundError as error:
        path.stat()
        raise InputError(f"its {Path(error.filename).name} is missing") from None
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}") from None


@lru_cache(maxsize=4096)
def _read_once(path: Path, modified_ns: int) -> tuple[Job, Config]:
    try:
        job = Job.model_validate_json((path / JOB).read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise InputError(f"its {JOB} is damaged: {''.join(f'{p}: ' for p in first['loc'])}{first['msg']}") from None
    return job, load_config(path / CONFIG)


def add(runs_dir: Path, config: Config, job: Job) -> str:
    """A new entry; its run id."""
    while True:
        run_id = new_run_id(config)
        try:
            with building(folder_of(runs_dir) / run_id) as aside:
                (aside / CONFIG).write_text(config_to_toml(config), encoding="utf-8")
                (aside / JOB).write_text(job.model_dump_json(), encoding="utf-8")
            return run_id
        except FileExistsError:
            continue  # thousands in one second may share an id


def remove(runs_dir: Path, run_id: str) -> bool:
    """Remove an entry, by renaming it first; False if there is none."""
    path = Path(runs_dir) / FOLDER / run_id
    aside = path.with_name(f"{ASIDE}{secrets.token_hex(4)}-{run_id}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return True


# Files and locks ------------------------------------------------------------------------------------------------------


def folder_of(runs_dir: Path) -> Path:
    """The queue's folder, created if missing."""
    folder = Path(runs_dir) / FOLDER
    make_folder(folder)
    return folder


@contextmanager
def writing_to(runs_dir: Path) -> Iterator[None]:
    """Turn errors of writing into an InputError that names the runs directory."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write to the runs directory {runs_dir}: {error.strerror or error}; free it or choose another one"
        ) from error


@contextmanager
def locked(runs_dir: Path, name: str, wait_s: float | None = None) -> Iterator[bool]:
    """Hold a lock of the queue's folder, which the system releases if the process dies; whether it was acquired.

    Without ``wait_s`` it is waited for, as it is only held for milliseconds.
    """
    descriptor = os.open(folder_of(runs_dir) / name, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        until = None if wait_s is None else time.monotonic() + wait_s
        ours = True
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if until is None else fcntl.LOCK_NB))
                break
            except BlockingIOError:
                if until is None or time.monotonic() >= until:
                    ours = False
                    break
                time.sleep(0.05)
        yield ours
    finally:
        os.close(descriptor)
