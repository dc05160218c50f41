"""The refinement of recorded particles' poses and shifts by matching with CTF-multiplied projections of a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...base.progress import Progress
from ...config.schema import Config
from ...config.settings import config_to_dict
from ...record.arrays import ROTATIONS, Shape
from ..metrics import IN_FRAME, REFINED_FSC_HALF, REFINED_FSC_HALVES, refined
from ..stage import Artefact, Context, Cost, Source, Stage
from . import lazily
from .frame import PosesInFrame, errors_in_frame, keep_poses
from .particle_reconstruction import reconstructed_particles
from .particles import noise_of
from .reconstruction import CURVES, ReconstructedMaps, keep_maps, resolutions
from .refinement import reference_density

_REFINING = 0.8  # of the time; the rest reconstructs


@dataclass(frozen=True, eq=False)
class RefinedParticles:
    """Poses and shifts in the frame of the reference, and the densities that they give."""

    poses: PosesInFrame
    maps: ReconstructedMaps | None


class ParticleRefinementStage(Stage):
    """Matches each particle with the reference, from its pose in the map's frame."""

    name = "particle_refinement"
    needs = ("particles", "frame", "particle_reconstruction")
    result = RefinedParticles
    metrics = (*map(refined, IN_FRAME), REFINED_FSC_HALF, REFINED_FSC_HALVES)
    artefacts = (
        Artefact("refined_frame.npz", "refined poses and shifts in the map's frame; reference poses if there are any", {
            "poses": ROTATIONS, "shifts": Shape(("n", 2)), "confidence": Shape(("n",)), "rows": Shape(("n",)),
            "reference": ROTATIONS, "errors": Shape(("n",)), "anchor_errors": Shape(("k",)),
        }),
        Artefact("refined.star", "the particles' table with refined poses, or refined.cs"),
        Artefact("refined_reconstruction.mrc", "the density that they give"),
        Artefact("refined_half1.mrc", "the density of the particles of half set 1"),
        Artefact("refined_half2.mrc", "the density of the particles of half set 2"),
        Artefact("refined_fsc.npz", "Fourier shell correlations after refinement", CURVES),
    )  # fmt: skip
    depends_on_frame = True

    def enabled(self, config: Config) -> bool:
        """Where it is switched on, of particles."""
        return config.refinement.enabled and config.particles.source is not None

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """Its settings, and those of the reconstruction, which is made anew."""
        table = config_to_dict(config)
        return (table["reconstruction"], table["refinement"])

    def cost(self, config: Config, source: Source) -> Cost:
        """Pixels times iterations."""
        pixels = source.count(config) * (source.frame(config) / 116) ** 2
        return Cost(0.15 * pixels * config.refinement.iterations / 3)

    def run(self, context: Context, progress: Progress) -> RefinedParticles:
        """Refine in parts, and reconstruct again if enabled."""
        from ...poses.refinement import refine_poses

        config, stack, prepared, start = context.config, context.stack, context["particles"], context["frame"]
        assert stack is not None
        maps = context.results.get("particle_reconstruction")
        density, highest = reference_density(context, maps)
        places = start.places
        refined = refine_poses(
            lazily.images(context, places), start.poses, density, context.volume.center_index, stack.max_shift,
            config.refinement.iterations, highest, lambda fraction, values: progress(_REFINING * fraction, values),
            lazily.transfers(context, places), noise_of(prepared).power(stack.size),
        )  # fmt: skip
        estimate = PosesInFrame(refined.poses, refined.shifts, start.confidence, start.anchor_errors, places)
        made = None
        if config.reconstruction.enabled:
            made = reconstructed_particles(
                context, estimate,
                lambda fraction, values: progress(_REFINING + (1 - _REFINING) * fraction, values),
            )  # fmt: skip
        return RefinedParticles(estimate, made)

    def report(self, context: Context, result: RefinedParticles) -> dict[str, Any]:
        """Errors in the frame, and resolutions, after refinement."""
        figures = errors_in_frame(context, result.poses, "refined_")
        return figures if result.maps is None else figures | resolutions(context, result.maps, "refined_")

    def keep(self, context: Context, result: RefinedParticles) -> None:
        """Poses, and densities where there are any."""
        keep_poses(context, result.poses, "refined_frame.npz", "refined")
        if result.maps is not None:
            keep_maps(context, result.maps, "refined_")
