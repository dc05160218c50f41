"""What runs an experiment: local processes today. A second one is one file with such a class, and an entry in
:mod:`dispatch.backends`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from ..base.errors import InputError
from ..config.schema import Config
from ..record.runrecord import BackendHandle


class StartError(InputError):
    """A backend would not start a run."""


class StartStatus(NamedTuple):
    """``starting``, ``started`` (the run's directory is there) or ``failed`` (and what it printed last)."""

    state: Literal["starting", "started", "failed"]
    message: str = ""


@dataclass(frozen=True)
class Launch:
    """What is to be started: an experiment, and what its record is to say about it."""

    config: Config
    name: str | None = None
    sweep: str | None = None
    launched_by: str | None = None


class Backend(ABC):
    """Runs experiments somewhere. The record of each is a directory in ``runs_dir``, whoever runs it.

    What a backend starts is the command line's ``run`` with ``--backend NAME``: the run's own process asks
    :meth:`handle` and writes it into the record, for :meth:`cancel` of any other process.
    """

    name: ClassVar[str]

    @abstractmethod
    def submit(self, launch: Launch, runs_dir: Path, run_id: str | None = None) -> str:
        """Start a run, at once; its run id.

        A start with a given ``run_id`` that was cut short may be repeated: of two runs with the same id only one can
        make its directory. Raises InputError when nothing can be written, StartError when nothing can be started.
        """

    @abstractmethod
    def status(self, runs_dir: Path, run_id: str) -> StartStatus:
        """What became of a start, until the run's own directory tells; InputError for an id never started here."""

    @abstractmethod
    def cancel(self, runs_dir: Path, run_id: str, handle: BackendHandle) -> None:
        """Ask a running run to stop; it closes its own record. Raises InputError where it cannot be reached."""

    @abstractmethod
    def output(self, runs_dir: Path, run_id: str) -> str:
        """What the run has printed; empty where nothing is known of it."""

    @abstractmethod
    def handle(self) -> dict[str, Any]:
        """What finds the run again that this very process makes: plain values, such as the number of a cluster's job.

        Asked in the run's own process.
        """

    @abstractmethod
    def launched(self, runs_dir: Path, run_ids: Collection[str]) -> set[str]:
        """Those of these runs that it has been given: nobody may start or withdraw them any more."""

    @abstractmethod
    def starting(self, runs_dir: Path) -> list[str]:
        """Runs that were started and have no directory of their own yet."""

    @abstractmethod
    def forget(self, runs_dir: Path, run_id: str) -> None:
        """Remove what the start of a run has left behind, if anything."""

    @abstractmethod
    def prune(self, runs_dir: Path) -> None:
        """Remove what starts have left behind and nobody needs any more."""

    def counts(self, handle: BackendHandle) -> bool:
        """Whether a running run with this handle is one of those of which so many may run at a time: any of its own."""
        return handle.name == self.name
