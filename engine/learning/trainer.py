"""The training of the network: batches, loss, schedule, validation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.quiet import silenced_stderr

with silenced_stderr():
    import keras
    import tensorflow as tf

from ..base.progress import Progress, silent
from ..config.schema import DistanceConfig, TrainingConfig
from ..geometry.harmonics import Degree, character, degrees_of
from ..geometry.rotations import from_quaternion, opposites_are_seen, to_quaternion
from ..geometry.symmetry import NO_SYMMETRY
from ..poses.distance import UNCALIBRATED, exact_distances, fit_feature_calibration, learned_distances
from ..poses.pairs import Sampler, all_pairs
from .network import build_network, embed
from .optimiser import MatrixOptimiser
from .state import Snapshot

Images = NDArray[np.float32]

_VALIDATIONS = 10  # times the validation set is looked at in a training
_VALIDATIONS_STOPPING = 50  # in one that may stop early
_WARM_UP = 0.03  # fraction of the training over which the learning rate rises
_WEIGHT_DECAY = 0.1  # of matrices, times the learning rate


@dataclass(frozen=True)
class Trained:
    """A trained network and how its training went.

    ``paced_by_clock`` says that ``training.max_seconds`` shortened it: another run may then end elsewhere.
    ``stopped_early`` says that ``training.patience`` did; the weights are those of ``best_step`` wherever patience is
    set, else of the last. ``seconds`` count what was done before an interruption too. ``calibration`` is
    what :func:`poses.distance.learned_distances` takes beside the features, fitted on the validation projections where
    that was asked for.
    """

    model: Any
    steps: int
    seconds: float
    paced_by_clock: bool
    validation_mae: float
    stopped_early: bool
    best_step: int
    calibration: NDArray[np.floating]


def train(
    images: Images,
    poses: NDArray[np.floating],
    validation_images: Images,
    validation_poses: NDArray[np.floating],
    sampler: Sampler,
    noise_variance: float,
    max_shift: float,
    radius: float,
    distance: DistanceConfig,
    training: TrainingConfig,
    steps: int,
    max_seconds: float,
    rng: np.random.Generator,
    progress: Progress = silent,
    elements: NDArray[np.floating] = NO_SYMMETRY,
    validation_proteins: NDArray[np.integer] | None = None,
    calibrate: bool = False,
    resumed: Snapshot | None = None,
    offer: Callable[[Callable[[], Snapshot]], None] = lambda take: None,
) -> Trained:
    """Train the network on clean images, which are shifted and made noisy afresh each time they are drawn.

    Parameters
    ----------
    images, poses
        clean training projections (n, size, size) at the network's size, and their poses (n, 3, 3).
    validation_images, validation_poses
        validation projections as the network will meet them: shifted, noisy, standardised.
    noise_variance, max_shift
        of the images as given, in their own units and pixels.
    steps, max_seconds
        how long: ``training`` may leave both open.
    elements
        the object's symmetry group (|G|, 4): distances are the smallest over it.
    validation_proteins
        (n,): of which protein each validation projection is; only pairs of the same one are looked at. All of one when
        not given.
    calibrate
        fit on the validation projections what takes what the network says to true distances, also where it says no
        more than the trace: for proteins that it has not seen, of whose poses it is surer than it should be.
    resumed, offer
        a snapshot to go on from, of a training with the same arguments; what is called after each step with a function
        that takes one.

    The same generator state gives the same weights on the same machine, unless ``max_seconds`` cuts the training short.
    """
    tf.config.experimental.enable_op_determinism()
    # Layers are named by counting in the process, and gradients are added in the order of the names: without starting
    # anew, a second training in the same process would differ in the last digits.
    keras.backend.clear_session()
    size = images.shape[-1]
    degrees = degrees_of(elements, distance.feature_dim)
    calibrate |= len(degrees) > 1
    model = build_network(size, radius, degrees, distance.head, rng, opposites_are_seen(poses))
    optimiser = MatrixOptimiser(training.learning_rate, weight_decay=_WEIGHT_DECAY, clipnorm=1.0)
    step = _training_step(model, optimiser, images, poses, noise_variance, max_shift, distance.head, elements, degrees)
    optimiser.build(model.trainable_variables)
    first, second = all_pairs(len(validation_poses))
    if validation_proteins is not None:
        same = validation_proteins[first] == validation_proteins[second]
        first, second = first[same], second[same]
    quaternions = to_quaternion(validation_poses)
    exact = exact_distances(quaternions, first, second, elements)
    noise_seed = int(rng.integers(2**31))

    validate_every = max(1, steps // (_VALIDATIONS_STOPPING if training.patience else _VALIDATIONS))
    weights_and_state = [*model.trainable_variables, *optimiser.variables]
    number, waited, best_step = 0, 0, 0
    validation_mae, best_mae = float("nan"), float("inf")
    best: list[NDArray[Any]] = []
    told: list[tuple[float, dict[str, float]]] = []
    paced_by_clock = stopped_early = False
    started = time.monotonic()
    if resumed is not None:
        number, waited, best_step = resumed.step, resumed.waited, resumed.best_step
        validation_mae, best_mae, best = resumed.validation_mae, resumed.best_mae, list(resumed.best)
        told, paced_by_clock = [(fraction, dict(values)) for fraction, values in resumed.told], resumed.paced_by_clock
        started -= resumed.seconds
        _assign(weights_and_state, resumed.variables)
        rng.bit_generator.state = resumed.generator
        for fraction, values in told:
            progress(fraction, values)

    def validated() -> tuple[float, NDArray[np.floating]]:
        """Mean absolute error of the validation pairs, and the calibration: some 50 numbers fitted on those pairs."""
        features, pairs = embed(model, validation_images), (first, second)
        calibration = UNCALIBRATED
        if calibrate:
            calibration = fit_feature_calibration(features, *pairs, distance.head, degrees, exact)
        found = learned_distances(features, *pairs, distance.head, degrees, calibration)
        return float(np.abs(found - exact).mean()), calibration

    def snapshot() -> Snapshot:
        return Snapshot(
            number, time.monotonic() - started, paced_by_clock, validation_mae, rng.bit_generator.state, tuple(told),
            _values(weights_and_state), tuple(best), best_mae, best_step, waited,
        )  # fmt: skip

    while number < steps and not stopped_early:
        fraction = number / steps
        clock = (time.monotonic() - started) / max_seconds
        # The schedule counts steps, so that a run can be repeated. Only when half of the time is gone and the steps
        # have fallen behind does the clock take over, so that a slow machine still ends with a small learning rate.
        if clock > max(0.5, fraction):
            paced_by_clock = True
            fraction = clock
        if fraction >= 1:
            break
        optimiser.learning_rate.assign(training.learning_rate * _learning_rate_factor(fraction))
        indices, weights = sampler.draw(rng)
        loss = step(tf.constant(indices), tf.constant(weights), tf.constant([noise_seed, number]))
        number += 1
        values = {"step": number}
        if number % validate_every == 0 or number == steps:
            validation_mae = validated()[0]
            values["validation_mae"] = validation_mae
            waited += 1
            if training.patience and validation_mae < best_mae:
                best, best_mae = list(_values(model.trainable_variables)), validation_mae
                best_step, waited = number, 0
            stopped_early = training.patience is not None and waited >= training.patience and number < steps
        if number % 10 == 0 or "validation_mae" in values:  # reading the loss waits for the device
            told.append((max(fraction, number / steps), values | {"loss": float(loss)}))
            progress(*told[-1])
        if number < steps and not stopped_early:
            offer(snapshot)
    if best:
        _assign(model.trainable_variables, best)
        validation_mae = best_mae
    validation_mae, calibration = validated() if calibrate else (validation_mae, UNCALIBRATED)
    seconds = time.monotonic() - started
    return Trained(
        model, number, seconds, paced_by_clock, validation_mae, stopped_early, best_step or number, calibration
    )


def _values(variables: list[Any]) -> tuple[NDArray[Any], ...]:
    return tuple(np.array(variable) for variable in variables)


def _assign(variables: list[Any], values: Sequence[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _training_step(
    model: Any,
    optimiser: Any,
    images: Images,
    poses: NDArray[np.floating],
    noise_variance: float,
    max_shift: float,
    head: str,
    elements: NDArray[np.floating],
    degrees: Sequence[Degree],
) -> Any:
    """One compiled step: gather, corrupt, embed, compare all pairs, update. Data stay on the device."""
    size = images.shape[-1]
    stored = tf.constant(images)
    rotations = tf.constant(poses.reshape(len(poses), 9), dtype=tf.float32)
    # Of tr(R_i^T g R_j), for every g.
    moved = tf.constant(from_quaternion(elements)[:, None] @ poses[None], dtype=tf.float32)
    moved = tf.reshape(moved, (len(elements), len(poses), 9))
    deviation = float(np.sqrt(noise_variance))
    # In the order of tf.signal.rfft2d, cycles per pixel.
    k_v = tf.constant(np.fft.fftfreq(size), dtype=tf.float32)
    k_u = tf.constant(np.fft.rfftfreq(size), dtype=tf.float32)

    def corrupt(batch: Any, seed: Any) -> Any:
        shape = tf.shape(batch)
        if max_shift > 0:
            # The sum of two uniform numbers is triangular.
            uniform = tf.random.stateless_uniform((shape[0], 2, 2), seed, -0.5 * max_shift, 0.5 * max_shift)
            shift = tf.reduce_sum(uniform, axis=-1)
            turns = k_v[None, :, None] * shift[:, 1, None, None] + k_u[None, None, :] * shift[:, 0, None, None]
            phase = tf.exp(tf.complex(tf.zeros_like(turns), -2 * np.pi * turns))
            batch = tf.signal.irfft2d(tf.signal.rfft2d(batch) * phase, fft_length=(size, size))
        if deviation > 0:
            batch += deviation * tf.random.stateless_normal(shape, seed)
        mean, variance = tf.nn.moments(batch, axes=(1, 2), keepdims=True)
        return (batch - mean) * tf.math.rsqrt(variance + 1e-12)

    @tf.function(autograph=False)  # which would write the translated code to files that a killed run leaves behind
    def step(indices: Any, weights: Any, seed: Any) -> Any:
        batch = corrupt(tf.gather(stored, indices), seed)
        pose = tf.gather(rotations, indices)
        traces = tf.matmul(pose[None], tf.gather(moved, indices, axis=1), transpose_b=True)
        # Three kernels of each degree, as the trace is for poses without symmetry.
        targets = [tf.reduce_mean(character(traces, d.degree), axis=0) * (3 / d.multiplicity) for d in degrees]
        with tf.GradientTape() as tape:
            features = model(batch, training=True)
            loss = 0.0
            for part, target in zip(tf.split(features, [d.size for d in degrees], axis=1), targets, strict=True):
                inner = tf.matmul(part, part, transpose_b=True)
                if head == "cosine":
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
