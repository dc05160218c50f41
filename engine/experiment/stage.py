"""The interface of a stage. Pipeline, estimate, cache, console, record and Run page iterate over one list of them.

A stage is one file in :mod:`experiment.stages`. Numerical modules are imported inside :meth:`Stage.run`, so that
command line and pages, which only list stages and estimate their cost, start quickly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..base.metric import Metric
from ..base.progress import Progress
from ..config.schema import Config
from ..record.arrays import Shape
from . import packing
from .stack_source import StackSource

if TYPE_CHECKING:
    from ..imaging.volume import Volume
    from ..record.runlog import RunWriter
    from .kept_network import KeptNetwork
    from .stack_input import Stack
    from .training_volumes import TrainingVolumes

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Source:
    """What an experiment starts from, as far as keys and costs depend on it: known without running anything.

    Attributes
    ----------
    volume
        a text that is the same only for equal volumes.
    diagonal, voxels
        the volume's, in voxels.
    voxel_size
        in Å.
    training_volumes
        the same as ``volume`` for each of ``training.volumes``.
    signal_variance
        of the volume's clean projections: relates a noise variance to the SNR. It affects costs, never keys.
    stack
        of recorded particles; None for simulations.
    network
        a text that is the same only for equal networks, of the run in ``training.model``; empty without.
    """

    volume: str
    diagonal: int
    voxels: int
    voxel_size: float
    training_volumes: tuple[str, ...] = ()
    signal_variance: float = 1.0
    stack: StackSource | None = None
    network: str = ""

    def frame(self, config: Config) -> int:
        """Width in pixels of the images whose poses are recovered."""
        if self.stack is not None:
            return self.stack.size
        return config.projections.size or self.diagonal

    def count(self, config: Config) -> int:
        """The number of images whose poses are recovered."""
        return config.projections.count if self.stack is None else self.stack.count


@dataclass(frozen=True)
class Cost:
    """Seconds of wall time on two CPU cores (AMD EPYC, otherwise idle), and bytes of memory that the stage holds."""

    seconds: float
    memory_bytes: float = 0.0


@dataclass(frozen=True)
class Artefact:
    """A file that a stage leaves in the run's directory; of an ``.npz`` also what its arrays look like, by name."""

    filename: str
    description: str
    arrays: Mapping[str, Shape] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a stage is given to run: the experiment, the results of earlier stages by name, and its record.

    ``stream`` gives the experiment's generator for a purpose, ``key`` is that of the stage's own result, ``devices``
    say where what runs (:mod:`experiment.devices`). ``stack`` are the recorded particles, if it is of such; ``volume``
    is then on the grid of their pixels, and turns about voxel n // 2; ``second``: the stage is of their second half
    set. ``network`` is that of an earlier run, if the experiment trains none.
    """

    config: Config
    volume: Volume
    training_volumes: TrainingVolumes | None
    stream: Callable[[str], np.random.Generator]
    record: RunWriter
    results: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    devices: Mapping[str, str] = field(default_factory=dict)
    stack: Stack | None = None
    second: bool = False
    network: KeptNetwork | None = None

    def __getitem__(self, stage: str) -> Any:
        """The result of an earlier stage; KeyError where it was left out."""
        return self.results[stage]

    @property
    def frame(self) -> int:
        """Width in pixels of the images whose poses are recovered."""
        if self.stack is not None:
            return self.stack.size
        return self.config.projections.size or self.volume.diagonal

    @property
    def half(self) -> int:
        """The half set of particles whose poses are estimated by what the other one taught; 0 for all, by the map."""
        particles = self.config.particles
        if self.stack is None or self.config.training.on == "reference":
            return 0
        return int(particles.half) if particles.half != "both" else 1 + self.second

    def of_half(self, stage: str) -> Any:
        """The result of an earlier stage of this half."""
        return self[second_half(stage) if self.second else stage]

    @property
    def volume_is_known(self) -> bool:
        """Whether there is a map to compare reconstructions with: that of a simulation, or one given with particles."""
        return self.true_poses_are_known if self.stack is None else self.config.volume.source is not None

    @property
    def true_poses_are_known(self) -> bool:
        """Whether the images were simulated; those that came with recorded ones are a reference, not the truth."""
        return self.stack is None and self["projections"].truth is not None

    @property
    def network_size(self) -> int:
        """Width in pixels of the images that the network sees."""
        return min(self.config.training.image_size, self.frame)


def second_half(name: str) -> str:
    """The name of a stage, or of a file, of the second half set where the first has one of its own."""
    stem, point, ending = name.partition(".")
    return f"{stem}_half2{point}{ending}"


class Stage(ABC):
    """One step of an experiment. Its result is a frozen dataclass of arrays and numbers.

    Attributes
    ----------
    name
        under which it is recorded, estimated, cached and listed.
    version
        incremented when a code change alters its results.
    needs
        earlier stages whose results :meth:`run` reads, and whose keys enter its own.
    needs_truth
        whether it is skipped, which is logged, where the true poses are not known.
    result
        the class of its result; None for a stage that is never cached.
    finite
        which arrays of its result, by the names that :meth:`pack` gives them, hold finite numbers alone: with others
        the run ends.
    files
        files in the run's directory that belong to its result and are cached with it.
    metrics
        what :meth:`report` may report.
    artefacts
        what :meth:`keep` leaves in the run's directory.
    depends_on_frame
        whether its cost depends on the size of the projections.
    memory_keys
        the keys by which it takes less memory.
    second
        whether it is of the second half set of particles, each of which is estimated by what the other one taught.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ()
    needs_truth: ClassVar[bool] = False
    result: ClassVar[type | None] = None
    finite: ClassVar[tuple[str, ...]] = ()
    files: ClassVar[tuple[str, ...]] = ()
    metrics: ClassVar[tuple[Metric, ...]] = ()
    artefacts: ClassVar[tuple[Artefact, ...]] = ()
    depends_on_frame: ClassVar[bool] = False
    memory_keys: ClassVar[tuple[str, ...]] = ("projections.count", "projections.size")
    second: bool = False

    def file(self, name: str) -> str:
        """The name of a file that it leaves: one of its own for a second half set."""
        return second_half(name) if self.second else name

    def enabled(self, config: Config) -> bool:
        """Whether an experiment has this stage."""
        return True

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """What its result depends on beyond seed, libraries and the results that it :meth:`inherits`: plain values."""
        return ()

    def inherits(self, config: Config) -> tuple[str, ...]:
        """Earlier stages whose keys are part of its own: of those it needs, the ones that this experiment has."""
        return self.needs

    def runs_on(self, config: Config) -> tuple[str, ...]:
        """What of :mod:`experiment.devices` makes its result: the device is part of its key."""
        return ()

    def repeatable(self, result: Any) -> bool:
        """Whether the same experiment gives this result again; one that it would not give is never used for another."""
        return True

    @abstractmethod
    def cost(self, config: Config, source: Source) -> Cost:
        """Expected time and memory."""

    def longest(self, config: Config, source: Source) -> float:
        """Seconds after which it is cut short, whatever the machine; infinite where it never is."""
        return float("inf")

    @abstractmethod
    def run(self, context: Context, progress: Progress) -> Any:
        """Compute the result."""

    def report(self, context: Context, result: Any) -> dict[str, Any]:
        """The metrics of a result, computed or reused; those that need the truth only where it is known."""
        return {}

    def keep(self, context: Context, result: Any) -> None:  # noqa: B027 - a stage may have nothing to keep
        """Write the artefacts of a result, computed or reused, to the run's directory, and log remarks on it."""

    def pack(self, result: Any) -> dict[str, np.ndarray]:
        """The result as arrays, for the cache."""
        return packing.pack(result)

    def unpack(self, arrays: Arrays, context: Context) -> Any:
        """The result from its arrays."""
        assert self.result is not None
        return packing.unpack(self.result, arrays)
