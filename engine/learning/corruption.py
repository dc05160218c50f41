"""Shifts, CTF and noise of the images as TensorFlow operations, drawn anew for every batch; and their preparation.

The same as :func:`imaging.filters.shift_images`, :func:`imaging.ctf.applied`, :meth:`imaging.noise.NoiseModel.apply`,
:func:`imaging.ctf.phase_flipped` and :func:`imaging.preparation.within` for the test images, in this order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging import ctf as contrast
from ..imaging.ctf import ContrastTransfer
from ..imaging.fourier import half_plane_frequencies
from ..imaging.noise import NoiseModel
from .libraries import tf

_OF_CTF = 1  # tells the seed of the choice of a CTF from the seed of shifts and noise
_VANISHING = 1e-30  # variance of an image without contrast; beside any other single precision rounds it away


def corruption(
    noise: NoiseModel,
    max_shift: float,
    size: int,
    ctf: ContrastTransfer | None = None,
    pixel_size: float = 1.0,
    flips: bool = True,
    whitening: NDArray[np.floating] | None = None,
    mask: NDArray[np.float32] | None = None,
) -> Callable[[Any, Any, Any], Any]:
    """A function of clean images (n, size, size), the numbers (n,) that they have in the training set, and a seed (2,),
    int32, that corrupts images as a microscope does and prepares them for the network.

    It shifts them, triangular on [-max_shift, max_shift] pixels along x and y, multiplies each by one of the settings
    in ``ctf``, drawn at random, adds noise, multiplies by the sign of the CTF if ``flips``, filters by ``whitening``
    (size, size // 2 + 1) where there is one, and standardises; where there is a ``mask`` (size, size), multiplies by it
    and standardises again. The same seed gives the same images. The numbers are for what is an image's own; so far all
    is drawn.

    The values of the CTF are held for all settings, 5 kB each at 48 pixels; ``pixel_size`` is in Å.
    """
    deviation = noise.standard_deviation
    # In the order of tf.signal.rfft2d, cycles per pixel.
    k_v = tf.constant(np.fft.fftfreq(size), dtype=tf.float32)
    k_u = tf.constant(np.fft.rfftfreq(size), dtype=tf.float32)
    colour = None if noise.spectrum is None else tf.constant(np.sqrt(noise.power(size)), dtype=tf.float32)
    values = None
    if ctf is not None:
        values = tf.constant(contrast.transfer(ctf, half_plane_frequencies(size, pixel_size)), dtype=tf.float32)

    def corrupt(batch: Any, indices: Any, seed: Any) -> Any:
        shape = tf.shape(batch)
        factors = None if values is None else tf.gather(values, draw_settings(shape[0], values.shape[0], seed))
        if max_shift > 0:
            batch = shifted(batch, draw_shifts(shape[0], max_shift, seed), k_u, k_v)
        if factors is not None:
            batch = filtered(batch, factors)
        if deviation > 0:
            white = tf.random.stateless_normal(shape, seed)
            batch += deviation * (white if colour is None else filtered(white, colour))
        if factors is not None and flips:
            batch = filtered(batch, tf.where(factors < 0, -1.0, 1.0))
        if whitening is not None:
            batch = filtered(batch, tf.constant(whitening, dtype=tf.float32))
        batch = standardised(batch)
        return batch if mask is None else standardised(batch * tf.constant(mask, dtype=tf.float32))

    return corrupt


def standardised(images: Any) -> Any:
    """Images (n, size, size), each with mean 0 and standard deviation 1; one without contrast becomes zero."""
    mean, variance = tf.nn.moments(images, axes=(1, 2), keepdims=True)
    return (images - mean) * tf.math.rsqrt(variance + _VANISHING)


def draw_settings(count: Any, settings: int, seed: Any) -> Any:
    """Numbers (count,) of settings of the CTF, uniform and independent."""
    own = tf.random.experimental.stateless_fold_in(seed, _OF_CTF)
    return tf.random.stateless_uniform((count,), own, 0, settings, tf.int32)


def filtered(images: Any, factors: Any) -> Any:
    """Images (n, size, size), multiplied in Fourier space by real factors ([n,] size, size // 2 + 1)."""
    size = images.shape[-1]
    spectra = tf.signal.rfft2d(images) * tf.cast(factors, tf.complex64)
    return tf.signal.irfft2d(spectra, fft_length=(size, size))


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
