"""Equivalent settings in one form, so that runs that differ only in notation are equal."""

from __future__ import annotations

from typing import Any

from ..base.errors import InputError
from ..config.projections import ProjectionsConfig
from ..config.training import TrainingConfig
from ..geometry.rotations import PUBLISHED_COVERAGES, euler_region
from ..io.loading import is_made_of_atoms
from ..io.sources import DEFAULT_RESOLUTION

_DEFAULT = ProjectionsConfig()
_WITHOUT_NOISE = _DEFAULT.noise_spectrum
_RIGHT_NOISE = TrainingConfig().noise_factor
_WITHOUT_CTF = {
    f"projections.{key}": getattr(_DEFAULT, key)
    for key in ("voltage", "spherical_aberration", "amplitude_contrast", "defocus_error")
}


def as_meant(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a run, by dotted key, with one form for equivalent values.

    A noise that is not given is a variance of 0, white and trained for as it is, a range of defocus without extent is
    its only value, the CTF's settings are those by default where there is no CTF, a region of angles that has a name is
    replaced by it, and a resolution that is not given is the default for a density made of atoms. Invalid settings are
    returned unchanged.
    """
    meant = dict(settings)
    if meant.get("projections.noise_variance") is None and meant.get("projections.snr") is None:
        meant["projections.noise_variance"] = 0.0
    if meant.get("projections.noise_variance") == 0:
        meant["projections.noise_spectrum"] = _WITHOUT_NOISE
        if meant.get("training.noise_factor") is not None:
            meant["training.noise_factor"] = _RIGHT_NOISE
    defocus = meant.get("projections.defocus")
    if defocus is None:
        meant |= _WITHOUT_CTF
    elif isinstance(defocus, list | tuple) and len(defocus) == 2 and defocus[0] == defocus[1]:
        meant["projections.defocus"] = defocus[0]
    if isinstance(coverage := meant.get("projections.coverage"), list | tuple):
        meant["projections.coverage"] = _named(coverage)
    source = meant.get("volume.source")
    if meant.get("volume.resolution") is None and isinstance(source, str) and is_made_of_atoms(source):
        meant["volume.resolution"] = DEFAULT_RESOLUTION
    return meant


def _named(region: Any) -> Any:
    """The name of a region of Euler angles in degrees, or the region itself if it has none."""
    try:
        bounds = tuple(tuple(float(end) for end in interval) for interval in region)
        return next((name for name in PUBLISHED_COVERAGES if euler_region(name) == bounds), region)
    except (TypeError, ValueError, InputError):
        return region
