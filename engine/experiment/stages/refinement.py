"""The refinement of poses against a reference, beyond the two steps of the method and reported separately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...base.progress import Progress
from ...config.schema import Config
from ...config.settings import config_to_dict
from ...record.arrays import ROTATIONS, Shape
from ..devices import ASTRA
from ..metrics import REFINED_ANGLE_ERROR_MEAN, REFINED_ANGLE_ERROR_MEDIAN, REFINED_FSC_HALF, REFINED_FSC_HALVES
from ..stage import Artefact, Context, Cost, Source, Stage
from .alignment import aligned, write_star
from .reconstruction import CURVES, ReconstructedMaps, keep_maps, reconstructed, resolutions

if TYPE_CHECKING:
    from ...poses.alignment import Alignment

_REFINING = 0.8  # of the time; the rest reconstructs


@dataclass(frozen=True, eq=False)
class RefinedPoses:
    """Poses (n, 3, 3) in the frame of the reference, shifts (n, 2) in pixels, and the densities that they give."""

    poses: NDArray[np.floating]
    shifts: NDArray[np.floating]
    maps: ReconstructedMaps | None


class RefinementStage(Stage):
    """Matches each projection with the reference, from the aligned poses."""

    name = "refinement"
    needs = ("projections", "recovery", "alignment", "reconstruction")
    needs_truth = True
    result = RefinedPoses
    finite = ("poses", "shifts", "maps.density", "maps.half1", "maps.half2")
    metrics = (REFINED_ANGLE_ERROR_MEDIAN, REFINED_ANGLE_ERROR_MEAN, REFINED_FSC_HALF, REFINED_FSC_HALVES)
    artefacts = (
        Artefact("refined.npz", "refined poses and shifts, aligned poses and their errors", {
            "poses": ROTATIONS, "aligned": ROTATIONS, "errors": Shape(("n",)), "shifts": Shape(("n", 2)),
        }),
        Artefact("refined.star", "refined poses and shifts as a RELION table"),
        Artefact("refined_reconstruction.mrc", "the density that they give"),
        Artefact("refined_half1.mrc", "the density of half of the projections"),
        Artefact("refined_half2.mrc", "the density of the other half"),
        Artefact("refined_fsc.npz", "Fourier shell correlations after refinement", CURVES),
    )  # fmt: skip
    depends_on_frame = True

    def enabled(self, config: Config) -> bool:
        """Where it is switched on, of simulations."""
        return config.refinement.enabled and config.particles.source is None

    def inherits(self, config: Config) -> tuple[str, ...]:
        """All that it needs but the reconstruction, whose settings are among its own even where it is disabled."""
        return ("projections", "recovery")

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """The settings of the reconstruction, which is made anew, and its own."""
        table = config_to_dict(config)
        return (table["reconstruction"], table["refinement"])

    def runs_on(self, config: Config) -> tuple[str, ...]:
        """ASTRA's device, where that makes densities of them."""
        return (ASTRA,) if config.reconstruction.enabled and config.reconstruction.method == "cgls" else ()

    def cost(self, config: Config, source: Source) -> Cost:
        """Pixels times iterations."""
        pixels = source.count(config) * (source.frame(config) / 116) ** 2
        return Cost(0.025 * pixels * config.refinement.iterations / 3)

    def run(self, context: Context, progress: Progress) -> RefinedPoses:
        """Refine, and reconstruct again if enabled."""
        from ...poses.refinement import refine_poses

        config, volume, particles = context.config, context.volume, context["projections"]
        density, highest = reference_density(context, context.results.get("reconstruction"))
        refined = refine_poses(
            particles.images, context["alignment"].poses, density, volume.center_index,
            config.projections.max_shift, config.refinement.iterations, highest,
            lambda fraction, values: progress(_REFINING * fraction, values), particles.transfers(),
            particles.noise_power(),
        )  # fmt: skip
        maps = None
        if config.reconstruction.enabled:
            maps = reconstructed(
                context, refined.poses, refined.shifts,
                lambda fraction, values: progress(_REFINING + (1 - _REFINING) * fraction, values),
            )  # fmt: skip
        return RefinedPoses(refined.poses, refined.shifts, maps)

    def report(self, context: Context, result: RefinedPoses) -> dict[str, Any]:
        """Angle errors and resolutions after refinement."""
        errors = _aligned(context, result).errors
        figures = {
            "refined_angle_error_median": float(np.median(errors)),
            "refined_angle_error_mean": float(np.mean(errors)),
        }
        return figures if result.maps is None else figures | resolutions(context, result.maps, "refined_")

    def keep(self, context: Context, result: RefinedPoses) -> None:
        """Poses, and densities where there are any."""
        alignment = _aligned(context, result)
        context.record.save_arrays(
            "refined.npz", poses=result.poses, aligned=alignment.poses, errors=alignment.errors, shifts=result.shifts
        )
        write_star(context, "refined.star", alignment, result.shifts)
        if result.maps is not None:
            keep_maps(context, result.maps, "refined_")


def reference_density(context: Context, maps: ReconstructedMaps | None) -> tuple[NDArray[np.float32], float]:
    """The density to match with, and the frequency (cycles per voxel) up to which it is reliable."""
    from ...imaging.fsc import fourier_shell_correlation, resolution_at

    volume = context.volume
    if context.config.refinement.reference == "volume":
        return volume.density, 0.5
    assert maps is not None  # the configuration asks for a reconstruction then
    halves = fourier_shell_correlation(maps.half1, maps.half2, volume.voxel_size)
    return maps.density, min(0.5, volume.voxel_size / resolution_at(*halves, 0.143))


def _aligned(context: Context, result: RefinedPoses) -> Alignment:
    return aligned(context, result.poses, "alignment of the refined")
