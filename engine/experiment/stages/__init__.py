"""The stages of an experiment, in order: the list that everything else iterates over."""

from __future__ import annotations

from ...config.schema import Config
from .. import metrics
from ..devices import Devices
from ..stage import Source, Stage
from ..stagecache import stage_key
from .alignment import AlignmentStage
from .distance import DistanceStage
from .frame import FrameStage
from .halves import HalfMapsStage, of_second_half
from .particle_reconstruction import ParticleReconstructionStage
from .particle_refinement import ParticleRefinementStage
from .particles import ParticlesStage
from .projections import ProjectionsStage
from .reconstruction import ReconstructionStage
from .recovery import RecoveryStage
from .refinement import RefinementStage
from .training import TrainingStage
from .volume import VolumeStage

_STAGES: list[Stage] = [
    VolumeStage(), ProjectionsStage(), ParticlesStage(), HalfMapsStage(), TrainingStage(), DistanceStage(),
    RecoveryStage(), *map(of_second_half, (TrainingStage(), DistanceStage(), RecoveryStage())),
    AlignmentStage(), ReconstructionStage(), RefinementStage(), FrameStage(), ParticleReconstructionStage(),
    ParticleRefinementStage(),
]  # fmt: skip


def stages() -> tuple[Stage, ...]:
    """All registered stages, in the order in which they run."""
    return tuple(_STAGES)


def register(stage: Stage, after: str | None = None) -> None:
    """Add a stage, after the one of that name or at the end, and its metrics to their registry.

    Raises ValueError for a name that is taken, an unknown stage to follow, and a needed stage that does not come
    earlier.
    """
    names = [known.name for known in _STAGES]
    if stage.name in names:
        raise ValueError(f"a stage named {stage.name!r} is registered already")
    if after is not None and after not in names:
        raise ValueError(f"no stage {after!r} to follow; wanted one of {', '.join(names)}")
    place = len(names) if after is None else names.index(after) + 1
    if missing := set(stage.needs) - set(names[:place]):
        raise ValueError(f"stage {stage.name!r} needs {', '.join(sorted(missing))}, which does not come before it")
    for metric in stage.metrics:
        metrics.register(metric)
    _STAGES.insert(place, stage)


def enabled(config: Config) -> tuple[Stage, ...]:
    """The stages that a run of this experiment goes through."""
    return tuple(stage for stage in _STAGES if stage.enabled(config))


def stages_of(config: Config) -> tuple[str, ...]:
    """The names of the stages that a run of this experiment goes through."""
    return tuple(stage.name for stage in enabled(config))


def stage_keys(
    config: Config, source: Source, environment: object = None, devices: Devices | None = None
) -> dict[str, str]:
    """By stage the key under which its result is cached; two experiments share a result if they share its key.

    ``environment`` is what all results depend on besides the experiment (versions of libraries, the rounding of the
    machine), ``devices`` are those of :mod:`experiment.devices`: both are the same for all experiments of a machine
    with the same ``device``, so they are not needed for comparing two of them.
    """
    keys: dict[str, str] = {}
    for stage in enabled(config):
        inherited = [keys[name] for name in stage.inherits(config) if name in keys]
        if stage.result is not None:
            own = stage.depends_on(config, source)
            used = [config.device if devices is None else devices.get(part) for part in stage.runs_on(config)]
            keys[stage.name] = stage_key(stage.name, stage.version, config.seed, environment, used, inherited, *own)
        elif inherited:  # not cached itself, but later stages depend on its inputs
            keys[stage.name] = stage_key(stage.name, stage.version, config.seed, environment, inherited)
    return keys
