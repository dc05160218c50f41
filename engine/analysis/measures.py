"""Metrics as shown in tables and charts of runs: their units, their keys, and the values of a run.

Runs come as rows of :func:`record.catalogue.list_runs`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..base.metric import Metric
from ..experiment import metrics
from .comparison import Row


@dataclass(frozen=True)
class Measure:
    """A metric in the unit that people are shown, which of angles is degrees, or ``as_recorded``."""

    metric: Metric
    as_recorded: bool = False

    @property
    def unit(self) -> str:
        """Of what :meth:`value` gives."""
        return self.metric.unit if self.as_recorded else self.metric.shown_unit

    @property
    def factor(self) -> float:
        """The factor from a recorded value to one in :attr:`unit`."""
        return 1.0 if self.as_recorded else self.metric.shown_factor

    @property
    def label(self) -> str:
        """``E_OR (°)``."""
        return self.column()

    def column(self, what: str = "") -> str:
        """The heading of its column or, with ``what``, of something beside it: ``E_OR sd (°)``."""
        return f"{self.metric.short}{what} ({self.unit})" if self.unit else f"{self.metric.short}{what}"

    def value(self, row: Row) -> float | None:
        """The run's, in :attr:`unit`; None where it is not known."""
        value = recorded(row, self.metric.name)
        return None if value is None else value * self.factor


MEASURES: dict[str, Measure] = {
    "L_DE": Measure(metrics.DISTANCE_MAE),
    "L_OR": Measure(metrics.RECOVERY_LOSS),
    "E_OR": Measure(metrics.ANGLE_ERROR_MEDIAN),
    "E_OR mean": Measure(metrics.ANGLE_ERROR_MEAN),
    "L_DE rad": Measure(metrics.DISTANCE_MAE, as_recorded=True),
    "E_OR rad": Measure(metrics.ANGLE_ERROR_MEDIAN, as_recorded=True),
    "FSC": Measure(metrics.FSC_HALF),
    "FSC halves": Measure(metrics.FSC_HALVES),
    "refined E_OR": Measure(metrics.REFINED_ANGLE_ERROR_MEDIAN),
    "refined FSC": Measure(metrics.REFINED_FSC_HALF),
    "refined FSC halves": Measure(metrics.REFINED_FSC_HALVES),
    "frame error": Measure(metrics.FRAME_ANGLE_ERROR_MEDIAN),
    "frame error mean": Measure(metrics.FRAME_ANGLE_ERROR_MEAN),
    "refined frame error": Measure(metrics.refined(metrics.FRAME_ANGLE_ERROR_MEDIAN)),
    "took": Measure(metrics.TOTAL_SECONDS),
    "memory": Measure(metrics.PEAK_MEMORY),
}
"""Those by which runs are listed and compared. Addresses of pages hold the keys: they stay as they are."""


def recorded(row: Row, name: str) -> float | None:
    """A run's recorded value of a metric, in the metric's unit; None where it is unknown or not finite.

    The time of a reused recovery is unknown: that it took none is no measure of the recovery.
    """
    if name in (metrics.TOTAL_SECONDS.name, metrics.PEAK_MEMORY.name):
        value = row[name]
    elif name == metrics.RECOVERY_SECONDS.name:
        value = None if "recovery" in row["reused"] else row["seconds"].get("recovery")
    else:
        value = (row["metrics"] or {}).get(name)
    return value if isinstance(value, int | float) and math.isfinite(value) else None
