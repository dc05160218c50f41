"""Starting an experiment in a process of its own, which outlives the process that started it, and asking it to stop.

``runs/.launched/<run_id>/`` keeps what the start needs: the configuration, the output of the process, its process id.
Everything else is in the run's own directory, which the new process creates.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..base import access, environment
from ..base.errors import InputError
from ..base.files import building, opened, writing
from ..base.paths import absolute
from ..config.settings import config_to_toml
from ..record import life
from ..record.annotations import check_name
from ..record.reading import LOCAL, BackendHandle, UnreadableError, read_model
from ..record.runrecord import RUN_ID, check_run_id, is_run, new_run_id, read_run, run_path
from .backend import Backend, Launch, StartError, StartStatus

FOLDER = ".launched"
PROCESS = "process.json"
_OUTPUT = "output.txt"
_ELSEWHERE_S = 600.0  # how long a start on another machine, whose processes cannot be checked, is assumed to be alive
_KEPT_S = 30 * 86400.0
_LONGEST_OUTPUT = 2**20

# Starts the run and exits at once, so that the run is not a child of the launching process: that one may end, need not
# wait for it, and leaves no zombie. (os.fork, the short way to the same, is not safe in a process with threads.)
_STARTER = """
import os, subprocess, sys
run = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=2, stderr=2, start_new_session=True)
print(run.pid, flush=True)
os._exit(0)
"""


class LocalBackend(Backend):
    """Processes of this machine, which outlive the process that started them."""

    name = LOCAL

    def submit(self, launch: Launch, runs_dir: Path, run_id: str | None = None) -> str:
        """Start the command line's ``run`` detached; its run id, at once."""
        runs_dir, config = absolute(runs_dir), launch.config
        name = check_name(launch.name)
        again = run_id is not None
        run_id = check_run_id(run_id) if run_id is not None else new_run_id(config)
        folder = runs_dir / FOLDER / run_id
        try:
            access.make_shared(folder.parent)
            if again and folder.is_dir():
                (folder / life.FILENAME).unlink(missing_ok=True)  # of the start before
            else:
                with building(folder) as aside:
                    (aside / "config.toml").write_text(config_to_toml(config), encoding="utf-8")
                    (aside / _OUTPUT).touch()
                access.share(folder)
        except OSError as error:
            raise InputError(
                f"cannot write to the runs directory {runs_dir}: {access.reason(error, folder.parent)}; free it or "
                "choose another one"
            ) from error
        command = [sys.executable, "-m", environment.PACKAGE, "run", str(folder / "config.toml")]
        command += ["--runs-dir", str(runs_dir), "--run-id", run_id]
        given = {"name": name, "sweep": launch.sweep, "launched-by": launch.launched_by}
        command += [f"--{key}={value}" for key, value in given.items() if value]  # one word: it may begin with a dash
        pid = start_detached(command, folder / _OUTPUT)
        with writing(folder / PROCESS) as aside:
            aside.write_text(json.dumps(environment.this_process(pid)), encoding="utf-8")
        return run_id

    def status(self, runs_dir: Path, run_id: str) -> StartStatus:
        """The state after :meth:`submit`; InputError for an id never started here."""
        runs_dir = Path(runs_dir)
        directory = runs_dir / check_run_id(run_id)
        if is_run(directory):
            return StartStatus("started")
        folder = runs_dir / FOLDER / run_id
        try:
            process = read_model(_Process, folder / PROCESS)
        except UnreadableError as error:
            return StartStatus("failed", f"{error.message} (of its start)")
        if process is None:
            raise InputError(f"no run {run_id} was started from {runs_dir}")
        if _is_starting(folder, process):
            return StartStatus("starting")
        if is_run(directory):
            return StartStatus("started")
        lines = [line.strip() for line in self.output(runs_dir, run_id).splitlines() if line.strip()]
        return StartStatus("failed", lines[-1] if lines else "it ended without a word")

    def handle(self) -> dict[str, Any]:
        """Where this process is, its id and its start."""
        return environment.this_process()

    @contextmanager
    def starting_up(self, runs_dir: Path, run_id: str | None) -> Iterator[None]:
        """Keep a heartbeat in the folder of the start."""
        heartbeat = None
        if run_id is not None and (folder := Path(runs_dir) / FOLDER / check_run_id(run_id)).is_dir():
            with suppress(OSError):
                heartbeat = life.Heartbeat(folder)
        try:
            yield
        finally:
            if heartbeat is not None:
                heartbeat.stop()

    def launched(self, runs_dir: Path, run_ids: Collection[str]) -> set[str]:
        """Those of these runs whose process has been noted; a start that was cut short before may be repeated."""
        wanted = set(run_ids)
        return {folder.name for folder in _folders(runs_dir) if folder.name in wanted and (folder / PROCESS).exists()}

    def starting(self, runs_dir: Path) -> list[str]:
        """Runs that were started and have no directory of their own yet."""
        unseen = [folder for folder in _folders(runs_dir) if not is_run(Path(runs_dir) / folder.name)]
        return [
            folder.name
            for folder in unseen
            if (folder / PROCESS).exists() and self.status(runs_dir, folder.name).state == "starting"
        ]

    def forget(self, runs_dir: Path, run_id: str) -> None:
        """Remove the folder of a start."""
        shutil.rmtree(Path(runs_dir) / FOLDER / check_run_id(run_id), ignore_errors=True)

    def prune(self, runs_dir: Path) -> None:
        """Remove the files of starts: of runs that finished or were cancelled, of others after 30 days.

        The output of a process that crashed may be all that there is of its run, so it stays for the 30 days.
        """
        for folder in _folders(runs_dir):
            directory = Path(runs_dir) / folder.name
            try:
                old = time.time() - folder.stat().st_mtime > _KEPT_S
                status = read_run(directory).status if is_run(directory) else None
            except (OSError, InputError):
                continue  # deleted just now
            if status in ("finished", "cancelled") or (old and status != "running"):
                shutil.rmtree(folder, ignore_errors=True)

    def output(self, runs_dir: Path, run_id: str) -> str:
        """The output of the run's process; empty for a run that was not started from here."""
        path = Path(runs_dir) / FOLDER / check_run_id(run_id) / _OUTPUT
        try:
            with opened(path) as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LONGEST_OUTPUT))
                return file.read(_LONGEST_OUTPUT).decode("utf-8", "replace")
        except OSError:
            return ""

    def cancel(self, runs_dir: Path, run_id: str, handle: BackendHandle) -> None:
        """Send SIGTERM to the run's process, if that is one of this machine."""
        here = environment.is_here(handle.handle)
        if here is None:
            same = " (another container of this machine)" if _on_this_machine(handle) else ""
            raise InputError(f"run {run_id} runs on {handle.handle['host']}{same}; cancel it there")
        try:
            if not here:
                raise ProcessLookupError  # the number may be another process's by now
            os.kill(handle.handle["pid"], signal.SIGTERM)
        except ProcessLookupError:
            if read_run(run_path(Path(runs_dir), run_id)).status == "running":
                message = (
                    f"run {run_id} runs, but its process {handle.handle['pid']} is not to be found; cancel it by hand"
                )
                raise InputError(message) from None
        except PermissionError as error:
            owner = read_run(run_path(Path(runs_dir), run_id)).user
            raise InputError(f"run {run_id} belongs to {owner}; only they can cancel it") from error

    def counts(self, handle: BackendHandle) -> bool:
        """Processes of this machine."""
        return super().counts(handle) and _on_this_machine(handle)


class _Process(BaseModel):
    """``process.json``, as :func:`environment.this_process` has it."""

    host: str
    pid: int
    process_started: float | None
    kernel: str | None = None
    process_space: str | None = None


def _is_starting(folder: Path, process: _Process) -> bool:
    """By the heartbeat of the start; before the first beat by the process, or the age of the handle."""
    if (pulse := life.pulse(folder)) is not None:
        return pulse.alive
    here = environment.is_here(process.model_dump())
    if here is None:
        pulse = life.pulse_by_time(folder / PROCESS, _ELSEWHERE_S)
        return pulse is not None and pulse.alive
    return here


def _on_this_machine(handle: BackendHandle) -> bool:
    kernel = handle.handle.get("kernel")
    return handle.handle["host"] == socket.gethostname() if kernel is None else bool(kernel == environment.kernel())


def _folders(runs_dir: Path) -> list[Path]:
    folder = Path(runs_dir) / FOLDER
    try:
        return [folder / name for name in os.listdir(folder) if RUN_ID.fullmatch(name)]
    except OSError:
        return []


def start_detached(command: list[str], output_path: Path) -> int:
    """Process id of the command, which runs detached in the project's root, in a session of its own.

    Its output is appended to ``output_path``. Raises StartError if the system cannot start it.
    """
    with output_path.open("ab") as file:
        access.share(output_path)
        try:
            starter = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _STARTER, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                cwd=environment.PROJECT_ROOT,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise StartError(f"cannot start {command[0]}: {error}; see {output_path}") from error
    return int(starter.stdout)
