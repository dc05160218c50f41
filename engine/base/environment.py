"""The environment of a run: machine, packages, commit, process. None of the heavy libraries is imported."""

from __future__ import annotations

import functools
import getpass
import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

PACKAGE = __name__.partition(".")[0]
"""The name that this code runs under: ``engine`` in a checkout, ``poselab`` where it is installed."""
DISTRIBUTION = "cryo-poselab"
PROJECT_ROOT = Path(__file__).resolve().parents[2] if PACKAGE == "engine" else Path.cwd()
"""The checkout; where the package is installed the folder that the process was started in."""
_SAME_START_S = 2.0


def command_line() -> str:
    """The command by which the reader of a message starts the command line: ``python -m engine`` or ``poselab``."""
    return "python -m engine" if PACKAGE == "engine" else "poselab"


def describe() -> dict[str, Any]:
    """Everything about this process and machine that a record keeps, as plain values."""
    return {
        "engine_version": engine_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages(),
        "hardware": hardware(),
        "git": git_state(PROJECT_ROOT) if PACKAGE == "engine" else None,
        "user": user(),
        "folder": working_folder(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_started": process_started(os.getpid()),
    }


def engine_version() -> str:
    """PoseLab's version: that of the installed package, or the one in pyproject.toml of the checkout."""
    if PACKAGE != "engine":
        return importlib.metadata.version(DISTRIBUTION)
    return tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


@functools.cache
def packages() -> dict[str, str]:
    """Versions of all installed distributions, by name."""
    versions = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
    return dict(sorted(versions.items(), key=lambda item: item[0].lower()))


def hardware() -> dict[str, Any]:
    """``cpu`` (model), ``cores`` (that this process may use), ``memory_gb`` (2^30 bytes), ``gpus`` (names)."""
    return {
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": _gpu_names(),
    }


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def may_have_gpu() -> bool:
    """Whether there is any sign of a GPU that TensorFlow could use: whether it does is for TensorFlow to say."""
    signs = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
    plugins = {"tensorflow-metal", "tensorflow-rocm"} & {name.lower() for name in packages()}
    return bool(plugins or any(Path(sign).exists() for sign in signs) or _gpu_names())


def git_state(root: Path) -> dict[str, Any] | None:
    """``commit`` and whether tracked files were changed (``dirty``) in the repository whose top is ``root``, if any."""
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    lines = _output(
        [git, "--no-optional-locks", "-C", str(root), "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    )
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    if commit == "(initial)":
        return None
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}


def user() -> str:
    """The name of who runs this process; the number where the system knows no name (as in some containers)."""
    try:
        return getpass.getuser().encode("utf-8", "replace").decode()  # a variable may give it in any encoding
    except (OSError, KeyError):
        return str(os.getuid())


def working_folder() -> str | None:
    """The current folder; None if it has been deleted."""
    try:
        return os.getcwd()
    except OSError:
        return None


@functools.cache
def kernel() -> str | None:
    """What distinguishes this start of this machine from every other, alike in all its containers; None if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return next(iter(_output(["sysctl", "-n", "kern.bootsessionuuid"])), "").strip() or None


@functools.cache
def process_space() -> str | None:
    """Where process ids have the meaning that they have here: a container has its own; None if unknown."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def process_started(pid: int) -> float | None:
    """When process ``pid`` of this machine started, in seconds after the machine's boot; None if it is not alive.

    Counted from the boot because setting the clock moves psutil's ``create_time`` and ``boot_time`` alike. A zombie is
    dead: it only waits for its parent.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return round(process.create_time() - psutil.boot_time(), 2)
    except (psutil.Error, ValueError, OverflowError):
        return None


def is_alive(pid: int, started: float | None) -> bool:
    """Whether the process that had this pid and start (see :func:`process_started`) is the one that has it now."""
    now = process_started(pid)
    return now is not None and started is not None and abs(now - started) < _SAME_START_S


def is_here(process: Mapping[str, Any]) -> bool | None:
    """Whether a process is alive that is described as :func:`this_process` does; None where its id means nothing here.

    An id means something in the same container of the same machine, or where only the machine's name is known, on one
    of that name.
    """
    if process.get("kernel") is not None and process.get("process_space") is not None:
        here = (process["kernel"], process["process_space"]) == (kernel(), process_space())
    else:
        here = process.get("host") == socket.gethostname()
    return is_alive(process["pid"], process["process_started"]) if here else None


def this_process(pid: int | None = None) -> dict[str, Any]:
    """What another process needs to know of this one, or of one that it has started: where it is, its id, its start."""
    pid = os.getpid() if pid is None else pid
    return {
        "host": socket.gethostname(), "pid": pid, "process_started": process_started(pid), "kernel": kernel(),
        "process_space": process_space(),
    }  # fmt: skip


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in 2^20 bytes; that of its child processes is not included."""
    if sys.platform == "linux":
        # Not ru_maxrss: on Linux that starts at the size of the process which started this one.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), None)
        if peak is not None:
            return round(int(peak) / 1024, 1)
    if sys.platform == "win32":
        return round(psutil.Process().memory_info().peak_wset / 2**20, 1)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    tool = shutil.which("nvidia-smi")
    return _output([tool, "--query-gpu=name", "--format=csv,noheader"]) if tool else []


def _output(command: list[str]) -> list[str]:
    """Lines that a helper program prints; none when it fails or takes longer than 10 s."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
