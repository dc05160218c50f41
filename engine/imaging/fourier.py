"""Central Fourier slices of a volume and their adjoint, by FINUFFT.

The Fourier slice theorem: the 2D transform of a projection is the central plane, normal to the viewing direction, of
the 3D transform. The transform of the voxels at arbitrary frequencies is a non-uniform FFT (Barnett, Magland &
af Klinteberg, 2019). All functions here count lengths in voxels and frequencies in cycles per voxel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..base.isolation import THREADS, ignoring_environment

with ignoring_environment():
    import finufft  # it has its own OpenMP, whose settings can change the results and even crash the process

TOLERANCE = 1e-4  # relative accuracy requested of FINUFFT; compared with direct sums in the tests

Real = NDArray[np.floating]
Complex = NDArray[np.complexfloating]


def half_plane_frequencies(size: int, pixel_in_voxels: float = 1.0) -> Real:
    """In-plane frequencies (size, size // 2 + 1, 2) as (k_u, k_v), in ``numpy.fft.rfft2`` order, cycles per voxel.

    The other half of the plane follows from the Hermitian symmetry of a real image's transform.
    """
    k_v = np.fft.fftfreq(size, d=pixel_in_voxels)
    k_u = np.fft.rfftfreq(size, d=pixel_in_voxels)
    return np.stack(np.broadcast_arrays(k_u[None, :], k_v[:, None]), axis=-1)


def translation_phase(plane: Real, shifts: Real) -> NDArray[np.complex64]:
    """Factors (n, size, size // 2 + 1) that move images by ``shifts`` (n, 2), (x, y): ``exp(-2 pi i k . shift)``.

    ``plane`` is from :func:`half_plane_frequencies`; shifts are in the unit whose inverse is that of the plane.
    """
    turn = np.float32(-2 * np.pi) * 1j
    along_u = np.exp(turn * np.outer(shifts[:, 0], plane[0, :, 0])).astype(np.complex64)
    along_v = np.exp(turn * np.outer(shifts[:, 1], plane[:, 0, 1])).astype(np.complex64)
    return along_v[:, :, None] * along_u[:, None, :]


def slice_frequencies(poses: Real, plane: Real) -> NDArray[np.float32]:
    """Object-frame frequencies (3, n * points), (x, y, z), at which the slices of poses (n, 3, 3) lie.

    ``k_object = R @ (k_u, k_v, 0)`` for each point of ``plane`` (..., 2): only the first two columns of R matter.
    """
    points = plane.reshape(-1, 2).astype(np.float32).T
    return np.stack([(axis @ points).ravel() for axis in np.moveaxis(poses[:, :, :2].astype(np.float32), 1, 0)])


def transform(density: Real | Complex, frequencies: NDArray[np.float32]) -> NDArray[np.complex64]:
    """``F(k) = sum_x density(x) exp(-2 pi i k . x)`` at scattered frequencies (3, points): complex64 (points,).

    ``density`` is (nz, ny, nx), or several (several, nz, ny, nx) for (several, points), real or complex; ``x`` counts
    voxels from voxel ``n // 2`` along each axis.
    """
    several = density.shape[0] if density.ndim == 4 else 1
    # Of the number of threads FINUFFT makes its choice of the grid: results differ by its tolerance, not by rounding.
    plan = _plan(2, density.shape[-3:], -1, frequencies, THREADS, several)
    return plan.execute(np.ascontiguousarray(density, dtype=np.complex64))


def adjoint_transform(
    values: Complex, frequencies: NDArray[np.float32], shape: tuple[int, int, int]
) -> NDArray[np.complex64]:
    """``sum_k values(k) exp(2 pi i k . x)`` on a grid of voxels (nz, ny, nx): the adjoint of :func:`transform`."""
    # One thread: with more, the order in which they add to a voxel, and so the last digits, would differ each time.
    return _plan(1, shape, 1, frequencies, threads=1).execute(np.ascontiguousarray(values, dtype=np.complex64))


def _plan(
    kind: int, shape: tuple[int, ...], sign: int, frequencies: NDArray[np.float32], threads: int, several: int = 1
) -> finufft.Plan:
    plan = finufft.Plan(
        kind, shape, several, eps=TOLERANCE, isign=sign, dtype="complex64", nthreads=threads, showwarn=0
    )
    # FINUFFT's axes follow the array's: (z, y, x). Its coordinates are radians per sample, periodic.
    plan.setpts(*(np.float32(2 * np.pi) * axis for axis in frequencies[::-1]))
    return plan
