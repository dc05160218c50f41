"""A figure of merit: what it is called, in which unit, which way is better, whether it needs the true poses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One number that a stage reports about a run.

    Attributes
    ----------
    name
        the key under which records keep it, such as ``angle_error_median``.
    label
        what it is, in a few words, for tables and axes.
    symbol
        its short name in the field, such as ``E_OR``; the label where there is none.
    unit
        as recorded: ``rad``, ``rad²``, ``Å``, ``s``, ``MB`` or empty.
    format
        Python's format specification of its value.
    better
        whether lower or higher values are better; None where neither is.
    needs_truth
        whether it can only be known where the true poses are.
    description
        a sentence for tooltips.
    """

    name: str
    label: str
    symbol: str = ""
    unit: str = ""
    format: str = ".4g"
    better: Literal["lower", "higher"] | None = "lower"
    needs_truth: bool = False
    description: str = ""

    @property
    def short(self) -> str:
        """The symbol, or the label where there is none."""
        return self.symbol or self.label

    @property
    def is_angle(self) -> bool:
        """Whether it is recorded in radians, so that people are shown degrees."""
        return self.unit == "rad"

    def text(self, value: float | None) -> str:
        """A value with its unit, angles in degrees too; a dash for what is not known.

        >>> Metric("angle_error_median", "angle error, median", "E_OR", "rad").text(0.01)
        '0.01 rad = 0.57°'
        """
        if value is None or not math.isfinite(value):
            return "–"
        shown = f"{value:{self.format}} {self.unit}".rstrip()
        return f"{shown} = {math.degrees(value):.2f}°" if self.is_angle else shown
