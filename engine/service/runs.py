"""Starting, queueing, withdrawing and cancelling runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.schema import Config
from ..config.settings import with_whole_paths
from ..dispatch import backends, runqueue
from ..record.reading import LOCAL, BackendHandle
from .actor import Actor

if TYPE_CHECKING:
    from ..record.runlog import Event
    from ..record.runrecord import RunRecord


def run(
    actor: Actor,
    runs_dir: Path,
    config: Config,
    command: Sequence[str],
    run_id: str | None = None,
    name: str | None = None,
    on_event: Callable[[Event], None] | None = None,
    sweep: str | None = None,
    backend: str = LOCAL,
) -> RunRecord:
    """Run an experiment in this process; its record, which is then in the catalogue.

    Relative paths are made absolute in the current folder. ``backend`` is the name of the backend that started this
    process; it gives the handle for the record.

    Raises InputError as :func:`experiment.pipeline.run_experiment` does, and for an unknown backend.
    """
    from ..experiment.pipeline import run_experiment  # imported here: queueing runs does not need what computes them
    from ..record import catalogue

    runs_by = backends.get(backend)
    handle = BackendHandle(name=backend, handle=runs_by.handle())
    config = with_whole_paths(config)
    with runs_by.starting_up(runs_dir, run_id):
        record = run_experiment(config, runs_dir, command, run_id, name, on_event, sweep, actor.name, handle)
    catalogue.sync(runs_dir)
    return record


def submit(
    actor: Actor,
    runs_dir: Path,
    configs: Sequence[Config],
    names: Sequence[str | None] | None = None,
    sweep: str | None = None,
) -> list[str]:
    """Put runs at the end of the queue, in this order, and ensure that a worker is running; their run ids.

    Relative paths are made absolute in the current folder, which is not the worker's. ``sweep`` is the id that the runs
    of one sweep share. Raises InputError for a name that is too long, before anything is queued, and where nothing can
    be written.
    """
    actor.does("queues", f"{len(configs)} runs")
    configs = [with_whole_paths(config) for config in configs]
    return runqueue.submit(configs, runs_dir, names, sweep, actor.name)


def withdraw(actor: Actor, runs_dir: Path, run_ids: Sequence[str]) -> None:
    """Take runs out of the queue. Raises InputError for those that do not wait (any more), after all others are out."""
    actor.does("withdraws", ", ".join(run_ids))
    runqueue.withdraw(runs_dir, run_ids)


def move_to_front(actor: Actor, runs_dir: Path, run_id: str) -> None:
    """Move a waiting run to the front. Raises InputError for one that does not wait."""
    actor.does("moves to the front", run_id)
    runqueue.move_to_front(runs_dir, run_id)


def set_at_a_time(actor: Actor, runs_dir: Path, number: int) -> None:
    """Set how many queued runs may run at the same time. Raises InputError for a number outside of 1 to 64."""
    actor.does("sets runs at a time to", str(number))
    runqueue.set_at_a_time(runs_dir, number)


def ensure_worker(runs_dir: Path) -> None:
    """Start the queue's worker where runs wait and there is none; this is not an action of an actor."""
    runqueue.ensure_worker(runs_dir)


def work(runs_dir: Path) -> None:
    """Be the queue's worker until nothing waits."""
    from ..dispatch import worker

    worker.work(runs_dir)


def cancel(actor: Actor, runs_dir: Path, run_id: str) -> None:
    """Ask a run to stop; it closes its record as ``cancelled`` when it gets there.

    Raises InputError when the run is not running, or its backend cannot reach it from here.
    """
    actor.does("cancels", run_id)
    backends.cancel(runs_dir, run_id)


def rebuild_catalogue(actor: Actor, runs_dir: Path) -> int:
    """Rebuild the catalogue from the runs' directories; the number of its runs."""
    from ..record import catalogue

    actor.does("rebuilds", "the catalogue")
    return catalogue.rebuild(runs_dir)
