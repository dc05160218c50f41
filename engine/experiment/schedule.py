"""The default length of a training."""

from __future__ import annotations

from ..config.schema import Config
from ..config.training import FEWEST_STEPS, MOST_STEPS
from ..imaging.noise import Spectrum
from .stage import Source

_LEFT_BY_CTF = 0.14  # of the variance of projections: that of 1BD2 at 0.8 to 3 um


def training_steps(noise_to_signal: float, shift_to_frame: float) -> int:
    """Default number of training steps: noise and shifts are both averaged over steps.

    ``noise_to_signal`` is the ratio of variances in the network's pixels, ``shift_to_frame`` the largest shift over the
    frame's width. Measured on 5J0N: without either, 1,800 steps give distances to 0.005 rad; at a noise of 2.6
    times the signal's variance, and at shifts of up to a sixth of the frame, the error still falls after 5,000.
    """
    hardness = min(1.0, noise_to_signal / 2 + 6 * shift_to_frame)
    return round(FEWEST_STEPS + (MOST_STEPS - FEWEST_STEPS) * hardness)


def expected_steps(config: Config, source: Source) -> int:
    """Expected training steps of an experiment, as far as known before its projections are simulated."""
    if source.stack is not None:
        return config.training.steps or MOST_STEPS  # particles are noisier than what that many are for
    projections, size = config.projections, source.frame(config)
    ratio = size / min(config.training.image_size, size)
    noise = projections.noise_variance or 0.0
    noise_to_signal = 1 / projections.snr if projections.snr is not None else noise / _signal_variance(config, source)
    if projections.noise_spectrum == "coloured":
        noise_to_signal *= Spectrum.coloured(source.voxel_size).share(ratio)
    noise_to_signal *= config.training.noise_factor
    return config.training.steps or training_steps(noise_to_signal / ratio**2, projections.max_shift / size)


def _signal_variance(config: Config, source: Source) -> float:
    """Of the projections with their CTF, where there is one, roughly."""
    return source.signal_variance * (1.0 if config.projections.defocus is None else _LEFT_BY_CTF)
