"""Density from projections with known poses, by least squares.

The normal equations of the Fourier slices are solved. Their operator is a convolution, so it is computed
once as a kernel on a grid of twice the size and then applied by FFT; an iteration does not use the images again
(Wajer & Pruessmann, 2001; for cryo-EM Wang, Shkolnisky & Singer, 2013). Half sets share the work: the sums over all
images are those over the two halves. Where there is CUDA, ASTRA's CGLS can solve the same problem in real space.

Images may have contrast transfer functions ``c`` and coloured noise: with weights ``w``, one over the relative power of
the noise, each sample adds ``c^2 w`` to the kernel and ``c w y`` to the right side, so what one defocus hides is taken
from others. Where the noise is strong, the ridge follows from the signal-to-noise ratio: see :func:`reconstruct`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.sparse.linalg import LinearOperator, cg

from ..base.errors import ArgumentError
from ..base.progress import Progress, silent
from . import astra_gpu, fourier
from .choices import ITERATIONS, ReconstructionMethod
from .filters import shift_images
from .planes import Planes
from .volume import Volume

Density = NDArray[np.float32]
Halves = tuple[NDArray[np.integer], NDArray[np.integer]]
"""Indices of the images of two half sets."""

_BATCH = 256
_TIKHONOV = 1e-3  # relative to the mean eigenvalue; determines what no slice covers


@dataclass(frozen=True)
class Reconstruction:
    """The density from all images and the two from random halves, each (nz, ny, nx) on the grid of the input volume."""

    density: Density
    halves: tuple[Density, Density]


def reconstruct(
    images: NDArray[np.float32],
    poses: NDArray[np.floating],
    grid: Volume,
    rng: np.random.Generator,
    iterations: int | None = None,
    progress: Progress = silent,
    method: ReconstructionMethod = "normal_equations",
    shifts: NDArray[np.floating] | None = None,
    transfer: Planes | None = None,
    noise_power: NDArray[np.floating] | None = None,
    halves: Halves | None = None,
    snr: float | None = None,
) -> Reconstruction:
    """Least-squares densities from projections (n, size, size) and their poses (n, 3, 3).

    ``grid`` gives the shape and the centre of rotation of the result; its density is not used. Pixels of the
    images are as large as its voxels. ``iterations`` are by default those of :data:`imaging.choices.ITERATIONS`.

    Parameters
    ----------
    shifts
        (n, 2) in pixels, (x, y): displacement of the content; images are centred when not given.
    transfer
        (n, size, size // 2 + 1), real, in the order of ``numpy.fft.rfft2``: the contrast transfer function of each
        image, held or computed as needed; None for plain projections.
    noise_power
        (size, size // 2 + 1), in the same order, above zero: the expected power of the noise at each frequency, in any
        unit; None for white noise.
    halves
        indices of the images of two half sets, which share none; an image that is in neither is not used. Random halves
        when not given; then ``rng`` draws them.
    snr
        variance of the signal over that of the noise in the images, as they are, after their transfer functions. The
        density is then the most probable one if its voxels are independent and Gaussian beforehand, with the variance
        that gives this ratio: the ridge is ``voxels / (snr samples)`` times the mean eigenvalue, with so many
        (weighted) Fourier samples. When not given it is a thousandth, for images with little noise.

    Raises
    ------
    ArgumentError
        for images that are not finite, arrays of other shapes, half sets that are empty or share images, and for
        ``cgls`` without CUDA, or with transfer functions, a noise power or a ratio, which it does not take.
    """
    for start in range(0, len(images), _BATCH):
        finite = np.isfinite(images[start : start + _BATCH]).all(axis=(1, 2))
        if not finite.all():
            wrong = start + int(np.argmin(finite))
            raise ArgumentError("{images}[{wrong}] is not finite; wanted numbers", "images", wrong=wrong)
    _check_shapes(images, shifts=shifts, transfer=transfer, noise_power=noise_power)
    iterations = ITERATIONS[method] if iterations is None else iterations
    members = _random_halves(len(images), rng) if halves is None else _checked_halves(halves, len(images))
    if method == "cgls":
        astra_gpu.require("method", "cgls", "normal_equations")
        if transfer is not None or noise_power is not None or snr is not None:
            raise ArgumentError(
                "{method} is 'cgls', which takes no {transfer}, {noise_power} or {snr}; wanted {method} = "
                "normal_equations", "method", "transfer", "noise_power", "snr",
            )  # fmt: skip
        images = images if shifts is None else shift_images(images, -np.asarray(shifts))
        every = np.arange(len(images)) if halves is None else np.concatenate(members)
        densities = []
        for number, some in enumerate([every, *members]):
            densities.append(astra_gpu.reconstruct_cgls(images[some], poses[some], grid, iterations))
            progress((number + 1) / 3, {})
        return Reconstruction(densities[0], (densities[1], densities[2]))
    progress(0.0, {})
    slices = _Slices(images, poses, shifts, transfer, noise_power)
    with ThreadPoolExecutor(2) as pool:  # each half is summed by one thread, so always in the same order
        half_a, half_b = pool.map(lambda some: _normal_equations(slices, some, grid), members)
    progress(0.6, {})
    density_a = _solve(half_a, iterations, snr)
    progress(0.75, {})
    density_b = _solve(half_b, iterations, snr)
    progress(0.9, {})
    both = _Normal(half_a.kernel + half_b.kernel, half_a.right + half_b.right, half_a.samples + half_b.samples)
    return Reconstruction(_solve(both, iterations, snr), (density_a, density_b))


@dataclass(frozen=True)
class _Slices:
    """What is known of each image, and the power of the noise of all; arguments of :func:`reconstruct`."""

    images: NDArray[np.float32]
    poses: NDArray[np.floating]
    shifts: NDArray[np.floating] | None
    transfer: Planes | None
    noise_power: NDArray[np.floating] | None


@dataclass(frozen=True)
class _Normal:
    """The kernel of ``A^H W A`` on the doubled grid, ``A^H W y`` on the grid itself, and the sum of the weights ``W``,
    without transfer functions.
    """

    kernel: Density
    right: Density
    samples: float


def _random_halves(count: int, rng: np.random.Generator) -> Halves:
    order = rng.permutation(count)
    return np.sort(order[::2]), np.sort(order[1::2])


def _checked_halves(halves: Halves, count: int) -> Halves:
    first, second = (np.asarray(half, dtype=int) for half in halves)
    both = np.concatenate([first, second])
    if len(first) == 0 or len(second) == 0 or len(np.unique(both)) < len(both):
        raise ArgumentError(
            "{halves} have {first} and {second} images, {shared} of them more than once; wanted some in each, and each "
            "image once", "halves", first=len(first), second=len(second), shared=len(both) - len(np.unique(both)),
        )  # fmt: skip
    if both.min() < 0 or both.max() >= count:
        raise ArgumentError(
            "{halves} have the indices {low} to {high}; wanted those of the {count} images", "halves", low=both.min(),
            high=both.max(), count=count,
        )  # fmt: skip
    return first, second


def _check_shapes(images: NDArray[np.float32], **arrays: Planes | None) -> None:
    count, size, _ = images.shape
    plane = (size, size // 2 + 1)
    shapes = {"shifts": (count, 2), "transfer": (count, *plane), "noise_power": plane}
    for name, array in arrays.items():
        if array is not None and array.shape != shapes[name]:
            template = "{NAME} has the shape {given}; wanted {wanted}, for {count} images of {size} pixels"
            raise ArgumentError(
                template.replace("NAME", name), name, given=array.shape, wanted=shapes[name], count=count, size=size
            )
    power = arrays["noise_power"]
    if isinstance(power, np.ndarray) and not np.all(power > 0):
        raise ArgumentError("{noise_power} has {least}; wanted values above 0", "noise_power", least=power.min())


def _normal_equations(slices: _Slices, members: NDArray[np.integer], grid: Volume) -> _Normal:
    """Those of some of the images, which are read a batch at a time."""
    shape = grid.density.shape
    doubled = (2 * shape[0], 2 * shape[1], 2 * shape[2])
    plane = fourier.half_plane_frequencies(slices.images.shape[-1])
    inside = np.linalg.norm(plane, axis=-1) <= 0.5  # beyond, a rotated slice leaves the band of the voxels
    # A column counts for itself and its Hermitian mirror, except the one that is its own mirror.
    weight = np.where(plane[..., 0] == 0, 1.0, 2.0)[inside].astype(np.float32)
    if slices.noise_power is not None:
        relative = slices.noise_power[inside] / slices.noise_power[inside].mean()
        weight = (weight / relative).astype(np.float32)
    off_middle = grid.center_offset
    kernel = np.zeros(doubled, dtype=np.float32)
    right = np.zeros(shape, dtype=np.float32)
    for start in range(0, len(members), _BATCH):
        batch = members[start : start + _BATCH]
        poses = slices.poses[batch]
        spectra = fft.rfft2(fft.ifftshift(slices.images[batch], axes=(1, 2)))
        back = (off_middle @ poses)[:, :2]
        spectra *= fourier.translation_phase(plane, back if slices.shifts is None else back - slices.shifts[batch])
        frequencies = fourier.slice_frequencies(poses, plane[inside])
        weighted, weights = spectra[:, inside] * weight, np.tile(weight, len(batch))
        if slices.transfer is not None:
            factor = slices.transfer[batch][:, inside].astype(np.float32)
            weighted, weights = weighted * factor, (weight * factor**2).ravel()
        right += fourier.adjoint_transform(weighted.ravel(), frequencies, shape).real
        kernel += fourier.adjoint_transform(weights.astype(np.complex64), frequencies, doubled).real
    return _Normal(kernel, right, float(weight.sum(dtype=float)) * len(members))


def _solve(normal: _Normal, iterations: int, snr: float | None) -> Density:
    """Conjugate gradients on ``(kernel * x + ridge x) = right``, preconditioned by the ramp filter.

    Slices sample Fourier space with a density of 1 / |k|; multiplying by |k| compensates for it.
    """
    kernel, right = normal.kernel, normal.right
    shape, doubled = right.shape, kernel.shape
    spectrum = fft.rfftn(fft.ifftshift(kernel), workers=-1)
    relative = _TIKHONOV if snr is None else right.size / (snr * normal.samples)
    ridge = np.float32(relative * kernel[tuple(n // 2 for n in doubled)])
    k = np.meshgrid(np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]), np.fft.rfftfreq(shape[2]), indexing="ij")
    ramp = np.sqrt(sum(axis**2 for axis in k)).astype(np.float32)
    ramp = np.maximum(ramp, 0.5 / max(shape))
    corner = tuple(slice(0, n) for n in shape)

    def apply(flat: NDArray[np.float32]) -> NDArray[np.float32]:
        x = flat.reshape(shape)
        product = fft.irfftn(fft.rfftn(x, s=doubled, workers=-1) * spectrum, s=doubled, workers=-1)[corner]
        return (product + ridge * x).ravel()

    def precondition(flat: NDArray[np.float32]) -> NDArray[np.float32]:
        return fft.irfftn(fft.rfftn(flat.reshape(shape), workers=-1) * ramp, s=shape, workers=-1).ravel()

    # Squares of the right side may pass the end of single precision. A power of two is divided out: no digit changes.
    exponent = int(np.frexp(np.abs(right).max())[1])
    size = right.size
    solution, _ = cg(
        LinearOperator((size, size), matvec=apply, dtype=np.float32),
        np.ldexp(right, -exponent).ravel(),
        maxiter=iterations,
        rtol=1e-5,
        M=LinearOperator((size, size), matvec=precondition, dtype=np.float32),
    )
    return np.ldexp(solution.reshape(shape).astype(np.float32), exponent)
