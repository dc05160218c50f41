"""Projections of a volume: ``image[v, u] = integral over w of density(R @ (u, v, w))``.

Two methods for one quantity: Fourier slices on the CPU, ASTRA's ray sums where there is CUDA. The volume rotates about
its centre of mass, which is projected to pixel ``size // 2``. Values are sums over voxels (density times voxels along
the ray), the units of the published experiments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ..base.progress import Progress, silent
from . import astra_gpu, fourier
from .volume import Volume

_BATCH_POINTS = 2_000_000  # Fourier samples in one transform: enough to hide its fixed cost, 80 MB of work space


def project(
    volume: Volume,
    poses: NDArray[np.floating],
    size: int | None = None,
    pixel_size: float | None = None,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Clean projections (n, size, size), float32, of a volume seen from poses (n, 3, 3).

    Parameters
    ----------
    size
        pixels along a side; the integer diagonal of the volume when not given, so that nothing is cut off.
    pixel_size
        Å per pixel; the volume's when not given. A larger one gives the band-limited image that Fourier cropping of the
        full image would give, at a fraction of the cost.
    """
    size = volume.diagonal if size is None else size
    scale = 1.0 if pixel_size is None else pixel_size / volume.voxel_size
    # ASTRA samples the density where a coarse pixel's ray passes; only the Fourier slice is band-limited.
    if astra_gpu.available() and scale == 1.0:
        return astra_gpu.project(volume, poses, size, progress)
    return project_slices(volume, poses, size, scale, progress)


def project_slices(
    volume: Volume, poses: NDArray[np.floating], size: int, pixel_in_voxels: float = 1.0, progress: Progress = silent
) -> NDArray[np.float32]:
    """:func:`project` by the Fourier slice theorem, on the CPU."""
    # A frame smaller than the object would wrap it around; compute the whole and cut the frame out of it.
    whole = max(size, int(np.ceil(volume.diagonal / pixel_in_voxels)))
    plane = fourier.half_plane_frequencies(whole, pixel_in_voxels)
    batch = max(1, _BATCH_POINTS // (plane.size // 2))
    margin = whole // 2 - size // 2
    off_middle = volume.center_index - np.array([n // 2 for n in volume.density.shape[::-1]])
    images = np.empty((len(poses), size, size), dtype=np.float32)
    for start in range(0, len(poses), batch):
        some = poses[start : start + batch]
        spectra = fourier.transform(volume.density, fourier.slice_frequencies(some, plane))
        spectra = spectra.reshape(len(some), *plane.shape[:2])
        # Turning about the centre of mass is turning about voxel n // 2 and moving the image back in its plane.
        spectra *= fourier.translation_phase(plane, -(off_middle @ some)[:, :2])
        whole_images = fft.fftshift(fft.irfft2(spectra, s=(whole, whole), workers=-1), axes=(1, 2))
        images[start : start + batch] = whole_images[:, margin : margin + size, margin : margin + size]
        progress((start + len(some)) / len(poses), {"projections": start + len(some)})
    images /= np.float32(pixel_in_voxels**2)
    return images
