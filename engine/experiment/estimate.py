"""How long an experiment will take and how much memory it needs, before it is run.

The work of each stage is counted (pixels, steps, pairs) and multiplied with what a unit of it took on two CPU cores
(AMD EPYC, calm) with the default experiment. Runs that this machine has finished correct that, stage by stage.
"""

from __future__ import annotations

import socket
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import InputError
from ..config.schema import FEWEST_STEPS, MOST_STEPS, SLOWEST_STEPS_PER_SECOND, TRAINING_START_S, Config, VolumeConfig
from ..config.settings import config_from_dict, config_to_dict
from ..geometry.symmetry import group
from ..io.sources import expand, is_random
from .stages import stages_of

START = "start"
"""The time before the first stage, which a run's record does not count: starting Python, loading libraries."""
_PUBLISHED_FRAME = (116, 69 * 57 * 75)
_RECENT = 20  # runs that a correction is taken from
_LEAST_S = 0.05  # a stage quicker than this says nothing about the machine
_EVERYTHING_LOADED = {False: 250e6, True: 900e6}  # bytes, without and with TensorFlow

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """Seconds in all and by stage (in the run's order, :data:`START` first), and bytes at most.

    ``runs`` is how many finished runs of this machine it rests on; with 0 it rests on another machine's.
    """

    seconds: float
    by_stage: dict[str, float]
    memory_bytes: float
    runs: int = 0


@dataclass(frozen=True)
class Total:
    """Several runs one after the other: seconds in all, bytes of the largest.

    ``assumed`` are the volumes that are not at hand, for which the published frame of 116 pixels was assumed.
    """

    seconds: float
    memory_bytes: float
    runs: int
    assumed: tuple[str, ...] = field(default=())


def estimate(
    config: Config, diagonal: int, voxels: int, history: Sequence[Row] = (), signal_variance: float = 1.0
) -> Estimate:
    """Expected time and memory of one experiment, none of whose stages was computed before.

    ``diagonal`` (pixels) and ``voxels`` are the volume's, ``signal_variance`` is that of its clean projections, which
    says what a noise variance means. ``history`` are rows of the catalogue; those of finished runs of this machine are
    used.
    """
    work = _work(config, diagonal, signal_variance)
    corrections, runs = _corrections(config, diagonal, history)
    by_stage = {stage: round(seconds * corrections.get(stage, 1.0), 2) for stage, seconds in work.items()}
    if "training" in by_stage:  # it is cut short in time, on a slow machine too
        most = longest_training(config, _steps(config, diagonal, signal_variance)) + _making_proteins(config)
        by_stage["training"] = min(by_stage["training"], most)
    return Estimate(round(sum(by_stage.values()), 1), by_stage, memory_bytes(config, diagonal, voxels), runs)


def total(
    configs: Iterable[Config],
    history: Sequence[Row] = (),
    frame: Callable[[VolumeConfig], tuple[int, int] | None] | None = None,
) -> Total:
    """Expected time of these experiments, one after the other: a stage that two have in common is computed once.

    Nothing is downloaded; see :attr:`Total.assumed`. ``frame`` gives diagonal and number of voxels of a volume, or None
    where it is not at hand, to who keeps volumes in memory.
    """
    frames: dict[VolumeConfig, tuple[int, int] | None] = {}
    known: dict[Config, Estimate] = {}
    seconds, memory, runs = 0.0, 0.0, 0
    computed: set[str] = set()
    for config in configs:
        if config.volume not in frames:
            frames[config.volume] = (frame or _frame)(config.volume)
        alike = config.model_copy(update={"seed": 0})  # which changes neither time nor memory
        if alike not in known:
            known[alike] = estimate(alike, *(frames[config.volume] or _PUBLISHED_FRAME), history)
        found = known[alike]
        stages = _stage_keys(config)
        seconds += sum(time for stage, time in found.by_stage.items() if stages.get(stage) not in computed)
        computed |= set(stages.values())
        memory, runs = max(memory, found.memory_bytes), max(runs, found.runs)
    assumed = tuple(sorted(volume.source for volume, frame in frames.items() if frame is None))
    return Total(round(seconds, 1), memory, runs, assumed)


def memory_bytes(config: Config, diagonal: int, voxels: int) -> float:
    """The most memory that the experiment needs; ``diagonal`` and ``voxels`` of its volume."""
    size = config.projections.size or diagonal
    count = config.projections.count
    images = 4 * 4 * count * size**2  # clean, noisy, standardised and one temporary copy, float32
    pairs = 100 * _pairs(count)  # indices, distances and the work space of a gradient
    learned = config.distance.method == "siamese"
    training = 3 * 4 * config.training.projections * min(config.training.image_size, size) ** 2 if learned else 0
    return _EVERYTHING_LOADED[learned] + images + pairs + training + 16 * 4 * voxels


def training_steps(noise_to_signal: float, shift_to_frame: float) -> int:
    """Steps of a training that does not say how many: noise and shifts are both averaged over steps.

    ``noise_to_signal`` is the ratio of variances in the network's pixels, ``shift_to_frame`` the largest shift over the
    frame's width. From what was seen on 5J0N: without either, 1,800 steps give distances to 0.005 rad; at a noise of
    2.6 times the signal's variance, and at shifts of up to a sixth of the frame, the error still falls after 5,000.
    """
    hardness = min(1.0, noise_to_signal / 2 + 6 * shift_to_frame)
    return round(FEWEST_STEPS + (MOST_STEPS - FEWEST_STEPS) * hardness)


def longest_training(config: Config, steps: int) -> float:
    """Seconds after which a training of so many steps is cut short."""
    return config.training.max_seconds or TRAINING_START_S + steps / SLOWEST_STEPS_PER_SECOND


def _pairs(count: int) -> int:
    from ..poses.pairs import MOST_PAIRS  # only here: scikit-learn comes with it

    return min(count * (count - 1) // 2, MOST_PAIRS)


def _steps(config: Config, diagonal: int, signal_variance: float) -> int:
    projections, size = config.projections, config.projections.size or diagonal
    ratio = size / min(config.training.image_size, size)
    noise = projections.noise_variance or 0.0
    noise_to_signal = 1 / projections.snr if projections.snr is not None else noise / signal_variance
    shift_to_frame = projections.max_shift / size
    return config.training.steps or training_steps(noise_to_signal / ratio**2, shift_to_frame)


def _work(config: Config, diagonal: int, signal_variance: float) -> dict[str, float]:
    """Seconds by stage on the machine that the module's text names."""
    size, count = config.projections.size or diagonal, config.projections.count
    network, learned = min(config.training.image_size, size) ** 2, config.distance.method == "siamese"
    pairs, pixels = _pairs(count), count * size**2
    used = min(pairs, count * config.recovery.pairs_per_projection) if config.recovery.pairs != "all" else pairs
    found = {START: 2.0, "volume": 0.1, "projections": 0.05 + 1e-7 * pixels, "alignment": 0.1}
    if learned:
        training = config.training
        noisy = config.projections.noise_variance or config.projections.snr
        step = 2.8e-7 * training.batch_size * network
        step *= 1 + 0.4 * bool(noisy) + 0.4 * (config.projections.max_shift > 0)
        shown = training.projections + training.validation_projections
        found["training"] = 10 + 1e-7 * shown * network + step * _steps(config, diagonal, signal_variance)
        found["training"] += _making_proteins(config)
        found["distance"] = 0.4 + 1.5e-7 * count * network + 1e-6 * pairs
    elif config.distance.method == "euclidean":
        found["distance"] = 1e-7 * 1000 * size**2 + 2e-11 * pairs * size**2
    else:
        found["distance"] = 1e-8 * pairs
    found["recovery"] = _recovering(config, pairs, used)
    found["reconstruction"] = 0.2 + 1.6e-8 * pixels * config.reconstruction.iterations
    found["refinement"] = 0.025 * count * (size / 116) ** 2 * config.refinement.iterations / 3
    return {stage: found[stage] for stage in (START, *stages_of(config))}


def _recovering(config: Config, pairs: int, used: int) -> float:
    settings, count = config.recovery, config.projections.count
    order = len(group(config.volume.symmetry))
    if order > 1:
        return 5 + 1.2e-6 * pairs * order
    descents = 3 if settings.calibrate and config.distance.method != "exact" else 1
    start = {
        "spectral": 0.0, "mds": 3.6e-10 * count**3, "isomap": 1.25e-9 * count**3,
        "random": 5e-5 * count * settings.restarts,
    }[settings.initialisation]  # fmt: skip
    return 0.9 + start + 0.7e-6 * used * descents * min(1.0, settings.max_iterations / 50)


def _making_proteins(config: Config) -> float:
    """Random proteins are made anew for each training, and not on its clock."""
    return 0.4 * sum(is_random(source) for source in expand(config.training.volumes))


def _corrections(config: Config, diagonal: int, history: Sequence[Row]) -> tuple[dict[str, float], int]:
    """By stage, the median of what this machine took over what :func:`_work` says; from how many runs."""
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
            continue  # another version's
        same_frame = before.projections.size is not None or before.volume == config.volume
        work = _work(before, before.projections.size or diagonal, 1.0)
        used += 1
        for stage, seconds in row["seconds"].items():
            framed = stage in ("projections", "reconstruction", "refinement")
            if stage in work and seconds >= _LEAST_S and stage not in row["reused"] and (same_frame or not framed):
                ratios.setdefault(stage, []).append(seconds / work[stage])
    return {stage: statistics.median(found) for stage, found in ratios.items()}, used


def _frame(volume: VolumeConfig) -> tuple[int, int] | None:
    """Diagonal and number of voxels; None for what would have to be downloaded first, or cannot be read."""
    from ..io.archives import is_archived, is_kept
    from ..io.loading import load_volume

    try:
        if is_archived(volume.source) and not is_kept(volume.source):
            return None
        loaded = load_volume(volume)
    except InputError:
        return None
    return loaded.diagonal, loaded.density.size


def _stage_keys(config: Config) -> dict[str, str]:
    """For each stage whose result is kept a text that two experiments share if they share the result."""
    table = config_to_dict(config)
    projections = f"{config.seed}{table['volume']}{table['projections']}"
    learning = {key: value for key, value in table["projections"].items() if key != "count"}
    shown = dict(table["volume"])
    if config.training.volumes and config.projections.size is not None:
        shown.pop("source")  # the network sees nothing of the protein that it is tested on
    learned = f"{config.seed}{shown}{learning}{table['pairs']}{table['training']}{table['distance']}"
    distance = projections + (learned if config.distance.method == "siamese" else str(table["distance"]))
    recovery = distance + str(table["recovery"])
    reconstruction = recovery + str(table["reconstruction"])
    keys = {
        "projections": projections, "training": learned, "distance": distance, "recovery": recovery,
        "reconstruction": reconstruction, "refinement": reconstruction + str(table.get("refinement")),
    }  # fmt: skip
    return {stage: f"{stage} {keys[stage]}" for stage in stages_of(config) if stage in keys}
