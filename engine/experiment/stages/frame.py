"""Poses of particles in the frame of their map, with its hand, without any truth: from anchors with known poses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...base.progress import Progress, silent
from ...config.schema import Config
from ...geometry.symmetry import group
from ...record.arrays import ROTATIONS, Shape
from ..devices import NETWORK
from ..metrics import ANGLE_ERROR_MEAN, ANGLE_ERROR_MEDIAN, IN_FRAME
from ..stage import Artefact, Context, Cost, Source, Stage
from . import lazily
from .distance import ANCHORS, DistanceStage, anchors, learned
from .halves import anchoring, estimated, has_second, teaching_map
from .matches import MATCHES, keep_matches
from .particles import model_of, noise_of
from .recovery import RecoveredPoses, RecoveryStage, recovered_poses

if TYPE_CHECKING:
    from ...poses.pairs import PairDistances
    from ...poses.shifts import Matched

_TOGETHER = 512  # particles whose images are in memory together
_FIRST = 0.3  # of the time, until images are moved back
_SHIFT_LEFT = 0.3  # pixels along x and y, once images were moved back; those of 5J0N at an SNR of 0.1 lie 0.15 off


@dataclass(frozen=True, eq=False)
class PosesInFrame:
    """Poses (n, 3, 3) of particles in the map's frame, shifts (n, 2) in pixels; ``places`` (n,) among the usable ones.

    ``confidence`` (n,) is above 0, at most 1, the higher the smaller the expected error; ``anchor_errors`` (k,) in rad
    are those of the anchors after they were aligned.
    """

    poses: NDArray[np.floating]
    shifts: NDArray[np.floating]
    confidence: NDArray[np.floating]
    anchor_errors: NDArray[np.floating]
    places: NDArray[np.integer]


class FrameStage(Stage):
    """Aligns recovered poses by the anchors alone, and finds the shifts by matching with the map.

    With ``particles.recentre`` the images are then moved back by these shifts, and all is done once more, from the
    distances on.
    """

    name = "frame"
    version = 3
    needs = (
        "particles", "half_maps", "training", "distance", "recovery", "training_half2", "distance_half2",
        "recovery_half2",
    )  # fmt: skip
    result = PosesInFrame
    finite = ("poses", "shifts", "confidence")
    metrics = (ANGLE_ERROR_MEDIAN, ANGLE_ERROR_MEAN, *IN_FRAME)
    artefacts = (
        Artefact("frame.npz", "poses and shifts in the map's frame, confidence; reference poses if any came along", {
            "poses": ROTATIONS, "shifts": Shape(("n", 2)), "confidence": Shape(("n",)), "rows": Shape(("n",)),
            "reference": ROTATIONS, "errors": Shape(("n",)), "anchor_errors": Shape(("k",)),
        }),
        Artefact("poses.star", "the particles' table with these poses, or poses.cs"),
        MATCHES,
    )  # fmt: skip
    depends_on_frame = True

    def enabled(self, config: Config) -> bool:
        """Of particles."""
        return config.particles.source is not None

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """The map and the largest shift, for the shifts."""
        assert source.stack is not None
        return (source.volume, source.stack.max_shift, config.volume.symmetry, config.particles.recentre)

    def runs_on(self, config: Config) -> tuple[str, ...]:
        """The network's device, where images are embedded again."""
        return (NETWORK,) if config.particles.recentre else ()

    def cost(self, config: Config, source: Source) -> Cost:
        """Pixels; once more, and distances and recovery again, where images are moved back."""
        again = config.particles.recentre and source.stack is not None and source.stack.max_shift > 0
        once = 0.5 + 1.5e-7 * source.count(config) * source.frame(config) ** 2
        if not again:
            return Cost(once)
        repeated = [stage().cost(config, source) for stage in (DistanceStage, RecoveryStage)]
        return Cost(2 * once + sum(cost.seconds for cost in repeated), max(cost.memory_bytes for cost in repeated))

    def run(self, context: Context, progress: Progress) -> PosesInFrame:
        """Align, then match; each half set by itself where it was estimated so."""
        parts = []
        for second in (False, True) if has_second(context.config) else (False,):
            of_half = replace(context, second=second)
            parts.append((estimated(of_half), _of_half(of_half, progress)))
        order = np.argsort(np.concatenate([places for places, _ in parts]))
        poses, shifts, trust = (
            np.concatenate([getattr(made, name) for _, made in parts])[order]
            for name in ("poses", "shifts", "confidence")
        )
        errors = np.concatenate([made.anchor_errors for _, made in parts])
        return PosesInFrame(poses, shifts, trust, errors, np.sort(np.concatenate([places for places, _ in parts])))

    def report(self, context: Context, result: PosesInFrame) -> dict[str, Any]:
        """Errors against the poses that came with the stack, where there are any."""
        return errors_in_frame(context, result) | _after_alignment(context, result)

    def keep(self, context: Context, result: PosesInFrame) -> None:
        """``frame.npz``, the table, and a few particles beside what they match."""
        keep_poses(context, result, "frame.npz", "poses")
        keep_matches(context, result.places, result.poses, result.shifts, result.confidence)
        context.record.log(
            f"frame: the {len(result.anchor_errors)} anchors are "
            f"{np.degrees(np.median(result.anchor_errors)):.2f} degrees off, in the median, after their poses were "
            "aligned with the known ones"
        )


def _of_half(context: Context, progress: Progress) -> PosesInFrame:
    """Those of one half set, or of all particles."""
    distances = context.of_half("distance").estimated
    stack = context.stack
    assert stack is not None
    again = context.config.particles.recentre and stack.max_shift > 0

    def earlier(fraction: float, values: Mapping[str, float]) -> None:
        progress(_FIRST * fraction if again else fraction, values)

    def later(fraction: float, values: Mapping[str, float]) -> None:
        progress(_FIRST + (1 - _FIRST) * fraction, values)

    first = _in_frame(context, distances, context.of_half("recovery"), anchors(context)[1], earlier)
    return _recentred(context, first, later) if again else first


def _recentred(context: Context, first: PosesInFrame, progress: Progress) -> PosesInFrame:
    """Poses from images that were moved back by the shifts of a first estimate.

    Anchors that are particles are moved back by the shifts found at their known poses. Those that are projections have
    been shifted by as little as is left of the particles' shifts.
    """
    from ...imaging.stack_model import simulate_like_stack
    from ...poses.pairs import candidate_pairs

    if context.config.training.on == "particles":
        some = anchoring(context)
        known = reference_poses(context, some)
        assert known is not None
        of_anchors = _moved_back(context, some, best_matches(context, some, known, silent).shifts)
    else:
        model = model_of(context)
        model = replace(model, max_shift=min(model.max_shift, _SHIFT_LEFT * model.size / context.frame))
        rng = context.stream("centred anchors")
        data, _ = simulate_like_stack(teaching_map(context), model, ANCHORS, ANCHORS, rng)
        of_anchors, known = data.validation_images, data.validation_poses
    images = np.concatenate([_moved_back(context, first.places, first.shifts), of_anchors])
    distances = learned(context, images, candidate_pairs(len(images), context.stream("centred pairs")))
    recovery = recovered_poses(context.config, distances, context.stream("centred recovery"), silent)
    return _in_frame(context, distances, recovery, known, progress)


def _moved_back(context: Context, places: NDArray[np.integer], shifts: NDArray[np.floating]) -> NDArray[np.float32]:
    """Usable particles (n, m, m), prepared for the network after they were moved back by shifts (n, 2) in pixels."""
    from ...imaging.filters import fourier_crop, shift_images
    from ...imaging.preparation import prepared, within

    stack, model, recorded = context.stack, model_of(context), lazily.images(context, places)
    assert stack is not None
    images = np.empty((len(places), model.size, model.size), dtype=np.float32)
    for start in range(0, len(places), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        small = fourier_crop(shift_images(recorded[some], -shifts[some]), model.size)
        ctf = None if stack.ctf is None else stack.ctf[context["particles"].members[places[some]]]
        images[some] = within(model.mask, prepared(small, ctf, model.pixel_size, model.flips, model.whitening))
    return images


def _in_frame(
    context: Context,
    distances: PairDistances,
    recovery: RecoveredPoses,
    known: NDArray[np.floating],
    progress: Progress,
) -> PosesInFrame:
    """Recovered poses in the frame of the anchors, which have the ``known`` poses, and shifts at these poses."""
    from ...poses.frame import confidence, in_frame_of_anchors, with_match

    elements, places = group(context.config.volume.symmetry), estimated(context)
    framed = in_frame_of_anchors(recovery.poses, known, context.stream("frame"), elements)
    trust = confidence(np.concatenate([framed.poses, known]), distances, recovery.calibration, len(known), elements)
    match = best_matches(context, places, framed.poses, progress)
    trust = with_match(trust[: len(places)], match.correlations)
    return PosesInFrame(framed.poses, match.shifts, trust, framed.anchor_errors, places)


def best_matches(
    context: Context, places: NDArray[np.integer], poses: NDArray[np.floating], progress: Progress
) -> Matched:
    """Where and how well particles correlate best with CTF times projection of the map that teaches."""
    from ...imaging.projection import project
    from ...poses.shifts import Matched, matched

    stack, prepared = context.stack, context["particles"]
    assert stack is not None
    volume = teaching_map(context)
    images, transfers, noise = lazily.images(context), lazily.transfers(context), noise_of(prepared).power(stack.size)
    parts = []
    for start in range(0, len(poses), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        clean = project(volume, poses[some], stack.size)
        transfer = None if transfers is None else transfers[places[some]]
        parts.append(matched(images[places[some]], clean, transfer, noise, stack.max_shift))
        progress(min(1.0, (start + _TOGETHER) / len(poses)), {})
    return Matched(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def errors_in_frame(context: Context, result: PosesInFrame, prefix: str = "") -> dict[str, Any]:
    """The figures of :data:`experiment.metrics.IN_FRAME`, where there are reference poses."""
    from ...poses.frame import frame_errors, frame_metrics

    reference = reference_poses(context, result.places)
    if reference is None:
        return {}
    errors = frame_errors(result.poses, reference, group(context.config.volume.symmetry))
    figures = frame_metrics(errors, result.confidence)
    stack = context.stack
    assert stack is not None
    if stack.reference_shifts is not None:
        known = stack.reference_shifts[context["particles"].members[result.places]]
        lengths = np.linalg.norm(result.shifts - known, axis=1)
        figures["shift_error_median_px"] = float(np.median(lengths)) * stack.framing.reduction
    return {f"{prefix}{name}": value for name, value in figures.items()}


def reference_poses(context: Context, places: NDArray[np.integer]) -> NDArray[np.floating] | None:
    """The poses (n, 3, 3) that came with these of the usable particles; None where there are none."""
    stack = context.stack
    assert stack is not None
    return None if stack.reference_poses is None else stack.reference_poses[context["particles"].members[places]]


def _after_alignment(context: Context, result: PosesInFrame) -> dict[str, Any]:
    """The angle errors after O(4), as of simulations."""
    from ...poses.alignment import align_poses

    reference = reference_poses(context, result.places)
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
    members = prepared.members[result.places]
    rows, reference = stack.chosen[members], reference_poses(context, result.places)
    known = {}
    if reference is not None:
        errors = frame_errors(result.poses, reference, group(context.config.volume.symmetry))
        known = {"reference": reference, "errors": errors}
    record.save_arrays(
        filename, poses=result.poses, shifts=result.shifts, confidence=result.confidence, rows=rows, **known,
        anchor_errors=result.anchor_errors,
    )  # fmt: skip
    shifts = result.shifts / stack.scales[members, None]  # in pixels of each image as recorded
    ending = ".cs" if isinstance(stack.table.original, np.ndarray) else ".star"
    lines = write_poses(
        record.path / f"{stem}{ending}", stack.table, rows, result.poses, shifts, result.confidence,
        stack.halves[members],
    )  # fmt: skip
    for line in lines:
        record.log(line)
