"""Angle errors of projections as histograms, of two steps one above the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .data import Axis, Figure, Panel, Series

Array = NDArray[np.floating]

_BARS = 45


def angle_errors(
    errors: Array,
    errors_before: Array,
    titles: tuple[str, str] = ("after alignment", "before alignment (arbitrary frame)"),
    before_alike: bool = False,
    name: str = "angle-errors",
) -> Figure:
    """Histograms in degrees of angle errors (n,) in rad, after alignment and before it, or of another pair of steps.

    ``before_alike`` gives both one axis; else that of the errors before reaches to 180 degrees. Median and mean, and
    how many errors lie beyond the upper histogram, are among the figure's values.
    """
    after, before = np.degrees(errors), np.degrees(errors_before)
    end = upper_end(np.concatenate([after, before]) if before_alike else after)
    panels = (histogram(after, end, titles[0]), histogram(before, end if before_alike else 180.0, titles[1]))
    values = {
        "angle_error_median": float(np.median(errors)), "angle_error_mean": float(np.mean(errors)),
        "projections": float(len(errors)), "beyond": float(np.count_nonzero(after > end)),
    }  # fmt: skip
    caption = f"Angles between recovered and true poses, {titles[0]} and {titles[1]}; lines: median and mean."
    return Figure(name, f"Angle errors of {len(errors):,} projections", panels, caption, values)


def upper_end(values: Array) -> float:
    """The end of a histogram's axis: a few outliers must not compress the others into one bar."""
    if (highest := float(values.max())) <= (usual := 1.5 * float(np.quantile(values, 0.98))):
        return highest
    return usual or highest


def histogram(
    values: Array, end: float, title: str, label: str = "angle between recovered and true pose",
    counted: str = "projections",
) -> Panel:  # fmt: skip
    """Bars, median and mean of values (n,) in degrees; those beyond ``end`` are in no bar."""
    end = end or 1.0
    counts, edges = np.histogram(values, bins=_BARS, range=(0.0, end))
    bars = {"x": (edges[:-1] + edges[1:]) / 2, "x_low": edges[:-1], "x_high": edges[1:], "projections": counts}
    height = np.array([0.0, 1.08 * counts.max()])
    lines = (
        Series(name, "reference", {"x": np.full(2, value), "y": height})
        for name, value in (("median", np.median(values)), ("mean", np.mean(values)))
    )
    x = Axis(label, "°", range=(0.0, end))
    return Panel(x, Axis(counted), (Series("projections", "bars", bars), *lines), title)
