"""The backends by name, and queries about a run whatever its backend."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..base.errors import InputError
from ..record.reading import LOCAL
from ..record.runrecord import is_run, read_run, run_path
from .backend import Backend, StartStatus
from .local import LocalBackend

_BACKENDS: dict[str, Backend] = {LocalBackend.name: LocalBackend()}


def register(backend: Backend) -> None:
    """Add a backend; ValueError for a name that is taken."""
    if backend.name in _BACKENDS:
        raise ValueError(f"a backend named {backend.name!r} is registered already")
    _BACKENDS[backend.name] = backend


def get(name: str = LOCAL) -> Backend:
    """The backend of that name; InputError for an unknown one."""
    if name not in _BACKENDS:
        raise InputError(f"no backend {name!r}; wanted one of {', '.join(_BACKENDS)}")
    return _BACKENDS[name]


def status(runs_dir: Path, run_id: str) -> StartStatus:
    """The state of a start, from the backend that knows it; InputError for an id never started here."""
    for backend in _BACKENDS.values():
        if backend.launched(runs_dir, [run_id]):
            return backend.status(runs_dir, run_id)
    return get().status(runs_dir, run_id)


def launched(runs_dir: Path, run_ids: Collection[str]) -> set[str]:
    """Those of these runs that no longer wait: submitted to a backend, or with a directory of their own."""
    runs_dir = Path(runs_dir)
    here = {run_id for run_id in run_ids if is_run(runs_dir / run_id)}
    return here.union(*(backend.launched(runs_dir, run_ids) for backend in _BACKENDS.values()))


def output(runs_dir: Path, run_id: str) -> str:
    """The output of a run; empty for a run that was not started from here."""
    return next((text for backend in _BACKENDS.values() if (text := backend.output(runs_dir, run_id))), "")


def starting(runs_dir: Path) -> list[str]:
    """Runs that were started and have no directory of their own yet."""
    return [run_id for backend in _BACKENDS.values() for run_id in backend.starting(runs_dir)]


def forget(runs_dir: Path, run_id: str) -> None:
    """Remove the files of the start of a run, whatever its backend."""
    for backend in _BACKENDS.values():
        backend.forget(runs_dir, run_id)


def cancel(runs_dir: Path, run_id: str) -> None:
    """Ask a run to stop. Raises InputError when it is not running, or its backend cannot reach it from here."""
    record = read_run(run_path(Path(runs_dir), run_id))
    if record.status != "running" or record.facts is None:
        raise InputError(f"run {run_id} is not running, it is {record.status}")
    handle = record.facts.executor
    get(handle.name).cancel(Path(runs_dir), run_id, handle)
