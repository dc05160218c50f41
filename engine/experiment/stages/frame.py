"""Poses of particles in the frame of their map, with its hand, without any truth: from anchors with known poses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.progress import Progress
from ...config.schema import Config
from ...geometry.symmetry import group
from ...record.arrays import ROTATIONS, Shape
from ..metrics import ANGLE_ERROR_MEAN, ANGLE_ERROR_MEDIAN, IN_FRAME
from ..stage import Artefact, Context, Cost, Source, Stage
from . import lazily
from .distance import ANCHORS, anchors
from .particles import noise_of

_TOGETHER = 512  # particles whose images are in memory together


@dataclass(frozen=True, eq=False)
class PosesInFrame:
    """Poses (n, 3, 3) of the usable particles in the map's frame, shifts (n, 2) in pixels of the original image.

    ``confidence`` (n,) is above 0, at most 1, the higher the smaller the expected error; ``anchor_errors`` (k,) in rad
    are those of the anchors after they were aligned.
    """

    poses: NDArray[np.floating]
    shifts: NDArray[np.floating]
    confidence: NDArray[np.floating]
    anchor_errors: NDArray[np.floating]


class FrameStage(Stage):
    """Aligns recovered poses by the anchors alone, and finds the shifts by matching with the map."""

    name = "frame"
    needs = ("particles", "distance", "recovery")
    result = PosesInFrame
    finite = ("poses", "shifts", "confidence")
    metrics = (ANGLE_ERROR_MEDIAN, ANGLE_ERROR_MEAN, *IN_FRAME)
    artefacts = (
        Artefact("frame.npz", "poses and shifts in the map's frame, confidence; reference poses if any came along", {
            "poses": ROTATIONS, "shifts": Shape(("n", 2)), "confidence": Shape(("n",)), "rows": Shape(("n",)),
            "reference": ROTATIONS, "errors": Shape(("n",)), "anchor_errors": Shape(("k",)),
        }),
        Artefact("poses.star", "the particles' table with these poses, or poses.cs"),
    )  # fmt: skip
    depends_on_frame = True

    def enabled(self, config: Config) -> bool:
        """Of particles."""
        return config.particles.source is not None

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """The map and the largest shift, for the shifts."""
        assert source.stack is not None
        return (source.volume, source.stack.max_shift, config.volume.symmetry)

    def cost(self, config: Config, source: Source) -> Cost:
        """Pixels."""
        return Cost(0.5 + 1.5e-7 * source.count(config) * source.frame(config) ** 2)

    def run(self, context: Context, progress: Progress) -> PosesInFrame:
        """Align, then match."""
        from ...poses.frame import confidence, in_frame_of_anchors

        recovery, elements = context["recovery"], group(context.config.volume.symmetry)
        framed = in_frame_of_anchors(recovery.poses, anchors(context)[1], context.stream("frame"), elements)
        trust = confidence(
            recovery.poses, context["distance"].estimated, recovery.calibration, len(framed.anchor_errors), elements
        )
        shifts = matched_shifts(context, framed.poses, progress)
        return PosesInFrame(framed.poses, shifts, trust[: len(framed.poses)], framed.anchor_errors)

    def report(self, context: Context, result: PosesInFrame) -> dict[str, Any]:
        """Errors against the poses that came with the stack, where there are any."""
        return errors_in_frame(context, result) | _after_alignment(context, result)

    def keep(self, context: Context, result: PosesInFrame) -> None:
        """``frame.npz`` and the table."""
        keep_poses(context, result, "frame.npz", "poses")
        context.record.log(
            f"frame: the {ANCHORS} anchors are {np.degrees(np.median(result.anchor_errors)):.2f} degrees off, in the "
            "median, after their poses were aligned with the known ones"
        )


def matched_shifts(context: Context, poses: NDArray[np.floating], progress: Progress) -> NDArray[np.floating]:
    """Shifts (n, 2) in pixels at which the particles correlate best with CTF times projection at these poses."""
    from ...imaging.projection import project
    from ...poses.shifts import correlation_shifts

    stack, prepared = context.stack, context["particles"]
    assert stack is not None
    shifts = np.zeros((len(poses), 2))
    if stack.max_shift == 0:
        return shifts
    images, transfers, noise = lazily.images(context), lazily.transfers(context), noise_of(prepared).power(stack.size)
    for start in range(0, len(poses), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        clean = project(context.volume, poses[some], stack.size)
        weights = (1.0 if transfers is None else transfers[some]) / noise
        shifts[some] = correlation_shifts(images[some], clean, weights, stack.max_shift)
        progress(min(1.0, (start + _TOGETHER) / len(poses)), {})
    return shifts


def errors_in_frame(context: Context, result: PosesInFrame, prefix: str = "") -> dict[str, Any]:
    """The figures of :data:`experiment.metrics.IN_FRAME`, where there are reference poses."""
    from ...poses.frame import frame_errors, frame_metrics

    reference = reference_poses(context)
    if reference is None:
        return {}
    errors = frame_errors(result.poses, reference, group(context.config.volume.symmetry))
    figures = frame_metrics(errors, result.confidence)
    stack = context.stack
    assert stack is not None
    if stack.reference_shifts is not None:
        known = stack.reference_shifts[context["particles"].members]
        figures["shift_error_median_px"] = float(np.median(np.linalg.norm(result.shifts - known, axis=1)))
    return {f"{prefix}{name}": value for name, value in figures.items()}


def reference_poses(context: Context) -> NDArray[np.floating] | None:
    """The poses (n, 3, 3) that came with the usable particles; None where there are none."""
    stack = context.stack
    assert stack is not None
    return None if stack.reference_poses is None else stack.reference_poses[context["particles"].members]


def _after_alignment(context: Context, result: PosesInFrame) -> dict[str, Any]:
    """The angle errors after O(4), as of simulations."""
    from ...poses.alignment import align_poses

    reference = reference_poses(context)
    if reference is None:
        return {}
    elements = group(context.config.volume.symmetry)
    errors = align_poses(result.poses, reference, context.stream("alignment"), elements=elements).errors
    return {"angle_error_median": float(np.median(errors)), "angle_error_mean": float(np.mean(errors))}


def keep_poses(context: Context, result: PosesInFrame, filename: str, stem: str) -> None:
    """The arrays, and the particles' own table with these poses, shifts, confidence and half sets."""
    from ...io.particles import write_poses
    from ...poses.frame import frame_errors

    stack, prepared, record = context.stack, context["particles"], context.record
    assert stack is not None
    rows, reference = stack.chosen[prepared.members], reference_poses(context)
    known = {}
    if reference is not None:
        errors = frame_errors(result.poses, reference, group(context.config.volume.symmetry))
        known = {"reference": reference, "errors": errors}
    record.save_arrays(
        filename, poses=result.poses, shifts=result.shifts, confidence=result.confidence, rows=rows, **known,
        anchor_errors=result.anchor_errors,
    )  # fmt: skip
    shifts = result.shifts / stack.scales[prepared.members, None]  # in pixels of each image as recorded
    ending = ".cs" if isinstance(stack.table.original, np.ndarray) else ".star"
    lines = write_poses(
        record.path / f"{stem}{ending}", stack.table, rows, result.poses, shifts, result.confidence,
        stack.halves[prepared.members],
    )  # fmt: skip
    for line in lines:
        record.log(line)
