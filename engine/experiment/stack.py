"""The images that a run was made from, as the ``particles.mrcs`` that its poses.star names.

A run does not keep them: they are hundreds of megabytes that its configuration reproduces. They are simulated again
from the same seed, and compared with the few that the run did keep.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil

from ..base.errors import InputError, naming
from ..base.progress import Progress, silent
from ..base.randomness import stream
from ..config.numeric import acquisition_of, volume_of
from ..config.schema import Config
from ..imaging.simulation import simulate
from ..io import mrc
from ..record.runrecord import RunRecord
from .artefacts import read_arrays
from .stages.alignment import PARTICLES

FILENAME = PARTICLES
_SAME = 1e-4  # of the images' standard deviation: other processors and libraries round differently


def particle_stack(record: RunRecord, path: Path, progress: Progress = silent) -> Path:
    """Write the run's images, with their noise and shifts, to ``path`` as an image stack; the path.

    Raises
    ------
    InputError
        where the run has no images, its input is missing or has changed, or memory is short.
    """
    if not isinstance(record.config, Config):
        raise InputError(f"run {record.run_id}: its configuration cannot be read, so its images cannot be made again")
    try:
        kept = read_arrays(record.path / "projections.npz")
    except FileNotFoundError:
        raise InputError(f"run {record.run_id} ended before it had images ({record.status})") from None
    settings = record.config.projections
    volume = volume_of(record.config.volume)
    needed = 4 * stack_bytes(settings.count, kept["images"].shape[-1])
    if needed > (free := psutil.virtual_memory().available):
        raise InputError(
            f"the images of run {record.run_id} need {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free"
        )
    rng = stream(record.config.seed, "test projections")
    with naming(projector="projections.projector"):
        images = simulate(volume, acquisition_of(settings), settings.count, rng, progress).images
    few = kept["images"]
    if images.shape[1:] != few.shape[1:] or np.abs(images[: len(few)] - few).max() > _SAME * few.std():
        raise InputError(
            f"the images of run {record.run_id} cannot be made again: {volume.name} has changed since, or this is "
            "another version of PoseLab"
        )
    mrc.write_stack(path, images, volume.voxel_size)
    return path


def stack_bytes(count: int, size: int) -> int:
    """The size of a stack of ``count`` images of ``size`` x ``size`` pixels."""
    return 4 * count * size**2
