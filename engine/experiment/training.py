"""The training of the network, from the density to the weights: simulate, sample, train; go on where it was cut off."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..base.progress import Progress
from ..config.schema import Config
from ..geometry import symmetry
from ..geometry.rotations import to_quaternion
from ..imaging import filters, simulation
from ..imaging.volume import Volume
from ..learning.trainer import Trained, train
from ..poses import pairs
from . import estimate, training_volumes
from .checkpoints import Checkpoint
from .training_volumes import Say, TrainingVolumes

_SIMULATING = 0.05  # of the time of a training


def train_network(
    config: Config,
    volume: Volume,
    others: TrainingVolumes | None,
    noise_variance: float,
    signal_variance: float,
    image_size: int,
    stream: Callable[[str], np.random.Generator],
    checkpoint: Checkpoint,
    progress: Progress,
    told: Progress,
    say: Say,
) -> Trained:
    """Train as the configuration says, on ``volume`` or, where there are any, on ``others`` in its place.

    ``noise_variance`` and ``signal_variance`` are the test projections'; ``image_size`` is the network's. ``stream``
    gives the experiment's generator for a purpose. ``told`` hears of the steps, those before an interruption too.
    """
    settings = config.training
    data = _training_set(config, volume, others, noise_variance, signal_variance, image_size, stream, progress, say)
    steps = settings.steps or default_steps(data)
    radius = min(simulation.support_radius(data.images) + data.max_shift, image_size / 2)
    resumed = checkpoint.load()
    if resumed is not None:
        say(f"training goes on at step {resumed.step:,} of {steps:,}, where an earlier run of it was cut off")
    elements = symmetry.group(config.volume.symmetry)
    return train(
        data.images, data.poses, data.validation_images, data.validation_poses, _sampler(config, data),
        data.noise_variance, data.max_shift, radius, config.distance, settings, steps,
        estimate.longest_training(config, steps), stream("training"),
        lambda fraction, values: _both(told, progress, fraction, values), elements,
        data.validation_proteins, data.held_out, resumed, checkpoint.offer,
    )  # fmt: skip


def default_steps(data: simulation.TrainingSet) -> int:
    """Training steps for projections as noisy and as far off centre as these."""
    noise_to_signal = data.noise_variance / filters.signal_variance(data.images)
    return estimate.training_steps(noise_to_signal, data.max_shift / data.images.shape[-1])


def _training_set(
    config: Config,
    volume: Volume,
    others: TrainingVolumes | None,
    noise_variance: float,
    signal_variance: float,
    image_size: int,
    stream: Callable[[str], np.random.Generator],
    progress: Progress,
    say: Say,
) -> simulation.TrainingSet:
    settings, projections = config.training, config.projections
    rng = stream("training projections")
    progress(0.0, {})

    def simulating(fraction: float, values: Mapping[str, float]) -> None:
        progress(_SIMULATING * fraction, {})

    if others is None:
        return simulation.simulate_training(
            volume, projections, noise_variance, settings.projections, settings.validation_projections, image_size,
            rng, simulating,
        )  # fmt: skip
    framed = projections.model_copy(update={"size": projections.size or volume.diagonal})
    return training_volumes.simulate_training(
        others, framed, noise_variance, signal_variance, settings.projections, settings.validation_projections,
        image_size, rng, say, simulating,
    )  # fmt: skip


def _sampler(config: Config, data: simulation.TrainingSet) -> pairs.Sampler:
    owners = np.zeros(len(data.images), dtype=int) if data.proteins is None else data.proteins
    elements = symmetry.group(config.volume.symmetry)
    samplers = []
    for owner in range(int(owners[-1]) + 1):
        own = slice(*np.searchsorted(owners, [owner, owner + 1]))
        neighbours = None
        if config.pairs.strategy in ("knn", "knn+random"):
            flat = data.images[own].reshape(own.stop - own.start, -1)
            neighbours = pairs.nearest_neighbours(flat, config.pairs.neighbours)
        samplers.append(
            pairs.BatchSampler(
                config.pairs.strategy, config.training.batch_size, to_quaternion(data.poses[own]), neighbours, elements
            )
        )
    return samplers[0] if len(samplers) == 1 else pairs.SeveralSampler(tuple(samplers))


def _both(told: Progress, progress: Progress, fraction: float, values: Mapping[str, float]) -> None:
    told(fraction, values)
    progress(_SIMULATING + (1 - _SIMULATING) * fraction, values)
