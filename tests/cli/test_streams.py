"""Terminals and pipes of every kind: what cannot be shown, nobody who reads, streams that are closed, a full disk."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from engine.config.schema import Config
from engine.record.runlog import RunWriter
from tests.cli.test_main import QUICK

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ENGINE = f"{shlex.quote(sys.executable)} -m engine"
HARD = "größe Å – 蛋白质"
"""What no ASCII terminal shows."""


@pytest.fixture
def run_id(runs_dir: Path) -> str:
    with RunWriter.create(runs_dir, Config(), ["engine"], name=HARD) as run:
        run.fail(HARD)
    return run.run_id


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", line], cwd=ROOT, capture_output=True, check=False, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "utf-16"},
    ],
    ids=str,
)
def test_what_a_terminal_cannot_show_is_written_out(run_id, environment):
    done = shell(f"{ENGINE} runs show {run_id}", **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    encoding = environment.get("PYTHONIOENCODING", "utf-8" if len(environment) == 1 else "ascii")
    assert HARD.encode(encoding, "backslashreplace").removeprefix(b"\xff\xfe") in done.stdout


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-", "| true", "|& true"])
def test_nobody_need_listen(run_id, closed):
    done = shell(f"set -o pipefail; {ENGINE} runs show {run_id} {closed}")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a file that is always full")
def test_a_full_disk_under_the_output_is_said_in_a_line(run_id):
    done = shell(f"{ENGINE} runs show {run_id} > /dev/full")
    assert (done.returncode, done.stderr) == (2, b"error: No space left on device\n")


def test_a_run_whose_reader_leaves_goes_on(tmp_path):
    arguments = shlex.join([*QUICK, "--runs-dir", str(tmp_path)])
    done = shell(f"set -o pipefail; {ENGINE} run {arguments} 2>&1 >/dev/null | head -n 1")
    assert done.returncode == 0
    (result,) = tmp_path.glob("2*/result.json")
    assert json.loads(result.read_bytes())["status"] == "finished"


BAD = b"caf\xe9"
PROGRAM = """
import json, os, sys
sys.path.insert(0, {root!r})
from engine.base import streams
from engine.cli.main import main
streams.prepare()
for arguments in json.loads(sys.argv[1]):
    print("==", main([os.fsdecode(bytes.fromhex(word)) for word in arguments]))
    print("==", file=sys.stderr)
"""
COMMANDS = [
    [BAD], ["run", b"--" + BAD], ["run", "--set", b"volume.source=" + BAD + b".mrc"], ["run", "--set", BAD],
    ["run", "--set", b"training.volumes=" + BAD + b".mrc"], ["run", BAD + b".toml"], ["run", b"none" + BAD],
    ["sweep", BAD], ["sweep", "--study", BAD], ["sweep", "--vary", b"volume.source=['" + BAD + b"', 'b']"],
    ["sweep", "--vary", "seed=[1, 2]", "--dry-run", "--runs-dir", BAD], ["queue", "list", "--runs-dir", BAD],
    ["queue", "set", BAD], ["queue", "set", "2", "--runs-dir", BAD], ["queue", "withdraw", BAD],
    ["queue", "work", "--runs-dir", BAD], ["runs", "list", "--runs-dir", BAD],
    ["runs", "list", "--json", "--runs-dir", BAD],
    ["runs", "rebuild", "--runs-dir", BAD], ["runs", "show", BAD], ["runs", "export", BAD, BAD],
    *(["runs", word, BAD] for word in ("archive", "restore", "delete")),
    ["generate", "-in", BAD + b".mrc", "-num", "2", "-out", BAD + b".h5"],
    ["generate", "-in", BAD + b".mrc", "-num", "2", "-out", BAD + b".mat"],
    ["generate", "-in", BAD + b".mrc", "-num", "2", "-out", BAD + b".mrcs"],
    ["generate", "-in", "a.mrc", "-out", BAD + b"/a.h5"], ["generate", "-conf", BAD + b".config"],
    ["generate", BAD, "-in", "a", "-out", "b"], ["generate", "-in", "a.mrc", "-out", "a.h5", "--sampling", BAD],
]  # fmt: skip


def test_names_that_are_no_utf8_on_any_command_are_one_line_or_work(tmp_path, toy_density):
    import mrcfile

    mrcfile.write(tmp_path / os.fsdecode(BAD + b".mrc"), toy_density, voxel_size=2.5)
    (tmp_path / os.fsdecode(BAD + b".toml")).write_text("[volume]\nsource = 'nothing.mrc'\n")
    words = [[(w.encode() if isinstance(w, str) else w).hex() for w in command] for command in COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(root=str(ROOT)), json.dumps(words)],
        cwd=tmp_path, capture_output=True, check=False, env={**os.environ, "POSELAB_RUNS_DIR": str(tmp_path / "runs")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    statuses = [int(line[3:]) for line in done.stdout.splitlines() if line.startswith(b"== ")]
    messages = done.stderr.split(b"==\n")[:-1]
    assert len(statuses) == len(messages) == len(COMMANDS)
    for command, status, errors in zip(COMMANDS, statuses, messages, strict=True):
        assert status in (0, 2), command
        assert b"Traceback" not in errors, command
        if status == 2:
            assert errors.startswith(b"error: "), command
            assert errors.count(b"\n") == 1, command
    written = {name for name in os.listdir(os.fsencode(tmp_path)) if name.startswith(BAD)}
    assert {BAD + b".h5", BAD + b".mat"} <= written
    assert BAD + b".mrcs" not in written, "its .star could not name it"


def test_a_run_is_recorded_in_a_folder_whose_name_is_no_utf8(tmp_path):
    folder = os.fsencode(tmp_path) + b"/" + BAD
    for command in (["run", *QUICK, "--name", BAD], ["runs", "list"]):
        done = subprocess.run(
            [sys.executable, "-m", "engine", *command, "--runs-dir", folder], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"finished" in done.stdout
