"""Projection and reconstruction on a CUDA device, by ASTRA.

ASTRA's 3D algorithms exist on CUDA only, and calling one without a device ends the whole process. Nothing here
is called unless :func:`available` is true, and nothing here is used only because it is.
"""

from __future__ import annotations

import functools
import importlib.util

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ArgumentError
from ..base.isolation import ignoring_environment
from ..base.progress import Progress
from .volume import Volume

_BATCH = 256


@functools.cache
def available() -> bool:
    """Whether ASTRA is installed and sees a CUDA device."""
    if importlib.util.find_spec("astra") is None:  # there is no wheel for macOS
        return False
    with ignoring_environment():
        import astra

    return bool(astra.use_cuda())


def require(argument: str, value: str, otherwise: str) -> None:
    """ArgumentError where ASTRA is not available: the argument's value asks for it, another one does not."""
    if not available():
        lacking = "ASTRA sees none here" if importlib.util.find_spec("astra") else "ASTRA is not installed here"
        template = "{ARGUMENT} is {value!r}, which needs a CUDA device, and {lacking}; wanted {ARGUMENT} = {otherwise}"
        raise ArgumentError(
            template.replace("ARGUMENT", argument), argument, value=value, lacking=lacking, otherwise=otherwise
        )


def device_name() -> str:
    """Which device it is, such as ``NVIDIA H100 80GB HBM3``; to be asked for where it is available."""
    import astra

    # "GPU #0: NVIDIA H100 80GB HBM3, with 81079MB": how much memory it has does not matter.
    return str(astra.get_gpu_info(0)).partition(": ")[2].partition(", with")[0] or "a CUDA device"


def project(volume: Volume, poses: NDArray[np.floating], size: int, progress: Progress) -> NDArray[np.float32]:
    """Ray sums (n, size, size) with ``parallel3d_vec`` geometry; see :func:`imaging.projection.project`."""
    import astra

    images = np.empty((len(poses), size, size), dtype=np.float32)
    for start in range(0, len(poses), _BATCH):
        some = poses[start : start + _BATCH]
        geometry = astra.create_proj_geom("parallel3d_vec", size, size, detector_vectors(some, volume, size))
        sinogram_id, sinogram = astra.create_sino3d_gpu(
            volume.density, geometry, _volume_geometry(volume.density.shape)
        )
        astra.data3d.delete(sinogram_id)
        images[start : start + _BATCH] = sinogram.transpose(1, 0, 2)
        progress((start + len(some)) / len(poses), {"projections": start + len(some)})
    return images


def reconstruct_cgls(
    images: NDArray[np.float32], poses: NDArray[np.floating], volume: Volume, iterations: int
) -> NDArray[np.float32]:
    """Least-squares density on the grid of ``volume`` (only its shape and centre are used) by CGLS (ASTRA
    ``CGLS3D_CUDA``).
    """
    import astra

    size = images.shape[-1]
    geometry = astra.create_proj_geom("parallel3d_vec", size, size, detector_vectors(poses, volume, size))
    ids = []
    try:
        sinogram = np.ascontiguousarray(images.transpose(1, 0, 2))
        ids.append(astra.data3d.create("-proj3d", geometry, sinogram))
        ids.append(astra.data3d.create("-vol", _volume_geometry(volume.density.shape)))
        settings = astra.astra_dict("CGLS3D_CUDA")
        settings["ProjectionDataId"], settings["ReconstructionDataId"] = ids
        algorithm = astra.algorithm.create(settings)
        try:
            astra.algorithm.run(algorithm, iterations)
        finally:
            astra.algorithm.delete(algorithm)
        return astra.data3d.get(ids[1])
    finally:
        astra.data3d.delete(ids)


def detector_vectors(poses: NDArray[np.floating], volume: Volume, size: int) -> NDArray[np.float64]:
    """ASTRA's (n, 12) geometry: ray, detector centre, step along u, step along v, all in the object frame, in voxels.

    The columns of a pose are the image axes in the object, so they are the ray (third), u (first) and v (second)
    directions themselves. ASTRA's origin is the middle of the box, ours the centre of mass; ASTRA's detector is centred
    between pixels, ours has its origin on pixel ``size // 2``.
    """
    box_middle = (np.array(volume.density.shape[::-1]) - 1) / 2
    to_middle_of_detector = (size - 1) / 2 - size // 2
    u, v, ray = poses[:, :, 0], poses[:, :, 1], poses[:, :, 2]
    center = volume.center_index - box_middle + to_middle_of_detector * (u + v)
    return np.concatenate([ray, center, u, v], axis=1)


def _volume_geometry(shape: tuple[int, ...]) -> dict[str, object]:
    import astra

    nz, ny, nx = shape
    return astra.create_vol_geom(ny, nx, nz)
