"""What the images of a stack are like, so that projections of a map can be made like them for a network to learn from.

Recorded images have a CTF each, unknown shifts and coloured noise. Both recorded and simulated images are prepared in
the same way: Fourier-cropped to the network's size, multiplied by the sign of the CTF, divided by the root of the
noise's power, masked, standardised. The scale of a map's values is arbitrary: it is estimated from the power that the
images have beyond that of their noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ..base.progress import Progress, silent
from ..geometry.rotations import sample_orientations
from . import ctf as contrast
from . import filters, fourier
from .ctf import ContrastTransfer
from .noise import NoiseModel
from .preparation import prepared, within
from .projection import project
from .simulation import TrainingSet
from .volume import Volume

Images = NDArray[np.float32]
Array = NDArray[np.floating]

_MOST_SETTINGS = 1024  # of the CTF in a training: their values are held at the network's size
_MEASURED = 500  # projections whose power is compared with the images'


@dataclass(frozen=True, eq=False)
class StackModel:
    """How images of a stack come about and are prepared, at the network's size.

    Attributes
    ----------
    size, pixel_size
        pixels, and Å, of the network's images.
    ctf
        settings that occur in the stack; None without CTF.
    noise
        of images at this size before they are whitened.
    max_shift
        in these pixels.
    flips
        whether images are multiplied by the sign of their CTF.
    whitening
        (size, size // 2 + 1), in the order of ``rfft2``: what images are multiplied with; None where they are not.
    power
        (size, size // 2 + 1): mean of ``|rfft2|^2`` of the stack's prepared, not yet masked and standardised images.
    mask
        (size, size): what prepared images are multiplied with; None where they are not.
    """

    size: int
    pixel_size: float
    ctf: ContrastTransfer | None
    noise: NoiseModel
    max_shift: float
    flips: bool
    whitening: Array | None
    power: Array
    mask: NDArray[np.float32] | None = None

    def transfer(self, settings: ContrastTransfer | None) -> Array:
        """What multiplies projections (n, size, size // 2 + 1), or (1, ...): CTF, flip and whitening together."""
        factors: Array = np.ones((1, self.size, self.size // 2 + 1))
        if settings is not None:
            values = contrast.transfer(settings, fourier.half_plane_frequencies(self.size, self.pixel_size))
            factors = np.abs(values) if self.flips else values
        return factors if self.whitening is None else factors * self.whitening


def settings_of(ctf: ContrastTransfer | None, rng: np.random.Generator) -> ContrastTransfer | None:
    """Settings of the CTF that stand for those of all images: all of them, or a random part of very many."""
    if ctf is None or len(ctf) <= _MOST_SETTINGS:
        return ctf
    return ctf[np.sort(rng.choice(len(ctf), _MOST_SETTINGS, replace=False))]


def mean_power(images: Images) -> Array:
    """Mean (size, size // 2 + 1) of ``|rfft2|^2`` over images (n, size, size)."""
    return np.asarray((np.abs(fft.rfft2(images)) ** 2).mean(axis=0, dtype=np.float64))


def signal_scale(clean: Images, model: StackModel, rng: np.random.Generator) -> float:
    """The factor of clean projections (n, size, size) with which they have the power that the stack has beyond noise.

    Weighted least squares over the Fourier plane, without its origin: each coefficient's mean power has a standard
    deviation proportional to the power itself. InputError-free: 0 where the stack holds no more than noise.
    """
    some = clean[:_MEASURED]
    settings = None
    if model.ctf is not None:
        settings = model.ctf[rng.integers(len(model.ctf), size=len(some))]
    expected = (np.abs(fft.rfft2(some)) ** 2 * model.transfer(settings) ** 2).mean(axis=0)
    noise = model.noise.variance * model.noise.power(model.size) * model.size**2
    if model.whitening is not None:
        noise = noise * model.whitening**2
    weight = np.where(np.arange(expected.shape[1]) == 0, 1.0, 2.0) / np.maximum(model.power, 1e-30) ** 2
    weight[0, 0] = 0
    squared = (weight * expected * (model.power - noise)).sum() / (weight * expected**2).sum()
    return float(np.sqrt(max(squared, 0.0)))


def simulate_like_stack(
    volume: Volume,
    model: StackModel,
    count: int,
    validation_count: int,
    rng: np.random.Generator,
    progress: Progress = silent,
) -> tuple[TrainingSet, float]:
    """Training and validation projections of a map as a stack's images are; and the scale of the map's projections.

    Viewing directions are uniform over rotations, whatever those of the stack are.
    """
    poses = [sample_orientations(number, rng) for number in (count, validation_count)]
    clean = []
    for some in poses:
        clean.append(project(volume, some, model.size, model.pixel_size))
        progress(sum(len(images) for images in clean) / (count + validation_count), {})
    scale = signal_scale(clean[0], model, rng)
    images, validation = (one * np.float32(scale) for one in clean)
    settings = None if model.ctf is None else model.ctf[rng.integers(len(model.ctf), size=validation_count)]
    if settings is not None:
        validation = contrast.applied(validation, settings, model.pixel_size)
    validation = filters.shift_images(validation, filters.draw_shifts(validation_count, model.max_shift, rng))
    validation = prepared(model.noise.apply(validation, rng), settings, model.pixel_size, model.flips, model.whitening)
    data = TrainingSet(
        images, poses[0], within(model.mask, validation), poses[1], model.noise, model.max_shift, ctf=model.ctf,
        pixel_size=model.pixel_size, flips=model.flips, whitening=model.whitening, mask=model.mask,
    )  # fmt: skip
    return data, scale
