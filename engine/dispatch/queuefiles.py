"""The queue's files: ``runs/.queue/<run_id>/`` is a waiting run, with ``config.toml`` and ``job.json``; and its locks.

The operations on the queue are in :mod:`dispatch.runqueue`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ..base import access
from ..base.errors import InputError
from ..base.files import aside_of, building
from ..base.paths import require_reachable
from ..config.schema import Config
from ..config.settings import config_to_toml
from ..record import life
from ..record.reading import Moment, Number, UnreadableError, Word, read_config, read_model
from ..record.runrecord import RUN_ID, new_run_id

FOLDER = ".queue"
JOB, CONFIG = "job.json", "config.toml"
CHANGES, WORKER = "lock", "worker.lock"
"""The locks of :func:`locked`: for changes of the queue, held for milliseconds; for being its worker."""
_PATIENCE_S = 30.0
_LOST_S = 60.0  # nothing that holds a lock keeps its threads busy for long


class Job(BaseModel):
    """``job.json``. Jobs go by ``order``, then id. ``user`` is the system's user of the process that submitted it;
    ``launched_by`` the actor (None where an earlier PoseLab submitted it).
    """

    model_config = ConfigDict(frozen=True)
    order: Number
    name: Word | None
    sweep: Word | None
    submitted: Moment
    user: Word
    launched_by: Word | None = None

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
        return _read_once(path, os.lstat(path / JOB).st_mtime_ns)
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
        job = read_model(Job, path / JOB)
    except UnreadableError as error:
        raise InputError(f"its {error.message}") from None
    if job is None:
        raise InputError(f"its {JOB} is missing")
    config, problem = read_config(path / CONFIG)
    if not isinstance(config, Config):
        raise InputError(f"its {problem}")
    return job, config


def add(runs_dir: Path, config: Config, job: Job) -> str:
    """A new entry; its run id."""
    while True:
        run_id = new_run_id(config)
        try:
            path = folder_of(runs_dir) / run_id
            with building(path) as aside:
                (aside / CONFIG).write_text(config_to_toml(config), encoding="utf-8")
                (aside / JOB).write_text(job.model_dump_json(), encoding="utf-8")
            access.share(path)
            return run_id
        except FileExistsError:
            continue  # thousands in one second may share an id


def remove(runs_dir: Path, run_id: str) -> bool:
    """Remove an entry, by renaming it first; False if there is none."""
    path = Path(runs_dir) / FOLDER / run_id
    aside = aside_of(path)
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return True


# Files and locks ------------------------------------------------------------------------------------------------------


def folder_of(runs_dir: Path) -> Path:
    """The queue's folder, created if missing, writable for everybody who may write to the runs directory."""
    folder = Path(runs_dir) / FOLDER
    access.make_shared(folder)
    return folder


@contextmanager
def writing_to(runs_dir: Path) -> Iterator[None]:
    """Turn errors of writing into an InputError that names the runs directory."""
    try:
        yield
    except OSError as error:
        reason = access.reason(error, Path(runs_dir) / FOLDER)
        raise InputError(
            f"cannot write to the runs directory {runs_dir}: {reason}; free it or choose another one"
        ) from error


@contextmanager
def locked(runs_dir: Path, name: str, wait_s: float) -> Iterator[bool]:
    """Hold a lock of the queue's folder, which is released if the process dies; whether it was acquired in time.

    For :data:`CHANGES`, which is held for milliseconds, use :func:`changing`.
    """
    path, until = folder_of(runs_dir) / name, time.monotonic() + wait_s
    descriptor = _opened(path)
    try:
        while (ours := access.lock(descriptor)) is False and time.monotonic() < until:
            time.sleep(0.02)
        if ours is None:
            with _held(path.with_name(f"{name}.held"), until) as held:
                yield held
        else:
            yield ours
    finally:
        os.close(descriptor)


@contextmanager
def changing(runs_dir: Path) -> Iterator[None]:
    """Change the queue while nobody else does; InputError where somebody does so for longer than anybody should."""
    with locked(runs_dir, CHANGES, _PATIENCE_S) as ours:
        if not ours:
            path = Path(runs_dir) / FOLDER / CHANGES
            raise InputError(f"the queue has been held by another process for {_PATIENCE_S:g} s ({path}); try again")
        yield


def _opened(path: Path) -> int:
    """A descriptor to lock; of another user's file from before such files were shared it can only be read."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY)
    access.share(path)
    return descriptor


@contextmanager
def _held(path: Path, until: float) -> Iterator[bool]:
    """The lock of a file system that has none: a folder, which only one can make, and whoever makes it lives there."""
    while not _made(path):
        if time.monotonic() >= until:
            yield False
            return
        time.sleep(0.02)
    inode, heartbeat = path.stat().st_ino, life.Heartbeat(path)
    try:
        yield True
    finally:
        heartbeat.stop()
        with suppress(OSError):
            if path.stat().st_ino == inode:  # who was away for too long finds another's
                shutil.rmtree(path)


def _made(path: Path) -> bool:
    """Whether the folder could be made; one whose maker has died is taken away first."""
    try:
        path.mkdir()
        return True
    except FileExistsError:
        pulse = life.pulse(path, _LOST_S) or life.pulse_by_time(path, _LOST_S)
        if pulse is not None and not pulse.alive:
            aside = aside_of(path)
            with suppress(FileNotFoundError):
                os.rename(path, aside)
                shutil.rmtree(aside, ignore_errors=True)
        return False
