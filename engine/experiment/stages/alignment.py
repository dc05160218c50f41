"""The alignment of the recovered poses with the true ones, without which their errors would be meaningless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base.progress import Progress
from ...config.schema import Config
from ...geometry.symmetry import group
from ...record.arrays import ROTATIONS, Shape
from ..metrics import (
    ANGLE_ERROR_MEAN,
    ANGLE_ERROR_MEAN_UNALIGNED,
    ANGLE_ERROR_MEDIAN,
    ANGLE_ERROR_MEDIAN_UNALIGNED,
    MIRRORED,
)
from ..stage import Artefact, Context, Cost, Source, Stage

if TYPE_CHECKING:
    from ...poses.alignment import Alignment

PARTICLES = "particles.mrcs"
"""The stack that .star files name. A run does not keep it; :mod:`experiment.stack` makes it again."""


class AlignmentStage(Stage):
    """Aligns over O(4); too quick to be cached."""

    name = "alignment"
    needs = ("projections", "recovery")
    needs_truth = True
    metrics = (
        ANGLE_ERROR_MEDIAN, ANGLE_ERROR_MEAN, ANGLE_ERROR_MEDIAN_UNALIGNED, ANGLE_ERROR_MEAN_UNALIGNED, MIRRORED,
    )  # fmt: skip
    artefacts = (
        Artefact("poses.npz", "true, recovered and aligned poses, their errors, the alignment", {
            "true": ROTATIONS, "recovered": ROTATIONS, "aligned": ROTATIONS, "errors": Shape(("n",)),
            "errors_before": Shape(("n",)), "transform": Shape((4, 4)), "shifts": Shape(("n", 2)),
        }),
        Artefact("poses.star", "aligned poses and shifts as a RELION table"),
    )  # fmt: skip

    def enabled(self, config: Config) -> bool:
        """Of simulations; particles have frame and hand from :mod:`experiment.stages.frame`."""
        return config.particles.source is None

    def cost(self, config: Config, source: Source) -> Cost:
        """A tenth of a second."""
        return Cost(0.1)

    def run(self, context: Context, progress: Progress) -> Alignment:
        """Align."""
        return aligned(context, context["recovery"].poses, "alignment")

    def report(self, context: Context, result: Alignment) -> dict[str, Any]:
        """Angle errors, and whether the handedness was flipped."""
        from ...poses.metrics import angle_metrics

        return {**angle_metrics(result), "mirrored": result.mirrored}

    def keep(self, context: Context, result: Alignment) -> None:
        """``poses.npz`` and ``poses.star``."""
        truth = context["projections"].truth
        context.record.save_arrays(
            "poses.npz", true=truth.poses, recovered=context["recovery"].poses, aligned=result.poses,
            errors=result.errors, errors_before=result.errors_before, transform=result.transform, shifts=truth.shifts,
        )  # fmt: skip
        write_star(context, "poses.star", result, truth.shifts)


def aligned(context: Context, poses: Any, purpose: str) -> Alignment:
    """Poses (n, 3, 3) aligned with the true ones, with random starts of their own."""
    from ...poses.alignment import align_poses

    elements = group(context.config.volume.symmetry)
    return align_poses(poses, context["projections"].truth.poses, context.stream(purpose), elements=elements)


def write_star(context: Context, filename: str, alignment: Alignment, shifts: Any) -> None:
    """Aligned poses as a table in the run's directory; shifts (n, 2) in pixels, of the volume's centre of rotation.

    The table has the shifts of voxel n // 2 of the map, about which RELION turns it.
    """
    from ...imaging.projection import relion_shifts
    from ...io.star import write_star as write

    particles, volume = context["projections"], context.volume
    write(
        context.record.path / filename, alignment.poses, volume.voxel_size, particles.size, PARTICLES,
        shifts_px=relion_shifts(alignment.poses, shifts, volume.center_offset), errors_rad=alignment.errors,
        ctf=particles.ctf,
    )  # fmt: skip
