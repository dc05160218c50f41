"""The proteins that a network is trained on where the one whose poses are sought is not to be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ..base import environment
from ..base.errors import InputError
from ..base.progress import Progress, silent
from ..config.schema import Config, ProjectionsConfig, VolumeConfig
from ..geometry.rotations import sample_orientations
from ..imaging import filters, simulation
from ..imaging.projection import project
from ..imaging.resampling import resampled, same_voxels
from ..imaging.shape import outer_radius
from ..imaging.volume import Volume
from ..io import proteins
from ..io.coordinates import DEFAULT_RESOLUTION
from ..io.loading import is_made_of_atoms, load_volume
from ..io.sources import expand, is_random

_MEASURED = 16  # projections that tell how strong a protein's signal is
_LEAST_VALIDATED = 8  # validation projections of a protein, where it has any
_ENOUGH = 10  # proteins, of which some can be spared for validation
_HELD_OUT = 0.1  # of them

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainingVolumes:
    """Volumes on the test volume's voxels. Random ones, of which there may be thousands, are made when they are needed.

    ``identities`` say for each what its density is made from.
    """

    configs: tuple[VolumeConfig, ...]
    identities: tuple[str, ...]
    _loaded: dict[str, Volume] = field(repr=False)

    def __len__(self) -> int:
        return len(self.configs)

    def __iter__(self) -> Iterator[Volume]:
        for config in self.configs:
            yield self._loaded[config.source] if config.source in self._loaded else load_volume(config)


def load_training_volumes(config: Config, test: Volume, say: Say) -> TrainingVolumes | None:
    """What ``training.volumes`` names, None where it names nothing; ``say`` is told what was done to them.

    Proteins made of atoms come at the test volume's resolution and voxel size; maps of another voxel size are
    resampled.

    Raises
    ------
    InputError
        for a source that gives no density, and for one that is the test volume under another name.
    """
    sources = expand(config.training.volumes)
    if not sources:
        return None
    if len(sources) == 1:
        say(f"training on {sources[0]} alone: a network learns what proteins have in common from several")
    configs, identities, loaded = [], [], {}
    for source in sources:
        settings = _settings(source, config.volume, test.voxel_size)
        configs.append(settings)
        if is_random(source):
            versions = (proteins.VERSION, environment.packages().get("gemmi"))
            identities.append(f"{settings.model_dump_json()} {versions}")
            continue
        volume = load_volume(settings)
        if not same_voxels(volume.voxel_size, test.voxel_size):
            say(
                f"training volume {volume.name}: resampled in Fourier space from {volume.voxel_size:.4g} to "
                f"{test.voxel_size:.4g} Å per voxel, those of {test.name}"
            )
            volume = resampled(volume, test.voxel_size)
        if volume.fingerprint == test.fingerprint:
            raise InputError(
                f"training.volumes has {source!r}, which is the density of volume.source ({config.volume.source!r}); "
                "wanted a protein that the network is not trained on"
            )
        loaded[source] = volume
        identities.append(volume.fingerprint)
    return TrainingVolumes(tuple(configs), tuple(identities), loaded)


def simulate_training(
    volumes: TrainingVolumes,
    settings: ProjectionsConfig,
    noise_variance: float,
    signal_variance: float,
    count: int,
    validation_count: int,
    image_size: int,
    rng: np.random.Generator,
    say: Say,
    progress: Progress = silent,
) -> simulation.TrainingSet:
    """:func:`imaging.simulation.simulate_training` of several proteins, equally many projections of each.

    ``settings.size`` has to be given, the test projections' frame. With noise each protein is scaled so that its
    projections have ``signal_variance``, that of the test projections, and so their signal-to-noise ratio: the units of
    two maps need have nothing in common. Of ten or more proteins a tenth is held out, for validation only: what the
    network makes of proteins that it has not seen is judged, and calibrated, on such. Fewer are all trained on.
    """
    assert settings.size is not None
    number = len(volumes)
    held_out = number >= _ENOUGH
    spared = round(_HELD_OUT * number) if held_out else number
    validated = _some_of(number, min(spared, validation_count // _LEAST_VALIDATED))
    trained = np.setdiff1d(np.arange(number), validated) if held_out else np.arange(number)
    counts = _shares(count, trained, number)
    validation_counts = _shares(validation_count, validated, number)
    if held_out:
        say(f"{len(validated)} of {number} training volumes are held out for validation")
    sets, too_large = [], []
    for volume, some, for_validation in zip(volumes, counts, validation_counts, strict=True):
        if 2 * outer_radius(volume) > settings.size * volume.voxel_size:
            too_large.append(volume.name)
        if noise_variance > 0:
            poses = sample_orientations(_MEASURED, rng, settings.coverage, settings.sampling)
            own = filters.signal_variance(project(volume, poses, settings.size))
            volume = replace(volume, density=volume.density * np.float32(np.sqrt(signal_variance / own)))
        sets.append(
            simulation.simulate_training(volume, settings, noise_variance, some, for_validation, image_size, rng)
        )
        progress(len(sets) / number, {"volumes": len(sets)})
    if too_large:
        names = ", ".join(too_large[:3]) + (" ..." if len(too_large) > 3 else "")
        say(f"{len(too_large)} of {number} training volumes reach beyond the projections' frame, cut off: {names}")
    return simulation.TrainingSet(
        np.concatenate([one.images for one in sets]),
        np.concatenate([one.poses for one in sets]),
        np.concatenate([one.validation_images for one in sets]),
        np.concatenate([one.validation_poses for one in sets]),
        sets[0].noise_variance,
        sets[0].max_shift,
        np.repeat(np.arange(len(trained)), counts[trained]),
        np.repeat(np.arange(number), validation_counts),
        held_out,
    )


def _settings(source: str, test: VolumeConfig, voxel_size: float) -> VolumeConfig:
    changes: dict[str, object] = {"source": source, "resolution": None, "voxel_size": None}
    if is_made_of_atoms(source):
        resolution = test.resolution or DEFAULT_RESOLUTION
        if not resolution / 20 <= voxel_size <= resolution / 2:  # a map's voxels say nothing of a resolution
            resolution = 3 * voxel_size
        changes |= {"resolution": resolution, "voxel_size": voxel_size}
    return test.model_copy(update=changes)


def _some_of(number: int, wanted: int) -> np.ndarray:
    """Whole numbers below ``number``, about as many as wanted but at least one, evenly spaced."""
    return np.unique(np.linspace(0, number - 1, max(1, wanted)).round().astype(int))


def _shares(count: int, places: np.ndarray, number: int) -> np.ndarray:
    """Whole numbers (number,) with the sum ``count``, as equal as can be, zero but at ``places``."""
    shares = np.zeros(number, dtype=int)
    shares[places] = count // len(places)
    shares[places[: count % len(places)]] += 1
    return shares
