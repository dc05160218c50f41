"""How long an experiment will take and how much memory it needs, before it is run.

Each stage multiplies its work (pixels, steps, pairs) with the time per unit measured on two CPU cores (AMD EPYC,
otherwise idle) with the default experiment: :meth:`experiment.stage.Stage.cost`. Finished runs of this machine correct
that, stage by stage. The stages that two experiments have in common follow from the keys under which the pipeline
caches results, so that the estimate expects exactly the reuse that will happen.
"""

from __future__ import annotations

import socket
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..config.schema import Config, VolumeConfig
from ..config.settings import config_from_dict
from .kept_network import find_network, require_size
from .stack_source import StackSource
from .stage import Source
from .stages import enabled, stage_keys
from .training_volumes import training_identities

START = "start"
"""The time before the first stage, which a run's record does not include: starting Python, loading libraries."""
_START_S = 2.0
_PUBLISHED = Source("not available", 116, 69 * 57 * 75, 3.667)
_RECENT = 20  # runs that a correction is taken from
_LEAST_S = 0.05  # a stage measured or expected to be quicker is no measure of the machine: start-up dominates it
_EVERYTHING_LOADED_BYTES = 250e6

Row = Mapping[str, Any]
Identify = Callable[[VolumeConfig], Source | None]
IdentifyStack = Callable[[Config], StackSource | None]
UNREAD = StackSource("not available", "", "", 10_000, 128, 6.4)
"""What is assumed of a stack of particles that cannot be read."""


@dataclass(frozen=True)
class Estimate:
    """Seconds in total and by stage (in the run's order, :data:`START` first), and the largest number of bytes.

    ``runs`` is the number of finished runs of this machine that it is based on; with 0 it is based on another machine.
    """

    seconds: float
    by_stage: dict[str, float]
    memory_bytes: float
    runs: int = 0


@dataclass(frozen=True)
class Total:
    """Several runs one after the other: seconds in total, bytes of the largest.

    ``assumed`` are the volumes that are not on this machine, for which the published frame of 116 pixels was assumed,
    ``unread`` the tables of particles that cannot be read, for which :data:`UNREAD` was.
    """

    seconds: float
    memory_bytes: float
    runs: int
    assumed: tuple[str, ...] = field(default=())
    unread: tuple[str, ...] = field(default=())


def estimate(config: Config, source: Source, history: Sequence[Row] = ()) -> Estimate:
    """Expected time and memory of one experiment with no stage reused.

    ``history`` are rows of the catalogue; those of finished runs of this machine are used.
    """
    corrections, runs = _corrections(config, source, history)
    by_stage = {
        name: round(seconds * corrections.get(name, 1.0), 2) for name, seconds in _seconds(config, source).items()
    }
    for stage in enabled(config):
        by_stage[stage.name] = min(by_stage[stage.name], stage.longest(config, source))
    return Estimate(round(sum(by_stage.values()), 1), by_stage, memory_bytes(config, source), runs)


def total(
    configs: Iterable[Config],
    history: Sequence[Row] = (),
    identify: Identify | None = None,
    identify_stack: IdentifyStack | None = None,
    runs_dir: Path | None = None,
) -> Total:
    """Expected time of these experiments, one after the other: a stage that two have in common is computed once.

    Nothing is downloaded; see :attr:`Total.assumed`. ``identify`` gives the source of a volume, None where it is not
    on this machine, ``identify_stack`` that of a configuration's particles; for callers that keep them in memory.
    ``runs_dir`` is where runs whose networks are applied are looked for.

    Raises InputError for a network of another run that cannot be applied.
    """
    sources: dict[VolumeConfig, Source | None] = {}
    known: dict[tuple[Config, Source], Estimate] = {}
    seconds, memory, runs = 0.0, 0.0, 0
    computed: set[str] = set()

    def source_of(volume: VolumeConfig) -> Source | None:
        if volume not in sources:
            sources[volume] = (identify or at_hand)(volume)
        return sources[volume]

    volumes: dict[str, bool] = {}
    unread: set[str] = set()
    for config in configs:
        own = source_of(config.volume)
        if config.volume.source is not None:
            volumes[config.volume.source] = own is not None
        source = own or replace(_PUBLISHED, volume=f"not available: {config.volume.model_dump_json()}")
        if config.particles.source is not None:
            stack = (identify_stack or stack_at_hand)(config)
            if stack is None:
                unread.add(config.particles.source)
            source = replace(source, stack=stack or UNREAD)
        source = replace(source, training_volumes=_training_sources(config, source, source_of))
        if (network := find_network(config, runs_dir)) is not None:
            if source.stack is not None or own is not None:
                require_size(network, config, source.frame(config))
            source = replace(source, network=network.digest)
        alike = config.model_copy(update={"seed": 0})  # which changes neither time nor memory
        if (alike, source) not in known:
            known[alike, source] = estimate(alike, source, history)
        expected, keys = known[alike, source], stage_keys(config, source)
        cached = {stage.name for stage in enabled(config) if stage.result is not None}
        for stage, spent in expected.by_stage.items():
            if stage not in cached or keys[stage] not in computed:
                seconds += spent
        computed |= {keys[stage] for stage in cached}
        memory, runs = max(memory, expected.memory_bytes), max(runs, expected.runs)
    assumed = tuple(sorted(source for source, here in volumes.items() if not here))
    return Total(round(seconds, 1), memory, runs, assumed, tuple(sorted(unread)))


def memory_bytes(config: Config, source: Source) -> float:
    """The most memory that the experiment needs: no stage releases its memory before the end."""
    return _EVERYTHING_LOADED_BYTES + sum(stage.cost(config, source).memory_bytes for stage in enabled(config))


def at_hand(volume: VolumeConfig) -> Source | None:
    """The source of a volume; None for one that would have to be downloaded first, or cannot be read."""
    from ..config.numeric import is_at_hand, volume_of

    try:
        if volume.source is None or not is_at_hand(volume):
            return None
        loaded = volume_of(volume)
    except InputError:
        return None
    return Source(loaded.fingerprint, loaded.diagonal, loaded.density.size, loaded.voxel_size)


def stack_at_hand(config: Config) -> StackSource | None:
    """What the particles of a configuration are like, from their table; None where it cannot be read."""
    from .stack_input import read_stack

    try:
        return read_stack(config).source()
    except InputError:
        return None


def _training_sources(config: Config, source: Source, source_of: Identify) -> tuple[str, ...]:
    if config.distance.method != "siamese" or config.particles.source is not None:
        return ()

    def fingerprint(volume: VolumeConfig) -> str:
        known = source_of(volume)
        return f"not available: {volume.model_dump_json()}" if known is None else known.volume

    return training_identities(config, source.voxel_size, fingerprint)


def _seconds(config: Config, source: Source) -> dict[str, float]:
    """Seconds by stage on the machine that the module's docstring names."""
    return {START: _START_S} | {stage.name: stage.cost(config, source).seconds for stage in enabled(config)}


def _corrections(config: Config, source: Source, history: Sequence[Row]) -> tuple[dict[str, float], int]:
    """By stage, the median ratio of measured to expected seconds on this machine; and the number of runs."""
    ratios: dict[str, list[float]] = {}
    used = 0
    for row in history:
        if used == _RECENT:
            break
        if row["status"] != "finished" or row["host"] != socket.gethostname():
            continue
        try:
            before = config_from_dict(row["config"])
        except InputError:
            continue  # of another version
        if before.particles.source is None and config.particles.source is None:
            same_frame = before.projections.size is not None or before.volume == config.volume
        elif before.particles == config.particles:
            same_frame = True
        else:
            continue  # its images are others, in a number that its record does not have
        expected = _seconds(before, replace(source, signal_variance=1.0))
        used += 1
        of_frame = {stage.name for stage in enabled(before) if stage.depends_on_frame}
        for stage, seconds in row["seconds"].items():
            comparable = same_frame or stage not in of_frame
            if stage not in expected or stage in row["reused"] or not comparable:
                continue
            if min(seconds, expected[stage]) >= _LEAST_S:
                ratios.setdefault(stage, []).append(seconds / expected[stage])
    return {stage: statistics.median(several) for stage, several in ratios.items()}, used
