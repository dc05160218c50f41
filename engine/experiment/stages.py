"""The names of an experiment's stages, in order. Apart, for :mod:`experiment.pipeline` is slow to import."""

from __future__ import annotations

from ..config.schema import Config

STAGES = ("volume", "projections", "training", "distance", "recovery", "alignment", "reconstruction", "refinement")


def stages_of(config: Config) -> tuple[str, ...]:
    """The stages that a run of this experiment goes through."""
    left_out = set()
    if config.distance.method != "siamese":
        left_out.add("training")
    if not config.reconstruction.enabled:
        left_out.add("reconstruction")
    if not config.refinement.enabled:
        left_out.add("refinement")
    return tuple(name for name in STAGES if name not in left_out)
