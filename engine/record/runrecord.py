"""The record of a run, as its directory tells it. ``runs/<run_id>/`` is written by :mod:`record.runlog`::

    config.toml    the complete configuration
    run.json       who, when, where, with what: a RunFile
    events.jsonl   events, one JSON object per line, appended:  time (seconds since 1970, UTC), kind, stage, ...
    log.txt        the same for people
    alive.json     while it lasts: the heartbeat of its process, see :mod:`record.life`
    ...            the artefacts
    result.json    how it ended, written last: a ResultFile
    annotations.json    later annotations by people, see :mod:`record.annotations`

Nothing here writes into that directory, and no content of it makes these functions fail.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..base import access, environment
from ..base.errors import InputError, one_line
from ..base.files import ASIDE, building, read_small
from ..base.paths import absolute, from_environment, make_folder, require_reachable
from ..config.history import completed, is_older_than
from ..config.schema import Config
from . import life
from .annotations import Annotations, annotations_and_problem
from .arrays import read_arrays
from .events import FILENAME as EVENTS
from .events import latest_progress
from .life import Pulse
from .reading import (
    EARLIEST,
    LATEST,
    LOCAL,
    RECORD_FORMAT,
    ResultFile,
    RunFile,
    Status,
    UnreadableError,
    read_config,
    read_model,
)

RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9_]{1,24}-[0-9a-f]{6}")
CLOCKS_AGREE_S = 60.0
"""Two clocks that differ by less are the same to people."""
_LOST_S = 120.0
"""Runs of versions before the heartbeat of their own changed the time of events.jsonl every 20 s."""
_MET_THE_CLOCK = b"training met training.max_seconds and was shortened"

_LONGEST_S = 1e9

log = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class RunRecord:
    """One run, as recorded in its directory.

    ``config`` is a plain table where this version of PoseLab does not accept it. ``total_seconds`` and
    ``peak_memory_mb`` (2^20 bytes) are None until known. ``facts`` is the whole of run.json. ``name`` is the one given
    last, which may be the one in ``annotations``. ``launched_by`` is the process's user where it is not recorded.
    ``settled`` is False as long as another look may find another state: while it runs, and where all that is known of
    its process is that it was not heard of.
    """

    run_id: str
    status: Status
    path: Path
    message: str = ""
    name: str | None = None
    sweep: str | None = None
    config: Config | dict[str, Any] = field(default_factory=dict)
    created: datetime | None = None
    ended: datetime | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    total_seconds: float | None = None
    peak_memory_mb: float | None = None
    reused: tuple[str, ...] = ()
    user: str | None = None
    launched_by: str | None = None
    host: str | None = None
    science: int = 1
    command: tuple[str, ...] = ()
    facts: RunFile | None = None
    annotations: Annotations = field(default_factory=Annotations)
    settled: bool = True

    def arrays(self, filename: str) -> dict[str, np.ndarray]:
        """The arrays of one of its ``.npz`` files, read-only, such as ``poses.npz``.

        Raises InputError for a file that the run has not written, or that is damaged.
        """
        try:
            return read_arrays(self.path / Path(filename).name)
        except FileNotFoundError:
            raise InputError(f"run {self.run_id} has left no {filename} ({self.status})") from None

    def __repr__(self) -> str:
        return f"RunRecord({self.run_id!r}, {self.status}, {len(self.metrics)} metrics)"


def default_runs_dir() -> Path:
    """``runs/`` in the project, or the value of the environment variable POSELAB_RUNS_DIR; may raise InputError."""
    return from_environment("POSELAB_RUNS_DIR") or environment.PROJECT_ROOT / "runs"


def new_run_id(config: Config) -> str:
    """An id that sorts by time, contains the volume's name and is unique: ``20261122-173015-1bd2-3f9c1a`` (UTC)."""
    source = config.particles.source or config.volume.given_source
    words = re.sub(r"[^a-z0-9]+", "_", re.split(r"[/\\]", source.lower())[-1].split(".")[0])
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{words.strip('_')[:24] or 'volume'}-{secrets.token_hex(3)}"


def run_path(runs_dir: Path, run_id: str) -> Path:
    """The directory of a run that exists; InputError for an invalid run id (it might be a path) or an unknown one."""
    path = Path(runs_dir) / check_run_id(run_id)
    if not is_run(path):
        try:
            require_reachable(Path(runs_dir))
        except OSError as error:
            raise InputError(f"runs directory {runs_dir}: {error.strerror}") from error
        raise InputError(f"no run {run_id} in {runs_dir}; `runs list` shows those there are")
    return path


def is_run(path: Path) -> bool:
    """Whether a path with a run id for a name is that of a run: a directory, or a link to one, reachable or not."""
    return os.path.isdir(path) or os.path.islink(path)


def check_run_id(run_id: str) -> str:
    """The id itself; InputError unless it is exactly a run id."""
    if not RUN_ID.fullmatch(run_id):
        raise InputError(f"{run_id[:80]!r} is not a run id; wanted one like 20261122-173015-1bd2-3f9c1a")
    return run_id


def read_run(path: Path) -> RunRecord:
    """The record in a run's directory. Only a directory that does not exist is an error (InputError)."""
    path = run_path(path.parent, path.name)
    if not os.path.isdir(path):
        message = f"its directory is a link to {one_line(os.readlink(path), 120)}, which cannot be reached"
        return RunRecord(path.name, "damaged", path, message, created=_time_of(path.name), settled=False)
    annotations, problem = annotations_and_problem(path)
    notes = [problem] if problem else []
    common: dict[str, Any] = {"annotations": annotations, "name": annotations.name, "created": _time_of(path.name)}
    try:
        if annotations.deleting:
            raise UnreadableError("damaged", "its deletion was begun and not finished; delete it again")
        facts = read_model(RunFile, path / "run.json")
        if facts is None:
            raise UnreadableError("damaged", "run.json is missing")
    except UnreadableError as error:
        return RunRecord(path.name, error.status, path, "; ".join([error.message, *notes]), **common)
    config, config_problem = read_config(path / "config.toml", partial(_as_run, path, facts))
    common |= {
        "config": config,
        "name": annotations.name or facts.name,
        "sweep": facts.sweep,
        "created": facts.created,
        "user": facts.user,
        "launched_by": facts.launched_by or facts.user,
        "science": facts.science,
        "host": facts.host,
        "command": tuple(facts.command),
        "facts": facts,
    }
    notes += [config_problem] if config_problem else []
    if facts.format > RECORD_FORMAT:
        notes.append(f"written by a newer PoseLab ({facts.engine_version}); shown as far as this one understands it")
    try:
        # Checked in this order, or a run that ends between the two checks would seem interrupted.
        pulse = None if os.path.lexists(path / "result.json") else _pulse(facts, path)
        result = read_model(ResultFile, path / "result.json", facts.format)
    except UnreadableError as error:
        return RunRecord(path.name, error.status, path, "; ".join([error.message, *notes]), **common)
    if result is not None:
        return RunRecord(
            path.name,
            result.status,
            path,
            "; ".join([result.message, *notes] if result.message else notes),
            ended=result.ended,
            metrics=result.metrics,
            seconds=result.seconds,
            total_seconds=result.total_seconds,
            peak_memory_mb=result.peak_memory_mb,
            reused=tuple(result.reused),
            **common,
        )
    if pulse is not None and pulse.alive:
        return RunRecord(path.name, "running", path, "; ".join(notes), settled=False, **common)
    return _interrupted(path, facts, pulse, notes, common)


def clock_ahead(when: datetime | None) -> timedelta | None:
    """By how much the clock that gave a time, that of a run's machine, is ahead of ours: the time has not come yet.

    None for all other times.
    """
    ahead = timedelta() if when is None else when - datetime.now(UTC)
    return ahead if ahead.total_seconds() > CLOCKS_AGREE_S else None


def export_run(runs_dir: Path, run_id: str, target: Path) -> Path:
    """Copy a run's directory to ``target``, which must be new (or an empty directory); InputError otherwise."""
    source = run_path(runs_dir, run_id)
    target = absolute(target)
    taken = f"{target} exists already; give a directory that does not, nothing is overwritten"
    try:
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise InputError(taken)
        make_folder(target.parent)
        try:
            with building(target) as aside:
                shutil.copytree(source, aside, ignore=_left_out, dirs_exist_ok=True)
        except FileExistsError as error:
            raise InputError(taken) from error
    except shutil.Error as error:
        raise InputError(f"cannot export to {target}: {one_line(error.args[0][0][2])}") from error
    except OSError as error:
        raise InputError(f"cannot export to {target}: {access.reason(error, target)}") from error
    return target


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What is not exported: unfinished files, and what is neither a file nor a folder of the run's own."""
    odd = set()
    for name in names:
        path = f"{folder}/{name}"
        own_folder = os.path.isdir(path) and not os.path.islink(path)
        if not name.startswith(ASIDE) and not own_folder and not os.path.isfile(path):
            log.warning("%s is not exported: it is no file", one_line(path.encode("utf-8", "replace").decode()))
            odd.add(name)
    return odd | {name for name in names if name.startswith(ASIDE)}


def _interrupted(
    path: Path, facts: RunFile, pulse: Pulse | None, notes: list[str], common: dict[str, Any]
) -> RunRecord:
    """A run whose process is gone. Its end is timed by its own clock or by its file server's, never by both."""
    last = latest_progress(path)
    where = f" in stage {last.stage}" if last else ""
    message = f"interrupted{where}: its process ended without a result (killed, crashed, out of memory or power)"
    lasted = [0.0] if last is None else [0.0, last.time - facts.created.timestamp()]
    with suppress(OSError):
        lasted.append((pulse.last if pulse else 0.0) - (path / "run.json").stat().st_mtime)
    total = max(seconds for seconds in lasted if seconds < _LONGEST_S)
    ended = facts.created + timedelta(seconds=total)
    return RunRecord(
        path.name,
        "interrupted",
        path,
        "; ".join([message, *notes]),
        ended=ended if ended < LATEST else None,
        total_seconds=round(total, 3),
        settled=pulse is None or pulse.certain,
        **common,
    )


def _as_run(path: Path, facts: RunFile, table: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration's tables, completed with what the run in this directory used where they lack a key."""
    cuda = bool(facts.hardware.get("gpus")) and "astra-toolbox" in facts.packages
    return completed(table, cuda, _was_cut_by_clock(path, table))


def _was_cut_by_clock(path: Path, table: Mapping[str, Any]) -> bool:
    """Whether a training met the time limit of older versions, by its log."""
    if not is_older_than(table, "projections.projector"):
        return False
    try:
        return _MET_THE_CLOCK in read_small(path / "log.txt")
    except OSError:
        return False


def _pulse(facts: RunFile, path: Path) -> Pulse | None:
    """The pulse of the run's heartbeat.

    Earlier versions had no heartbeat: there a local process of this machine is checked directly, and of all others the
    time of their last event. None if neither is known.
    """
    if (own := life.pulse(path)) is not None:
        return own
    by_events = life.pulse_by_time(path / EVENTS, _LOST_S)
    process = environment.is_here(facts.executor.handle) if facts.executor.name == LOCAL else None
    if process is None:
        return by_events
    return Pulse(process, True, 0.0 if by_events is None else by_events.last)


def _time_of(run_id: str) -> datetime | None:
    try:
        time = datetime.strptime(run_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return time if EARLIEST <= time < LATEST else None
