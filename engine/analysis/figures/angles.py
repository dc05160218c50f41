"""What the histograms of angle errors show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .data import Axis, Figure, Panel, Series

Array = NDArray[np.floating]

BINS = 45
_USUAL = 0.98  # quantile of the errors that the axis is made for
_ROOM = 1.5  # times as far as that quantile


def angle_errors(
    errors: Array,
    errors_before: Array,
    titles: tuple[str, str] = ("after alignment", "before alignment (arbitrary frame)"),
    before_alike: bool = False,
) -> Figure:
    """Histograms of angle errors (n,) in rad after and before a step, in degrees.

    Parameters
    ----------
    titles
        of the two panels.
    before_alike
        both on one axis; else the errors before reach to 180 degrees.

    Returns
    -------
    two panels, each with a series of bars: lower and upper edge (deg) and projections. ``values`` are median and mean
    of both in degrees, and how many of the first lie beyond its axis.
    """
    after, before = np.degrees(errors), np.degrees(errors_before)
    end = upper_end(np.concatenate([after, before]) if before_alike else after)
    ends = (end, end if before_alike else 180.0)
    panels = tuple(
        Panel(
            Axis("angle between recovered and true pose", "°", range=(0.0, last or 1.0)),
            Axis("projections"),
            (_histogram(values, last or 1.0),),
            title,
        )
        for values, last, title in zip((after, before), ends, titles, strict=True)
    )
    return Figure(
        "angle-errors",
        f"Angle errors of {len(errors):,} projections",
        panels,
        f"Angle between recovered and true pose of each projection, {titles[0]} and {titles[1]}.",
        {
            "median_deg": float(np.median(after)), "mean_deg": float(np.mean(after)),
            "median_before_deg": float(np.median(before)), "mean_before_deg": float(np.mean(before)),
            "projections": len(errors), "beyond": int(np.count_nonzero(after > ends[0])),
        },
    )  # fmt: skip


def upper_end(values: Array) -> float:
    """Where the axis of a histogram ends: few outliers must not squeeze the others into one bar."""
    if (highest := float(values.max())) <= (usual := _ROOM * float(np.quantile(values, _USUAL))):
        return highest
    return usual or highest


def _histogram(values: Array, end: float) -> Series:
    counts, edges = np.histogram(values, bins=BINS, range=(0.0, end))
    return Series("projections", "bars", {"from_deg": edges[:-1], "to_deg": edges[1:], "projections": counts})
