"""The Siamese network that learns distances between poses: the TensorFlow door.

One network is applied to every projection of a batch; a distance is made from two sets of features (see
:func:`engine.distance.distances_from_features`), and the loss compares the distances of all pairs of the batch with the
true ones. So a batch of 64 gives 2,016 pairs from 64 passes through the network.

The network knows one piece of physics: turning an image in its plane multiplies its pose by ``Rz(psi)`` from the right,
which leaves the third column of R (the viewing direction) alone and turns the other two like a vector. The image is
therefore sampled on a polar grid, where an in-plane turn is a circular shift; convolutions run around the circle (with
all radii as channels) and commute with that shift; and the features are read off from the mean around the circle and
the power of the first angular harmonics (invariant, like the third column) and from the first harmonic itself (turning,
like the first two). What is left to learn is a function of the viewing direction alone: a sphere, not all of SO(3).
Nothing else is prescribed: the features reach the loss only through the distances of pairs.

The idea of a Siamese network for pose distances is that of Banjac, Donati & Defferrard, arXiv:2104.06237. Harmonic
read-out after circular convolutions: Worrall et al., Harmonic Networks, CVPR 2017.

The model is made of Keras' own layers only, so a saved one loads anywhere in safe mode, with no code of ours.
"""

from __future__ import annotations

import time
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

from engine.config import DistanceConfig, TrainingConfig
from engine.distance import distances_from_features
from engine.pairs import BatchSampler, all_pairs
from engine.progress import Progress, silent
from engine.rotations import geodesic_distance, to_quaternion

Images = NDArray[np.float32]

_ANGLES = 64  # samples around the circle
_CHANNELS = 128
_VALIDATIONS = 10  # times the validation set is looked at in a training
_WARM_UP = 0.03  # fraction of the training over which the learning rate rises


@dataclass(frozen=True)
class Trained:
    """A trained network and how its training went.

    ``paced_by_clock`` says that ``training.max_seconds`` shortened it: another run may then end elsewhere.
    """

    model: Any
    steps: int
    seconds: float
    paced_by_clock: bool
    validation_mae: float


def build_network(image_size: int, radius: float, feature_dim: int, head: str, rng: np.random.Generator) -> Any:
    """A Keras model from images (n, image_size, image_size) to features (n, feature_dim).

    ``radius`` in pixels bounds the disc that is looked at. ``feature_dim`` features are split into invariant ones and
    pairs that turn with the image, as nine are into the third column of R and the first two.
    """
    turning = feature_dim // 3
    radii = max(4, round(radius))

    def seeded() -> Any:
        return keras.initializers.GlorotUniform(seed=int(rng.integers(2**31)))

    def circular_convolution(x: Any, width: int) -> Any:
        half, length = width // 2, x.shape[1]
        wrapped = layers.Concatenate(axis=1)(
            [layers.Cropping1D((length - half, 0))(x), x, layers.Cropping1D((0, length - half))(x)]
        )
        return layers.Conv1D(_CHANNELS, width, activation="gelu", kernel_initializer=seeded())(wrapped)

    def fixed(x: Any, matrix: NDArray[np.floating]) -> Any:
        layer = layers.Dense(matrix.shape[1], use_bias=False, trainable=False)
        y = layer(x)
        layer.set_weights([matrix.astype(np.float32)])
        return y

    image = keras.Input((image_size, image_size), name="image")
    x = fixed(layers.Reshape((image_size**2,))(image), polar_sampling(image_size, radius, radii, _ANGLES))
    x = layers.Reshape((_ANGLES, radii))(x)
    x = circular_convolution(circular_convolution(x, 5), 5)
    x = layers.AveragePooling1D(2)(x)
    x = circular_convolution(circular_convolution(x, 5), 5)
    x = layers.AveragePooling1D(2)(x)
    x = circular_convolution(circular_convolution(x, 5), 3)

    harmonics = [fixed(layers.Permute((2, 1))(x), circular_harmonic(order, x.shape[1])) for order in (1, 2, 3)]
    power = [layers.GlobalAveragePooling1D(data_format="channels_first")(layers.Multiply()([h, h])) for h in harmonics]
    zeroth = layers.Concatenate()([layers.GlobalAveragePooling1D()(x), *power])
    zeroth = layers.Dense(_CHANNELS, activation="gelu", kernel_initializer=seeded())(zeroth)
    zeroth = layers.Dense(feature_dim - 2 * turning, kernel_initializer=seeded())(zeroth)

    first = layers.Permute((2, 1))(harmonics[0])  # (2, channels)
    first = layers.Dense(turning, use_bias=False, kernel_initializer=seeded())(first)  # the same map for both parts

    features = layers.Concatenate()([zeroth, layers.Flatten()(first)])
    if head == "cosine":
        features = layers.UnitNormalization()(features)
    return keras.Model(image, features, name="siamese_branch")


def circular_harmonic(order: int, length: int) -> NDArray[np.float64]:
    """Cosine and sine (length, 2) that give the angular harmonic of that order of ``length`` samples on a circle."""
    angle = 2 * np.pi * order * np.arange(length) / length
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * 2 / length


def polar_sampling(size: int, radius: float, radii: int, angles: int) -> NDArray[np.float64]:
    """The matrix (size * size, angles * radii) that samples images on a polar grid around pixel ``size // 2``.

    Rings at ``(k + 1/2) radius / radii`` pixels; trigonometric interpolation, exact for band-limited images.
    """
    ring = (np.arange(radii) + 0.5) * radius / radii
    angle = 2 * np.pi * np.arange(angles) / angles
    x = np.outer(np.cos(angle), ring).ravel()
    y = np.outer(np.sin(angle), ring).ravel()
    weights_y, weights_x = _interpolation(y, size), _interpolation(x, size)
    return np.einsum("py,px->yxp", weights_y, weights_x).reshape(size * size, -1)


def _interpolation(positions: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    """Weights (positions, size) of trigonometric interpolation: the mean of all frequencies up to Nyquist's."""
    offset = positions[:, None] - (np.arange(size) - size // 2)
    frequencies = np.fft.fftfreq(size)
    return np.cos(2 * np.pi * offset[..., None] * frequencies).mean(axis=-1)


def train(
    images: Images,
    poses: NDArray[np.floating],
    validation_images: Images,
    validation_poses: NDArray[np.floating],
    sampler: BatchSampler,
    noise_variance: float,
    max_shift: float,
    radius: float,
    distance: DistanceConfig,
    training: TrainingConfig,
    steps: int,
    max_seconds: float,
    rng: np.random.Generator,
    progress: Progress = silent,
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

    The same generator state gives the same weights on the same machine, unless ``max_seconds`` cuts the training short.
    """
    tf.config.experimental.enable_op_determinism()
    # Layers are named by counting in the process, and gradients are added in the order of the names: without starting
    # anew, a second training in the same process would differ in the last digits.
    keras.backend.clear_session()
    size = images.shape[-1]
    model = build_network(size, radius, distance.feature_dim, distance.head, rng)
    optimiser = keras.optimizers.Adam(training.learning_rate, clipnorm=1.0)
    step = _training_step(model, optimiser, images, poses, noise_variance, max_shift, distance.head)
    first, second = all_pairs(len(validation_poses))
    quaternions = to_quaternion(validation_poses)
    exact = geodesic_distance(quaternions[first], quaternions[second])
    noise_seed = int(rng.integers(2**31))

    validate_every = max(1, steps // _VALIDATIONS)
    started = time.monotonic()
    validation_mae = float("nan")
    number = 0
    paced_by_clock = False
    while number < steps:
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
        values = {"step": number, "loss": loss}
        if number % validate_every == 0 or number == steps:
            estimated = distances_from_features(embed(model, validation_images), first, second, distance.head)
            validation_mae = float(np.abs(estimated - exact).mean())
            values["validation_mae"] = validation_mae
        if number % 10 == 0 or "validation_mae" in values:  # reading the loss waits for the device
            values["loss"] = float(loss)
            progress(max(fraction, number / steps), values)
    return Trained(model, number, time.monotonic() - started, paced_by_clock, validation_mae)


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
) -> Any:
    """One compiled step: gather, corrupt, embed, compare all pairs, update. Data stay on the device."""
    size = images.shape[-1]
    stored = tf.constant(images)
    rotations = tf.constant(poses.reshape(len(poses), 9), dtype=tf.float32)
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

    @tf.function
    def step(indices: Any, weights: Any, seed: Any) -> Any:
        batch = corrupt(tf.gather(stored, indices), seed)
        pose = tf.gather(rotations, indices)
        trace = tf.matmul(pose, pose, transpose_b=True)
        with tf.GradientTape() as tape:
            features = model(batch, training=True)
            inner = tf.matmul(features, features, transpose_b=True)
            if head == "cosine":
                error = 3 * inner - trace
            else:
                squares = tf.linalg.diag_part(inner)
                between = tf.maximum(squares[:, None] + squares[None, :] - 2 * inner, 1e-6)
                error = tf.sqrt(between) - tf.sqrt(tf.maximum(6 - 2 * trace, 1e-6))
            loss = tf.reduce_sum(weights * tf.square(error))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimiser.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return step


def _learning_rate_factor(fraction: float) -> float:
    """Linear warm-up, then a half cosine to zero (Loshchilov & Hutter, 2017)."""
    return min(1.0, fraction / _WARM_UP + 0.05) * 0.5 * (1 + float(np.cos(np.pi * fraction)))
