"""The choice between linear and logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .data import Axis

_SPAN = 30.0
"""A value smaller than the largest by more than this factor looks like zero on a linear axis."""


def value_axis(label: str, unit: str, values: Iterable[float]) -> Axis:
    """An axis for values, logarithmic if the positive ones span decades; values that are not finite are ignored.

    The range of a logarithmic axis is whole decades. Zeros are drawn at its lower end, which is then below all others.

    >>> value_axis("E_OR", "°", [1.8, 0.7]).log
    False
    >>> value_axis("E_OR", "°", [120.0, 1e-6, 0.0])
    Axis(label='E_OR', unit='°', log=True, range=(1e-07, 1000.0), categories=(), ticks=(), quantity='')
    """
    finite = [value for value in values if math.isfinite(value)]
    positive = [value for value in finite if value > 0]
    if not positive or min(finite) < 0 or max(positive) / min(positive) < _SPAN:
        return Axis(label, unit)
    lowest, highest = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    zeros = len(positive) < len(finite)
    return Axis(label, unit, log=True, range=(10.0 ** (lowest - zeros), 10.0**highest))
