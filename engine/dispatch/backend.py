"""The interface of backends, which run experiments: local processes today. A second one is one file with such a class,
and an entry in :mod:`dispatch.backends`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from ..base.errors import InputError
from ..config.schema import Config
from ..record.reading import BackendHandle


class StartError(InputError):
    """A backend could not start a run."""


class StartStatus(NamedTuple):
    """``starting``, ``started`` (the run's directory is there) or ``failed`` (with its last output)."""

    state: Literal["starting", "started", "failed"]
    message: str = ""


@dataclass(frozen=True)
class Launch:
    """A run to be started: an experiment, and the facts for its record."""

    config: Config
    name: str | None = None
    sweep: str | None = None
    launched_by: str | None = None


class Backend(ABC):
    """Runs experiments. The record of each is a directory in ``runs_dir``, whichever backend runs it.

    A backend starts the command line's ``run`` with ``--backend NAME``: the run's own process asks
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
        """The state of a start, until the run has its own directory; InputError for an id never started here."""

    @abstractmethod
    def cancel(self, runs_dir: Path, run_id: str, handle: BackendHandle) -> None:
        """Ask a running run to stop; it closes its own record. Raises InputError where it cannot be reached."""

    @abstractmethod
    def output(self, runs_dir: Path, run_id: str) -> str:
        """The output of the run; empty for an unknown run."""

    @abstractmethod
    def handle(self) -> dict[str, Any]:
        """The handle by which the run in this process can be reached: plain values, such as a cluster's job number.

        Called in the run's own process.
        """

    def starting_up(self, runs_dir: Path, run_id: str | None) -> AbstractContextManager[None]:
        """Entered by the run's own process while it has no record yet: others may then see that it lives."""
        return nullcontext()

    @abstractmethod
    def launched(self, runs_dir: Path, run_ids: Collection[str]) -> set[str]:
        """Those of these runs that were submitted to it and can no longer be started or withdrawn."""

    @abstractmethod
    def starting(self, runs_dir: Path) -> list[str]:
        """Runs that were started and have no directory of their own yet."""

    @abstractmethod
    def forget(self, runs_dir: Path, run_id: str) -> None:
        """Remove the files of the start of a run, if any."""

    @abstractmethod
    def prune(self, runs_dir: Path) -> None:
        """Remove the files of starts that are no longer needed."""

    def counts(self, handle: BackendHandle) -> bool:
        """Whether a running run with this handle counts towards the limit of runs at a time: any of its own."""
        return handle.name == self.name
