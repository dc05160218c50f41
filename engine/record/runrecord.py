"""Reading the record of a run. A run's directory ``runs/<run_id>/`` is its record, written by :mod:`record.runlog`::

    config.toml    the complete configuration
    run.json       who, when, where, with what: a RunFile
    events.jsonl   events, one JSON object per line, appended:  time (seconds since 1970, UTC), kind, stage, ...
    log.txt        the same for people
    ...            the artefacts
    result.json    how it ended, written last: a ResultFile
    annotations.json    later annotations by people, see :mod:`record.annotations`

Nothing here writes into that directory, and no content of it makes these functions fail.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
import socket
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from ..base import environment
from ..base.errors import InputError
from ..base.files import building, read_arrays
from ..base.paths import absolute, from_environment, make_folder, require_reachable
from ..base.texts import decoded
from ..config.history import completed, is_older_than
from ..config.schema import Config
from ..config.settings import config_from_dict
from .annotations import Annotations, read_annotations

RECORD_FORMAT = 1
LOCAL = "local"
"""The backend of processes of some machine."""
RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9_]{1,24}-[0-9a-f]{6}")
HEARTBEAT_S = 20.0
"""A run touches its events.jsonl this often, whatever it is doing."""
_LOST_S = 6 * HEARTBEAT_S
_TAIL_BYTES = 1 << 16
_MET_THE_CLOCK = b"training met training.max_seconds and was shortened"

Status = Literal["running", "finished", "failed", "cancelled", "interrupted", "damaged", "newer"]
"""``interrupted``: its process ended without a result. ``damaged``: the directory cannot be read as a run.
``newer``: written by a later PoseLab in a way that this one cannot read."""

Model = TypeVar("Model", bound=BaseModel)

log = logging.getLogger(__name__)


class BackendHandle(BaseModel):
    """The name of the backend that runs an experiment, and its handle of the run: plain values."""

    model_config = ConfigDict(frozen=True)
    name: str
    handle: dict[str, Any]

    @classmethod
    def local(cls, host: str, pid: int, process_started: float | None) -> BackendHandle:
        """A process of some machine."""
        return cls(name=LOCAL, handle={"host": host, "pid": pid, "process_started": process_started})


class RunFile(BaseModel):
    """``run.json``. ``process_started``: see :func:`base.environment.process_started`. ``git`` may be None.

    ``folder`` is the working folder of its process (None in records without it). ``sweep`` is the id that the runs of
    one sweep share. ``launched_by`` is who launched it (None in records without it; ``user`` is the operating system's
    user of its process). ``science`` is the version of the code's results, see :data:`config.history.SCIENCE`.
    ``devices`` are those of :mod:`experiment.devices` (None in records without them; ``hardware`` has what there was).
    """

    model_config = ConfigDict(frozen=True)
    format: int
    run_id: str
    created: AwareDatetime
    name: str | None
    sweep: str | None = None
    command: list[str]
    seed: int
    engine_version: str
    python: str
    platform: str
    packages: dict[str, str]
    hardware: dict[str, Any]
    git: dict[str, Any] | None
    user: str
    folder: str | None = None
    host: str
    pid: int
    process_started: float
    launched_by: str | None = None
    backend: BackendHandle | None = None
    science: int = 1
    devices: dict[str, str] | None = None

    @property
    def executor(self) -> BackendHandle:
        """The backend. Records without one are of local processes, whose facts are in the record itself."""
        if self.backend is not None and self.backend.name != LOCAL:
            return self.backend
        return BackendHandle.local(self.host, self.pid, self.process_started)


class ResultFile(BaseModel):
    """``result.json``. Seconds are wall time; a metric that is None was not finite."""

    model_config = ConfigDict(frozen=True)
    status: Literal["finished", "failed", "cancelled"]
    message: str
    ended: AwareDatetime
    metrics: dict[str, Any]
    seconds: dict[str, float]
    total_seconds: float
    peak_memory_mb: float
    reused: list[str]


@dataclass(frozen=True, repr=False)
class RunRecord:
    """One run, as recorded in its directory.

    ``config`` is a plain table where this version of PoseLab does not accept it. ``total_seconds`` and
    ``peak_memory_mb`` (2^20 bytes) are None until known. ``facts`` is the whole of run.json. ``name`` is the one given
    last, which may be the one in ``annotations``. ``launched_by`` is the process's user where it is not recorded.
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


@dataclass(frozen=True)
class StageProgress:
    """The latest progress of a run: its stage, the fraction of it that is done, the latest figures, when (seconds)."""

    stage: str
    fraction: float
    values: Mapping[str, Any]
    time: float


def default_runs_dir() -> Path:
    """``runs/`` in the project, or the value of the environment variable POSELAB_RUNS_DIR; may raise InputError."""
    return from_environment("POSELAB_RUNS_DIR") or environment.PROJECT_ROOT / "runs"


def new_run_id(config: Config) -> str:
    """An id that sorts by time, contains the volume's name and is unique: ``20261122-173015-1bd2-3f9c1a`` (UTC)."""
    words = re.sub(r"[^a-z0-9]+", "_", re.split(r"[/\\]", config.volume.source.lower())[-1].split(".")[0])
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{words.strip('_')[:24] or 'volume'}-{secrets.token_hex(3)}"


def run_path(runs_dir: Path, run_id: str) -> Path:
    """The directory of a run that exists; InputError for an invalid run id (it might be a path) or an unknown one."""
    path = Path(runs_dir) / check_run_id(run_id)
    if not os.path.isdir(path):
        try:
            require_reachable(Path(runs_dir))
        except OSError as error:
            raise InputError(f"runs directory {runs_dir}: {error.strerror}") from error
        raise InputError(f"no run {run_id} in {runs_dir}; `runs list` shows those there are")
    return path


def check_run_id(run_id: str) -> str:
    """The id itself; InputError unless it is exactly a run id."""
    if not RUN_ID.fullmatch(run_id):
        raise InputError(f"{run_id[:80]!r} is not a run id; wanted one like 20261122-173015-1bd2-3f9c1a")
    return run_id


def read_run(path: Path) -> RunRecord:
    """The record in a run's directory. Only a directory that does not exist is an error (InputError)."""
    path = run_path(path.parent, path.name)
    noted = read_annotations(path)
    common: dict[str, Any] = {"annotations": noted, "name": noted.name, "created": _time_of(path.name)}
    try:
        facts = _read_model(RunFile, path / "run.json")
    except _UnreadableError as problem:
        return RunRecord(path.name, problem.status, path, problem.message, **common)
    if facts is None:
        return RunRecord(path.name, "damaged", path, "run.json is missing", **common)
    config, config_problem = _read_config(path, facts)
    common |= {
        "config": config,
        "name": noted.name or facts.name,
        "sweep": facts.sweep,
        "created": facts.created,
        "user": facts.user,
        "launched_by": facts.launched_by or facts.user,
        "science": facts.science,
        "host": facts.host,
        "command": tuple(facts.command),
        "facts": facts,
    }
    notes = [config_problem] if config_problem else []
    if facts.format > RECORD_FORMAT:
        notes.append(f"written by a newer PoseLab ({facts.engine_version}); shown as far as this one understands it")
    try:
        # Checked in this order, or a run that ends between the two checks would seem interrupted.
        alive = not (path / "result.json").exists() and _is_running(facts, path)
        result = _read_model(ResultFile, path / "result.json", facts.format)
    except _UnreadableError as problem:
        return RunRecord(path.name, problem.status, path, "; ".join([problem.message, *notes]), **common)
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
    if alive:
        return RunRecord(path.name, "running", path, "; ".join(notes), **common)
    last = latest_progress(path)
    where = f" in stage {last.stage}" if last else ""
    message = f"interrupted{where}: its process ended without a result (killed, crashed, out of memory or power)"
    seen = _last_seen(path)
    return RunRecord(
        path.name,
        "interrupted",
        path,
        "; ".join([message, *notes]),
        ended=datetime.fromtimestamp(seen, UTC) if seen else None,
        total_seconds=max(0.0, round(seen - facts.created.timestamp(), 3)) if seen else None,
        **common,
    )


def read_events(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Events written since byte ``offset`` of the run's events.jsonl, and the offset to continue from.

    A last line that is still being written, or was cut off by the end of its process, is left for the next call.
    """
    try:
        with (path / "events.jsonl").open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    complete = data[: data.rfind(b"\n") + 1]
    return _parse_lines(complete, path), offset + len(complete)


def latest_progress(path: Path) -> StageProgress | None:
    """The progress of a run, read from the end of its events; None before its first stage."""
    try:
        with (path / "events.jsonl").open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            wanted = _TAIL_BYTES
            while True:
                start = max(0, size - wanted)
                file.seek(start)
                data = file.read(size - start)
                begin = data.find(b"\n") + 1 if start else 0
                progress = _latest(_parse_lines(data[begin : data.rfind(b"\n") + 1], path))
                if progress or start == 0:
                    return progress
                wanted *= 4
    except FileNotFoundError:
        return None


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
                shutil.copytree(source, aside, dirs_exist_ok=True)
        except FileExistsError as error:
            raise InputError(taken) from error
    except shutil.Error as error:
        raise InputError(f"cannot export to {target}: {error.args[0][0][2]}") from error
    except OSError as error:
        raise InputError(f"cannot export to {target}: {error.strerror or error}") from error
    return target


class _UnreadableError(Exception):
    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def _read_model(kind: type[Model], path: Path, written_in: int | None = None) -> Model | None:
    """The file as that model; None when missing. ``written_in``: the record format, where another file gives it."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _UnreadableError("damaged", f"{path.name} cannot be read: {error.strerror or error}") from error
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        version = written_in if written_in is not None else _format_of(text)
        if version is not None and version > RECORD_FORMAT:
            message = f"{path.name} is of record format {version}, newer than {RECORD_FORMAT} here; update PoseLab"
            raise _UnreadableError("newer", message) from None
        first = error.errors(include_url=False, include_context=False)[0]
        where = "".join(f"{part}: " for part in first["loc"])
        raise _UnreadableError("damaged", f"{path.name} is damaged: {where}{first['msg']}") from None


def _format_of(text: bytes) -> int | None:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        return None
    version = table.get("format") if isinstance(table, dict) else None
    return version if isinstance(version, int) else None


def _read_config(path: Path, facts: RunFile) -> tuple[Config | dict[str, Any], str]:
    """The configuration of the run in this directory and, where it is invalid, the reason."""
    try:
        table = tomllib.loads(decoded((path / "config.toml").read_bytes(), "config.toml"))
    except OSError as error:
        return {}, f"config.toml cannot be read: {error.strerror or error}"
    except (ValueError, RecursionError) as error:  # of which InputError and TOMLDecodeError are kinds
        return {}, f"config.toml is damaged: {error}"
    try:
        cuda = bool(facts.hardware.get("gpus")) and "astra-toolbox" in facts.packages
        return config_from_dict(completed(table, cuda, _was_cut_by_clock(path, table))), ""
    except InputError as error:
        return table, f"config.toml: {error}"


def _was_cut_by_clock(path: Path, table: Mapping[str, Any]) -> bool:
    """Whether a training met the limit that older versions had, which its log says."""
    if not is_older_than(table, "projections.projector"):
        return False
    try:
        return _MET_THE_CLOCK in (path / "log.txt").read_bytes()
    except OSError:
        return False


def _is_running(facts: RunFile, path: Path) -> bool:
    """A local process of this machine is checked directly, all others by their heartbeat."""
    executor = facts.executor
    if executor.name == LOCAL and executor.handle["host"] == socket.gethostname():
        return environment.is_alive(executor.handle["pid"], executor.handle["process_started"])
    seen = _last_seen(path)
    return seen is not None and time.time() - seen < _LOST_S


def _last_seen(path: Path) -> float | None:
    try:
        return (path / "events.jsonl").stat().st_mtime
    except OSError:
        return None


def _time_of(run_id: str) -> datetime | None:
    try:
        return datetime.strptime(run_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _parse_lines(data: bytes, path: Path) -> list[dict[str, Any]]:
    events = []
    for line in data.split(b"\n")[:-1]:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict) and "kind" in event and "time" in event:
            events.append(event)
        else:
            log.warning("%s: a line of events.jsonl is damaged and left out: %.60r", path.name, line)
    return events


def _latest(events: list[dict[str, Any]]) -> StageProgress | None:
    for event in reversed(events):
        kind = event["kind"]
        if kind == "progress":
            return StageProgress(event["stage"], event["fraction"], event["values"], event["time"])
        if kind in ("stage_started", "stage_ended", "stage_failed"):
            return StageProgress(event["stage"], float(kind == "stage_ended"), {}, event["time"])
    return None
