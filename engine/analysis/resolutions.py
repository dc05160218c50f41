"""Where a run keeps the Fourier shell correlations that its resolutions are read from, and which are only bounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base.metric import Metric
from ..experiment import metrics

AT_BEST = "≤ "
"""What stands before a resolution of which only a bound is known."""


Bounds = Mapping[str, Collection[str]]
"""By run id the names of the metrics of which only a bound is known."""


class Curve(NamedTuple):
    """A Fourier shell correlation among the files of a run: the file, and the array in it."""

    filename: str
    array: str


CURVES: Mapping[str, Curve] = {
    metrics.FSC_HALF.name: Curve("fsc.npz", "to_input"),
    metrics.FSC_HALVES.name: Curve("fsc.npz", "between_halves"),
    metrics.REFINED_FSC_HALF.name: Curve("refined_fsc.npz", "to_input"),
    metrics.REFINED_FSC_HALVES.name: Curve("refined_fsc.npz", "between_halves"),
}
"""By name of the metric the curve that it is read from."""


def falls_below(curve: NDArray[np.floating], threshold: float) -> bool:
    """Whether a Fourier shell correlation (shells,) is below a threshold anywhere."""
    return bool(np.any(curve < threshold))


def is_bound(metric: Metric, curve: NDArray[np.floating]) -> bool:
    """Whether a resolution is only a bound: its ``curve`` (shells,) never falls below the metric's threshold.

    Then Nyquist's resolution has been recorded, the finest that the map can show; the true one is that or better.

    >>> is_bound(metrics.FSC_HALVES, np.array([0.99, 0.7, 0.2]))
    True
    """
    return metric.threshold is not None and not falls_below(curve, metric.threshold)


def shown(metric: Metric, value: float, bounds: Collection[str]) -> str:
    """A value as tables have it, ``≤ 5.33`` where the metric's name is among the ``bounds``."""
    return f"{AT_BEST if metric.name in bounds else ''}{metric.cell(value)}"
