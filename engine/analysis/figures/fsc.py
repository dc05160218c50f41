"""What the Fourier shell correlation shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .data import Axis, Figure, Panel, Series

Array = NDArray[np.floating]

INPUT, HALVES = "against the input map", "between the half maps"
THRESHOLDS = {INPUT: 0.5, HALVES: 0.143}
"""The thresholds of each curve."""


def fourier_shell_correlations(
    frequencies: Array,
    to_input: Array | None,
    between_halves: Array,
    at_half: float | None,
    at_143: float | None,
) -> Figure:
    """Correlations (shells,) against the spatial frequency (shells,) in 1/Å.

    Parameters
    ----------
    to_input
        None where there is no true map to compare with.
    at_half, at_143
        the resolutions in Å where the two curves fall below their thresholds.

    Returns
    -------
    one panel, a series for each curve; ``values`` are the resolutions that are reached, by curve.
    """
    curves = {HALVES: between_halves} if to_input is None else {INPUT: to_input, HALVES: between_halves}
    resolutions = {INPUT: at_half, HALVES: at_143}
    nyquist = float(frequencies[-1])
    series = tuple(
        Series(name, "line", {"frequency_per_angstrom": frequencies, "correlation": curve}, role=name)
        for name, curve in curves.items()
    )
    lowest = min(-0.05, *(float(np.min(curve)) for curve in curves.values()))
    panel = Panel(
        Axis("spatial frequency", "1/Å", range=(0.0, nyquist * 1.01)), Axis("FSC", range=(lowest, 1.03)), series
    )
    reached = {
        name: resolution for name in curves if (resolution := resolutions[name]) is not None and np.isfinite(resolution)
    }
    return Figure(
        "fsc",
        "Fourier shell correlation",
        (panel,),
        "Fourier shell correlation of the reconstruction with the input map (threshold 0.5) and of the two half maps "
        "(threshold 0.143), without a mask.",
        reached,
    )


def reached(curve: Array, threshold: float, resolution: float | None) -> str:
    """The resolution in Å where a curve falls below its threshold, or that it never does."""
    if resolution is None or not np.isfinite(resolution):
        return "below from the start"
    return f"{resolution:.2f} Å" if np.any(curve < threshold) else f"not reached (Nyquist {resolution:.2f} Å)"
