"""The training of the network, from the density to the weights: simulate, sample, train, or resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...base.errors import InputError, naming
from ...base.progress import Progress
from ...config.schema import Config
from ...config.settings import config_to_dict, projections_that_matter
from ...io.sources import expand, is_random
from ...record.arrays import Shape
from ..devices import ASTRA, CPU, NETWORK
from ..schedule import expected_steps, training_steps
from ..stage import Artefact, Context, Cost, Source, Stage
from .halves import anchoring, has_second, teachers, teaching_map
from .particles import model_of

if TYPE_CHECKING:
    from ...imaging.simulation import TrainingSet

MODEL = "model.keras"
_SIMULATING = 0.05  # of the time of a training
_TENSORFLOW_BYTES = 650e6
_BYTES_PER_SAMPLE = 64 / 2 * 16  # 64 samples on each of size / 2 circles, from each pixel: double and twice single
_BYTES_PER_PAIR = 32  # indices, true and predicted distance, kernels
_SECONDS_A_PROTEIN = 0.4  # random ones are made for each training, outside its time limit


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """How a training went; the network is the file :data:`MODEL`. Fields as of :class:`learning.trainer.Trained`.

    ``curve`` (n, 3): step, loss and validation error (rad; NaN where not measured) of each report.
    """

    steps: int
    seconds: float
    paced_by_clock: bool
    validation_mae: float
    stopped_early: bool
    best_step: int
    calibration: NDArray[np.floating]
    curve: NDArray[np.floating]


class TrainingStage(Stage):
    """Trains the network on projections of the volume or, if given, of ``training.volumes``."""

    name = "training"
    version = 10
    needs = ("projections", "particles", "half_maps")
    result = TrainedNetwork
    files = (MODEL,)
    artefacts = (
        Artefact("training.npz", "loss and validation error by step, and how the training ended", {
            "curve": Shape(("s", 3), gaps=True),
        }),
        Artefact(MODEL, "the trained network, for Keras"),
    )  # fmt: skip

    memory_keys = ("training.projections", "training.image_size", "training.validation_projections")

    def enabled(self, config: Config) -> bool:
        """Where distances are learned."""
        return config.distance.method == "siamese" and (has_second(config) or not self.second)

    def inherits(self, config: Config) -> tuple[str, ...]:
        """Nothing of simulations: training projections are independent of the test projections. Of particles their
        noise, and the scale of their signal.
        """
        return ("particles", "half_maps")

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """All settings but the number of test projections, except where the noise is measured on those.

        A training on other proteins depends only on the test volume's frame and, with noise, its signal's variance:
        several test volumes can share one.
        """
        table = config_to_dict(config)
        objective = [config.distance.head, config.distance.feature_dim, config.volume.symmetry]
        if source.stack is not None:
            half = (
                [self.second, config.particles.half, source.stack.reference]
                if config.training.on != "reference"
                else []
            )
            return (source.volume, source.stack.max_shift, half, table["pairs"], table["training"], objective)
        others, projections = bool(config.training.volumes), projections_that_matter(config)
        noisy = config.projections.noise_variance or config.projections.snr
        measured = config.projections.snr is not None or (others and bool(noisy))
        if not measured:
            projections.pop("count")
        table["training"].pop("volumes")
        if others:
            shown: list[object] = [*source.training_volumes, source.frame(config), source.voxel_size]
            shown += [source.volume] if measured else []
        else:
            shown = [source.volume]
        return (shown, projections, table["pairs"], table["training"], objective)

    def cost(self, config: Config, source: Source) -> Cost:
        """Steps times pixels of a batch; training images, their poses and one temporary copy, the network's polar
        sampling, the pairs of validation projections.
        """
        training, frame = config.training, source.frame(config)
        pixels = min(training.image_size, frame) ** 2
        noisy = config.projections.noise_variance or config.projections.snr or source.stack
        step = 2.8e-7 * training.batch_size * pixels
        step *= 1 + 0.4 * bool(noisy) + 0.4 * (config.projections.max_shift > 0 or source.stack is not None)
        step += (
            2.8e-7
            * training.batch_size
            * pixels
            * 0.8
            * (config.projections.defocus is not None or source.stack is not None)
        )
        simulated = training.projections + training.validation_projections
        seconds = 10 + 1e-7 * simulated * pixels + step * expected_steps(config, source) + _making_proteins(config)
        memory = _TENSORFLOW_BYTES + 3 * 4 * training.projections * pixels
        memory += _BYTES_PER_SAMPLE * pixels * min(training.image_size, frame)
        return Cost(seconds, memory + _BYTES_PER_PAIR * training.validation_projections**2 / 2)

    def longest(self, config: Config, source: Source) -> float:
        """With ``training.max_seconds`` the clock cuts a training short."""
        return (config.training.max_seconds or float("inf")) + _making_proteins(config)

    def runs_on(self, config: Config) -> tuple[str, ...]:
        """The network's device; ASTRA's where that makes the projections."""
        return (NETWORK, ASTRA) if config.projections.projector == "astra" else (NETWORK,)

    def repeatable(self, result: TrainedNetwork) -> bool:
        """Unless the clock cut it short."""
        return not result.paced_by_clock

    def run(self, context: Context, progress: Progress) -> TrainedNetwork:
        """Simulate the training set and train; the weights go to :data:`MODEL` in the run's directory."""
        from ...geometry.symmetry import group
        from ...imaging.simulation import support_radius
        from ...learning.batches import sampler_for
        from ...learning.network import save_model
        from ...learning.trainer import Objective, Schedule, Trainer
        from ..checkpoints import Checkpoint

        config, settings, size = context.config, context.config.training, context.network_size
        data = _training_set(context, progress)
        steps = settings.steps or _default_steps(data)
        objective = Objective(config.distance.head, config.distance.feature_dim, group(config.volume.symmetry))
        most_seconds = settings.max_seconds or float("inf")
        schedule = Schedule(steps, most_seconds, settings.learning_rate, settings.patience)
        with naming(neighbours="pairs.neighbours"):
            sampler = sampler_for(
                data, config.pairs.strategy, settings.batch_size, config.pairs.neighbours, objective.elements
            )
        radius = min(support_radius(data.images) + data.max_shift, size / 2)
        trainer = Trainer(
            data, sampler, objective, schedule, radius, context.stream("training"), data.held_out,
            context.devices[NETWORK] != CPU,
        )  # fmt: skip
        checkpoint = Checkpoint(context.record.path.parent, context.key)
        if (resumed := checkpoint.load()) is not None:
            context.record.log(
                f"training goes on at step {resumed.step:,} of {steps:,}, where an earlier run of it was cut off"
            )
            trainer.resume(resumed)
        curve: list[tuple[float, float, float]] = []

        def learning(fraction: float, values: Mapping[str, float]) -> None:
            context.record.record("training", **values)
            curve.append((values["step"], values["loss"], values.get("validation_mae", np.nan)))
            progress(_SIMULATING + (1 - _SIMULATING) * fraction, values)

        with naming(learning_rate="training.learning_rate"):
            trained = trainer.run(learning, checkpoint.offer)
        with context.record.writing(self.file(MODEL)) as path:
            save_model(trained.model, path)
        figures = {name: value for name, value in vars(trained).items() if name != "model"}
        return TrainedNetwork(**figures, curve=np.array(curve))

    def keep(self, context: Context, result: TrainedNetwork) -> None:
        """The curve; how the training ended goes to the log."""
        from ..checkpoints import Checkpoint

        record, batch = context.record, context.config.training.batch_size
        Checkpoint(record.path.parent, context.key).remove()
        record.save_arrays(self.file("training.npz"), **self.pack(result))
        rate = float(result.steps) * batch / float(result.seconds)
        record.log(
            f"{self.name}: {result.steps} steps, {rate:.0f} projections/s, {rate * (batch - 1) / 2:.0f} pairs/s, "
            f"validation L_DE {result.validation_mae:.4f} rad"
        )
        if result.stopped_early:
            record.log(f"training stopped early; the weights are those of step {result.best_step:,}")
        if result.paced_by_clock:
            record.warn("training met training.max_seconds and was shortened: another run may end with other numbers")


def _default_steps(data: TrainingSet) -> int:
    """Training steps for projections as noisy and as far off centre as these."""
    noise_to_signal = data.noise.variance / data.signal_variance
    return training_steps(noise_to_signal, data.max_shift / data.images.shape[-1])


def _training_set(context: Context, progress: Progress) -> TrainingSet:
    from ...config.numeric import acquisition_of
    from ...imaging.several import simulate_training_of_several
    from ...imaging.simulation import simulate_training

    config, settings, size = context.config, context.config.training, context.network_size
    counts = (settings.projections, settings.validation_projections)
    if context.stack is not None:
        return _like_the_stack(context, *counts, progress)
    noise, acquisition = context["projections"].noise, acquisition_of(config.projections)
    rng = context.stream("training projections")
    progress(0.0, {})

    def simulating(fraction: float, values: Mapping[str, Any]) -> None:
        progress(_SIMULATING * fraction, {})

    others = context.training_volumes
    if others is None:
        data = simulate_training(context.volume, acquisition, noise, *counts, size, rng, simulating)
    else:
        framed = acquisition_of(config.projections.model_copy(update={"size": context.frame}))
        data = simulate_training_of_several(
            others, len(others), framed, noise, *counts, size, rng, context.record.log, simulating
        )
    if not (np.isfinite(data.images).all() and np.isfinite(data.validation_images).all()):
        raise InputError(
            "training: its projections hold numbers that are not finite; some value of the density or the noise is too "
            "large or too small to be counted with"
        )
    return data


def _like_the_stack(context: Context, count: int, validation_count: int, progress: Progress) -> TrainingSet:
    """Projections of the map that teaches, as the stack's images are; or images of the half set that teaches."""
    from ...imaging.stack_model import simulate_like_stack

    if context.config.training.on == "particles":
        return _of_particles(context)
    model, rng = model_of(context), context.stream("training projections")
    data, scale = simulate_like_stack(
        teaching_map(context), model, count, validation_count, rng,
        lambda fraction, values: progress(_SIMULATING * fraction, values),
    )  # fmt: skip
    if scale == 0:
        raise InputError(
            "training: the particles hold no more than their noise, whose power in the corners of the images is that "
            "of the whole; are they particles, and in the middle?"
        )
    context.record.log(
        f"training: projections of the map are {scale:.3g} times as strong as it has them, from the power of the images"
    )
    return data


def _of_particles(context: Context) -> TrainingSet:
    """The images of the half set that teaches, with the poses they came with; a tenth of them for validation."""
    from ...imaging.noise import NoiseModel
    from ...imaging.simulation import TrainingSet

    stack, prepared, training = context.stack, context["particles"], context.config.training
    assert stack is not None
    assert stack.reference_poses is not None
    poses = stack.reference_poses[prepared.members]
    held_out = anchoring(context)
    others = np.setdiff1d(teachers(context), held_out)
    if len(others) <= training.batch_size:
        raise InputError(
            f"training: half set {3 - context.half} has {len(others)} particles to learn from; wanted more than "
            f"training.batch_size ({training.batch_size})"
        )
    return TrainingSet(
        prepared.images[others], poses[others], prepared.images[held_out], poses[held_out], NoiseModel(), 0.0,
        pixel_size=stack.pixel_size * stack.size / context.network_size,
    )  # fmt: skip


def _making_proteins(config: Config) -> float:
    return _SECONDS_A_PROTEIN * sum(is_random(source) for source in expand(config.training.volumes))
