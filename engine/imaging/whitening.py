"""The noise of a stack of particles, measured where there are none: its spectrum, the filter that whitens it; and
whether particles are brighter or darker than their surroundings.

A particle fills the disc in the middle of its image; the corners outside are noise. Powers are such that white noise of
variance ``v`` has power ``v`` at all frequencies: ``E |rfft2(noise)|^2 / size^2``. Frequencies are in cycles per pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ..base.errors import ArgumentError
from . import fourier

Images = NDArray[np.float32]
Array = NDArray[np.floating]

_OUTLYING = 4.0  # times the median variance of a batch's corners: carbon, ice, a detector's fault
_FLOOR = 1e-3  # of the mean power: no ring is taken to be freer of noise, whatever few images say


@dataclass(frozen=True, eq=False)
class NoiseSpectrum:
    """Power of the noise by ring: ``frequencies`` (rings,), cycles per pixel from 0 on, and ``power`` (rings,).

    ``used`` images of ``count`` were measured; the others are not finite, or their corners are outliers.
    """

    frequencies: Array
    power: Array
    used: int
    count: int

    def on_plane(self, size: int, pixel_ratio: float = 1.0) -> Array:
        """Power (size, size // 2 + 1) in the order of ``rfft2``, linear between rings, of images of ``size`` pixels.

        ``pixel_ratio``: how many times as wide their pixels are as those of the images that were measured, after
        Fourier cropping (:func:`imaging.filters.fourier_crop`), which leaves the values of smooth images as they are.
        """
        radius = np.linalg.norm(fourier.half_plane_frequencies(size), axis=-1) / pixel_ratio
        return np.interp(radius, self.frequencies, self.power) / pixel_ratio**2

    def whitening(self, size: int, pixel_ratio: float = 1.0) -> Array:
        """Factors (size, size // 2 + 1) that make this noise white, of variance 1: ``1 / sqrt(power)``."""
        return 1 / np.sqrt(self.on_plane(size, pixel_ratio))


def outside_disc(size: int, radius: float | None = None) -> NDArray[np.bool_]:
    """Pixels (size, size) further than ``radius`` from pixel ``size // 2``; half of the size when not given.

    Raises
    ------
    ArgumentError
        for a radius that leaves hardly any pixel outside.
    """
    offset = np.arange(size) - size // 2
    radius = size / 2 if radius is None else radius
    outside = np.hypot(*np.meshgrid(offset, offset)) > radius
    if outside.sum() < 0.02 * size**2:
        raise ArgumentError(
            "{radius} is {given:g} pixels and the images are {size} wide, so there are no corners to measure noise in; "
            "wanted at most {most:.3g}", "radius", given=radius, size=size, most=0.65 * size,
        )  # fmt: skip
    return np.asarray(outside)


def noise_spectrum(batches: Iterable[Images], radius: float | None = None) -> NoiseSpectrum:
    """Spectrum of the noise in the corners of images, given in batches (n, size, size) so that few are in memory.

    The corners are those outside the disc of ``radius`` pixels, half of the image by default. The covariance of their
    pixels, whose mean is subtracted in each image, at each lag up to half of the image is free of what lies inside, and
    of the corners' shape: sums over pairs of corner pixels, divided by the number of pairs (Blackman & Tukey, 1958).
    Its transform, after a taper (Hann's), is the power; rings are averages over directions. The mean of an image cannot
    be told from noise of waves as long as it, so rings 0 and 1 have the power of ring 2.

    Raises
    ------
    ArgumentError
        for no images, images of several sizes, and a radius that leaves no corners.
    """
    sums, outside, pairs, used, count = None, None, None, 0, 0
    for images in batches:
        size = images.shape[-1]
        if outside is None or pairs is None or sums is None:
            outside = outside_disc(size, radius)
            pairs = _autocorrelation(outside[None].astype(float))
            sums = np.zeros_like(pairs)
        if outside.shape[0] != size:
            raise ArgumentError(
                "{batches} have images of {first} and {other} pixels; wanted one size", "batches",
                first=outside.shape[0], other=size,
            )  # fmt: skip
        corners = images[:, outside].astype(float)
        count += len(corners)
        variances = corners.var(axis=1)
        valid = np.isfinite(variances) & (variances > 0)
        if not valid.any():
            continue
        valid &= variances <= _OUTLYING * np.median(variances[valid])
        noise = np.zeros((int(valid.sum()), size, size))
        noise[:, outside] = corners[valid] - corners[valid].mean(axis=1, keepdims=True)
        sums += _autocorrelation(noise)
        used += len(noise)
    if sums is None or pairs is None or used == 0:
        raise ArgumentError("{batches} have no image with noise in its corners; wanted some", "batches")
    size = sums.shape[0] // 2
    return NoiseSpectrum(*_by_ring(_power(sums / used, pairs, size), size), used, count)


def _autocorrelation(images: Array) -> Array:
    """Sums over images (n, size, size) of products of pixels at each lag: (2 size, 2 size), lag 0 first."""
    doubled = (2 * images.shape[1],) * 2
    power = np.zeros((doubled[0], doubled[1] // 2 + 1))
    for image in images:
        power += np.abs(fft.rfft2(image, s=doubled)) ** 2
    return np.asarray(fft.irfft2(power, s=doubled))


def _power(products: Array, pairs: Array, size: int) -> Array:
    """Power (size, size // 2 + 1) from products and numbers of pairs by lag (2 size, 2 size), tapered to half of it."""
    lag = np.fft.fftfreq(2 * size, 1 / (2 * size))
    distance = np.hypot(lag[:, None], lag)
    near = (distance < size / 2) & (pairs > 0.5)
    taper = np.where(near, np.cos(np.pi * distance / size) ** 2, 0)
    covariance = np.where(near, products / np.maximum(pairs, 0.5), 0) * taper
    kept = np.fft.fftfreq(size, 1 / size).astype(int)  # all lags that are left are within half of the image
    return np.asarray(fft.rfft2(covariance[np.ix_(kept, kept)]).real)


def _by_ring(power: Array, size: int) -> tuple[Array, Array]:
    """Frequencies and mean power of rings one Fourier pixel wide."""
    radius = np.linalg.norm(fourier.half_plane_frequencies(size), axis=-1) * size
    ring = np.rint(radius).astype(int).ravel()
    members = np.bincount(ring)
    frequencies = np.bincount(ring, radius.ravel()) / members / size
    means = np.bincount(ring, power.ravel()) / members
    means[:2] = means[2]
    return frequencies, np.maximum(means, _FLOOR * means.mean())


class Contrast(NamedTuple):
    """``sign`` by which images are to be multiplied so that particles are bright; by how many standard errors the
    evidence for it differs from none: with less than about 3 it is not known.
    """

    sign: int
    standard_errors: float


def contrast(
    batches: Iterable[tuple[Images, Array | None]], radius: float | None = None, template: Array | None = None
) -> Contrast:
    """Whether particles are brighter than what surrounds them, over all images.

    Parameters
    ----------
    batches
        of images (n, size, size), each with their contrast transfer functions (n, size, size // 2 + 1) in the order of
        ``rfft2``, or None. With these, the sign is the one with which images agree with *transfer times projection*:
        images are multiplied by them first, which undoes their reversals.
    radius
        pixels, of the particles; a quarter of the image's width when not given.
    template
        (size, size), what particles look like on average: the mean of projections of their map. When not given, a
        Gaussian of standard deviation ``radius / 2``: its transform is positive, so a wrong radius lessens the
        evidence and does not reverse it.

    The evidence of an image is the covariance of its pixels with the template.
    """
    evidence = []
    for images, transfer in batches:
        size = images.shape[-1]
        spectra = fft.rfft2(images)
        if transfer is not None:
            spectra = spectra * transfer
        expected = _blob(size, size / 4 if radius is None else radius) if template is None else template
        centred = expected - np.mean(expected, dtype=float)
        evidence.append(np.einsum("nyx,yx->n", fft.irfft2(spectra, s=(size, size)), centred))
    values = np.concatenate(evidence)
    mean, error = float(values.mean()), float(values.std() / np.sqrt(len(values)))
    return Contrast(1 if mean >= 0 else -1, abs(mean) / error if error > 0 else 0.0)


def _blob(size: int, radius: float) -> Array:
    """A Gaussian (size, size) of standard deviation ``radius / 2`` about pixel ``size // 2``."""
    along = np.exp(-2 * ((np.arange(size) - size // 2) / radius) ** 2)
    return np.asarray(np.outer(along, along))
