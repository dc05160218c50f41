"""Refinement of poses by projection matching against a reference: a local search in Fourier space.

The model of a projection is a central slice of the reference's transform, shifted and scaled:
``a c(k) exp(-2 pi i k.t) F(R k)``, with ``c`` the contrast transfer function where there is one. Its misfit is
minimised over rotation and, where projections are shifted, over the shift ``t``, by Levenberg-Marquardt steps with
exact derivatives: the gradient of ``F`` is the transform of ``-2 pi i x rho``. White noise, or weights of one over the
power of the noise, make this the maximum likelihood, so with the true volume as reference the errors come near the
Cramér-Rao bound. The search uses frequency marching, from coarse to fine: a start that is some degrees off is close
enough only at low frequencies.

This goes beyond the two steps of the published method, and is reported separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.spatial.transform import Rotation

from ..base.errors import ArgumentError
from ..base.progress import Progress, silent
from ..imaging import fourier
from ..imaging.planes import Planes

Array = NDArray[np.floating]
Images = NDArray[np.float32]

_BATCH = 128
LEVELS = (0.3, 0.6, 1.0)
"""Of frequency marching, as fractions of the highest frequency."""
_DAMPING = 1e-3
_MOST_TURN = 0.15  # rad in one step
_RANDOM = np.pi**2 / 3 + 2  # rad^2, the mean square of the angle of a random rotation


@dataclass(frozen=True)
class Refined:
    """Refined poses (n, 3, 3) and shifts (n, 2) in pixels (x, y).

    ``variance`` (n,), rad^2: the expected square of a pose's angle error, from the curvature of the likelihood, shifts
    being unknown too, and the misfit that is left. At most that of a random pose, pi^2/3 + 2.
    """

    poses: Array
    shifts: Array
    variance: Array


@dataclass
class _Fit:
    """The current fit of each projection: parameters, misfit, noise (the mean square of what is left), and the normal
    equations of the next step.
    """

    poses: Array
    shifts: Array
    misfit: Array
    noise: Array
    normal: Array
    right: Array


def refine_poses(
    images: Images,
    poses: Array,
    density: NDArray[np.float32],
    center: Array,
    max_shift: float = 0.0,
    iterations: int = 3,
    highest: float = 0.5,
    progress: Progress = silent,
    transfer: Planes | None = None,
    noise_power: Array | None = None,
    levels: Sequence[float] = LEVELS,
) -> Refined:
    """Poses (n, 3, 3) near the given ones at which projections of the reference match the images (n, size, size) best.

    Parameters
    ----------
    density, center
        the reference (nz, ny, nx), and the voxel index (x, y, z) of its centre of rotation, which is projected to pixel
        ``size // 2``; pixels are as wide as voxels.
    max_shift
        pixels; bounds the unknown in-plane shifts. With 0 the projections are taken as centred.
    iterations
        at each of the levels of frequency marching.
    highest
        frequency of the last level, cycles per voxel; 0.5 is Nyquist's. Lower it for a
        reference that is only noise beyond some frequency.
    transfer
        (n, size, size // 2 + 1), real, in the order of ``numpy.fft.rfft2``: the contrast transfer function of each
        image, held or computed as needed, by which its slice of the reference is multiplied; None for plain
        projections.
    noise_power
        (size, size // 2 + 1), in the same order, above zero: the expected power of the noise at each frequency, in any
        unit, by whose inverse the misfit is weighted; None for white noise.
    levels
        of frequency marching, as fractions of ``highest``, ascending to 1. One alone keeps poses that are near already:
        what low frequencies alone would have is less precise, and may be nearer to another minimum.

    Raises
    ------
    ArgumentError
        for arrays of other shapes, and for a noise power that is not above zero.
    """
    size = images.shape[-1]
    plane = fourier.half_plane_frequencies(size)
    radius = np.linalg.norm(plane, axis=-1)
    moments, off_middle = _moments(density, center), center - np.array([n // 2 for n in density.shape[::-1]])
    weight = _weight(plane, size, noise_power)
    if transfer is not None and transfer.shape != (len(images), *plane.shape[:2]):
        raise ArgumentError(
            "{transfer} has the shape {given}; wanted {wanted}, rfft2's of the images", "transfer",
            given=transfer.shape, wanted=(len(images), *plane.shape[:2]),
        )  # fmt: skip
    multiplicity = _multiplicity(plane, size)
    refined_poses, refined_shifts = np.empty((len(images), 3, 3)), np.zeros((len(images), 2))
    variance = np.empty(len(images))
    for start in range(0, len(images), _BATCH):
        batch = slice(start, start + _BATCH)
        spectra = fft.rfft2(fft.ifftshift(images[batch], axes=(1, 2)))
        factors = None if transfer is None else transfer[batch]
        some: Array = np.asarray(poses[batch], dtype=float)
        shifts: Array = np.zeros((len(spectra), 2))
        for number, level in enumerate(levels):
            inside = (radius > 0) & (radius <= level * highest)
            factor = None if factors is None else factors[:, inside]
            data = _Data(
                spectra[:, inside], plane[inside], weight[inside], float(multiplicity[inside].sum()), moments,
                off_middle, factor,
            )  # fmt: skip
            if number == 0 and max_shift > 0:
                shifts = _best_shifts(spectra, data, inside, some, max_shift)
            fit = _search(data, some, shifts, max_shift, iterations)
            some, shifts = fit.poses, fit.shifts
            done = (start + len(some) * (number + 1) / len(levels)) / len(images)
            progress(min(1.0, done), {"projections": start + len(some)})
        refined_poses[batch], refined_shifts[batch], variance[batch] = some, shifts, _variance(fit)
    return Refined(refined_poses, refined_shifts, variance)


@dataclass(frozen=True)
class _Data:
    """Spectra (n, points) at the frequencies (points, 2) of a level, the weight of each, for how many points of the
    whole plane they stand, and the images' ``transfer`` (n, points) there.
    """

    spectra: NDArray[np.complexfloating]
    points: Array
    weight: Array
    count: float
    moments: NDArray[np.complex64]
    off_middle: Array
    transfer: NDArray[np.floating] | None = None

    def model(self, poses: Array) -> NDArray[np.complexfloating]:
        """Slices (n, points) and their gradients in the image's frame (n, 3, points), without shift: (4, n, points)."""
        frequencies = fourier.slice_frequencies(poses, self.points[None])
        values = fourier.transform(self.moments, frequencies).reshape(4, len(poses), -1)
        phase = np.exp(2j * np.pi * (self.off_middle @ frequencies.astype(float))).reshape(len(poses), -1)
        values = values * phase
        values[1:] = np.einsum("nji,jnk->ink", poses, values[1:])
        return values if self.transfer is None else values * self.transfer


def _search(data: _Data, poses: Array, shifts: Array, max_shift: float, iterations: int) -> _Fit:
    """Levenberg-Marquardt for all projections at once; a step that increases a misfit is rejected and shortened."""
    best = _evaluate(data, poses, shifts, max_shift > 0)
    damping = np.full(len(poses), _DAMPING)
    for _ in range(iterations):
        tried = _evaluate(data, *_stepped(best, damping, max_shift), max_shift > 0)
        better = tried.misfit < best.misfit
        damping = np.where(better, damping * 0.2, damping * 20)
        for name in vars(best):
            old, new = getattr(best, name), getattr(tried, name)
            setattr(best, name, np.where(better.reshape(-1, *[1] * (old.ndim - 1)), new, old))
    return best


def _variance(fit: _Fit) -> Array:
    """Mean squared angle (n,) in rad^2 of the errors that the noise causes, by the inverse of the Fisher information.

    Beforehand a pose has the variance of a random one, and a shift one of 1,000 px, which says nothing.
    """
    noise = np.maximum(fit.noise, 1e-200)[:, None, None]
    beforehand = np.full(fit.normal.shape[1], 1e-6)
    beforehand[:3] = 3 / _RANDOM
    covariance = noise * np.linalg.inv(fit.normal + noise * np.diag(beforehand))
    return np.asarray(np.einsum("nii->n", covariance[:, :3, :3]), dtype=float)


def _stepped(fit: _Fit, damping: Array, max_shift: float) -> tuple[Array, Array]:
    diagonal = np.einsum("nii->ni", fit.normal)
    damped = fit.normal + np.einsum("ni,ij->nij", damping[:, None] * diagonal + 1e-12, np.eye(diagonal.shape[1]))
    step = np.linalg.solve(damped, fit.right[:, :, None])[:, :, 0]
    turn = step[:, :3]
    length = np.linalg.norm(turn, axis=1, keepdims=True)
    turn = turn * np.minimum(1.0, _MOST_TURN / np.maximum(length, 1e-12))
    poses = fit.poses @ Rotation.from_rotvec(turn).as_matrix()
    shifts = np.clip(fit.shifts + step[:, 3:], -max_shift, max_shift) if step.shape[1] > 3 else fit.shifts
    return poses, shifts


def _evaluate(data: _Data, poses: Array, shifts: Array, with_shifts: bool) -> _Fit:
    """Misfit (n,), relative to the power of the data, and normal equations for turns (rad) and shifts (pixels).

    Turns are ``R -> R exp([w])``: k becomes ``k + w x k`` in the image's frame.
    """
    slices = data.model(poses)
    k_u, k_v = data.points.T
    moved = np.exp(-2j * np.pi * (shifts @ data.points.T))
    model, along_u, along_v, along_w = slices * moved
    derivatives = [k_v * along_w, -k_u * along_w, k_u * along_v - k_v * along_u]
    if with_shifts:
        derivatives += [-2j * np.pi * k_u * model, -2j * np.pi * k_v * model]
    jacobian = np.stack(derivatives, axis=1)
    scale = _inner(model, data.spectra, data.weight) / np.maximum(_inner(model, model, data.weight), 1e-30)
    residual = data.spectra - scale[:, None] * model
    jacobian = jacobian * scale[:, None, None]
    weighted = jacobian.conj() * data.weight
    normal = np.einsum("nik,njk->nij", weighted, jacobian, optimize=True).real
    right = np.einsum("nik,nk->ni", weighted, residual, optimize=True).real
    power = np.maximum(_inner(data.spectra, data.spectra, data.weight), 1e-30)
    left = _inner(residual, residual, data.weight)
    return _Fit(poses, shifts, left / power, left / max(data.count, 1.0), normal, right)


def _best_shifts(
    spectra: NDArray[np.complexfloating], data: _Data, inside: NDArray[np.bool_], poses: Array, max_shift: float
) -> Array:
    """Whole-pixel shifts (n, 2), at most ``max_shift``, at which the images correlate best with their references."""
    size = spectra.shape[1]
    product = np.zeros_like(spectra)
    product[:, inside] = data.spectra * data.model(poses)[0].conj()
    correlation = fft.irfft2(product, s=(size, size))
    offsets = np.fft.fftfreq(size, 1 / size)
    allowed = (np.abs(offsets[:, None]) <= max_shift) & (np.abs(offsets[None]) <= max_shift)
    flat = np.where(allowed, correlation, -np.inf).reshape(len(spectra), -1).argmax(axis=1)
    row, column = np.unravel_index(flat, (size, size))
    return np.stack([offsets[column], offsets[row]], axis=1)


def _inner(a: NDArray[np.complexfloating], b: NDArray[np.complexfloating], weight: Array) -> Array:
    return np.asarray(((a.conj() * b).real * weight).sum(axis=-1), dtype=float)


def _multiplicity(plane: Array, size: int) -> Array:
    """Of the points of a half plane: all columns but the first (and Nyquist's) count twice."""
    k_u = np.abs(plane[..., 0])
    return np.where((k_u == 0) | (np.isclose(k_u, 0.5) & (size % 2 == 0)), 1.0, 2.0)


def _weight(plane: Array, size: int, noise_power: Array | None) -> Array:
    """Weights (size, size // 2 + 1) of squared residuals: the multiplicity, over the relative power of the noise."""
    multiplicity = _multiplicity(plane, size)
    if noise_power is None:
        return multiplicity
    if noise_power.shape != multiplicity.shape or not np.all(noise_power > 0):
        raise ArgumentError(
            "{noise_power} has the shape {given} and values from {least:.3g}; wanted {wanted}, rfft2's of an image, "
            "and values above 0", "noise_power", given=noise_power.shape, least=np.min(noise_power, initial=np.inf),
            wanted=multiplicity.shape,
        )  # fmt: skip
    return multiplicity * (noise_power.mean() / noise_power)


def _moments(density: NDArray[np.float32], center: Array) -> NDArray[np.complex64]:
    """The density and ``-2 pi i`` times its products with x, y, z from the centre: (4, nz, ny, nx)."""
    z, y, x = np.indices(density.shape, dtype=np.float32)
    from_centre = [axis - np.float32(middle) for axis, middle in zip((x, y, z), center, strict=True)]
    return np.stack([density, *(-2j * np.pi * axis * density for axis in from_centre)]).astype(np.complex64)
