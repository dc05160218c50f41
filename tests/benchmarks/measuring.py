"""Runs of the engine as a user would start them, measured from outside; and results that outlive a killed benchmark."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from engine.base import environment
from engine.base.files import writing
from engine.record.runrecord import default_runs_dir

_SHOWN_PACKAGES = ("numpy", "scipy", "finufft", "astra-toolbox", "tensorflow", "keras", "aspire")
_TIMEOUT_S = 7200.0
_PUBLISHED_MAP = Path(__file__).parents[3] / "shared" / "data" / "5j0n.mrc"

Result = dict[str, Any]


@dataclass(frozen=True)
class Store:
    """Finished measurements in a folder, one JSON file each, so that a benchmark that was killed goes on."""

    folder: Path

    def get(self, name: str, settings: Sequence[str]) -> Result | None:
        """The measurement of this name, if it was made with these very settings."""
        path = self.path(name)
        if not path.exists():
            return None
        kept = json.loads(path.read_text(encoding="utf-8"))
        return kept["result"] if kept["settings"] == list(settings) else None

    def put(self, name: str, settings: Sequence[str], result: Result) -> None:
        """Keep a measurement in place of an earlier one of its name."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(path) as aside:
            aside.write_text(json.dumps({"settings": list(settings), "result": result}), encoding="utf-8")

    def path(self, name: str, ending: str = ".json") -> Path:
        """Where a measurement's file of some kind is."""
        return self.folder / "measured" / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', name)}{ending}"


def run_engine(settings: Sequence[str], log: Path, runs_dir: Path, environ: Mapping[str, str] | None = None) -> Result:
    """Run ``python -m engine run --json`` with settings; its result with wall and CPU seconds of the child process.

    Progress goes to the file ``log``. A run that fails has ``status`` other than ``finished`` and says why in
    ``message``. ``environ`` is the child's environment, this process's when not given.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "engine", "run", "--json", "--runs-dir", str(runs_dir)]
    command += [part for setting in settings for part in ("--set", setting)]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with log.open("w", encoding="utf-8") as stderr:
        try:
            child = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=_TIMEOUT_S, env=environ
            )
            output, exit_status = child.stdout, child.returncode
        except subprocess.TimeoutExpired:
            output, exit_status = "", None
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        **_outcome(output, exit_status, log),
        "wall_s": wall,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        **facts(),
    }


def facts() -> Result:
    """When, where and with what something is measured: the columns that every table ends with."""
    hardware, git = environment.hardware(), environment.git_state(environment.PROJECT_ROOT)
    installed = environment.packages()
    versions = {name: installed[name] for name in _SHOWN_PACKAGES if name in installed}
    commit = (git["commit"][:10] + ("+" if git["dirty"] else "")) if git else ""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": ", ".join([hardware["cpu"], *hardware["gpus"]]),
        "cores": hardware["cores"],
        "versions": " ".join(
            [f"poselab {environment.engine_version()}", f"python {sys.version.split()[0]}"]
            + [f"{name} {version}" for name, version in versions.items()]
        ),
        "commit": commit,
    }


def default_volume() -> str:
    """The published map where it lies beside the project, else the built-in protein."""
    return os.path.relpath(_PUBLISHED_MAP) if _PUBLISHED_MAP.exists() else "1bd2"


def default_folder(benchmark: str) -> Path:
    """Where a benchmark leaves its results when it is not told."""
    return default_runs_dir() / "benchmarks" / benchmark


def use_cores(count: int | None) -> None:
    """Keep this process, its threads and its children on so many cores, where the system can (Linux)."""
    threads = Path("/proc/self/task")
    if count is None or not threads.is_dir():
        return
    cores = sorted(os.sched_getaffinity(0))[:count]
    for thread in threads.iterdir():  # libraries have started some already
        os.sched_setaffinity(int(thread.name), cores)


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; NaN for the latter of fewer than two."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def say(text: str) -> None:
    """A line of progress."""
    print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def _outcome(output: str, exit_status: int | None, log: Path) -> Result:
    if exit_status is None:
        return {"status": "failed", "message": f"not done after {_TIMEOUT_S:.0f} s", "metrics": {}}
    try:
        summary: Mapping[str, Any] = json.loads(output)
    except json.JSONDecodeError:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        reason = lines[-1].removeprefix("error: ") if lines else f"exit status {exit_status}"
        return {"status": "failed", "message": reason, "metrics": {}}
    return dict(summary)
