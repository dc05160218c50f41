"""Whether a process that works in a folder is alive, whichever machine or container it is on: by its heartbeat.

The process keeps ``alive.json`` in the folder. It holds a lock on it, where the file system has locks, and changes its
time every few seconds. The lock tells of a process that is busy or stopped, and the system takes it back from one that
dies; the time tells where there is no lock. Process ids tell nothing: every container has its own.

No two clocks are compared. The time of the last beat is held against the time that the same file server gives to a file
made now, and who looks again sees for themselves whether it has changed.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from ..base import access, environment
from ..base.files import ASIDE, opened

FILENAME = "alive.json"
BEAT_S = 4.0
"""A living process changes its file this often, whatever it is doing."""
LOST_S = 300.0
"""So long a silence means death where no lock tells: one call into a library may hold up all threads for minutes."""
_START_S = 0.5  # a process waits so long for its lock, and goes on without
_CLOCK_S = 60.0  # how long the difference between two clocks is taken to be the same
_MOST_BYTES = 4096
_MOST_WATCHED = 10_000


class Pulse(NamedTuple):
    """Whether a process is alive; ``certain`` where no later look can find otherwise.

    ``last`` is its last sign of life, in seconds since 1970 by the clock of the file server.
    """

    alive: bool
    certain: bool
    last: float


class Heartbeat:
    """Keeps ``alive.json`` in a folder, from a thread of its own, until it is stopped or the process ends.

    A lock that cannot be had, and a beat that cannot be written, are tried again with every beat: nothing here fails
    or holds up who works. Raises OSError where the file cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / FILENAME, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._locked = False
        self._stopped, self._begun = threading.Event(), threading.Event()
        try:
            self._write()
        except OSError:
            os.close(self._descriptor)
            raise
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()
        self._begun.wait(_START_S)

    def stop(self) -> None:
        """Beat no more, and let the lock go; the file stays."""
        self._stopped.set()
        self._thread.join(_START_S)  # not for ever: it may wait for a file server

    def _beat(self) -> None:
        while True:
            try:
                if not self._locked and access.lock(self._descriptor):
                    self._locked = True
                    self._write()
                self._touch()
            except OSError:
                pass  # a server that is away may be back before anybody takes us for dead
            self._begun.set()
            if self._stopped.wait(BEAT_S):
                break
        os.close(self._descriptor)

    def _touch(self) -> None:
        try:
            os.utime(self._descriptor)
        except OSError:
            self._write()  # some file systems change the time with the content alone

    def _write(self) -> None:
        status = os.fstat(self._descriptor)
        facts = {"kernel": environment.kernel(), "file": [status.st_dev, status.st_ino], "locked": self._locked}
        data = json.dumps(facts).encode()
        os.pwrite(self._descriptor, data, 0)
        os.ftruncate(self._descriptor, len(data))


def pulse(folder: Path, lost_s: float = LOST_S) -> Pulse | None:
    """The pulse of the process that works in a folder; None where it keeps no heartbeat (an older PoseLab's)."""
    path = folder / FILENAME
    try:
        with opened(path) as file:
            status = os.fstat(file.fileno())
            facts = _facts(file.read(_MOST_BYTES))
            if facts.get("locked") is True:
                free = access.lock(file.fileno(), shared=True)
                if free is False:
                    return Pulse(True, True, status.st_mtime)
                here = facts.get("kernel") is not None and facts.get("kernel") == environment.kernel()
                if free and here and facts.get("file") == [status.st_dev, status.st_ino]:
                    return Pulse(False, True, status.st_mtime)
    except (FileNotFoundError, IsADirectoryError):
        return None
    except OSError:
        pass  # it may be another user's, closed to us: its time tells
    return pulse_by_time(path, lost_s)


def pulse_by_time(path: Path, lost_s: float) -> Pulse | None:
    """The pulse of a process that changes a file at least every ``lost_s``; None where there is no such file."""
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        return None
    last, now = stamp / 1e9, time.monotonic()
    watched = _watch(path, stamp, now)
    if watched.changed or now - watched.since >= lost_s:
        return Pulse(watched.changed and now - watched.since < lost_s, False, last)
    return Pulse(_now(path.parent.parent) - last < lost_s, False, last)


def silent(folder: Path, beats: float = 2.5) -> bool:
    """Whether nobody lives in a folder: where one look does not tell, it is watched for some beats.

    True too where no heartbeat is kept.
    """
    first = latest = pulse(folder)
    if latest is not None and latest.alive and _now(folder.parent) - latest.last > -LOST_S:
        return False
    until = time.monotonic() + beats * BEAT_S
    while latest is not None and first is not None and latest.last == first.last:
        if latest.certain or time.monotonic() > until:
            return True
        time.sleep(BEAT_S / 20)
        latest = pulse(folder)
    return latest is None


class _Watched(NamedTuple):
    """A file's time, when (monotonic) it was first seen to have it, whether it was seen to have another before."""

    stamp: int
    since: float
    changed: bool


_watching: dict[Path, _Watched] = {}
_clocks: dict[Path, tuple[float, float]] = {}
_one_at_a_time = threading.Lock()


def _watch(path: Path, stamp: int, now: float) -> _Watched:
    with _one_at_a_time:
        before = _watching.get(path)
        if before is None or before.stamp != stamp:
            if len(_watching) >= _MOST_WATCHED:
                _watching.clear()
            before = _watching[path] = _Watched(stamp, now, before is not None and stamp > before.stamp)
        return before


def _now(folder: Path) -> float:
    """Now, by the clock of the file server that has the folder; by our own where no file can be made there."""
    ahead, asked = _clocks.get(folder, (0.0, -_CLOCK_S))
    if time.monotonic() - asked >= _CLOCK_S:
        try:
            with tempfile.TemporaryFile(dir=folder, prefix=ASIDE) as probe:
                ahead = os.fstat(probe.fileno()).st_mtime - time.time()
        except OSError:
            ahead = 0.0
        _clocks[folder] = ahead, time.monotonic()
    return time.time() + ahead


def _facts(data: bytes) -> dict[str, Any]:
    """What the process wrote; nothing where that is being written, or is not ours."""
    try:
        facts = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
