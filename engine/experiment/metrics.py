"""The registry of metrics: every figure that a run may report, in the order in which they are shown.

Console, tables, pages and exports take labels, units and formats only from here. A stage names the metrics that
it reports (:class:`experiment.stage.Stage`); registering a stage registers its metrics.
"""

from __future__ import annotations

from dataclasses import replace

from ..base.metric import Metric

AGAINST_INPUT, BETWEEN_HALVES = 0.5, 0.143
"""Thresholds of Fourier shell correlations: against a reference map, and between independent half maps."""

DISTANCE_MAE = Metric(
    "distance_mae", "distance error", "L_DE", "rad", needs_truth=True,
    meaning="mean absolute error of the estimated distances, over pairs of test projections",
)  # fmt: skip
DISTANCE_RMSE = Metric(
    "distance_rmse", "distance error, root mean square", unit="rad", needs_truth=True,
    meaning="root-mean-square error of the estimated distances, over pairs of test projections",
)  # fmt: skip
NEIGHBOUR_RECALL = Metric(
    "neighbour_recall_at_10", "recall of the 10 nearest neighbours", better="higher", needs_truth=True,
    meaning="share of a projection's ten nearest by true pose that are among its ten nearest by estimated distance",
)  # fmt: skip
RECOVERY_LOSS = Metric(
    "recovery_loss", "recovery loss", "L_OR", "rad²", format="%.2e",
    meaning="mean squared difference between the given distances and those of the recovered poses",
)  # fmt: skip
RECOVERY_PAIRS = Metric(
    "recovery_pairs", "pairs used by the recovery", better=None, column="pairs used", format="%d",
    meaning="pairs of test projections whose distances the recovery used",
)  # fmt: skip
ANGLE_ERROR_MEDIAN = Metric(
    "angle_error_median", "median angle error", "E_OR", "rad", needs_truth=True,
    meaning="median angle between recovered and true pose, after alignment over all of O(4)",
)  # fmt: skip
ANGLE_ERROR_MEAN = Metric(
    "angle_error_mean", "mean angle error", unit="rad", needs_truth=True, column="mean E_OR",
    meaning="mean angle between recovered and true pose, after alignment over all of O(4)",
)  # fmt: skip
ANGLE_ERROR_MEDIAN_UNALIGNED = Metric(
    "angle_error_median_unaligned", "median angle error before alignment", unit="rad", better=None, needs_truth=True,
    meaning="it measures nothing but the arbitrary frame of the recovery",
)  # fmt: skip
ANGLE_ERROR_MEAN_UNALIGNED = Metric(
    "angle_error_mean_unaligned", "mean angle error before alignment", unit="rad", better=None, needs_truth=True,
    meaning="it measures nothing but the arbitrary frame of the recovery",
)  # fmt: skip
MIRRORED = Metric(
    "mirrored", "mirror image", better=None, needs_truth=True,
    meaning="whether the recovered poses were a mirror image, which the alignment turned back",
)  # fmt: skip
FSC_HALF = Metric(
    "fsc_0.5_angstrom", "against input", "FSC 0.5", "Å", needs_truth=True, format="%.2f", threshold=AGAINST_INPUT,
    meaning="resolution where the Fourier shell correlation against the input map falls below 0.5",
)  # fmt: skip
FSC_HALVES = Metric(
    "fsc_0.143_angstrom", "of halves", "FSC 0.143", "Å", format="%.2f", threshold=BETWEEN_HALVES,
    meaning="resolution where the Fourier shell correlation between the half maps falls below 0.143",
)  # fmt: skip
REFINED_ANGLE_ERROR_MEDIAN = Metric(
    "refined_angle_error_median", "refined", "E_OR", "rad", needs_truth=True, column="refined E_OR",
    meaning="median angle error after refining the poses against a reference, beyond the published method",
)  # fmt: skip
REFINED_ANGLE_ERROR_MEAN = Metric(
    "refined_angle_error_mean", "mean angle error, refined", unit="rad", needs_truth=True,
    column="refined mean E_OR",
    meaning="mean angle error after refining the poses against a reference, beyond the published method",
)  # fmt: skip
REFINED_FSC_HALF = Metric(
    "refined_fsc_0.5_angstrom", "refined", "FSC 0.5", "Å", needs_truth=True, column="refined FSC 0.5", format="%.2f",
    threshold=AGAINST_INPUT,
    meaning="resolution where the Fourier shell correlation against the input map, after refinement, falls below 0.5",
)  # fmt: skip
REFINED_FSC_HALVES = Metric(
    "refined_fsc_0.143_angstrom", "refined", "FSC 0.143", "Å", column="refined FSC 0.143", format="%.2f",
    threshold=BETWEEN_HALVES,
    meaning="resolution where the Fourier shell correlation between the half maps, after refinement, falls below 0.143",
)  # fmt: skip
NOISE_VARIANCE = Metric(
    "noise_variance", "noise variance", better=None,
    meaning="variance of the white noise in the test projections, in their own units",
)  # fmt: skip
SNR = Metric("snr", "signal-to-noise ratio", better=None, meaning="variance of the signal over that of the noise")
PARTICLES = Metric(
    "particles", "particles used", better=None, format="%d", meaning="images of the stack whose poses were estimated"
)
PARTICLES_LEFT_OUT = Metric(
    "particles_left_out", "particles left out", better=None, format="%d",
    meaning="images of the stack with values that are not finite, or all the same",
)  # fmt: skip
_IN_FRAME = "in the frame of map and reference poses, never aligned, modulo symmetry"
FRAME_ANGLE_ERROR_MEDIAN = Metric(
    "frame_angle_error_median", "median angle error in the frame", unit="rad", needs_truth=True,
    column="frame median error", meaning=f"median angle between estimated and reference pose, {_IN_FRAME}",
)  # fmt: skip
FRAME_ANGLE_ERROR_MEAN = Metric(
    "frame_angle_error_mean", "mean angle error in the frame", unit="rad", needs_truth=True,
    column="frame mean error", meaning=f"mean angle between estimated and reference pose, {_IN_FRAME}",
)  # fmt: skip
FRAME_SHARE_5 = Metric(
    "frame_share_below_5_degrees", "within 5 degrees", better="higher", needs_truth=True,
    meaning=f"share of particles less than 5 degrees from their reference pose, {_IN_FRAME}",
)  # fmt: skip
FRAME_SHARE_10 = Metric(
    "frame_share_below_10_degrees", "within 10 degrees", better="higher", needs_truth=True,
    meaning=f"share of particles less than 10 degrees from their reference pose, {_IN_FRAME}",
)  # fmt: skip
CONFIDENCE_WEIGHTED_ERROR = Metric(
    "confidence_weighted_error_mean", "mean angle error, by confidence", unit="rad", needs_truth=True,
    meaning=f"mean angle error in which each particle counts by its confidence, {_IN_FRAME}",
)  # fmt: skip
SHIFT_ERROR_MEDIAN = Metric(
    "shift_error_median_px", "median shift error", unit="px", needs_truth=True,
    meaning="median distance between estimated and reference shift, in pixels of the original image",
)  # fmt: skip


def refined(metric: Metric) -> Metric:
    """The same figure after refinement."""
    return replace(
        metric, name=f"refined_{metric.name}", label=f"{metric.label}, refined", column=f"refined {metric.column}",
        meaning=f"{metric.meaning}, after refinement",
    )  # fmt: skip


IN_FRAME = (
    FRAME_ANGLE_ERROR_MEDIAN, FRAME_ANGLE_ERROR_MEAN, FRAME_SHARE_5, FRAME_SHARE_10, CONFIDENCE_WEIGHTED_ERROR,
    SHIFT_ERROR_MEDIAN,
)  # fmt: skip
"""Of particles with reference poses, in the frame of map and reference."""
RECOVERY_SECONDS = Metric(
    "recovery_seconds", "time of the recovery", unit="s", column="time", meaning="wall time of the recovery alone"
)
TOTAL_SECONDS = Metric(
    "total_seconds", "wall time", unit="s", column="took", format="%.1f", meaning="wall time of the whole run"
)
PEAK_MEMORY = Metric(
    "peak_memory_mb", "peak memory", unit="MB", column="memory", format="%.0f",
    meaning="largest resident memory, in 2^20 bytes",
)  # fmt: skip

_REGISTRY: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        DISTANCE_MAE, DISTANCE_RMSE, NEIGHBOUR_RECALL, RECOVERY_LOSS, RECOVERY_PAIRS, ANGLE_ERROR_MEDIAN,
        ANGLE_ERROR_MEAN, ANGLE_ERROR_MEDIAN_UNALIGNED, ANGLE_ERROR_MEAN_UNALIGNED, MIRRORED, FSC_HALF, FSC_HALVES,
        REFINED_ANGLE_ERROR_MEDIAN, REFINED_ANGLE_ERROR_MEAN, REFINED_FSC_HALF, REFINED_FSC_HALVES, NOISE_VARIANCE,
        SNR, PARTICLES, PARTICLES_LEFT_OUT, *IN_FRAME, *map(refined, IN_FRAME), RECOVERY_SECONDS, TOTAL_SECONDS,
        PEAK_MEMORY,
    )
}  # fmt: skip


def register(metric: Metric) -> None:
    """Add a metric to the registry; ValueError where another one has its name."""
    if _REGISTRY.setdefault(metric.name, metric) != metric:
        raise ValueError(f"a metric named {metric.name!r} is registered already, with another meaning")


def known() -> tuple[Metric, ...]:
    """All registered metrics, in order."""
    return tuple(_REGISTRY.values())


def find(name: str) -> Metric:
    """The metric of this name; one with its name alone where it is not registered (in another version's record)."""
    return _REGISTRY.get(name) or Metric(name, name.replace("_", " "), better=None)
