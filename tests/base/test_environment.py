from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engine.base import environment

ROOT = Path(__file__).parents[2]


def test_peak_memory_is_this_process_own() -> None:
    ballast = b"x" * (200 << 20)  # a child must not be charged with its parent's memory
    script = (
        "from engine.base.environment import peak_memory_mb as p; a = p(); x = b'x' * (150 << 20); del x; print(a, p())"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert len(ballast) == 200 << 20
    assert before < 150
    assert after - before == pytest.approx(150, abs=10)


def test_git_state_is_that_of_the_project_or_none(tmp_path: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git here")

    def run(*words: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        command = [str(git), "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert environment.git_state(tmp_path) is None
    run("init", "-q")
    assert environment.git_state(tmp_path) is None  # no commit yet
    (tmp_path / "a").write_text("a")
    run("add", "a")
    run("commit", "-qm", "a")
    commit = run("rev-parse", "HEAD").strip()
    assert environment.git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "a").write_text("b")
    assert environment.git_state(tmp_path) == {"commit": commit, "dirty": True}
    (tmp_path / "below").mkdir()
    assert environment.git_state(tmp_path / "below") is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a system that binds processes to cores")
def test_cores_are_those_that_the_process_may_use() -> None:
    script = (
        "import os\n"
        "from engine.base import environment\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "print(environment.hardware()['cores'])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_hardware_names_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    hardware = environment.hardware()
    assert hardware["gpus"] == ["NVIDIA H100"]
    assert hardware["memory_gb"] * 2**30 == pytest.approx(psutil.virtual_memory().total, rel=0.05)
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert environment.hardware()["gpus"] == []
