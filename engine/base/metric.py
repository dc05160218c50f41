"""A figure of merit: its name, its unit, which direction is better, whether it needs the true poses."""

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
        what it is, in a few words.
    symbol
        its short name in the field, such as ``E_OR``; empty where it has none.
    unit
        as recorded: ``rad``, ``rad²``, ``Å``, ``s``, ``MB`` or empty.
    better
        whether lower or higher values are better; None where neither is.
    needs_truth
        whether it can only be computed where the true poses are known.
    meaning
        what it measures, in a phrase for tooltips.
    column
        its name above a column of a table; symbol or label when not given.
    format
        of its value in a table, as ``%`` has it.
    threshold
        for a resolution, the value of the Fourier shell correlation at which it is read; None for other metrics.
    """

    name: str
    label: str
    symbol: str = ""
    unit: str = ""
    better: Literal["lower", "higher"] | None = "lower"
    needs_truth: bool = False
    meaning: str = ""
    column: str = ""
    format: str = "%#.3g"
    threshold: float | None = None

    @property
    def heading(self) -> str:
        """Symbol and label: ``E_OR, median angle error``."""
        text = f"{self.symbol}, {self.label}" if self.symbol else self.label
        return text[:1].upper() + text[1:]

    @property
    def short(self) -> str:
        """Its name above a column."""
        return self.column or self.symbol or self.label

    @property
    def is_angle(self) -> bool:
        """Whether it is recorded in radians, so that people are shown degrees."""
        return self.unit == "rad"

    @property
    def shown_unit(self) -> str:
        """The unit in which people are shown it in tables and charts."""
        return "°" if self.is_angle else self.unit

    @property
    def shown_factor(self) -> float:
        """The factor from a recorded value to one in :attr:`shown_unit`."""
        return math.degrees(1) if self.is_angle else 1.0

    def cell(self, value: float) -> str:
        """A value in :attr:`shown_unit`, formatted with :attr:`format` for a table, the same on every page.

        >>> [Metric("angle_error_median", "median angle error").cell(value) for value in (1.0237e-6, 34, 120, 0)]
        ['1.02e-6', '34.0', '120', '0']
        """
        if value == 0:
            return "0"
        if self.format == "%d":
            return f"{value:,.0f}"
        written = self.format % value
        if float(written) == 0:  # smaller than the format's last digit
            written = f"{value:#.2g}"
        mantissa, exponent, power = written.partition("e")
        return f"{mantissa.removesuffix('.')}{exponent}{int(power)}" if exponent else mantissa.removesuffix(".")

    def text(self, value: object) -> str:
        """A value with its unit, angles in degrees too; a dash for what is not known; other than numbers as it is.

        >>> Metric("angle_error_median", "median angle error", "E_OR", "rad").text(0.01)
        '0.01 rad = 0.57°'
        """
        if isinstance(value, bool):
            return "yes" if value else "no"
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return "–"
        if not isinstance(value, int | float):
            return str(value)
        number = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        shown = f"{number} {self.unit}".rstrip()
        return f"{shown} = {math.degrees(value):.2f}°" if self.is_angle else shown
