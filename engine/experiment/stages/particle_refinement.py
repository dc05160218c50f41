"""The refinement of recorded particles' poses and shifts by matching with CTF-multiplied projections of a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.progress import Progress, silent
from ...config.schema import Config
from ...config.settings import config_to_dict
from ...record.arrays import ROTATIONS, Shape
from ..metrics import IN_FRAME, REFINED_FSC_HALF, REFINED_FSC_HALVES, refined
from ..stage import Artefact, Context, Cost, Source, Stage
from . import lazily
from .frame import PosesInFrame, errors_in_frame, keep_poses
from .particle_reconstruction import half_sets, reconstructed_particles
from .particles import noise_of
from .reconstruction import CURVES, ReconstructedMaps, keep_maps, resolutions

_REFINING = 0.8  # of the time; the rest reconstructs
Part = tuple[NDArray[np.integer], NDArray[np.float32], float]
"""Which particles, the reference that they are matched with, and the frequency, cycles per voxel, up to which."""


@dataclass(frozen=True, eq=False)
class RefinedParticles:
    """Poses and shifts in the frame of the reference, and the densities that they give."""

    poses: PosesInFrame
    maps: ReconstructedMaps | None


class ParticleRefinementStage(Stage):
    """Matches each particle with the reference, from its pose in the map's frame."""

    name = "particle_refinement"
    version = 2
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
        return Cost(0.15 * pixels * config.refinement.iterations / 3 * config.refinement.rounds_or_default)

    def run(self, context: Context, progress: Progress) -> RefinedParticles:
        """Match with the map, and reconstruct; or match with the reconstruction and reconstruct, several times."""
        config, rounds = context.config, context.config.refinement.rounds_or_default
        estimate, made = context["frame"], context.results.get("particle_reconstruction")
        for number in range(rounds):
            first, last = number / rounds, (number + 1) / rounds
            between = first + _REFINING * (last - first)
            if config.refinement.reference == "volume":
                estimate = matched_with_map(context, estimate, _part(progress, first, between))
            else:
                assert made is not None  # the configuration asks for a reconstruction then
                estimate = matched_with_halves(context, estimate, made, _part(progress, first, between))
            made = None
            if config.reconstruction.enabled:
                made = reconstructed_particles(context, estimate, _part(progress, between, last))
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
            context.record.log(f"{self.name}: {_independence(context.config)}")


def _independence(config: Config) -> str:
    """What the correlation of the refined half maps says."""
    if config.refinement.reference == "volume":
        return "both half sets were matched with one map, so the FSC of their maps is no gold standard"
    matched = "each half set was matched with its own map alone"
    if config.training.on == "reference":
        return f"{matched}, from poses that they owe to one network and its anchors: their FSC is no gold standard"
    return (
        f"{matched}; their FSC is a gold standard only if the poses that the particles came with were found in each "
        "half set by itself"
    )


def matched_with_map(context: Context, estimate: PosesInFrame, progress: Progress = silent) -> PosesInFrame:
    """All particles, matched with the map that came with them."""
    from ...poses.refinement import LEVELS

    everything = (np.arange(len(estimate.places)), context.volume.density, 0.5)
    return _matched(context, estimate, [everything], LEVELS, progress)


def matched_with_halves(
    context: Context, estimate: PosesInFrame, maps: ReconstructedMaps, progress: Progress = silent
) -> PosesInFrame:
    """Each half set's particles, matched with the map of this half set alone.

    So the half maps stay as independent as the poses were before, and what their noise does to the poses lowers their
    correlation, as it should: matched with each other's maps, each would be drawn to the other's noise, and they would
    agree in it. The map of a half is filtered by the correlation of both (:func:`imaging.reference.filtered_reference`)
    within a ball that holds the particle, so that particles are not drawn to their own noise where there is no more.

    All frequencies up to the maps' resolution are matched at once: where poses are some degrees off their maps are
    coarse, and become finer with them. Low frequencies alone, with a noisy map, would lead many poses astray.
    """
    from ...imaging.fsc import fourier_shell_correlation, resolution_at
    from ...imaging.reference import common_radius, filtered_reference

    halves, center = (maps.half1, maps.half2), context.volume.center_index
    highest = min(0.5, 1 / resolution_at(*fourier_shell_correlation(*halves, 1.0), 0.143))
    radius = common_radius(halves, center)
    parts = [
        (np.searchsorted(estimate.places, own), filtered_reference(half, halves, "half", radius, center), highest)
        for own, half in zip(half_sets(context, estimate.places), halves, strict=True)
    ]
    return _matched(context, estimate, parts, (1.0,), progress)


def _matched(
    context: Context, estimate: PosesInFrame, parts: Sequence[Part], levels: Sequence[float], progress: Progress
) -> PosesInFrame:
    """Poses, shifts and confidence of the particles in each part, matched with its reference."""
    from ...poses.frame import confidence_of
    from ...poses.refinement import refine_poses

    stack, iterations = context.stack, context.config.refinement.iterations
    assert stack is not None
    noise = noise_of(context["particles"]).power(stack.size)
    poses, shifts = np.array(estimate.poses, dtype=float), np.array(estimate.shifts, dtype=float)
    variance = np.empty(len(poses))
    done = 0
    for members, density, highest in parts:
        places = estimate.places[members]
        share = len(members) / len(poses)
        refined = refine_poses(
            lazily.images(context, places), poses[members], density, context.volume.center_index, stack.max_shift,
            iterations, highest, _part(progress, done / len(poses), done / len(poses) + share),
            lazily.transfers(context, places), noise, levels,
        )  # fmt: skip
        poses[members], shifts[members], variance[members] = refined.poses, refined.shifts, refined.variance
        done += len(members)
    return PosesInFrame(poses, shifts, confidence_of(variance), estimate.anchor_errors, estimate.places)


def _part(progress: Progress, first: float, last: float) -> Progress:
    """The progress of a part of the work, which goes from one fraction of the whole to another."""
    return lambda fraction, values: progress(first + fraction * (last - first), values)
