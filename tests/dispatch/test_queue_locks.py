"""The queue where several users, or file systems without locks, share it."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from engine.base.errors import InputError
from engine.config.settings import config_from_dict
from engine.dispatch import queuefiles, runqueue
from engine.dispatch.queuefiles import CHANGES, FOLDER, WORKER, locked
from engine.record import life


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system has none, for this process."""

    def without(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without)


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runqueue, "ensure_worker", lambda runs_dir: None)


def held(tmp_path: Path, name: str = WORKER) -> bool:
    with locked(tmp_path, name, wait_s=0) as ours:
        return ours


@pytest.mark.usefixtures("no_locks")
def test_without_locks_one_is_the_worker_and_another_follows_it(tmp_path):
    with locked(tmp_path, WORKER, wait_s=0) as ours:
        assert ours
        assert not held(tmp_path)
        assert held(tmp_path, CHANGES), "another lock"
    assert held(tmp_path)
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == [CHANGES, WORKER]


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_dead_worker_is_followed_by_another(tmp_path):
    place = tmp_path / FOLDER / f"{WORKER}.held"
    place.mkdir(parents=True)
    assert not held(tmp_path), "it was made just now"
    (place / life.FILENAME).write_text("{}")
    os.utime(place / life.FILENAME, (time.time() - 3600, time.time() - 3600))
    with locked(tmp_path, WORKER, wait_s=5) as ours:
        assert ours


@pytest.mark.usefixtures("no_locks", "no_worker")
def test_without_locks_changes_go_one_by_one(tmp_path):
    threads = [
        threading.Thread(target=runqueue.submit, args=([config_from_dict({"seed": seed})], tmp_path))
        for seed in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waiting = runqueue.waiting(tmp_path)
    assert sorted(run.config.seed for run in waiting) == list(range(6))
    assert len({job.order for _, job, _ in queuefiles.jobs(tmp_path)}) == 6, "each came after the one before"
    runqueue.withdraw(tmp_path, [run.run_id for run in waiting])
    assert runqueue.waiting(tmp_path) == []


def test_who_holds_the_queue_for_ever_is_waited_for_no_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(queuefiles, "_PATIENCE_S", 0.2)
    with locked(tmp_path, CHANGES, wait_s=0) as ours:
        assert ours
        with pytest.raises(InputError, match=r"held by another process for 0\.2 s"):
            runqueue.submit([config_from_dict({})], tmp_path)


@pytest.mark.usefixtures("no_worker")
def test_the_queue_is_everybodys_who_may_write_the_folder(two_users):
    folder, become = two_users
    become(54001)
    first, second = runqueue.submit([config_from_dict({"seed": seed}) for seed in (1, 2)], folder)
    assert held(folder)
    become(54002)
    assert held(folder)
    (third,) = runqueue.submit([config_from_dict({"seed": 3})], folder)
    runqueue.move_to_front(folder, third)
    runqueue.set_at_a_time(folder, 2)
    runqueue.withdraw(folder, [first])
    assert [run.run_id for run in runqueue.waiting(folder)] == [third, second]
    assert sorted(path.name for path in (folder / FOLDER).iterdir() if path.is_dir()) == sorted([second, third])
    become(54001)
    runqueue.set_at_a_time(folder, 3)
    runqueue.withdraw(folder, [third, second])


@pytest.mark.usefixtures("no_worker")
def test_a_queue_of_an_older_version_says_whose_it_is(two_users):
    folder, become = two_users
    become(54001)
    (folder / FOLDER).mkdir()
    for name in (WORKER, CHANGES):
        (folder / FOLDER / name).touch()
    (folder / FOLDER).chmod(0o755)
    become(54002)
    assert held(folder), "a lock can be had of a file that can only be read"
    with pytest.raises(InputError, match=f"Permission denied; {folder / FOLDER} belongs to user 54001"):
        runqueue.submit([config_from_dict({})], folder)
    become(54001)
    (folder / FOLDER / CHANGES).chmod(0o600)
    become(54002)
    with pytest.raises(InputError, match=f"Permission denied; {folder / FOLDER / CHANGES} belongs to user 54001"):
        runqueue.submit([config_from_dict({})], folder)
