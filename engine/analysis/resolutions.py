"""Resolutions: the Fourier shell correlations they are read from, and which of them are only bounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base.metric import Metric
from ..experiment import metrics

AT_BEST = "≤ "
"""Prefix of a resolution that is only an upper bound."""


Bounds = Mapping[str, Collection[str]]
"""For each run id, the names of the metrics of which only a bound is known."""


class Curve(NamedTuple):
    """The location of a Fourier shell correlation in a run's directory: file and array."""

    filename: str
    array: str


CURVES: Mapping[str, Curve] = {
    metrics.FSC_HALF.name: Curve("fsc.npz", "to_input"),
    metrics.FSC_HALVES.name: Curve("fsc.npz", "between_halves"),
    metrics.REFINED_FSC_HALF.name: Curve("refined_fsc.npz", "to_input"),
    metrics.REFINED_FSC_HALVES.name: Curve("refined_fsc.npz", "between_halves"),
}
"""The curve that each resolution is read from, by metric name."""


def falls_below(curve: NDArray[np.floating], threshold: float) -> bool:
    """Whether a Fourier shell correlation (shells,) is below a threshold in any shell."""
    return bool(np.any(curve < threshold))


def is_bound(metric: Metric, curve: NDArray[np.floating]) -> bool:
    """Whether a resolution is only a bound, because its ``curve`` (shells,) never falls below the metric's threshold.

    The recorded resolution is then that of the Nyquist frequency, and the true one is at least as good.

    >>> is_bound(metrics.FSC_HALVES, np.array([0.99, 0.7, 0.2]))
    True
    """
    return metric.threshold is not None and not falls_below(curve, metric.threshold)


def shown(metric: Metric, value: float, bounds: Collection[str]) -> str:
    """A value formatted for a table, ``≤ 5.33`` if the metric's name is in ``bounds``."""
    return f"{AT_BEST if metric.name in bounds else ''}{metric.cell(value)}"
