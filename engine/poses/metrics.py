"""Figures of merit, under the names by which runs record them.

=========================  =====================================================================================
``distance_mae``           L_DE: mean absolute error of the estimated distances, over pairs of test projections, rad
``distance_rmse``          root-mean-square error of the same, rad
``recovery_loss``          L_OR: mean squared difference between given and induced distances, rad^2
``recovery_pairs``         how many pairs of test projections the recovery used
``angle_error_median``     E_OR: median over test projections of the angle between recovered and true pose, rad,
                           after alignment over O(4); ``angle_error_mean`` the mean
``neighbour_recall_at_10`` mean share of a projection's ten nearest by true pose that are among its ten nearest by
                           estimated distance (:mod:`poses.neighbourhood`); of up to 5,000 test projections
=========================  =====================================================================================

``..._unaligned`` are the same before alignment: they measure nothing but the arbitrary frame of the recovery.
``refined_...`` are the same after the optional refinement against a reference.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .alignment import Alignment

Array = NDArray[np.floating]

_FEWEST_IN_A_BIN = 8


def distance_metrics(estimated: Array, exact: Array) -> dict[str, float]:
    """Errors of estimated distances (m,) against exact ones (m,), both in rad."""
    error = estimated.astype(float) - exact
    return {
        "distance_mae": float(np.mean(np.abs(error))),
        "distance_rmse": float(np.sqrt(np.mean(error**2))),
    }


def angle_metrics(alignment: Alignment) -> dict[str, float]:
    """Median and mean angle error, after and before alignment, rad."""
    return {
        "angle_error_median": float(np.median(alignment.errors)),
        "angle_error_mean": float(np.mean(alignment.errors)),
        "angle_error_median_unaligned": float(np.median(alignment.errors_before)),
        "angle_error_mean_unaligned": float(np.mean(alignment.errors_before)),
    }


def distance_histogram(estimated: Array, exact: Array, bins: int = 100) -> tuple[NDArray[np.int64], Array]:
    """Counts (bins, bins) of pairs by [exact, estimated] distance over [0, pi]^2, and the bin edges (bins + 1,) in
    rad.
    """
    edges = np.linspace(0.0, np.pi, bins + 1)
    # Clipped in double precision, because float32 rounds pi upwards, out of the last bin.
    x, y = (np.clip(values.astype(float), 0.0, np.pi) for values in (exact, estimated))
    counts, _, _ = np.histogram2d(x, y, bins=[edges, edges])
    return counts.astype(np.int64), edges


def error_by_distance(estimated: Array, exact: Array, bins: int = 18) -> Array:
    """Errors of estimated distances (m,) by the exact ones (m,): (bins, 4), all in rad.

    The columns are the 10 %, 50 % and 90 % quantile of estimated minus exact, and the mean of its absolute value; the
    rows are bins of equal width over [0, pi]. A bin with too few pairs is NaN.
    """
    member = np.clip((exact * (bins / np.pi)).astype(int), 0, bins - 1)
    order = np.argsort(member, kind="stable")
    error = (estimated.astype(float) - exact)[order]
    statistics = np.full((bins, 4), np.nan)
    by_bin = np.split(error, np.cumsum(np.bincount(member, minlength=bins))[:-1])
    for row, inside in zip(statistics, by_bin, strict=True):
        if len(inside) >= _FEWEST_IN_A_BIN:
            row[:] = [*np.quantile(inside, [0.1, 0.5, 0.9]), np.mean(np.abs(inside))]
    return statistics
