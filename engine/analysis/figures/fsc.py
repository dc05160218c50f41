"""Fourier shell correlations against the spatial frequency, and where they fall below their thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...experiment.metrics import AGAINST_INPUT, BETWEEN_HALVES
from ..resolutions import falls_below
from .data import Axis, Figure, Panel, Series

Array = NDArray[np.floating]

INPUT, HALVES = "against the input map", "between the half maps"
"""Names of the curves, and roles of what belongs to them."""
_ROUND = tuple(m * 10.0**e for e in (-1, 0, 1, 2, 3) for m in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8))  # Å
_APART = 0.09  # of the axis, between two ticks


def fourier_shell_correlations(
    frequencies: Array,
    to_input: Array | None,
    between_halves: Array,
    at_half: float | None,
    at_143: float | None,
    name: str = "fsc",
) -> Figure:
    """Fourier shell correlations (shells,) against the spatial frequency (shells,) in 1/Å, with ticks named in Å.

    ``to_input`` is None where there is no true map to compare with: then there is one curve.
    ``at_half`` and ``at_143`` are the resolutions in Å where the two curves fall below their thresholds, 0.5 and 0.143:
    Nyquist's where a curve never does, infinite or None where it is below from the start. Each curve has its threshold
    as a reference and, where it falls below it, that point, whose ``resolution`` is in Å.
    """
    nyquist = float(frequencies[-1])
    end = nyquist * 1.01
    series, values = [], {}
    curves = [(HALVES, between_halves, BETWEEN_HALVES, at_143)]
    if to_input is not None:
        curves.insert(0, (INPUT, to_input, AGAINST_INPUT, at_half))
    for curve_name, curve, threshold, resolution in curves:
        series.append(Series(curve_name, "line", {"x": frequencies, "y": curve}, role=curve_name))
        line = {"x": np.array([0.0, end]), "y": np.full(2, threshold)}
        series.append(Series(f"threshold {threshold:g}", "reference", line, role=curve_name))
        if resolution is None or not np.isfinite(resolution):
            continue
        values[f"resolution at {threshold:g} (Å)"] = resolution
        if resolution and falls_below(curve, threshold):
            point = {"x": np.array([1 / resolution]), "y": np.array([threshold]), "resolution": np.array([resolution])}
            series.append(Series(f"below {threshold:g}", "points", point, curve_name, {"resolution": "Å"}))
    lowest = min(-0.05, *(float(np.min(curve)) for _, curve, _, _ in curves))
    ticks = tuple((1 / tick, f"{tick:.3g}") for tick in resolution_ticks(nyquist))
    x = Axis("spatial frequency", "1/Å", range=(0.0, end), ticks=ticks)
    panel = Panel(x, Axis("FSC", range=(lowest, 1.03)), tuple(series))
    return Figure(
        name, "Fourier shell correlation", (panel,),
        "Fourier shell correlation of the reconstruction with the input map (threshold 0.5), if there is one, and of "
        "the two half maps (threshold 0.143), without a mask.", values,
    )  # fmt: skip


def resolution_ticks(nyquist: float) -> list[float]:
    """Round resolutions in Å, after Nyquist's, that are some way apart on an axis of frequencies up to ``nyquist``."""
    ticks = [1 / nyquist]
    for resolution in _ROUND:
        if 1 / ticks[-1] - 1 / resolution > _APART * nyquist and resolution < 10 / nyquist:
            ticks.append(resolution)
    return ticks
