"""Estimated against true distances of pairs: a two-dimensional histogram, and the error by the true distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...poses.metrics import distance_metrics, error_by_distance
from .data import Axis, Figure, Panel, Series, cells

Array = NDArray[np.floating]

_SINGLE = 1000  # pairs that are shown one by one
_ENDS = (0.0, 180.0)
_BARS = 60


def distance_versus_distance(
    counts: NDArray[np.integer],
    edges: Array,
    exact: Array,
    estimated: Array,
    distance_mae: float | None,
    errors: Array | None = None,
    points: bool = False,
) -> Figure:
    """How many pairs have which true and which estimated distance, and error quantiles by true distance, in degrees.

    Parameters
    ----------
    counts
        pairs (bins, bins) by [exact, estimated] distance over ``edges`` (bins + 1,) in rad, of all pairs.
    exact, estimated
        distances (m,) in rad of a sample of the pairs; the first 1,000 are a series of their own with ``points``.
    distance_mae
        mean absolute error of all pairs in rad; None where it is not known: then that of the sample is among the
        figure's values, and ``sample`` is its number of pairs.
    errors
        of all pairs (bins, 4) in rad, as :func:`poses.metrics.error_by_distance` gives them; None: those of the sample.
    """
    total = int(counts.sum())
    values = {"pairs": float(total)}
    if distance_mae is None:
        values |= {"distance_mae": distance_metrics(estimated, exact)["distance_mae"], "sample": float(exact.size)}
    else:
        values["distance_mae"] = distance_mae
    in_degrees = np.degrees(edges)
    series = [
        Series("pairs", "heatmap", cells(in_degrees, in_degrees, pairs=counts.T)),
        Series("estimated = true", "reference", {"x": np.array(_ENDS), "y": np.array(_ENDS)}),
    ]
    if points:
        columns = {"x": np.degrees(exact[:_SINGLE]), "y": np.degrees(estimated[:_SINGLE])}
        series.append(Series(f"{_SINGLE:,} single pairs", "points", columns))
    true = Axis("true distance", "°", range=_ENDS)
    pairs = Axis("pairs", log=True, range=(1.0, float(max(10, counts.max()))))
    upper = Panel(true, Axis("estimated distance", "°", range=_ENDS), tuple(series), "distances", colour=pairs)
    profile = np.degrees(error_by_distance(estimated, exact) if errors is None else errors)
    lower = Panel(true, Axis("error", "°"), _profile(profile, "sampled pairs" if errors is None else "pairs"), "errors")
    return Figure(
        "distances", f"Distances of {total:,} pairs of test projections", (upper, lower),
        "Estimated against true distance of pairs of test projections, and the error by true distance, "
        f"in bins of {180 / len(profile):g}°.", values,
    )  # fmt: skip


def estimated_distances(estimated: Array) -> Figure:
    """How many of a sample of pairs have which estimated distance (m,) in rad, where the true ones are not known.

    The reference is that of poses that are distributed evenly over all rotations: 2 / pi sin^2(distance / 2) per rad.
    """
    counts, edges = np.histogram(np.degrees(estimated), bins=_BARS, range=_ENDS)
    at = (edges[:-1] + edges[1:]) / 2
    bars = {"x": at, "x_low": edges[:-1], "x_high": edges[1:], "pairs": counts}
    ends = np.radians(edges)
    even = len(estimated) * np.diff(ends - np.sin(ends)) / np.pi
    series = (Series("pairs", "bars", bars), Series("even distribution of poses", "reference", {"x": at, "y": even}))
    return Figure(
        "distances", f"Estimated distances of {len(estimated):,} pairs of particles",
        (Panel(Axis("estimated distance", "°", range=_ENDS), Axis("pairs"), series),),
        "Estimated distances of a sample of pairs; the true ones are not known.", {"pairs": float(len(estimated))},
    )  # fmt: skip


def _profile(profile: Array, of_whom: str) -> tuple[Series, ...]:
    """Band, median and mean absolute error from (bins, 4) in degrees; bins of too few pairs are left out."""
    known = ~np.isnan(profile[:, 0])
    at = ((np.arange(len(profile)) + 0.5) * 180 / len(profile))[known]
    low, middle, high, mean_absolute = profile[known].T
    return (
        Series(f"10–90 % of {of_whom}", "band", {"x": at, "low": low, "high": high}, units={"low": "°", "high": "°"}),
        Series("median", "line", {"x": at, "y": middle}),
        Series("mean absolute", "line", {"x": at, "y": mean_absolute}),
    )
