"""The Siamese network that learns distances between poses: the TensorFlow door.

One network is applied to every projection of a batch; a distance is made from two sets of features (see
:func:`engine.distance.learned_distances`), and the loss compares the distances of all pairs of the batch with the
true ones. So a batch of 64 gives 2,016 pairs from 64 passes through the network.

The network knows one piece of physics: turning an image in its plane multiplies its pose by ``Rz(psi)`` from the right,
which leaves the third column of R (the viewing direction) alone and turns the other two like a vector. The image is
therefore sampled on a polar grid, where an in-plane turn is a circular shift; convolutions run around the circle (with
all radii as channels) and commute with that shift; and the features are read off from the mean around the circle and
the power of the first angular harmonics (invariant, like the third column) and from the first harmonic itself (turning,
like the first two). What is left to learn is a function of the viewing direction alone: a sphere, not all of SO(3).
Nothing else is prescribed: the features reach the loss only through the distances of pairs.

And one more: an image mirrored about its x axis is the projection from behind, its pose multiplied by
``diag(1, -1, -1)`` from the right. Where the training's viewing directions come with their opposites, the network
follows that as well, and each image teaches it two: it looks at the image and at the mirrored one with the same
kernels, its channels come in pairs that a mirroring swaps, and the read-outs are odd, or conjugate, under the swap. (A
network for half of the sphere would learn more than it needs: whether it sees a direction or the opposite one.)

The idea of a Siamese network for pose distances is that of Banjac, Donati & Defferrard, arXiv:2104.06237. Harmonic
read-out after circular convolutions: Worrall et al., Harmonic Networks, CVPR 2017. Channels that a symmetry swaps:
Cohen & Welling, Group equivariant convolutional networks, ICML 2016.

The model is made of Keras' own layers only, so a saved one loads anywhere in safe mode, with no code of ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.quiet import silenced_stderr

with silenced_stderr():
    import keras
    import tensorflow as tf
    from keras import layers

from engine.checkpoints import Snapshot
from engine.config import DistanceConfig, TrainingConfig
from engine.distance import UNCALIBRATED, exact_distances, fit_feature_calibration, learned_distances
from engine.harmonics import Degree, character, degrees_of
from engine.pairs import Sampler, all_pairs
from engine.polar import circular_harmonic, polar_sampling
from engine.progress import Progress, silent
from engine.rotations import from_quaternion, opposites_are_seen, to_quaternion
from engine.symmetry import NO_SYMMETRY

Images = NDArray[np.float32]

_ANGLES = 64  # samples around the circle
_CHANNELS = 128
_POWERS = 3  # angular harmonics whose power is looked at
_MOST_ORDERS = 8
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
    what :func:`engine.distance.learned_distances` takes beside the features, fitted on the validation projections where
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


class MatrixOptimiser(keras.optimizers.Muon):
    """Muon for every matrix of a network, a convolution's kernel (width, in, out) as one of (width * in, out) too.

    The momentum's singular values are all made (nearly) one before a step, so that directions with small gradients are
    learned as fast as others (Jordan et al., kellerjordan.github.io/posts/muon, 2024; scaled as in Liu et al.,
    arXiv:2502.16982). Seen on 5J0N when it took Adam's place: after 900 steps without noise a mean distance error of
    0.0065 rad where Adam had 0.031; after 1,000 with a noise variance of 16, 0.068 and 0.117.
    Vectors (biases) are left to Adam.
    """

    def __init__(self, learning_rate: float, weight_decay: float, clipnorm: float) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, adam_weight_decay=None, clipnorm=clipnorm)

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) < 2

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """The nearest matrix with singular values one, nearly; Keras calls this for every update."""
        orthogonal = super().zeropower_via_newtonschulz5(keras.ops.reshape(x, (-1, x.shape[-1])), steps)
        return keras.ops.reshape(orthogonal, x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """The update scaled to the size of Adam's, as Keras does for matrices."""
        return x * (max(int(np.prod(x.shape[:-1])), x.shape[-1]) ** 0.5 * self.rms_rate)


def build_network(
    image_size: int,
    radius: float,
    degrees: Sequence[Degree],
    head: str,
    rng: np.random.Generator,
    mirrored: bool = False,
) -> Any:
    """A Keras model from images (n, image_size, image_size) to the features of some degrees, one after the other.

    ``radius`` in pixels bounds the disc that is looked at. ``mirrored`` makes features follow a mirrored image: those
    that do not turn with the image change their sign if their degree is odd.
    """
    orders = max(degree.orders for degree in degrees)
    radii = max(4, round(radius))

    def seeded() -> Any:
        return keras.initializers.GlorotUniform(seed=int(rng.integers(2**31)))

    def fixed(x: Any, matrix: NDArray[np.floating]) -> Any:
        layer = layers.Dense(matrix.shape[1], use_bias=False, trainable=False)
        y = layer(x)
        layer.set_weights([matrix.astype(np.float32)])
        return y

    def convolved(views: list[Any], width: int) -> list[Any]:
        layer = layers.Conv1D(_CHANNELS // len(views), width, activation="gelu", kernel_initializer=seeded())
        return [layer(_closed(view, width // 2)) for view in views]

    def mixed(views: list[Any], width: int) -> list[Any]:
        """A convolution that sees in each view the channels of the other, too."""
        pairs = zip(views, reversed(views), strict=True) if mirrored else ()
        both = [layers.Concatenate()([own, _reversed(other)]) for own, other in pairs]
        return convolved(both or views, width)

    image = keras.Input((image_size, image_size), name="image")
    x = fixed(layers.Reshape((image_size**2,))(image), polar_sampling(image_size, radius, radii, _ANGLES))
    x = layers.Reshape((_ANGLES, radii))(x)
    views = [x, _reversed(x)] if mirrored else [x]
    views = mixed(convolved(views, 5), 5)
    views = [layers.AveragePooling1D(2)(view) for view in views]
    views = mixed(mixed(views, 5), 5)
    if 2 * orders < _ANGLES // 4:  # so that the highest harmonic stays below Nyquist's
        views = [layers.AveragePooling1D(2)(view) for view in views]
    views = mixed(mixed(views, 5), 3)

    harmonics = [
        [fixed(layers.Permute((2, 1))(view), circular_harmonic(order, view.shape[1])) for view in views]
        for order in range(1, max(_POWERS, orders) + 1)
    ]  # each (channels, 2)
    unturned = [
        [layers.GlobalAveragePooling1D()(view), *(_power(harmonic[number]) for harmonic in harmonics[:_POWERS])]
        for number, view in enumerate(views)
    ]
    hidden = layers.Dense(_CHANNELS, activation="gelu", kernel_initializer=seeded())
    orders_of_views = ([0, 1], [1, 0]) if mirrored else ([0],)
    seen = [hidden(layers.Concatenate()([x for n in order for x in unturned[n]])) for order in orders_of_views]
    even, odd = (layers.Add()(seen), layers.Subtract()(seen)) if mirrored else (seen[0], seen[0])
    own = [harmonic[0] for harmonic in harmonics[:orders]]
    if mirrored:
        conjugate = np.diag([1.0, -1.0])
        own = [layers.Add()([one, fixed(other, conjugate)]) for one, other in harmonics[:orders]]

    features = []
    for degree in degrees:
        sign_changes = mirrored and degree.degree % 2 == 1
        zeroth = layers.Dense(degree.zeroth, use_bias=not sign_changes, kernel_initializer=seeded())
        parts = [zeroth(odd if sign_changes else even)]
        for harmonic in own[: degree.orders]:
            turned = layers.Permute((2, 1))(harmonic)  # (2, channels); both parts go through one map
            turned = layers.Dense(degree.turning, use_bias=False, kernel_initializer=seeded())(turned)
            parts.append(layers.Flatten()(turned))
        features.append(layers.Concatenate()(parts))
        if head == "cosine":
            features[-1] = layers.UnitNormalization()(features[-1])
    together = features[0] if len(features) == 1 else layers.Concatenate()(features)
    return keras.Model(image, together, name="siamese_branch")


def _closed(x: Any, margin: int) -> Any:
    """Samples on a circle (n, length, channels) with as many more on either side as a convolution reaches over."""
    length = x.shape[1]
    return layers.Concatenate(axis=1)(
        [layers.Cropping1D((length - margin, 0))(x), x, layers.Cropping1D((0, length - margin))(x)]
    )


def _reversed(x: Any) -> Any:
    """Samples on a circle (n, length, channels) as they are in the mirrored image."""
    return keras.ops.flip(x, axis=1)


def _power(harmonic: Any) -> Any:
    # Not the product of the harmonic with itself: that gives it two gradients, with those of its other uses three or
    # more, and TensorFlow adds those in the order in which their buffers come free. A sum of two has one order only.
    return layers.GlobalAveragePooling1D(data_format="channels_first")(keras.ops.square(harmonic))


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


def embed(model: Any, images: Images, batch_size: int = 256) -> NDArray[np.float32]:
    """Features (n, dim) of images (n, size, size), standardised, at the network's size."""
    parts = [
        np.asarray(model(images[start : start + batch_size], training=False))
        for start in range(0, len(images), batch_size)
    ]
    return np.concatenate(parts)


def save_model(model: Any, path: Path) -> None:
    """Save as ``.keras``."""
    model.save(path)


def load_model(path: Path) -> Any:
    """Load a saved network in Keras' safe mode: no code in the file is run."""
    return keras.saving.load_model(path, compile=False, safe_mode=True)


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
