"""The published generator's files: projections of a volume with their angles, and how they are written.

The names in the files are the published ones: ``.h5`` and ``.mat`` hold ``Projections`` (n, size, size), float32, and
``Angles`` (n, 3), float64: (rot, tilt, psi) in **radians**, intrinsic ZYZ. ``.mrcs`` holds the projections, with a
RELION ``.star`` beside it. Angles are as in :mod:`geometry.rotations`; the published code built its detector from the
transposed matrix, so that a triple of its angles shows another view, while the distances between poses are the same.

Projections turn about the volume's centre of mass, as the published ones did. A ``.star`` is for programs that turn the
map about voxel ``n // 2``: its origins say by how much the images are displaced for them.

Projections are made and written a chunk at a time, except for ``.mat``, which SciPy writes whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from scipy.io import savemat

from ..base.errors import InputError
from ..base.files import plain, saying_full_disk, writing
from ..base.inputs import require_memory
from ..base.progress import Progress, silent
from ..geometry import rotations
from ..imaging.noise import NoiseModel
from ..imaging.projection import project, relion_shifts
from ..imaging.volume import Volume
from ..io import hdf5, mrc, star
from ..io.sources import whole
from .generate_arguments import Request, region_degrees

CONVENTION = (
    "x_object = R x_image, R = Rz(rot) Ry(tilt) Rz(psi), right-handed; "
    "image[v, u] = sum over w of density(R (u, v, w)); origin at pixel size // 2"
)
_CHUNK_BYTES = 64 * 2**20
_BYTES_PER_POSE = 3 * 9 * 8  # angles, matrices and what is between
_MAT_BYTES = 2**31  # a variable of MATLAB's level-5 format is smaller


def generate(request: Request, volume: Volume, progress: Progress = silent) -> None:
    """Make the projections, in frames of the volume's diagonal, and write them. The noise does not alter the poses.

    Raises
    ------
    InputError
        for an output that exists, is too large for its format, the memory or the disk, or cannot be written.
    """
    require_free_names(request)
    require_room(request, volume.diagonal)
    pose_rng, noise_rng = np.random.default_rng(request.seed).spawn(2)
    region = region_degrees(request.shift, request.coverage)
    poses = rotations.sample_orientations(request.count, pose_rng, region, request.sampling)
    images = _Images(volume, poses, request.noise_variance, noise_rng, progress)
    try:
        with saying_full_disk(request.output.parent):
            if request.kind == ".mrcs":
                stack, table = request.paths
                mrc.write_stack(stack, (part for _, part in images.chunks()), volume.voxel_size)
                centred = relion_shifts(poses, np.zeros((len(poses), 2)), volume.center_offset)
                star.write_star(table, poses, volume.voxel_size, volume.diagonal, stack.name, centred)
            else:
                write = _write_h5 if request.kind == ".h5" else _write_mat
                with writing(request.output) as aside:
                    write(aside, images, angles_rad(poses, region), _about(request, volume, region))
    except OSError as error:
        raise InputError(f"{request.output} cannot be written: {error.strerror or error}") from error


def angles_rad(poses: NDArray[np.floating], region: rotations.EulerRegion) -> NDArray[np.float64]:
    """(rot, tilt, psi) (n, 3) in radians of poses (n, 3, 3); rot and psi in the full turn that the region starts."""
    rot, tilt, psi = rotations.to_euler(poses).T
    rot, psi = (low + (angle - low) % 360 for angle, (low, _) in ((rot, region[0]), (psi, region[2])))
    return np.radians(np.stack([rot, tilt, psi], axis=-1))


@dataclass(frozen=True)
class _Images:
    """The projections, computed on demand, in the order of the poses."""

    volume: Volume
    poses: NDArray[np.floating]
    noise_variance: float
    rng: np.random.Generator
    progress: Progress

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.poses), self.volume.diagonal, self.volume.diagonal

    def chunks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        count, size, _ = self.shape
        step = max(1, _CHUNK_BYTES // (4 * size**2))
        for start in range(0, count, step):
            chunk = slice(start, min(start + step, count))
            clean = project(self.volume, self.poses[chunk], progress=self._after(start, chunk.stop - start))
            yield chunk, NoiseModel(self.noise_variance).apply(clean, self.rng)

    def _after(self, start: int, length: int) -> Progress:
        def report(fraction: float, values: Mapping[str, float]) -> None:
            done = start + fraction * length
            self.progress(done / len(self.poses), {"projections": done})

        return report

    def whole(self) -> NDArray[np.float32]:
        images = np.empty(self.shape, dtype=np.float32)
        for chunk, part in self.chunks():
            images[chunk] = part
        return images


def _write_h5(path: Path, images: _Images, angles: NDArray[np.float64], about: dict[str, Any]) -> None:
    hdf5.write_projections(path, images.shape, images.chunks(), angles, about)


def _write_mat(path: Path, images: _Images, angles: NDArray[np.float64], about: dict[str, Any]) -> None:
    savemat(path, {"Projections": images.whole(), "Angles": angles, **about})


def _about(request: Request, volume: Volume, region: rotations.EulerRegion) -> dict[str, Any]:
    """Meaning and origin of the arrays: attributes of an ``.h5``, further variables of a ``.mat``."""
    return {
        "source": plain(whole(request.source)),
        "voxel_size_angstrom": volume.voxel_size,
        "angle_units": "radian",
        "angle_order": "rot, tilt, psi; intrinsic ZYZ",
        "convention": CONVENTION,
        "coverage_degrees": np.array(region),
        "sampling": request.sampling,
        "seed": request.seed,
        "noise_variance": request.noise_variance,
    }


def require_free_names(request: Request) -> None:
    """InputError for outputs that exist, if they are not to be replaced, and for names and folders that cannot be."""
    if request.kind == ".mrcs":
        star.check_stack_name(request.output.name)
    if not request.output.parent.is_dir():
        raise InputError(f"generate: {request.output.parent} is no folder; make it, or give another -out/--output-file")
    taken = next((path for path in request.paths if os.path.exists(path)), None)  # Path.exists may raise
    if taken and not request.overwrite:
        raise InputError(f"generate: {taken} exists; give --overwrite to replace it, or another -out/--output-file")


def require_room(request: Request, size: int) -> None:
    """InputError for images (n, size, size) that the format, the memory or the disk does not hold."""
    gib = request.count * size**2 * 4 / 2**30
    what = f"{request.output}: {request.count} projections of {size} x {size} are {gib:.1f} GiB"
    if request.kind == ".mat" and gib * 2**30 >= _MAT_BYTES:
        raise InputError(f"{what}; a variable of a .mat holds less than 2, use .h5")
    memory, disk = psutil.virtual_memory().available / 2**30, shutil.disk_usage(request.output.parent).free / 2**30
    if request.kind == ".mat" and 2 * gib > memory:
        raise InputError(f"{what}, and twice that in memory while written; {memory:.1f} GiB are free, use .h5")
    if gib > disk:
        raise InputError(f"{what}; {disk:.1f} GiB are free in {request.output.parent}, make room or use another disk")
    require_memory(_BYTES_PER_POSE * request.count, f"{request.count:,} poses", "ask for fewer")
