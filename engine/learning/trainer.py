"""The training of the network: batches, loss, schedule, validation, early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ArgumentError
from ..base.progress import Progress, silent
from ..geometry.harmonics import Degree, character, degrees_of
from ..geometry.rotations import from_quaternion, opposites_are_seen, to_quaternion
from ..geometry.symmetry import NO_SYMMETRY
from ..imaging.simulation import TrainingSet
from ..poses.choices import Head
from ..poses.distance import UNCALIBRATED, exact_distances, fit_feature_calibration, learned_distances
from ..poses.pairs import all_pairs
from .batches import Sampler
from .corruption import corruption
from .libraries import keras, own_settings, tf
from .network import build_network, embed
from .optimiser import MatrixOptimiser
from .state import Report, TrainState

_VALIDATIONS = 10  # in a training, and the fewest steps between two of them
_VALIDATIONS_STOPPING = 50  # in one that may stop early
_WARM_UP = 0.03  # fraction of the training over which the learning rate rises
_WEIGHT_DECAY = 0.1  # of matrices, times the learning rate


@dataclass(frozen=True)
class Objective:
    """What is learned: how a distance is computed from features, their number, and the symmetry group.

    ``elements`` (|G|, 4) are the object's symmetry group: distances are the smallest over it. If ``feature_dim`` is
    None, the group determines the number of features.
    """

    head: Head = "cosine"
    feature_dim: int | None = None
    elements: NDArray[np.floating] = field(default_factory=NO_SYMMETRY.copy)

    @property
    def degrees(self) -> list[Degree]:
        """The degrees of the features, see :mod:`geometry.harmonics`."""
        return list(degrees_of(self.elements, self.feature_dim))


@dataclass(frozen=True)
class Schedule:
    """The length of a training: optimiser steps, ``max_seconds`` at most; and the peak of the learning rate.

    With ``patience`` it ends after that many of 50 validations without improvement, with the best weights.
    """

    steps: int
    max_seconds: float = float("inf")
    learning_rate: float = 4e-3
    patience: int | None = None

    @property
    def validate_every(self) -> int:
        """Steps from one validation to the next."""
        if self.patience:
            return max(1, self.steps // _VALIDATIONS_STOPPING)
        return max(_VALIDATIONS, self.steps // _VALIDATIONS)


@dataclass(frozen=True)
class Trained:
    """A trained network and how its training went.

    ``paced_by_clock``: ``max_seconds`` shortened it, so another run may end elsewhere. ``stopped_early``: ``patience``
    did; the weights are those of ``best_step`` wherever patience is set, else of the last. ``seconds`` include the time
    before an interruption. ``calibration`` is the argument of :func:`poses.distance.learned_distances`, fitted on the
    validation set where requested.
    """

    model: Any
    steps: int
    seconds: float
    paced_by_clock: bool
    validation_mae: float
    stopped_early: bool
    best_step: int
    calibration: NDArray[np.floating]


class DivergedError(ArgumentError):
    """The numbers of a training grew beyond what can be counted with; nothing that follows would mean anything."""


class Trainer:
    """Trains the network on clean images, which get shifts, a CTF and noise anew each time they are drawn.

    The same generator state gives the same weights on the same machine, unless the clock cuts the training short.

    Parameters
    ----------
    data
        clean training projections, and a validation set with shifts, CTF and noise, prepared.
    sampler
        draws the batches.
    radius
        in pixels, of the disc of the image that the network sees.
    rng
        draws the initial weights and the batches.
    calibrate
        calibrate the predicted distances on the validation set, also for degree-one features: for proteins that the
        network has not seen, on which it is overconfident.
    on_gpu
        whether it trains on the GPU that TensorFlow detects.
    """

    def __init__(
        self,
        data: TrainingSet,
        sampler: Sampler,
        objective: Objective,
        schedule: Schedule,
        radius: float,
        rng: np.random.Generator,
        calibrate: bool = False,
        on_gpu: bool = False,
    ) -> None:
        self._schedule, self._sampler, self._objective, self._rng = schedule, sampler, objective, rng
        self._calibrate, self._on_gpu = calibrate or len(objective.degrees) > 1, on_gpu
        with own_settings(on_gpu):
            self._build(data, radius)
        self._validation_images = data.validation_images
        self._exact = _validation_distances(data, objective.elements)
        self._step, self._waited, self._best_step = 0, 0, 0
        self._validation_mae, self._best_mae = float("nan"), float("inf")
        self._best: tuple[NDArray[Any], ...] = ()
        self._history: list[Report] = []
        self._unreported: Report | None = None
        self._rate = 0.0
        self._paced_by_clock = self._stopped_early = False
        self._started = time.monotonic()

    def _build(self, data: TrainingSet, radius: float) -> None:
        schedule, objective, rng = self._schedule, self._objective, self._rng
        tf.config.experimental.enable_op_determinism()
        # Layers are named by counting in the process, and gradients are added in the order of the names: without
        # starting anew, a second training in the same process would differ in the last digits.
        keras.backend.clear_session()
        self.model = build_network(
            data.images.shape[-1], radius, objective.degrees, objective.head, rng, opposites_are_seen(data.poses)
        )
        self._optimiser = MatrixOptimiser(schedule.learning_rate, weight_decay=_WEIGHT_DECAY, clipnorm=1.0)
        self._take_step = _training_step(self.model, self._optimiser, data, objective)
        self._optimiser.build(self.model.trainable_variables)
        self._noise_seed = int(rng.integers(2**31))
        self._variables = [*self.model.trainable_variables, *self._optimiser.variables]

    def resume(self, state: TrainState) -> None:
        """Continue from the state of a training with the same arguments."""
        self._step, self._waited, self._best_step = state.step, state.waited, state.best_step
        self._validation_mae, self._best_mae, self._best = state.validation_mae, state.best_mae, state.best
        self._history = [(fraction, dict(values)) for fraction, values in state.history]
        self._paced_by_clock = state.paced_by_clock
        self._started -= state.seconds
        with own_settings(self._on_gpu):
            _assign(self._variables, state.variables)
        self._rng.bit_generator.state = state.generator

    def state(self) -> TrainState:
        """The current state of the training."""
        return TrainState(
            self._step, self._seconds(), self._paced_by_clock, self._validation_mae, self._rng.bit_generator.state,
            tuple(self._history), _values(self._variables), self._best, self._best_mae, self._best_step, self._waited,
        )  # fmt: skip

    def run(
        self, progress: Progress = silent, offer: Callable[[Callable[[], TrainState]], None] = lambda state: None
    ) -> Trained:
        """Train to the end. ``offer`` is called after each step with a function that returns the state.

        Raises :class:`DivergedError` at the step at which numbers are no longer finite, after all losses so far were
        reported.
        """
        with own_settings(self._on_gpu):
            return self._run(progress, offer)

    def _run(self, progress: Progress, offer: Callable[[Callable[[], TrainState]], None]) -> Trained:
        for fraction, values in self._history:
            progress(fraction, values)
        steps = self._schedule.steps
        while self._step < steps and not self._stopped_early:
            fraction = self._fraction()
            if fraction >= 1:
                break
            try:
                self._advance(fraction, progress)
            except DivergedError:
                if self._unreported is not None:
                    progress(*self._unreported)
                raise
            if self._step < steps and not self._stopped_early:
                offer(self.state)
        if self._best:
            _assign(self.model.trainable_variables, self._best)
            self._validation_mae = self._best_mae
        elif not all(np.isfinite(weights).all() for weights in _values(self.model.trainable_variables)):
            raise self._diverged("a weight of the network")
        calibration = UNCALIBRATED
        if self._calibrate:
            self._validation_mae, calibration = self._validated()
        return Trained(
            self.model, self._step, self._seconds(), self._paced_by_clock, self._validation_mae, self._stopped_early,
            self._best_step or self._step, calibration,
        )  # fmt: skip

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _fraction(self) -> float:
        """The fraction of the schedule that is done.

        It counts steps, so that a run is repeatable. Only when half of the time has passed and the steps are behind
        does the clock determine it, so that a slow machine still ends with a small learning rate.
        """
        fraction = self._step / self._schedule.steps
        clock = self._seconds() / self._schedule.max_seconds
        if clock > max(0.5, fraction):
            self._paced_by_clock = True
            return clock
        return fraction

    def _advance(self, fraction: float, progress: Progress) -> None:
        """One step, at that fraction of the schedule; a validation where one is due."""
        schedule = self._schedule
        self._rate = schedule.learning_rate * _learning_rate_factor(fraction)
        self._optimiser.learning_rate.assign(self._rate)
        indices, weights = self._sampler.draw(self._rng)
        seed = tf.constant([self._noise_seed, self._step])
        loss = float(self._take_step(tf.constant(indices), tf.constant(weights), seed))
        self._step += 1
        if not math.isfinite(loss):
            raise self._diverged("the loss")
        values: dict[str, float] = {"step": self._step}
        self._unreported = done, _ = max(fraction, self._step / schedule.steps), values | {"loss": loss}
        if self._step % schedule.validate_every == 0 or self._step == schedule.steps:
            values["validation_mae"] = self._validate()
        if self._step % 10 == 0 or "validation_mae" in values:
            self._history.append((done, values | {"loss": loss}))
            self._unreported = None
            progress(*self._history[-1])

    def _diverged(self, what: str) -> DivergedError:
        schedule = self._schedule
        return DivergedError(
            "the training diverged at step {step:,} of {steps:,}: {what} is no longer finite, at a learning rate of "
            "{rate:.3g}; wanted {learning_rate} below {peak:.3g} (usual is {usual:g})", "learning_rate",
            step=self._step, steps=schedule.steps, what=what, rate=self._rate, peak=schedule.learning_rate,
            usual=Schedule.learning_rate,
        )  # fmt: skip

    def _validate(self) -> float:
        patience = self._schedule.patience
        self._validation_mae = self._validated()[0]
        self._waited += 1
        if patience and self._validation_mae < self._best_mae:
            self._best, self._best_mae = _values(self.model.trainable_variables), self._validation_mae
            self._best_step, self._waited = self._step, 0
        self._stopped_early = patience is not None and self._waited >= patience and self._step < self._schedule.steps
        return self._validation_mae

    def _validated(self) -> tuple[float, NDArray[np.floating]]:
        """Mean absolute error of the validation pairs, and the calibration: some 50 numbers fitted on those pairs."""
        head, degrees = self._objective.head, self._objective.degrees
        features, calibration = embed(self.model, self._validation_images, on_gpu=self._on_gpu), UNCALIBRATED
        if not np.isfinite(features).all():
            raise self._diverged("what the network makes of the validation projections")
        if self._calibrate:
            calibration = fit_feature_calibration(features, self._exact, head, degrees)
        predicted = learned_distances(features, self._exact, head, degrees, calibration)
        return float(np.abs(predicted.values - self._exact.values).mean()), calibration


def _validation_distances(data: TrainingSet, elements: NDArray[np.floating]) -> Any:
    """Exact distances of the pairs of validation projections; of several proteins only within each."""
    pairs = all_pairs(len(data.validation_poses))
    if data.validation_proteins is not None:
        pairs = pairs[data.validation_proteins[pairs.first] == data.validation_proteins[pairs.second]]
    return exact_distances(to_quaternion(data.validation_poses), pairs, elements)


def _values(variables: Sequence[Any]) -> tuple[NDArray[Any], ...]:
    return tuple(np.array(variable) for variable in variables)


def _assign(variables: Sequence[Any], values: Sequence[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _training_step(model: Any, optimiser: Any, data: TrainingSet, objective: Objective) -> Any:
    """One compiled step: gather, corrupt, embed, compare all pairs, update. Data stay on the device."""
    poses, elements, degrees = data.poses, objective.elements, objective.degrees
    stored = tf.constant(data.images)
    rotations = tf.constant(poses.reshape(len(poses), 9), dtype=tf.float32)
    # Of tr(R_i^T g R_j), for every g.
    moved = tf.constant(from_quaternion(elements)[:, None] @ poses[None], dtype=tf.float32)
    moved = tf.reshape(moved, (len(elements), len(poses), 9))
    corrupt = corruption(
        data.noise, data.max_shift, data.images.shape[-1], data.ctf, data.pixel_size, data.flips, data.whitening,
        data.mask,
    )  # fmt: skip

    @tf.function(autograph=False)  # which would write the translated code to files that a killed run leaves behind
    def step(indices: Any, weights: Any, seed: Any) -> Any:
        batch = corrupt(tf.gather(stored, indices), indices, seed)
        pose = tf.gather(rotations, indices)
        traces = tf.matmul(pose[None], tf.gather(moved, indices, axis=1), transpose_b=True)
        # Three times the kernel of each degree, as the trace is for poses without symmetry.
        targets = [tf.reduce_mean(character(traces, d.degree), axis=0) * (3 / d.multiplicity) for d in degrees]
        with tf.GradientTape() as tape:
            features = model(batch, training=True)
            loss = 0.0
            for part, target in zip(tf.split(features, [d.size for d in degrees], axis=1), targets, strict=True):
                inner = tf.matmul(part, part, transpose_b=True)
                if objective.head == "cosine":
                    error = 3 * inner - target
                else:
                    squares = tf.linalg.diag_part(inner)
                    between = tf.maximum(squares[:, None] + squares[None, :] - 2 * inner, 1e-6)
                    error = tf.sqrt(between) - tf.sqrt(tf.maximum(6 - 2 * target, 1e-6))
                loss += tf.reduce_sum(weights * tf.square(error)) / len(degrees)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimiser.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return step


def _learning_rate_factor(fraction: float) -> float:
    """Linear warm-up, then linear decay to zero."""
    return min(1.0, fraction / _WARM_UP + 0.05) * (1 - fraction)
