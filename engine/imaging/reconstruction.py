"""Density from projections with known poses, by least squares.

The normal equations of the Fourier slices are solved. Their operator is a convolution, so it is computed
once as a kernel on a grid of twice the size and then applied by FFT; an iteration does not use the images again
(Wajer & Pruessmann, 2001; for cryo-EM Wang, Shkolnisky & Singer, 2013). Half sets share the work: the sums over all
images are those over the two halves. Where there is CUDA, ASTRA's CGLS can solve the same problem in real space.
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
from .volume import Volume

Density = NDArray[np.float32]

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
) -> Reconstruction:
    """Least-squares densities from centred projections (n, size, size) and their poses (n, 3, 3).

    ``grid`` gives the shape and the centre of rotation of the result; its density is not used. Pixels of the
    images are as large as its voxels. ``iterations`` are by default those of :data:`imaging.choices.ITERATIONS`.

    Raises
    ------
    ArgumentError
        for images that are not finite, and for ``cgls`` without CUDA.
    """
    if not np.isfinite(images).all():
        wrong = int(np.flatnonzero(~np.isfinite(images).all(axis=(1, 2)))[0])
        raise ArgumentError("{images}[{wrong}] is not finite; wanted numbers", "images", wrong=wrong)
    iterations = ITERATIONS[method] if iterations is None else iterations
    order = rng.permutation(len(images))
    halves = [np.sort(order[::2]), np.sort(order[1::2])]
    if method == "cgls":
        astra_gpu.require("method", "cgls", "normal_equations")
        sets = [np.arange(len(images)), *halves]
        densities = []
        for number, members in enumerate(sets):
            densities.append(astra_gpu.reconstruct_cgls(images[members], poses[members], grid, iterations))
            progress((number + 1) / 3, {})
        return Reconstruction(densities[0], (densities[1], densities[2]))
    progress(0.0, {})
    with ThreadPoolExecutor(2) as pool:  # each half is summed by one thread, so always in the same order
        normal = pool.map(lambda members: _normal_equations(images[members], poses[members], grid), halves)
        (kernel_a, right_a), (kernel_b, right_b) = normal
    progress(0.6, {})
    half_a = _solve(kernel_a, right_a, iterations)
    progress(0.75, {})
    half_b = _solve(kernel_b, right_b, iterations)
    progress(0.9, {})
    return Reconstruction(_solve(kernel_a + kernel_b, right_a + right_b, iterations), (half_a, half_b))


def _normal_equations(
    images: NDArray[np.float32], poses: NDArray[np.floating], grid: Volume
) -> tuple[Density, Density]:
    """The kernel of ``A^H A`` on the doubled grid, and ``A^H y`` on the grid itself."""
    shape = grid.density.shape
    doubled = (2 * shape[0], 2 * shape[1], 2 * shape[2])
    plane = fourier.half_plane_frequencies(images.shape[-1])
    inside = np.linalg.norm(plane, axis=-1) <= 0.5  # beyond, a rotated slice leaves the band of the voxels
    # A column counts for itself and its Hermitian mirror, except the one that is its own mirror.
    weight = np.where(plane[..., 0] == 0, 1.0, 2.0)[inside].astype(np.float32)
    off_middle = grid.center_offset
    kernel = np.zeros(doubled, dtype=np.float32)
    right = np.zeros(shape, dtype=np.float32)
    for start in range(0, len(images), _BATCH):
        some = poses[start : start + _BATCH]
        spectra = fft.rfft2(fft.ifftshift(images[start : start + _BATCH], axes=(1, 2)))
        spectra *= fourier.translation_phase(plane, (off_middle @ some)[:, :2])
        frequencies = fourier.slice_frequencies(some, plane[inside])
        right += fourier.adjoint_transform((spectra[:, inside] * weight).ravel(), frequencies, shape).real
        weights = np.tile(weight, len(some)).astype(np.complex64)
        kernel += fourier.adjoint_transform(weights, frequencies, doubled).real
    return kernel, right


def _solve(kernel: Density, right: Density, iterations: int) -> Density:
    """Conjugate gradients on ``(kernel * x + tikhonov x) = right``, preconditioned by the ramp filter.

    Slices sample Fourier space with a density of 1 / |k|; multiplying by |k| compensates for it.
    """
    shape, doubled = right.shape, kernel.shape
    spectrum = fft.rfftn(fft.ifftshift(kernel), workers=-1)
    ridge = np.float32(_TIKHONOV * kernel[tuple(n // 2 for n in doubled)])
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
