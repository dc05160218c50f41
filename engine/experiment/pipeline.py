"""The pipeline: runs the stages of an experiment in order, records their results, reuses earlier ones.

A stage's result is stored under a key computed from everything that it depends on: settings, density, seed, the results
of earlier stages, the versions of the libraries that compute it. A later run that differs only in later stages reuses
it, records ``reused``, and continues from the same numbers.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ..base import environment, isolation
from ..base.errors import InputError
from ..base.files import saying_full_disk
from ..base.randomness import stream
from ..config.history import SCIENCE
from ..config.numeric import check_frame, volume_of
from ..config.schema import Config
from ..imaging import symmetric_density
from ..imaging.volume import Volume
from ..record.reading import BackendHandle
from ..record.runlog import Event, RunWriter
from ..record.runrecord import RunRecord, read_run
from . import estimate, stagecache
from .devices import Devices, devices_of
from .kept_network import KeptNetwork, find_network, require_size
from .stack_input import Stack, map_for, read_stack
from .stack_source import StackSource
from .stage import Context, Source, Stage
from .stages import enabled, stage_keys
from .training_volumes import TrainingVolumes, load_training_volumes

_KEY_PACKAGES = (
    "astra", "finufft", "keras", "ml-dtypes", "nvidia", "numpy", "scikit-learn", "scipy", "tensorflow", "tf-nightly",
)  # fmt: skip
"""How the names of the distributions begin that compute results; TensorFlow comes under several."""


@dataclass(frozen=True)
class Inputs:
    """What is loaded before a run has a directory, volumes and perhaps a network, and remarks on it for the log."""

    volume: Volume
    training_volumes: TrainingVolumes | None
    remarks: tuple[str, ...]
    stack: Stack | None = None
    network: KeptNetwork | None = None

    def source(self) -> Source:
        """What keys and costs depend on."""
        volume, others = self.volume, self.training_volumes
        return Source(
            volume.fingerprint, volume.diagonal, volume.density.size, volume.voxel_size,
            () if others is None else others.identities, stack=None if self.stack is None else self.stack.source(),
            network="" if self.network is None else self.network.digest,
        )  # fmt: skip


def run_experiment(
    config: Config,
    runs_dir: Path,
    command: Sequence[str],
    run_id: str | None = None,
    name: str | None = None,
    on_event: Callable[[Event], None] | None = None,
    sweep: str | None = None,
    launched_by: str | None = None,
    backend: BackendHandle | None = None,
) -> RunRecord:
    """Run an experiment from density to metrics and leave its record in ``runs_dir``.

    Wrong input is detected before a run directory is made. Environment variables of libraries have no effect, see
    :mod:`base.isolation`.

    Raises
    ------
    InputError
        before the run, for a device that is not there, a volume or the network of another run that cannot be used, or
        an experiment that does not fit into memory; during the run, for a training that diverges, a full disk and the
        like, after the record has been closed as failed.
    """
    started = time.monotonic()
    with isolation.ignoring_environment(), isolation.steady_threads():
        devices = devices_of(config)
        inputs = load_inputs(config, runs_dir)
        loading = time.monotonic() - started
        with RunWriter.create(
            runs_dir, config, command, run_id, name, on_event, started, sweep, launched_by, backend, devices
        ) as run:
            run.seconds["volume"] = round(loading, 3)
            _describe(inputs, config, run)
            with saying_full_disk(run.path):
                metrics = _execute(config, inputs, devices, run)
            run.finish(metrics)
    return read_run(run.path)


def load_inputs(config: Config, runs_dir: Path | None = None) -> Inputs:
    """The volumes of an experiment, and its network where that is of another run in ``runs_dir``.

    InputError where one cannot be used, or the experiment does not fit into memory.
    """
    network = find_network(config, runs_dir)
    inputs = _simulated_inputs(config) if config.particles.source is None else _particle_inputs(config)
    if network is not None:
        require_size(network, config, inputs.source().frame(config))
    return replace(inputs, network=network)


def _simulated_inputs(config: Config) -> Inputs:
    volume = volume_of(config.volume)
    check_frame(config.projections, volume)
    require_memory(config, volume)
    remarks: list[str] = []
    others = None
    if config.distance.method == "siamese":
        others = load_training_volumes(config, volume, remarks.append)
    return Inputs(volume, others, tuple(remarks))


def _particle_inputs(config: Config) -> Inputs:
    """Those of an experiment on recorded particles, the map on the grid of their pixels."""
    stack = read_stack(config)
    volume, remarks = map_for(stack, config.volume)
    require_memory(config, volume, stack.source())
    return Inputs(volume, None, (*stack.remarks, *remarks), stack)


def require_memory(config: Config, volume: Volume, stack: StackSource | None = None) -> None:
    """InputError when the experiment would need more memory than there is."""
    source = Source(volume.name, volume.diagonal, volume.density.size, volume.voxel_size, stack=stack)
    needed = estimate.memory_bytes(config, source)
    available = psutil.virtual_memory().available
    if needed > available:
        stages = [stage for stage in enabled(config) if stage.memory_keys]
        largest = max(stages, key=lambda stage: stage.cost(config, source).memory_bytes)
        settings = config
        if stack is None:
            settings = config.model_copy(
                update={"projections": config.projections.model_copy(update={"size": source.frame(config)})}
            )
        remedy = " or ".join(f"{key} ({attrgetter(key)(settings)})" for key in largest.memory_keys)
        raise InputError(
            f"this experiment needs about {needed / 1e9:,.1f} GB of memory and {available / 1e9:,.1f} GB are free; "
            f"lower {remedy}"
        )


def _describe(inputs: Inputs, config: Config, run: RunWriter) -> None:
    volume, has_map = inputs.volume, config.volume.source is not None
    nz, ny, nx = volume.density.shape
    if has_map:
        run.log(f"volume {volume.name}: {nx} x {ny} x {nz} voxels of {volume.voxel_size:.4g} Å")
    others = () if inputs.training_volumes is None else inputs.training_volumes.warnings
    doubts = () if inputs.stack is None else inputs.stack.doubts
    for line in (*volume.warnings, *others, *doubts):
        run.warn(line)
    for line in inputs.remarks:
        run.log(line)
    symmetry = config.volume.symmetry
    if not has_map:
        return
    if remark := symmetric_density.remark(volume.density, volume.center_index, symmetry, "volume.symmetry"):
        (run.warn if remark.doubtful else run.log)(remark.text)


def _execute(config: Config, inputs: Inputs, devices: Devices, run: RunWriter) -> dict[str, Any]:
    """All stages; the metrics."""
    keys = stage_keys(config, inputs.source(), _environment(), devices)
    context = Context(
        config, inputs.volume, inputs.training_volumes, lambda purpose: stream(config.seed, purpose), run,
        devices=devices, stack=inputs.stack, network=inputs.network,
    )  # fmt: skip
    metrics: dict[str, Any] = {}
    unrepeatable: set[str] = set()
    for stage in enabled(config):
        if stage.name == "volume":
            continue  # it was loaded before the run had a directory
        if stage.needs_truth and not context.true_poses_are_known:
            run.log(f"{stage.name} is skipped: it needs the true poses, which are not known")
            continue
        here = replace(context, key=keys.get(stage.name, ""), second=stage.second)
        shared = not unrepeatable & set(stage.inherits(config))
        with run.stage(stage.name) as reporting:
            result = _result(stage, here, reporting.progress, shared)
            reported = stage.report(here, result)
            stage.keep(here, result)
        if not (shared and stage.repeatable(result)):
            unrepeatable.add(stage.name)
        metrics |= _declared(stage, reported)
        context = replace(context, results={**context.results, stage.name: result})
    return metrics


def _result(stage: Stage, context: Context, progress: Any, shared: bool) -> Any:
    """The stage's result, from the cache or computed and stored there; its files are in the run's directory.

    ``shared``: it is made of what another run of the same experiment would make it of, so that it can be another's.
    """
    if stage.result is None or not shared:
        return _computed(stage, context, progress)
    run, key = context.record, context.key
    folder = run.path.parent
    cached = stagecache.load(folder, stage.name, key)
    if cached is not None:
        run.reused(stage.name)
        for filename in stage.files:
            with run.writing(filename) as path:
                shutil.copyfile(cached.files[filename], path)
        return stage.unpack(cached.arrays, context)
    result = _computed(stage, context, progress)
    if stage.repeatable(result):
        files = {name: run.path / name for name in stage.files}
        stagecache.store(folder, stage.name, key, stage.pack(result), files=files)
    return result


def _computed(stage: Stage, context: Context, progress: Any) -> Any:
    """The stage's result, of finite numbers: from others only more of them would follow, or a traceback."""
    try:
        result = stage.run(context, progress)
    except np.linalg.LinAlgError as error:
        raise InputError(
            f"{stage.name}: linear algebra found no solution ({error}); look at the results of the stages before it"
        ) from error
    if stage.finite:
        arrays = stage.pack(result)
        with np.errstate(all="ignore"):
            wrong = [name for name in stage.finite if not np.isfinite(np.sum(arrays.get(name, 0.0), dtype=np.float64))]
        if wrong:
            raise InputError(
                f"{stage.name}: {', '.join(wrong)} hold numbers that are not finite; some value of the density, the "
                "noise or the training is too large or too small to be counted with"
            )
    return result


def _declared(stage: Stage, reported: dict[str, Any]) -> dict[str, Any]:
    """The metrics themselves; a programming error where a stage reports what it has not declared."""
    declared = {metric.name for metric in stage.metrics}
    if unknown := reported.keys() - declared:
        raise RuntimeError(f"stage {stage.name!r} reports {sorted(unknown)}, which are not among its metrics")
    return reported


def _environment() -> object:
    """What all results depend on beside the experiment: code, versions of libraries, how this machine rounds."""
    versions = {name.lower().replace("_", "-"): version for name, version in environment.packages().items()}
    computing = {name: version for name, version in versions.items() if name.startswith(_KEY_PACKAGES)}
    return [SCIENCE, computing, isolation.arithmetic()]
