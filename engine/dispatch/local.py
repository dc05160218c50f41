"""Starting an experiment in a process of its own, which outlives whoever started it, and asking it to stop.

``runs/.launched/<run_id>/`` keeps what the start needs: the configuration, what the process printed, its process id.
Everything else is told by the run's own directory, which the new process makes.
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
from pathlib import Path
from typing import Literal, NamedTuple

from ..base import environment
from ..base.errors import InputError
from ..base.files import building, writing
from ..config.schema import Config
from ..config.settings import config_to_toml
from ..record.annotations import check_name
from ..record.runrecord import RUN_ID, check_run_id, new_run_id, read_run, run_path

FOLDER = ".launched"
PROCESS = "process.json"
_OUTPUT = "output.txt"
_ELSEWHERE_S = 600.0  # how long a start on another machine, whose processes cannot be seen, is believed in
_KEPT_S = 30 * 86400.0

# Starts the run and leaves at once. So the run is nobody's child: whoever launches it need not live, nor wait for it,
# and it leaves no zombie. (os.fork, the short way to the same, is not safe in a process with threads.)
_STARTER = """
import os, subprocess, sys
run = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=2, stderr=2, start_new_session=True)
print(run.pid, flush=True)
os._exit(0)
"""


class StartError(InputError):
    """The system would not start a process."""


class StartStatus(NamedTuple):
    """``starting``, ``started`` (the run's directory is there) or ``failed`` (and what it said last)."""

    state: Literal["starting", "started", "failed"]
    message: str = ""


def start(
    config: Config, runs_dir: Path, name: str | None = None, run_id: str | None = None, sweep: str | None = None
) -> str:
    """Start ``python -m engine run`` detached; its run id, at once. :func:`start_status` tells what became of it.

    A start with a given ``run_id`` that was cut short may be repeated: of two processes with the same id only one can
    make the run's directory. Raises InputError when nothing can be written, StartError when nothing can be started.
    """
    runs_dir = Path(runs_dir).absolute()
    name = check_name(name)
    again = run_id is not None
    run_id = check_run_id(run_id) if run_id is not None else new_run_id(config)
    folder = runs_dir / FOLDER / run_id
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not (again and folder.is_dir()):
            with building(folder) as aside:
                (aside / "config.toml").write_text(config_to_toml(config), encoding="utf-8")
                (aside / _OUTPUT).touch()
    except OSError as error:
        raise InputError(
            f"cannot write to the runs directory {runs_dir}: {error.strerror or error}; free it or choose another one"
        ) from error
    command = [sys.executable, "-m", "engine", "run", str(folder / "config.toml")]
    command += ["--runs-dir", str(runs_dir), "--run-id", run_id]
    if name:
        command.append(f"--name={name}")  # in one word: a name may begin with a dash
    if sweep:
        command.append(f"--sweep={sweep}")
    pid = start_detached(command, folder / _OUTPUT)
    process = {"pid": pid, "process_started": environment.process_started(pid), "host": socket.gethostname()}
    with writing(folder / PROCESS) as aside:
        aside.write_text(json.dumps(process), encoding="utf-8")
    return run_id


def start_status(runs_dir: Path, run_id: str) -> StartStatus:
    """What became of :func:`start`, until the run's own directory tells; InputError for an id never started here."""
    runs_dir = Path(runs_dir)
    directory = runs_dir / check_run_id(run_id)
    if directory.is_dir():
        return StartStatus("started")
    folder = runs_dir / FOLDER / run_id
    try:
        process = json.loads((folder / PROCESS).read_bytes())
        age = time.time() - (folder / PROCESS).stat().st_mtime
        if process["host"] != socket.gethostname():
            alive = age < _ELSEWHERE_S
        else:
            alive = environment.is_alive(process["pid"], process["process_started"])
    except FileNotFoundError:
        raise InputError(f"no run {run_id} was started from {runs_dir}") from None
    except (ValueError, KeyError, TypeError):
        return StartStatus("failed", f"{PROCESS} of its start is damaged")
    if alive:
        return StartStatus("starting")
    if directory.is_dir():
        return StartStatus("started")
    said = [line.strip() for line in output(runs_dir, run_id).splitlines() if line.strip()]
    return StartStatus("failed", said[-1] if said else "it ended without a word")


def launched(runs_dir: Path) -> set[str]:
    """Runs whose start has left traces: it was begun, or has been done long since."""
    return {folder.name for folder in _folders(runs_dir)}


def starting(runs_dir: Path) -> list[str]:
    """Runs that were started and have no directory of their own yet."""
    unseen = [folder for folder in _folders(runs_dir) if not (Path(runs_dir) / folder.name).is_dir()]
    return [
        folder.name
        for folder in unseen
        if (folder / PROCESS).exists() and start_status(runs_dir, folder.name).state == "starting"
    ]


def prune(runs_dir: Path) -> None:
    """Remove what starts have left behind: of runs that finished or were cancelled, of others after 30 days.

    Of a run that crashed, what its process printed may be all there is; so this stays for the 30 days.
    """
    for folder in _folders(runs_dir):
        directory = Path(runs_dir) / folder.name
        try:
            old = time.time() - folder.stat().st_mtime > _KEPT_S
            status = read_run(directory).status if directory.is_dir() else None
        except (OSError, InputError):
            continue  # deleted just now
        if status in ("finished", "cancelled") or (old and status != "running"):
            shutil.rmtree(folder, ignore_errors=True)


def output(runs_dir: Path, run_id: str) -> str:
    """What the run's process has printed; empty for a run that was not started from here."""
    try:
        return (Path(runs_dir) / FOLDER / check_run_id(run_id) / _OUTPUT).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def cancel(runs_dir: Path, run_id: str) -> None:
    """Ask a run to stop (SIGTERM); it closes its record as ``cancelled`` when it gets there.

    Raises InputError when the run is not running, or not on this machine.
    """
    record = read_run(run_path(Path(runs_dir), run_id))
    if record.status != "running" or record.facts is None:
        raise InputError(f"run {run_id} is not running, it is {record.status}")
    if record.facts.host != socket.gethostname():
        raise InputError(f"run {run_id} runs on {record.facts.host}; cancel it there")
    try:
        os.kill(record.facts.pid, signal.SIGTERM)
    except ProcessLookupError:
        return  # it ended by itself just now
    except PermissionError as error:
        raise InputError(f"run {run_id} belongs to {record.user}; only they can cancel it") from error


def _folders(runs_dir: Path) -> list[Path]:
    folder = Path(runs_dir) / FOLDER
    return [folder / name for name in os.listdir(folder) if RUN_ID.fullmatch(name)] if folder.is_dir() else []


def start_detached(command: list[str], output_path: Path) -> int:
    """Process id of the command, which runs on by itself in the project's root, in a session of its own.

    What it prints is appended to ``output_path``. Raises StartError when the system would not start it.
    """
    with output_path.open("ab") as file:
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
