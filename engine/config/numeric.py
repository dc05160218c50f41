"""From a configuration to the arguments of numeric functions, and from their errors back to its keys."""

from __future__ import annotations

from ..base.errors import naming
from ..base.progress import Progress, silent
from ..imaging.limits import check_shift
from ..imaging.simulation import Acquisition
from ..imaging.volume import Volume
from ..io.loading import load_volume
from ..io.sources import is_archived
from .projections import ProjectionsConfig
from .schema import VolumeConfig

_KEYS = {name: f"volume.{name}" for name in VolumeConfig.model_fields}
PROJECTIONS = {name: f"projections.{name}" for name in ProjectionsConfig.model_fields}
"""The keys of the arguments of a simulation, for :func:`~base.errors.naming`."""


def volume_of(config: VolumeConfig, progress: Progress = silent) -> Volume:
    """The volume of a configuration; InputError naming file or key if there is no usable density.

    What is doubtful in its files are its ``warnings``.
    """
    with naming(**_KEYS):
        return load_volume(
            config.given_source, config.resolution, config.voxel_size, config.symmetry, config.symmetrize, progress,
            config.stack_is_volume, warn=lambda line: None,
        )  # fmt: skip


def is_at_hand(config: VolumeConfig) -> bool:
    """Whether a volume can be read without downloading it first; InputError for an invalid source."""
    from ..io.archives import is_kept  # imported here: the default needs no network library

    with naming(**_KEYS):
        return not is_archived(config.given_source) or is_kept(config.given_source)


def acquisition_of(config: ProjectionsConfig) -> Acquisition:
    """How a configuration's projections are simulated."""
    return Acquisition(
        config.coverage, config.sampling, config.size, config.noise_variance, config.snr, config.max_shift,
        config.projector, config.defocus, config.voltage, config.spherical_aberration, config.amplitude_contrast,
        config.noise_spectrum, defocus_error=config.defocus_error,
    )  # fmt: skip


def check_frame(config: ProjectionsConfig, volume: Volume) -> None:
    """InputError for what is no acquisition of this volume: shifts out of a frame that is the volume's own."""
    with naming(**PROJECTIONS):
        check_shift(config.max_shift, config.size or volume.diagonal)
