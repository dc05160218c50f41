"""Shifts and noise of the images as TensorFlow operations, drawn anew for every batch.

The same as :func:`imaging.filters.shift_images` and :meth:`imaging.noise.NoiseModel.apply` for the test images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..imaging.noise import NoiseModel
from .libraries import tf

_VANISHING = 1e-30  # variance of an image without contrast; beside any other single precision rounds it away


def corruption(noise: NoiseModel, max_shift: float, size: int) -> Callable[[Any, Any], Any]:
    """A function of clean images (n, size, size) and a seed (2,), int32, that shifts them, makes them noisy and
    standardises them.

    Shifts are triangular on [-max_shift, max_shift] pixels along x and y; the same seed gives the same images.
    """
    deviation = noise.standard_deviation
    # In the order of tf.signal.rfft2d, cycles per pixel.
    k_v = tf.constant(np.fft.fftfreq(size), dtype=tf.float32)
    k_u = tf.constant(np.fft.rfftfreq(size), dtype=tf.float32)

    def corrupt(batch: Any, seed: Any) -> Any:
        shape = tf.shape(batch)
        if max_shift > 0:
            batch = shifted(batch, draw_shifts(shape[0], max_shift, seed), k_u, k_v)
        if deviation > 0:
            batch += deviation * tf.random.stateless_normal(shape, seed)
        mean, variance = tf.nn.moments(batch, axes=(1, 2), keepdims=True)
        return (batch - mean) * tf.math.rsqrt(variance + _VANISHING)

    return corrupt


def draw_shifts(count: Any, max_shift: float, seed: Any) -> Any:
    """Shifts (count, 2), (x, y), in pixels, triangular on [-max_shift, max_shift]."""
    # The sum of two uniform numbers is triangular.
    uniform = tf.random.stateless_uniform((count, 2, 2), seed, -0.5 * max_shift, 0.5 * max_shift)
    return tf.reduce_sum(uniform, axis=-1)


def shifted(images: Any, shifts: Any, k_u: Any, k_v: Any) -> Any:
    """Images (n, size, size) moved by shifts (n, 2) in pixels; ``k_u``, ``k_v``: frequencies, cycles per pixel."""
    size = images.shape[-1]
    turns = k_v[None, :, None] * shifts[:, 1, None, None] + k_u[None, None, :] * shifts[:, 0, None, None]
    phase = tf.exp(tf.complex(tf.zeros_like(turns), -2 * np.pi * turns))
    return tf.signal.irfft2d(tf.signal.rfft2d(images) * phase, fft_length=(size, size))
