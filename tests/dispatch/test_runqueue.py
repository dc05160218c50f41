from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from engine.base import access, environment
from engine.base.errors import InputError
from engine.config.schema import Config
from engine.config.settings import config_from_dict
from engine.dispatch import local, queuefiles, runqueue, worker
from engine.dispatch.backend import Launch
from engine.record.runlog import RunWriter
from engine.record.runrecord import read_run

ROOT = Path(__file__).parents[2]
LOCAL = local.LocalBackend()
AN_ID = "20260102-030405-1bd2-0a1b2c"

# Stands in for ``python -m engine``: its own parser and worker, no experiment. The seed says what a run does.
STAND_IN = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
del sys.modules["engine"]
import os, time
from engine.base import access, environment
from engine.cli.main import _parser
from engine.config.settings import load_config
from engine.base.errors import InputError
from engine.dispatch import worker
from engine.record.runlog import RunWriter
given = _parser().parse_args()
project = Path({project!r})
if given.command.__name__ == "_work":
    environment.PROJECT_ROOT = project
    worker.work(given.runs_dir)
    sys.exit()
config = load_config(given.config)
if config.seed == 13:
    sys.exit("error: volume.source is 'nowhere'; wanted a volume\\n")
try:
    run = RunWriter.create(
        given.runs_dir, config, sys.argv, given.run_id, given.name, sweep=given.sweep, launched_by=given.launched_by
    )
except InputError as error:
    sys.exit(f"error: {{error}}")
with run, (project / "began.txt").open("a") as began:
    began.write(given.run_id + "\\n")
    began.flush()
    until = time.monotonic() + 10
    while config.seed == 60 and not (project / "go").exists() and time.monotonic() < until:
        time.sleep(0.02)
    run.finish({{}})
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The runs directory of a project whose command line is the stand-in; nothing of it is left alive."""
    project = tmp_path / "project"
    (project / "engine").mkdir(parents=True)
    (project / "engine" / "__init__.py").touch()
    (project / "engine" / "__main__.py").write_text(STAND_IN.format(root=str(ROOT), project=str(project)))
    shutil.copy(ROOT / "pyproject.toml", project)
    monkeypatch.setattr(environment, "PROJECT_ROOT", project)
    yield project / "runs"
    for process in ours(project):
        process.kill()


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runqueue, "ensure_worker", lambda runs_dir: None)


def ours(project: Path, word: str = "") -> list[psutil.Process]:
    """Processes that work for this project and have the word in their command line."""
    result = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if any(str(project) in part for part in line) and word in " ".join(line) and "engine" in line:
            result.append(process)
    return result


def config(seed: int) -> Config:
    return config_from_dict({"seed": seed})


def submit(project: Path, seeds: Sequence[int]) -> list[str]:
    return runqueue.submit([config(seed) for seed in seeds], project)


def began(project: Path) -> list[str]:
    path = project.parent / "began.txt"
    return path.read_text().split() if path.exists() else []


def let_go(project: Path) -> None:
    (project.parent / "go").touch()


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def all_finished(project: Path, run_ids: Sequence[str]) -> bool:
    return all((project / run_id / "result.json").exists() for run_id in run_ids)


def place(project: Path) -> list[str]:
    return [run.run_id for run in runqueue.waiting(project)]


# Without a worker ---------------------------------------------------------------------------------------------------


def test_what_is_submitted_waits_in_order(project: Path, no_worker: None) -> None:
    configs = [
        config_from_dict({"seed": seed, "projections": {"coverage": [[0, 9], [0, 9], [0, 9]]}}) for seed in (1, 2)
    ]
    begun = time.time()
    first = runqueue.submit(configs, project, ["<b>one</b>\n", None], sweep="noise-1")
    second = submit(project, [3])
    waiting = runqueue.waiting(project)
    assert [run.run_id for run in waiting] == first + second
    assert [run.position for run in waiting] == [1, 2, 3]
    assert [run.name for run in waiting] == ["<b>one</b>", None, None]
    assert [run.sweep for run in waiting] == ["noise-1", "noise-1", None]
    assert [run.config for run in waiting] == [*configs, config(3)]
    assert {run.launched_by for run in waiting} == {environment.user()}
    assert begun - 1 <= waiting[0].submitted.timestamp() <= time.time()
    assert runqueue.find(project, first[1]) == waiting[1]
    assert runqueue.find(project, AN_ID) is None


def test_the_order_changes_and_runs_are_withdrawn(project: Path, no_worker: None) -> None:
    a, b, c, d = submit(project, [1, 2, 3, 4])
    runqueue.move_to_front(project, c)
    assert place(project) == [c, a, b, d]
    runqueue.move_to_front(project, d)
    runqueue.withdraw(project, [a, c])
    assert place(project) == [d, b]
    (e,) = submit(project, [5])
    assert place(project) == [d, b, e]
    with pytest.raises(InputError, match=f"{a} is not waiting in the queue"):
        runqueue.withdraw(project, [a, b])
    assert place(project) == [d, e]
    with pytest.raises(InputError, match=f"{b} is not waiting"):
        runqueue.move_to_front(project, b)
    for call in (runqueue.move_to_front, lambda folder, run_id: runqueue.withdraw(folder, [run_id])):
        with pytest.raises(InputError, match="is not a run id"):
            call(project, "../" + AN_ID)
    assert not [path for path in (project / runqueue.FOLDER).iterdir() if path.is_dir() and path.name not in (d, e)]


def test_submitting_is_checked_before_anything_is_queued(project: Path, no_worker: None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name has 201 characters"):
        runqueue.submit([config(1), config(2)], project, ["fine", "x" * 201])
    assert runqueue.waiting(project) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write to the runs directory .*file/runs"):
        submit(tmp_path / "file" / "runs", [1])
    assert runqueue.waiting(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_of_a_thousand_queued_runs_each_is_read_once(project: Path, no_worker: None) -> None:
    run_ids = submit(project, range(1000))
    assert len(set(run_ids)) == 1000
    assert place(project) == run_ids
    read = queuefiles._read_once.cache_info().misses
    assert place(project) == run_ids
    assert queuefiles._read_once.cache_info().misses == read


def test_broken_entries_are_told_of_and_left_aside(project: Path, no_worker: None) -> None:
    a, b, c, d = submit(project, [1, 2, 3, 4])
    folder = project / runqueue.FOLDER
    (folder / a / "job.json").write_text('{"order": 1, "na')
    (folder / b / "config.toml").write_text("[projections]\ncuont = 5\n")
    (folder / c / "job.json").unlink()
    assert place(project) == [d]
    problems = runqueue.problems(project)
    assert set(problems) == {a, b, c}
    assert problems[a].startswith(f"queued run {a} is skipped: its job.json is damaged")
    assert "the nearest known one is 'projections.count'" in problems[b]
    assert "its job.json is missing" in problems[c]
    runqueue.withdraw(project, [a, b, c])
    assert runqueue.problems(project) == {}
    assert place(project) == [d]


def test_the_number_at_a_time_is_kept(project: Path) -> None:
    assert runqueue.at_a_time(project) == 1
    runqueue.set_at_a_time(project, 3)
    assert runqueue.at_a_time(project) == 3
    for number in (0, 65):
        with pytest.raises(InputError, match=f"{number} runs at a time; wanted 1 to 64"):
            runqueue.set_at_a_time(project, number)
    (project / runqueue.FOLDER / "settings.json").write_text('{"at_a_time": "many"}')
    assert runqueue.at_a_time(project) == 1


# With one -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_runs_go_one_after_the_other_and_the_worker_leaves(project: Path) -> None:
    run_ids = runqueue.submit([config(seed) for seed in (3, 2, 1)], project, ["c", "b", "--json a"], sweep="s-1")
    wait_for(lambda: all_finished(project, run_ids))
    assert began(project) == run_ids
    records = [read_run(project / run_id) for run_id in run_ids]
    assert [record.name for record in records] == ["c", "b", "--json a"]
    assert {record.sweep for record in records} == {"s-1"}
    for before, after in itertools.pairwise(records):
        assert before.ended <= after.created
    wait_for(lambda: not ours(project.parent))
    assert runqueue.waiting(project) == []
    (again,) = submit(project, [7])
    wait_for(lambda: all_finished(project, [again]))


@pytest.mark.slow
def test_two_run_at_a_time_if_asked_for(project: Path) -> None:
    runqueue.set_at_a_time(project, 2)
    run_ids = submit(project, [60, 60, 60])
    wait_for(lambda: len(began(project)) == 2)
    time.sleep(1)
    assert began(project) == run_ids[:2] or began(project) == run_ids[1::-1]
    assert place(project) == run_ids[2:]
    let_go(project)
    wait_for(lambda: all_finished(project, run_ids))
    assert sorted(began(project)) == sorted(run_ids)


@pytest.mark.slow
def test_a_run_that_somebody_else_started_counts(project: Path) -> None:
    other = RunWriter.create(project, config(1), ["python", "-m", "engine", "run"])
    run_ids = submit(project, [2])
    wait_for(lambda: ours(project.parent, "queue"))
    time.sleep(2)
    assert place(project) == run_ids
    other.finish({})
    wait_for(lambda: all_finished(project, run_ids))


@pytest.mark.slow
def test_a_start_that_fails_leaves_a_record_and_the_queue_goes_on(project: Path) -> None:
    bad, good = submit(project, [13, 1])
    wait_for(lambda: all_finished(project, [bad, good]))
    record = read_run(project / bad)
    assert (record.status, record.message) == ("failed", "volume.source is 'nowhere'; wanted a volume")
    assert "volume.source is 'nowhere'" in (record.path / "log.txt").read_text()
    assert record.config == config(13)
    assert read_run(project / good).status == "finished"


@pytest.mark.slow
def test_a_killed_worker_loses_and_doubles_nothing(project: Path) -> None:
    run_ids = submit(project, [1, 2, 60, 3, 4])
    for number in (1, 3):
        wait_for(lambda n=number: len(began(project)) >= n)
        for process in ours(project.parent, "queue"):
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        runqueue.ensure_worker(project)
    let_go(project)
    wait_for(lambda: all_finished(project, run_ids))
    assert began(project) == run_ids
    assert {read_run(project / run_id).status for run_id in run_ids} == {"finished"}


@pytest.mark.slow
@pytest.mark.parametrize("step", ["before the process", "before it is written down", "before it is out of the queue"])
def test_a_start_that_was_cut_short_is_taken_up(project: Path, no_worker: None, step: str) -> None:
    (run_id,) = submit(project, [60])
    LOCAL.submit(Launch(config(60)), project, run_id)
    if step == "before the process":
        (process,) = (one for one in ours(project.parent, run_id))
        process.kill()
        shutil.rmtree(project / run_id, ignore_errors=True)
        (project.parent / "began.txt").unlink(missing_ok=True)
    if step != "before it is out of the queue":
        (project / local.FOLDER / run_id / local.PROCESS).unlink()
    working = threading.Thread(target=worker.work, args=(project,))
    working.start()
    let_go(project)
    wait_for(lambda: all_finished(project, [run_id]))
    working.join(30)
    assert not working.is_alive()
    assert began(project) == [run_id]
    assert read_run(project / run_id).status == "finished"
    assert not (project / runqueue.FOLDER / run_id).exists()


@pytest.mark.slow
def test_of_two_workers_one_works(project: Path, no_worker: None) -> None:
    run_ids = submit(project, [60, 1, 2])
    command = [sys.executable, "-m", "engine", "queue", "work", "--runs-dir", str(project)]
    workers = [subprocess.Popen(command, cwd=project.parent) for _ in range(2)]
    wait_for(lambda: any(process.poll() is not None for process in workers))
    assert [process.poll() for process in workers].count(None) == 1
    assert not all_finished(project, run_ids)
    let_go(project)
    assert [process.wait(60) for process in workers] == [0, 0]
    wait_for(lambda: all_finished(project, run_ids))
    assert began(project) == run_ids


@pytest.mark.slow
def test_a_broken_entry_does_not_stop_the_others_nor_hold_the_worker(project: Path, no_worker: None) -> None:
    broken, good = submit(project, [1, 2])
    (project / runqueue.FOLDER / broken / "job.json").write_text("[]")
    worker.work(project)
    wait_for(lambda: all_finished(project, [good]))
    assert began(project) == [good]
    assert len(runqueue.problems(project)) == 1


@pytest.mark.slow
def test_a_file_system_without_locks_has_a_queue_too(
    project: Path, no_worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "lock", lambda descriptor, shared=False: None)
    run_ids = submit(project, [1, 2])
    worker.work(project)
    wait_for(lambda: all_finished(project, run_ids))
    assert began(project) == run_ids


def test_no_worker_is_started_for_nothing(project: Path) -> None:
    runqueue.ensure_worker(project)
    assert not project.exists()
    assert ours(project.parent) == []


@pytest.mark.slow
def test_traces_of_finished_starts_are_removed(project: Path, no_worker: None) -> None:
    finished, failed = submit(project, [1, 13])
    worker.work(project)
    wait_for(lambda: all_finished(project, [finished, failed]))
    LOCAL.prune(project)
    assert [path.name for path in (project / local.FOLDER).iterdir()] == [failed]
    assert "nowhere" in LOCAL.output(project, failed)
    long_ago = time.time() - 31 * 86400
    os.utime(project / local.FOLDER / failed, (long_ago, long_ago))
    LOCAL.prune(project)
    assert list((project / local.FOLDER).iterdir()) == []


def test_starts_of_another_machine_are_believed_in_for_a_while(project: Path) -> None:
    folder = project / local.FOLDER / AN_ID
    folder.mkdir(parents=True)
    process = {"pid": 1, "process_started": 1.0, "host": "elsewhere"}
    (folder / local.PROCESS).write_text(json.dumps(process))
    assert LOCAL.status(project, AN_ID).state == "starting"
    assert LOCAL.starting(project) == [AN_ID]
    long_ago = time.time() - 3600
    os.utime(folder / local.PROCESS, (long_ago, long_ago))
    assert LOCAL.status(project, AN_ID).state == "failed"
    (folder / local.PROCESS).write_text("{")
    assert LOCAL.status(project, AN_ID).message.startswith("process.json is damaged: Invalid JSON")


def test_the_app_and_the_worker_stay_light() -> None:
    script = "import sys, engine.dispatch.worker; print({'tensorflow', 'duckdb', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
