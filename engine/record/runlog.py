"""Writing the record of a run, by the process that runs it. :mod:`record.runrecord` describes the files."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import numpy as np
from pydantic import BaseModel

from ..base import access, environment
from ..base.errors import InputError
from ..base.files import building, plain, saying_full_disk, writing
from ..base.paths import absolute, make_folder
from ..config.history import SCIENCE
from ..config.schema import Config
from ..config.settings import config_to_toml
from . import life
from .annotations import check_name
from .life import Heartbeat
from .reading import RECORD_FORMAT, BackendHandle, ResultFile, RunFile
from .runrecord import check_run_id, new_run_id

Event = dict[str, Any]
_PROGRESS_INTERVAL_S = 0.5

log = logging.getLogger(__name__)


@contextmanager
def cancel_on_sigterm() -> Iterator[None]:
    """Let SIGTERM, while this lasts, end the work as Ctrl-C does: with KeyboardInterrupt. For the main thread."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the writing of the result
        raise KeyboardInterrupt("SIGTERM")

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class RunWriter:
    """The record of the run of this process.

    Used in a ``with`` statement it closes the record whatever happens: an InputError becomes ``failed`` with its
    message, KeyboardInterrupt ``cancelled``, any other exception ``failed`` with its traceback in log.txt; the
    exception propagates. Messages logged under ``engine`` meanwhile go into log.txt.

    Every event is in events.jsonl, and was passed to ``on_event``, when the method that emits it returns. A disk that
    is full raises InputError; the record is then closed as ``failed`` if that can still be written, else it reads as
    ``interrupted``. What was written before stays.
    """

    def __init__(
        self, path: Path, on_event: Callable[[Event], None] | None, begun: float | None, heartbeat: Heartbeat
    ) -> None:
        self.path = path
        self._heartbeat = heartbeat
        self.run_id = path.name
        self.seconds: dict[str, float] = {}
        self._reused: list[str] = []
        self._on_event = on_event
        self._begun = time.monotonic() if begun is None else begun
        self._stage: str | None = None
        self._closed = threading.Event()
        self._lock = threading.RLock()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._events = os.open(path / "events.jsonl", flags, 0o666)
        self._text = os.open(path / "log.txt", flags, 0o666)
        self._handler = _ToRun(self)
        logging.getLogger(environment.PACKAGE).addHandler(self._handler)

    @classmethod
    def create(
        cls,
        runs_dir: Path,
        config: Config,
        command: Sequence[str],
        run_id: str | None = None,
        name: str | None = None,
        on_event: Callable[[Event], None] | None = None,
        begun: float | None = None,
        sweep: str | None = None,
        launched_by: str | None = None,
        backend: BackendHandle | None = None,
        devices: Mapping[str, str] | None = None,
    ) -> Self:
        """Create the run's directory, complete from the start, and open it for writing.

        ``launched_by`` is who launched it, this process's user when not given; ``backend`` what runs it, this process
        when not given. ``begun`` is the ``time.monotonic()`` from which the total time counts, if that was before this
        call; ``devices`` says what runs where, see :class:`record.runrecord.RunFile`.

        Raises InputError, and leaves nothing behind, when the directory cannot be written, the id is none or is taken.
        """
        runs_dir = absolute(runs_dir)
        name = check_name(name)
        wanted = None if run_id is None else check_run_id(run_id)
        facts = plain({**environment.describe(), "command": [str(part) for part in command]})
        try:
            make_folder(runs_dir)
            while True:
                path = runs_dir / (wanted or new_run_id(config))
                run = RunFile(
                    format=RECORD_FORMAT,
                    run_id=path.name,
                    created=_now(),
                    name=name,
                    sweep=sweep,
                    seed=config.seed,
                    launched_by=launched_by or facts["user"],
                    backend=backend or BackendHandle.local(**environment.this_process()),
                    science=SCIENCE,
                    devices=None if devices is None else dict(devices),
                    **facts,
                )
                try:
                    return cls(path, on_event, begun, _made(path, config, run))
                except FileExistsError:
                    if wanted is None:
                        continue
                    raise InputError(f"run {wanted} exists already in {runs_dir}; give another id or none") from None
        except OSError as error:
            raise InputError(
                f"cannot write to the runs directory {runs_dir}: {access.reason(error, runs_dir)}; "
                "free it or choose another one (--runs-dir or POSELAB_RUNS_DIR)"
            ) from error

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time a stage, from ``stage_started`` to ``stage_ended`` or, with an exception, ``stage_failed``."""
        self._emit("stage_started", stage=name)
        stage = Stage(self, name)
        self._stage = name
        begun = time.monotonic()
        ended = "stage_failed"
        try:
            yield stage
            stage.flush()
            ended = "stage_ended"
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - begun, 3)
            self._stage = None
            values = {"stage": name, "seconds": self.seconds[name], "peak_memory_mb": environment.peak_memory_mb()}
            if ended == "stage_ended":
                self._emit(ended, **values)
            else:
                self._emit_if_possible(ended, **values)

    def record(self, kind: str, **values: Any) -> None:
        """Record figures, each call one line: ``record("loss", step=12, loss=0.3)``."""
        self._emit(kind, stage=self._stage, values=values)

    def log(self, message: str) -> None:
        """Log a line (or several): in log.txt and as an event."""
        self._write(self._text, f"{_now():%Y-%m-%d %H:%M:%S} {message}\n")
        self._emit("log", stage=self._stage, message=message)

    def warn(self, message: str) -> None:
        """As :meth:`log`, for reasons to doubt the results: shown beside them."""
        self._write(self._text, f"{_now():%Y-%m-%d %H:%M:%S} warning: {message}\n")
        self._emit("warning", stage=self._stage, message=message)

    def reused(self, stage: str) -> None:
        """Record that a stage's result was taken from an earlier run."""
        self._reused.append(stage)
        self._emit("stage_reused", stage=stage)

    @contextmanager
    def writing(self, filename: str) -> Iterator[Path]:
        """Yield a path to write an artefact to; on success it becomes ``filename`` in the run's directory."""
        if Path(filename).name != filename:
            raise ValueError(f"{filename!r} is not a plain file name")
        with saying_full_disk(self.path), writing(self.path / filename) as aside:
            yield aside

    def save_arrays(self, filename: str, **arrays: np.ndarray) -> None:
        """Write arrays as ``filename`` (.npz); it needs no pickle to be read."""
        with self.writing(filename) as aside, aside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Close the record as ``finished``."""
        self._close("finished", metrics, "")

    def fail(self, message: str, metrics: Mapping[str, Any] | None = None) -> None:
        """Close the record as ``failed``, if the disk still takes it."""
        self._close_if_possible("failed", metrics or {}, message)

    def cancelled(self, message: str, metrics: Mapping[str, Any] | None = None) -> None:
        """Close the record as ``cancelled``, if the disk still takes it."""
        self._close_if_possible("cancelled", metrics or {}, message)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._closed.is_set():
            return
        if error is None:
            self.fail("the run ended before it was finished")
        elif isinstance(error, KeyboardInterrupt):
            self.cancelled("cancelled by " + (str(error) or "Ctrl-C"))
        elif isinstance(error, InputError):
            self.fail(str(error))
        else:
            try:
                self.log("".join(traceback.format_exception(error)).rstrip())
            except (InputError, OSError) as trouble:
                log.error("the traceback could not be kept: %s", trouble)
            self.fail(" ".join(f"{type(error).__name__}: {error}".split()))

    def _emit(self, kind: str, **values: Any) -> None:
        event = plain({"time": round(time.time(), 3), "kind": kind, **values})
        self._write(self._events, json.dumps(event, allow_nan=False) + "\n")
        if self._on_event is not None:
            self._on_event(event)

    def _write(self, descriptor: int, text: str) -> None:
        with self._lock, saying_full_disk(self.path):
            if self._closed.is_set():
                raise RuntimeError(f"run {self.run_id} is closed")
            _append(descriptor, text)

    def _emit_if_possible(self, kind: str, **values: Any) -> None:
        """For events during an exception, which must not be hidden by a second one."""
        try:
            self._emit(kind, **values)
        except (InputError, OSError) as trouble:
            log.error("%s of run %s could not be recorded: %s", kind, self.run_id, trouble)

    def _close(self, status: str, metrics: Mapping[str, Any], message: str) -> None:
        self._emit("run_ended", status=status, message=message)
        self._write_result(status, metrics, message)
        self._release()

    def _close_if_possible(self, status: str, metrics: Mapping[str, Any], message: str) -> None:
        self._emit_if_possible("run_ended", status=status, message=message)
        try:
            self._write_result(status, metrics, message)
        except (InputError, OSError) as trouble:
            log.error("run %s ends as interrupted, for its result could not be written: %s", self.run_id, trouble)
        self._release()

    def _write_result(self, status: str, metrics: Mapping[str, Any], message: str) -> None:
        result = ResultFile.model_validate(
            {
                "status": status,
                "message": plain(message),
                "ended": _now(),
                "metrics": plain(metrics),
                "seconds": self.seconds,
                "total_seconds": round(time.monotonic() - self._begun, 3),
                "peak_memory_mb": environment.peak_memory_mb(),
                "reused": self._reused,
            }
        )
        with self.writing("result.json") as aside:
            aside.write_text(_json(result), encoding="utf-8")

    def _release(self) -> None:
        with self._lock:
            self._closed.set()
            logging.getLogger(environment.PACKAGE).removeHandler(self._handler)
            os.close(self._events)
            os.close(self._text)
        self._heartbeat.stop()
        if (self.path / "result.json").exists():  # else what is left of the heartbeat tells that nobody lives here
            with suppress(OSError):
                (self.path / life.FILENAME).unlink()


class Stage:
    """The progress reports of a stage. ``progress`` is an :data:`base.progress.Progress`."""

    def __init__(self, run: RunWriter, name: str) -> None:
        self._run = run
        self._name = name
        self._written = -float("inf")
        self._held: tuple[float, Mapping[str, float]] | None = None

    def progress(self, fraction: float, values: Mapping[str, float]) -> None:
        """May be called at any rate; written at most every half second, the first and the last always."""
        self._held = (min(1.0, max(0.0, fraction)), values)
        if fraction >= 1 or time.monotonic() - self._written >= _PROGRESS_INTERVAL_S:
            self.flush()

    def flush(self) -> None:
        """Write the progress that is still pending."""
        if self._held is not None:
            fraction, values = self._held
            self._held = None
            self._written = time.monotonic()
            self._run._emit("progress", stage=self._name, fraction=round(fraction, 4), values=values)

    def record(self, kind: str, **values: Any) -> None:
        """See :meth:`RunWriter.record`."""
        self._run.record(kind, **values)


class _ToRun(logging.Handler):
    """Writes the engine's log messages into the run's log."""

    def __init__(self, run: RunWriter) -> None:
        super().__init__(logging.INFO)
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._run.log(f"{record.levelname.lower()}: {record.getMessage()}")
        except (InputError, OSError):
            return  # the disk is full: the next event, unlike a mere message, ends the run because of it


def _made(path: Path, config: Config, run: RunFile) -> Heartbeat:
    """Make a run's directory, complete and alive from its first moment; its heartbeat."""
    with ExitStack() as undoing:
        with building(path) as aside:
            (aside / "config.toml").write_text(config_to_toml(config), encoding="utf-8")
            (aside / "run.json").write_text(_json(run), encoding="utf-8")
            (aside / "events.jsonl").touch()
            (aside / "log.txt").touch()
            heartbeat = Heartbeat(aside)
            undoing.callback(heartbeat.stop)
        undoing.pop_all()
    return heartbeat


def _append(descriptor: int, text: str) -> None:
    """Append whole or, when the disk is full, not at all: half a line would corrupt the next one."""
    data = text.encode("utf-8", "replace")
    before = os.fstat(descriptor).st_size
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def _json(model: BaseModel) -> str:
    return model.model_dump_json(indent=1) + "\n"


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
