"""The proteins that a network is trained on when the test volume is excluded from training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..base import environment
from ..base.errors import InputError, naming
from ..config.numeric import volume_of
from ..config.schema import Config, VolumeConfig
from ..imaging.resampling import resampled, same_voxels
from ..imaging.volume import Volume
from ..io import proteins
from ..io.loading import is_made_of_atoms
from ..io.sources import DEFAULT_RESOLUTION, expand, is_random


@dataclass(frozen=True)
class TrainingVolumes:
    """Volumes on the test volume's voxels. Random ones, which may be thousands, are made on demand.

    ``identities`` describe what each density is made from.
    """

    configs: tuple[VolumeConfig, ...]
    identities: tuple[str, ...]
    _loaded: dict[str, Volume] = field(repr=False)

    def __len__(self) -> int:
        return len(self.configs)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes those that were read from somewhere doubtful."""
        return tuple(line for volume in self._loaded.values() for line in volume.warnings)

    def __iter__(self) -> Iterator[Volume]:
        for config in self.configs:
            yield self._loaded[config.given_source] if config.given_source in self._loaded else volume_of(config)


def training_identities(
    config: Config, voxel_size: float, fingerprint: Callable[[VolumeConfig], str]
) -> tuple[str, ...]:
    """For each of ``training.volumes`` a text that is the same only for equal ones, on voxels of that size in Å.

    ``fingerprint`` gives it for a volume that is read from a file.
    """
    return tuple(
        _identity_of_random(settings) if is_random(settings.given_source) else fingerprint(settings)
        for settings in _all_settings(config, voxel_size)
    )


def load_training_volumes(config: Config, test: Volume, log: Callable[[str], None]) -> TrainingVolumes | None:
    """The volumes of ``training.volumes``, None where there are none; ``log`` is called with remarks on them.

    Densities of atomic models get the test volume's resolution and voxel size; maps of another voxel size are
    resampled.

    Raises
    ------
    InputError
        for a source that gives no density, and for one that is the test volume under another name.
    """
    all_settings = _all_settings(config, test.voxel_size)
    if not all_settings:
        return None
    if len(all_settings) == 1:
        alone = all_settings[0].given_source
        log(f"training on {alone} alone: a network learns what proteins have in common from several")
    loaded: dict[str, Volume] = {}
    fingerprints: dict[str, str] = {}
    for settings in all_settings:
        if is_random(settings.given_source):
            continue
        volume = volume_of(settings)
        fingerprints[settings.given_source] = volume.fingerprint  # before resampling, which follows from the voxel size
        if not same_voxels(volume.voxel_size, test.voxel_size):
            log(
                f"training volume {volume.name}: resampled in Fourier space from {volume.voxel_size:.4g} to "
                f"{test.voxel_size:.4g} Å per voxel, those of {test.name}"
            )
            volume = resampled(volume, test.voxel_size)
        if volume.fingerprint == test.fingerprint:
            raise InputError(
                f"training.volumes has {settings.given_source!r}, which is the density of volume.source "
                f"({config.volume.given_source!r}); wanted a protein that the network is not trained on"
            )
        loaded[settings.given_source] = volume
    identities = training_identities(config, test.voxel_size, lambda settings: fingerprints[settings.given_source])
    return TrainingVolumes(all_settings, identities, loaded)


def _all_settings(config: Config, voxel_size: float) -> tuple[VolumeConfig, ...]:
    with naming(sources="training.volumes"):
        sources = expand(config.training.volumes)
    return tuple(_settings(source, config.volume, voxel_size) for source in sources)


def _settings(source: str, test: VolumeConfig, voxel_size: float) -> VolumeConfig:
    changes: dict[str, object] = {"source": source, "resolution": None, "voxel_size": None}
    if is_made_of_atoms(source):
        resolution = test.resolution or DEFAULT_RESOLUTION
        if not resolution / 20 <= voxel_size <= resolution / 2:  # a map's voxels do not determine its resolution
            resolution = 3 * voxel_size
        changes |= {"resolution": resolution, "voxel_size": voxel_size}
    return test.model_copy(update=changes)


def _identity_of_random(settings: VolumeConfig) -> str:
    """What a random protein is made from: its settings, and what makes it."""
    versions = (proteins.VERSION, environment.packages().get("gemmi"))
    return f"{settings.model_dump_json(exclude={'stack_is_volume'})} {versions}"  # a key of maps alone
