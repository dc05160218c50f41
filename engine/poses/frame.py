"""Poses in the frame of a map, without the truth: by anchors, whose poses are known; and how far to trust each pose.

Distances determine poses up to an orthogonal 4 x 4 matrix (:mod:`poses.alignment`), of both hands. Where distances to
projections of the map, or to other particles with known poses, are recovered together with those of the particles,
these *anchors* fix the matrix: frame and hand come with it, and errors in the frame need no alignment of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from ..base.errors import ArgumentError
from ..geometry.rotations import from_quaternion, to_quaternion
from ..geometry.symmetry import NO_SYMMETRY, symmetric_distance
from .alignment import align_poses
from .pairs import PairDistances

Array = NDArray[np.floating]

_BLOCK = 1 << 20  # pairs processed together: bounds the work space
_LEAST = 1e-3  # of the mean squared residual: no pose is surer, however well its distances fit
_WORST_MATCH = 1e-3  # of the median correlation: what does not match at all is not impossible
_EXACT = 1e-12  # rad^2; what rounding leaves where distances are exact


@dataclass(frozen=True, eq=False, repr=False)
class Framed:
    """Poses (n, 3, 3) in the frame of the anchors, without these; the anchors' own errors (m,) in rad, once aligned;
    the orthogonal 4 x 4 matrix applied, as in :class:`poses.alignment.Alignment`.

    The anchors' errors are those of recovery and network where everything about the images is known: what the poses of
    particles can at best be expected to have.
    """

    poses: Array
    anchor_errors: Array
    transform: Array

    def __repr__(self) -> str:
        hand = ", mirrored" if self.mirrored else ""
        return f"Framed({len(self.poses):,} poses by {len(self.anchor_errors):,} anchors{hand})"

    @property
    def mirrored(self) -> bool:
        """Whether the recovered poses had the opposite handedness."""
        return bool(np.linalg.det(self.transform) < 0)


def in_frame_of_anchors(
    recovered: Array, anchors: Array, rng: np.random.Generator, elements: Array = NO_SYMMETRY
) -> Framed:
    """Recovered poses (n + m, 3, 3), of which the last m are the anchors', in the frame of their known ones (m, 3, 3).

    For a symmetric object, ``elements`` (|G|, 4) is its group.

    Raises
    ------
    ArgumentError
        for fewer than four anchors, of which several matrices make sense, and for no other poses.
    """
    count = len(recovered) - len(anchors)
    if len(anchors) < 4 or count < 1:
        raise ArgumentError(
            "{anchors} are {given} of {all} poses in {recovered}; wanted at least 4, and poses beside them", "anchors",
            "recovered", given=len(anchors), all=len(recovered),
        )  # fmt: skip
    alignment = align_poses(recovered[count:], anchors, rng, elements=elements)
    poses = from_quaternion(to_quaternion(recovered[:count]) @ alignment.transform)
    return Framed(poses, alignment.errors, alignment.transform)


def frame_errors(poses: Array, reference: Array, elements: Array = NO_SYMMETRY) -> Array:
    """Angles (n,) in rad between poses (n, 3, 3) and reference poses (n, 3, 3), as they are: modulo the group
    ``elements`` (|G|, 4), and not aligned.
    """
    return symmetric_distance(to_quaternion(poses), to_quaternion(reference), elements)


def frame_metrics(errors: Array, confidence: Array | None = None) -> dict[str, float]:
    """Figures of :func:`frame_errors` (n,): median and mean (rad), shares below 5 and 10 degrees; with ``confidence``
    (n,), the mean weighted by it, as of CESPED (arXiv:2311.06194).
    """
    metrics = {
        "frame_angle_error_median": float(np.median(errors)),
        "frame_angle_error_mean": float(np.mean(errors)),
        "frame_share_below_5_degrees": float(np.mean(errors < np.radians(5))),
        "frame_share_below_10_degrees": float(np.mean(errors < np.radians(10))),
    }
    if confidence is not None:
        metrics["confidence_weighted_error_mean"] = float(np.average(errors, weights=confidence))
    return metrics


def confidence(
    poses: Array,
    distances: PairDistances,
    calibration: Sequence[float] | Array = (0.0, 1.0),
    anchors: int = 0,
    elements: Array = NO_SYMMETRY,
) -> Array:
    """How far each pose is to be trusted, from how well its distances fit: (n,) in (0, 1], falling with its error.

    Parameters
    ----------
    poses
        (n, 3, 3), as recovered from the distances; those of anchors better as they are known.
    distances
        the estimates that the poses were recovered from, of pairs of the n.
    calibration
        coefficients of the expected estimate as a polynomial of the induced distance, constant first
        (:class:`poses.recovery.Recovery`).
    anchors
        how many of the last poses are anchors. They are then the measure: who is as sure as their median has 0.5. With
        none it is the median of all.
    elements
        a symmetric object's group (|G|, 4).

    The squared residual of a pair is taken as the sum of two variances, one of each projection; that of a projection is
    then the mean over its pairs, less half of the mean over all. What makes an image's distances inconsistent with
    every pose is of the same size as what moves the pose: the variance of the pose is taken as proportional, and the
    confidence is ``1 / (1 + variance / typical variance)``, for large variances proportional to the inverse variance,
    the weight of least squares.

    Raises
    ------
    ArgumentError
        for pairs that leave a pose without any.
    """
    if distances.count != len(poses):
        raise ArgumentError(
            "{distances} are of {given} projections and {poses} are {count}; wanted as many", "distances", "poses",
            given=distances.count, count=len(poses),
        )  # fmt: skip
    pairs = np.bincount(distances.first, minlength=len(poses)) + np.bincount(distances.second, minlength=len(poses))
    if not pairs.all():
        raise ArgumentError(
            "{distances} have no pair with projection {missing}; wanted some with each", "distances",
            missing=int(np.flatnonzero(pairs == 0)[0]),
        )  # fmt: skip
    squares = _squared_residuals(to_quaternion(poses), distances, Polynomial(calibration), elements)
    sums = np.bincount(distances.first, squares, len(poses)) + np.bincount(distances.second, squares, len(poses))
    variance = np.maximum(sums / pairs - squares.mean() / 2, max(_LEAST * squares.mean(), _EXACT))
    return confidence_of(variance, float(np.median(variance[-anchors:])))  # of all, where there are none


def with_match(confidence: Array, correlations: Array) -> Array:
    """Confidence (n,) with regard to how well images match projections at their poses (:func:`poses.shifts.matched`).

    The information that an image has of its pose is proportional to its ratio of signal to noise, and so, where that is
    small, to the square of its ``correlations`` (n,) with what it shows. The variance by the distances is divided by
    this square, relative to the median. Without a positive median, as of a map of nothing, confidence stays as it is.
    """
    typical = np.median(correlations)
    if typical <= 0:
        return confidence
    variance = (1 / confidence - 1) / np.maximum(correlations / typical, _WORST_MATCH) ** 2
    return np.asarray(1 / (1 + variance))


def confidence_of(variance: Array, typical: float | None = None) -> Array:
    """``1 / (1 + variance / typical)`` (n,) of the variances (n,) of poses, rad^2; ``typical``: their median if not
    given.
    """
    variance = np.maximum(variance, _EXACT)
    return np.asarray(1 / (1 + variance / (np.median(variance) if typical is None else typical)))


def _squared_residuals(quaternions: Array, distances: PairDistances, expected: Polynomial, elements: Array) -> Array:
    """Squared differences (pairs,) in rad^2 between the distances and those to be expected from quaternions (n, 4)."""
    squares = np.empty(len(distances))
    for start in range(0, len(distances), _BLOCK):
        block = slice(start, start + _BLOCK)
        first, second = quaternions[distances.first[block]], quaternions[distances.second[block]]
        squares[block] = (expected(symmetric_distance(first, second, elements)) - distances.values[block]) ** 2
    return squares
