"""Projections of a volume: ``image[v, u] = integral over w of density(R @ (u, v, w))``.

Two methods for one quantity: Fourier slices on the CPU, and ASTRA's ray sums, which need CUDA. They differ by a few per
cent, because ASTRA interpolates linearly between voxels; images that are compared should come from one of them. The
volume rotates about its :attr:`~imaging.volume.Volume.center`, which is projected to pixel ``size // 2``. Values are
sums over voxels (density times voxels along the ray), the units of the published experiments.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ..base.environment import usable_cores
from ..base.errors import ArgumentError
from ..base.isolation import THREADS
from ..base.progress import Progress, silent
from . import astra_gpu, fourier
from .choices import Projector
from .filters import fourier_crop
from .volume import Volume

_BATCH_POINTS = 2_000_000  # Fourier samples in one transform: enough to hide its fixed cost, 80 MB of work space
_BATCH_RAYS = 256  # full images in memory while coarse ones are made of them
_MOST_AT_ONCE_BYTES = 2**30  # of work space of transforms side by side
_BYTES_A_POINT = 40
_BYTES_A_VOXEL = 72


def project(
    volume: Volume,
    poses: NDArray[np.floating],
    size: int | None = None,
    pixel_size: float | None = None,
    progress: Progress = silent,
    projector: Projector = "fourier",
) -> NDArray[np.float32]:
    """Clean projections (n, size, size), float32, of a volume seen from poses (n, 3, 3).

    Parameters
    ----------
    size
        pixels along a side; the integer diagonal of the volume when not given, so that nothing is cut off.
    pixel_size
        Å per pixel; the volume's when not given. A larger one gives the band-limited image that Fourier cropping of the
        full image would give.
    projector
        ``fourier`` or ``astra``, the same on every machine.

    Raises
    ------
    ArgumentError
        for ``astra`` without CUDA, and with pixels that Fourier cropping cannot make: smaller than a voxel, or in a
        frame that is no whole number of voxels wide.
    """
    size = volume.diagonal if size is None else size
    scale = 1.0 if pixel_size is None else pixel_size / volume.voxel_size
    if projector == "astra":
        return _project_rays(volume, poses, size, scale, progress)
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
    off_middle = volume.center_offset
    images = np.empty((len(poses), size, size), dtype=np.float32)

    def fill(start: int) -> int:
        some = poses[start : start + batch]
        spectra = fourier.transform(volume.density, fourier.slice_frequencies(some, plane))
        spectra = spectra.reshape(len(some), *plane.shape[:2])
        # Turning about another centre is turning about voxel n // 2 and moving the image back in its plane.
        spectra *= fourier.translation_phase(plane, -(off_middle @ some)[:, :2])
        whole_images = fft.fftshift(fft.irfft2(spectra, s=(whole, whole), workers=-1), axes=(1, 2))
        images[start : start + batch] = whole_images[:, margin : margin + size, margin : margin + size]
        return start + len(some)

    pool = ThreadPoolExecutor(_at_once(volume, batch * plane.size // 2))
    try:
        for done in pool.map(fill, range(0, len(poses), batch)):
            progress(done / len(poses), {"projections": done})
    finally:
        pool.shutdown(cancel_futures=True)
    images /= np.float32(pixel_in_voxels**2)
    return images


def relion_shifts(
    poses: NDArray[np.floating], shifts_px: NDArray[np.floating], center_offset_xyz: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Shifts (n, 2) in pixels, (x, y), of the same images for who turns the map about voxel n // 2, as RELION does.

    Images of a map turned about another centre, ``center_offset_xyz`` (3,) voxels from voxel n // 2
    (:attr:`imaging.volume.Volume.center_offset`), have that centre at pixel ``size // 2`` plus ``shifts_px`` (n, 2).
    The middle voxel is then displaced by as much less the projected offset: ``shift - (R^T offset)``, with ``R`` the
    pose (n, 3, 3). Pixels are as wide as voxels. Poses do not change.
    """
    return np.asarray(shifts_px, dtype=float) - (np.asarray(center_offset_xyz, dtype=float) @ poses)[:, :2]


def _at_once(volume: Volume, points: int) -> int:
    """Batches made side by side: a transform has few threads, always as many; memory for a few is always there."""
    needed = _BYTES_A_POINT * points + _BYTES_A_VOXEL * volume.density.size
    return max(1, min(usable_cores() // THREADS, _MOST_AT_ONCE_BYTES // needed))


def _project_rays(
    volume: Volume, poses: NDArray[np.floating], size: int, scale: float, progress: Progress
) -> NDArray[np.float32]:
    """:func:`project` by ASTRA, which sees single rays: coarse pixels are cropped from images of all of them."""
    astra_gpu.require("projector", "astra", "fourier")
    if scale == 1:
        return astra_gpu.project(volume, poses, size, progress)
    full = round(size * scale)
    if scale < 1 or abs(full - size * scale) > 1e-6 * full:
        raise ArgumentError(
            "{pixel_size} is {scale:.6g} voxels, {size} pixels are {width:.6g}; wanted at least 1, and a whole number "
            "of voxels across the frame, with {projector} = astra", "pixel_size", "size", "projector", scale=scale,
            width=size * scale,
        )  # fmt: skip
    images = np.empty((len(poses), size, size), dtype=np.float32)
    for start in range(0, len(poses), _BATCH_RAYS):
        some = poses[start : start + _BATCH_RAYS]
        images[start : start + _BATCH_RAYS] = fourier_crop(astra_gpu.project(volume, some, full, silent), size)
        progress((start + len(some)) / len(poses), {"projections": start + len(some)})
    return images
