"""The training of the network, from the density to the weights: simulate, sample, train, or resume.

Or none: the network of another run is taken as it is, and how that run's images differ from this one's is told.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...base.errors import InputError, naming
from ...base.progress import Progress
from ...config.schema import Config
from ...config.settings import config_to_dict, projections_that_matter, training_that_matters
from ...io.sources import expand, is_random
from ...record.arrays import Shape
from ...record.network import FILENAME, MODEL, NetworkFile
from ..devices import ASTRA, CPU, NETWORK
from ..schedule import expected_steps, training_steps
from ..stage import Artefact, Context, Cost, Source, Stage
from .halves import anchoring, has_second, teachers, teaching_map
from .particles import model_of

if TYPE_CHECKING:
    from ...imaging.simulation import TrainingSet
    from ..kept_network import KeptNetwork

_SIMULATING = 0.05  # of the time of a training
_TENSORFLOW_BYTES = 650e6
_BYTES_PER_SAMPLE = 64 / 2 * 16  # 64 samples on each of size / 2 circles, from each pixel: double and twice single
_BYTES_PER_PAIR = 32  # indices, true and predicted distance, kernels
_SECONDS_A_PROTEIN = 0.4  # random ones are made for each training, outside its time limit
_SECONDS_LOADING = 4.0  # TensorFlow, and a network that is applied as it is


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """How a training went; the network is the file :data:`MODEL`. Fields as of :class:`learning.trainer.Trained`.

    ``curve`` (n, 3): step, loss and validation error (rad; NaN where not measured) of each report. Of a network that
    another run trained it is empty, and ``seconds`` is 0: the other fields are as that run has them, except that no
    clock had a part in its being applied.
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
        Artefact(FILENAME, "what the network takes, and what the images are like that it was trained on"),
    )  # fmt: skip

    memory_keys = ("training.projections", "training.image_size", "training.validation_projections")

    def enabled(self, config: Config) -> bool:
        """Where distances are learned."""
        return config.distance.method == "siamese" and (has_second(config) or not self.second)

    def inherits(self, config: Config) -> tuple[str, ...]:
        """Nothing of simulations: training projections are independent of the test projections. Of particles their
        noise, and the scale of their signal. A network that is applied as it is depends on nothing here.
        """
        return ("particles", "half_maps") if config.training.model is None else ()

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """All settings but the number of test projections, except where the noise is measured on those.

        A training on other proteins depends only on the test volume's frame and, with noise, its signal's variance:
        several test volumes can share one.
        """
        table = config_to_dict(config)
        objective = [config.distance.head, config.distance.feature_dim, config.volume.symmetry]
        if config.training.model is not None:
            return ("network", source.network, objective)
        training = training_that_matters(config)
        if source.stack is not None:
            half = (
                [self.second, config.particles.half, source.stack.reference]
                if config.training.on != "reference"
                else []
            )
            return (source.volume, source.stack.max_shift, half, table["pairs"], training, objective)
        others, projections = bool(config.training.volumes), projections_that_matter(config)
        noisy = config.projections.noise_variance or config.projections.snr
        measured = config.projections.snr is not None or (others and bool(noisy))
        if not measured:
            projections.pop("count")
        training.pop("volumes")
        if others:
            shown: list[object] = [*source.training_volumes, source.frame(config), source.voxel_size]
            shown += [source.volume] if measured else []
        else:
            shown = [source.volume]
        return (shown, projections, table["pairs"], training, objective)

    def cost(self, config: Config, source: Source) -> Cost:
        """Steps times pixels of a batch; training images, their poses and one temporary copy, the network's polar
        sampling, the pairs of validation projections.
        """
        training, frame = config.training, source.frame(config)
        if training.model is not None:
            return Cost(_SECONDS_LOADING, _TENSORFLOW_BYTES)
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
        """Simulate the training set and train, or take another run's network: :data:`MODEL` in the run's directory."""
        from ...geometry.symmetry import group
        from ...imaging.simulation import support_radius
        from ...learning.batches import sampler_for
        from ...learning.network import save_model
        from ...learning.trainer import Objective, Schedule, Trainer
        from ..checkpoints import Checkpoint

        if context.network is not None:
            return _kept(context, context.network, self.file(MODEL))
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
        """The curve, and what the network is; how the training ended goes to the log.

        Of another run's network, how the images differ that it was trained on.
        """
        from ..checkpoints import Checkpoint

        self._keep_facts(context, result)
        if context.network is not None:
            return
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

    def _keep_facts(self, context: Context, result: TrainedNetwork) -> None:
        """``model.json``; the differences go to the log, those that are doubtful as warnings."""
        from ..image_facts import differences, image_facts

        config, record, images, network = context.config, context.record, image_facts(context), context.network
        if network is None:
            mae = float(result.validation_mae) if np.isfinite(result.validation_mae) else None
            facts = NetworkFile(
                trained_by=record.run_id, on=config.training.on, image_size=context.network_size,
                head=config.distance.head, feature_dim=config.distance.feature_dim, symmetry=config.volume.symmetry,
                steps=int(result.steps), best_step=int(result.best_step), stopped_early=bool(result.stopped_early),
                validation_mae=mae, calibration=result.calibration.tolist(), images=images,
            )  # fmt: skip
        else:
            facts = network.facts
            ended = "" if facts.validation_mae is None else f", validation L_DE {facts.validation_mae:.4f} rad there"
            record.log(f"training: none, the network is that of run {facts.trained_by}, {facts.steps:,} steps{ended}")
            unlike = differences(facts.images, images, facts.image_size)
            for one in unlike:
                (record.warn if one.doubtful else record.log)(f"training.model: {one.line}")
            if not unlike:
                record.log("training.model: these images are like those that the network was trained on")
        with record.writing(self.file(FILENAME)) as path:
            path.write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _kept(context: Context, network: KeptNetwork, filename: str) -> TrainedNetwork:
    """The network of another run, as this run's own file."""
    from ...geometry.harmonics import degrees_of
    from ...geometry.symmetry import group
    from ...learning.network import load_model
    from ..kept_network import digest_of

    facts, config = network.facts, context.config
    with context.record.writing(filename) as path:
        shutil.copyfile(network.path, path)
        if digest_of(path, facts.calibration) != network.digest:
            raise InputError(f"training.model: the network of run {network.run_id} was changed just now; run again")
        given = load_model(path, context.devices[NETWORK] != CPU).output_shape
    degrees = degrees_of(group(config.volume.symmetry), config.distance.feature_dim)
    if given != (None, wanted := sum(degree.size for degree in degrees)):
        raise InputError(
            f"training.model: the network of run {network.run_id} gives {given[-1]} features; wanted {wanted}, as of a "
            "network that this version trains"
        )
    return TrainedNetwork(
        steps=facts.steps, seconds=0.0, paced_by_clock=False,
        validation_mae=float("nan") if facts.validation_mae is None else facts.validation_mae,
        stopped_early=facts.stopped_early, best_step=facts.best_step, calibration=facts.coefficients(),
        curve=np.empty((0, 3)),
    )  # fmt: skip


def _default_steps(data: TrainingSet) -> int:
    """Training steps for projections as noisy and as far off centre as these."""
    noise_to_signal = data.noise.variance / data.signal_variance
    return training_steps(noise_to_signal, data.max_shift / data.images.shape[-1])


def _training_set(context: Context, progress: Progress) -> TrainingSet:
    from ...config.numeric import acquisition_of
    from ...imaging.reference import without_part
    from ...imaging.several import simulate_training_of_several
    from ...imaging.simulation import simulate_training

    config, settings, size = context.config, context.config.training, context.network_size
    counts = (settings.projections, settings.validation_projections)
    if context.stack is not None:
        return _like_the_stack(context, *counts, progress)
    noise = context["projections"].noise.times(settings.noise_factor)
    acquisition = acquisition_of(config.projections).as_known()
    rng = context.stream("training projections")
    progress(0.0, {})

    def simulating(fraction: float, values: Mapping[str, Any]) -> None:
        progress(_SIMULATING * fraction, {})

    others, volume = context.training_volumes, context.volume
    if settings.reference_missing:
        volume = without_part(volume, settings.reference_missing)
    if others is None:
        data = simulate_training(volume, acquisition, noise, *counts, size, rng, simulating)
    else:
        framed = replace(acquisition, size=context.frame)
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
