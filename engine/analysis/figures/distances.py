"""What the distance-versus-distance plot shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...poses.metrics import error_by_distance
from .data import Axis, Figure, Panel, Series

Array = NDArray[np.floating]

SINGLE_PAIRS = 1000
"""Pairs of the sample that can be shown one by one."""
PAIRS, DIAGONAL, SAMPLE, ERRORS = "pairs", "estimated = true", "single pairs", "errors"
"""Names of the series."""
_WHOLE_CIRCLE = (0.0, 180.0)


def distance_versus_distance(
    counts: NDArray[np.integer],
    edges: Array,
    exact: Array,
    estimated: Array,
    distance_mae: float | None,
    errors: Array | None = None,
) -> Figure:
    """Estimated against true distance of all pairs as counts, and the error by true distance; in degrees.

    Parameters
    ----------
    counts, edges
        (bins, bins) pairs by [exact, estimated] over the edges (bins + 1,), rad.
    exact, estimated
        (m,) a sample of the pairs, rad.
    distance_mae
        mean absolute error of all pairs, rad; ``values`` hold it where it is known, and that of the sample.
    errors
        (bins, 4) as :func:`poses.metrics.error_by_distance` gives them for all pairs, rad; of the sample where None.

    Returns
    -------
    two panels: ``pairs`` by cell, the diagonal and single pairs; quantiles and mean of the error by true distance.
    """
    centres = np.degrees((edges[:-1] + edges[1:]) / 2)
    true, guessed = (axis.ravel() for axis in np.meshgrid(centres, centres, indexing="ij"))
    of_sample = float(np.mean(np.abs(estimated.astype(float) - exact)))
    values = {"pairs_in_sample": float(exact.size), "distance_mae_of_sample": of_sample}
    if distance_mae is not None:
        values["distance_mae"] = distance_mae
    some = slice(SINGLE_PAIRS)
    cells = {"true_deg": true, "estimated_deg": guessed, "pairs": counts.ravel()}
    single = {"true_deg": np.degrees(exact[some]), "estimated_deg": np.degrees(estimated[some])}
    true_axis = Axis("true distance", "°", range=_WHOLE_CIRCLE)
    upper = Panel(
        true_axis,
        Axis("estimated distance", "°", range=_WHOLE_CIRCLE),
        (
            Series(PAIRS, "heatmap", cells),
            Series(DIAGONAL, "reference", dict.fromkeys(("true_deg", "estimated_deg"), np.array(_WHOLE_CIRCLE))),
            Series(SAMPLE, "points", single, role="sample"),
        ),
        title="pairs",
        colour=Axis("pairs", log=True),
    )
    profile = np.degrees(error_by_distance(estimated, exact) if errors is None else errors)
    at = (np.arange(len(profile)) + 0.5) * 180 / len(profile)
    known = ~np.isnan(profile[:, 0])
    low, middle, high, mean_absolute = profile[known].T
    columns = {
        "true_deg": at[known], "error_10_percent_deg": low, "error_median_deg": middle, "error_90_percent_deg": high,
        "error_mean_absolute_deg": mean_absolute,
    }  # fmt: skip
    whose = "sampled pairs" if errors is None else "pairs"
    lower = Panel(true_axis, Axis("error", "°"), (Series(ERRORS, "band", columns, role=whose),), title="error")
    return Figure(
        "distances",
        f"Distances of {counts.sum():,} pairs of test projections",
        (upper, lower),
        "Estimated against true distance of all pairs, and the error by true distance: 10 %, 50 % and 90 % quantile of "
        f"estimated minus true, and its mean absolute value, of all {whose}.",
        values,
    )
