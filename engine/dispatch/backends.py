"""The backends by name, and questions about a run whatever backend it has."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..base.errors import InputError
from ..record.runrecord import LOCAL, read_run, run_path
from .backend import Backend, StartStatus
from .local import LocalBackend

_BACKENDS: dict[str, Backend] = {LocalBackend.name: LocalBackend()}


def register(backend: Backend) -> None:
    """Add a backend; ValueError for a name that is taken."""
    if backend.name in _BACKENDS:
        raise ValueError(f"a backend named {backend.name!r} is registered already")
    _BACKENDS[backend.name] = backend


def get(name: str = LOCAL) -> Backend:
    """The backend of that name; InputError for one that this PoseLab does not have."""
    if name not in _BACKENDS:
        raise InputError(f"no backend {name!r}; wanted one of {', '.join(_BACKENDS)}")
    return _BACKENDS[name]


def status(runs_dir: Path, run_id: str) -> StartStatus:
    """What became of a start: of the backend that knows of it, or InputError for an id never started here."""
    for backend in _BACKENDS.values():
        if backend.launched(runs_dir, [run_id]):
            return backend.status(runs_dir, run_id)
    return get().status(runs_dir, run_id)


def launched(runs_dir: Path, run_ids: Collection[str]) -> set[str]:
    """Those of these runs that wait no more: a backend has been given them, or they have a directory of their own."""
    runs_dir = Path(runs_dir)
    here = {run_id for run_id in run_ids if (runs_dir / run_id).is_dir()}
    return here.union(*(backend.launched(runs_dir, run_ids) for backend in _BACKENDS.values()))


def output(runs_dir: Path, run_id: str) -> str:
    """What a run has printed; empty for a run that was not started from here."""
    return next((text for backend in _BACKENDS.values() if (text := backend.output(runs_dir, run_id))), "")


def starting(runs_dir: Path) -> list[str]:
    """Runs that were started and have no directory of their own yet."""
    return [run_id for backend in _BACKENDS.values() for run_id in backend.starting(runs_dir)]


def forget(runs_dir: Path, run_id: str) -> None:
    """Remove what the start of a run has left behind, whichever backend that was."""
    for backend in _BACKENDS.values():
        backend.forget(runs_dir, run_id)


def cancel(runs_dir: Path, run_id: str) -> None:
    """Ask a run to stop. Raises InputError when it is not running, or its backend cannot reach it from here."""
    record = read_run(run_path(Path(runs_dir), run_id))
    if record.status != "running" or record.facts is None:
        raise InputError(f"run {run_id} is not running, it is {record.status}")
    handle = record.facts.executor
    get(handle.name).cancel(Path(runs_dir), run_id, handle)
