"""PoseLab: learned pose recovery for single-particle cryo-EM, from a density to an angle-error histogram.

The public names, each loaded when it is first used::

    import poselab

    volume = poselab.load_volume("1bd2")
    particles = poselab.simulate(volume, 200, rng=0, noise_variance=4)
    distances = poselab.perturb_distances(poselab.exact_distances(particles.truth.poses), 0.1, rng=1)
    recovered = poselab.recover_poses(distances, rng=2)
    aligned = poselab.align_poses(recovered.poses, particles.truth.poses, rng=3)

The wings below, in the order in which they may import each other, are described in ``docs/architecture.md``.
Conventions (frames, signs, order, units) are defined once, in :mod:`geometry.rotations`. Invalid input raises an
:class:`base.errors.InputError` with a message of one line.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import (
        align_poses,
        exact_distances,
        fourier_shell_correlation,
        load_volume,
        perturb_distances,
        project,
        read_particles,
        read_run,
        reconstruct,
        recover_poses,
        run_experiment,
        sample_orientations,
        simulate,
        write_star,
    )
    from .base.errors import InputError
    from .config.schema import Config
    from .imaging.particles import ParticleSet
    from .imaging.volume import Volume
    from .poses.pairs import PairDistances

__all__ = [
    "Config", "InputError", "PairDistances", "ParticleSet", "Volume", "align_poses", "exact_distances",
    "fourier_shell_correlation", "load_volume", "perturb_distances", "project", "read_particles", "read_run",
    "reconstruct", "recover_poses", "run_experiment", "sample_orientations", "simulate", "write_star",
]  # fmt: skip

_CLASSES = {
    "Config": "config.schema",
    "InputError": "base.errors",
    "PairDistances": "poses.pairs",
    "ParticleSet": "imaging.particles",
    "Volume": "imaging.volume",
}
"""The module of each public class; public functions are those of :mod:`api`."""

_OTHER = {"engine": "poselab", "poselab": "engine"}.get(__name__, "")
if getattr(sys.modules.get(_OTHER), "_CLASSES", None) is not None:
    raise ImportError(
        f"{_OTHER} is imported already: the same code under another name, whose objects would not be the same; "
        "use one of the two names in a process"
    )


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_CLASSES.get(name, 'api')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
