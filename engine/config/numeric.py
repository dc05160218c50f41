"""From a configuration to the arguments of numeric functions, and from their complaints back to its keys."""

from __future__ import annotations

from ..base.errors import naming
from ..base.progress import Progress, silent
from ..imaging.simulation import Acquisition
from ..imaging.volume import Volume
from ..io.loading import load_volume
from .schema import ProjectionsConfig, VolumeConfig


def volume_of(config: VolumeConfig, progress: Progress = silent) -> Volume:
    """The volume that a configuration asks for; InputError naming file or key for what gives no usable density."""
    with naming(**{name: f"volume.{name}" for name in VolumeConfig.model_fields}):
        return load_volume(
            config.source, config.resolution, config.voxel_size, config.symmetry, config.symmetrize, progress
        )


def acquisition_of(config: ProjectionsConfig) -> Acquisition:
    """How a configuration's projections are taken."""
    return Acquisition(
        config.coverage, config.sampling, config.size, config.noise_variance, config.snr, config.max_shift
    )
