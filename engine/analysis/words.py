"""Values in words, the same in tables, figures and exports: angles, numbers with a unit, coverages."""

from __future__ import annotations

import math
from typing import Any

from ..base.quantities import digits

SAMPLINGS = {"so3": "SO(3)", "euler": "Euler"}
"""How orientations are sampled, by the configuration's name for it."""


def degrees(radians: float | None) -> str:
    """An angle given in radians: ``0.718°``, three digits; an en dash for what is not known.

    >>> degrees(0.0125387)
    '0.718°'
    """
    if radians is None or not math.isfinite(radians):
        return "–"
    value = math.degrees(radians)
    if 0 < value < 0.001:
        return "< 0.001°"
    return f"{_three_digits(value)}°"


def number(value: float | None, unit: str = "") -> str:
    """Three significant digits and the unit; an en dash for what is not known.

    >>> number(1500, "Å")
    '1.50·10³ Å'
    """
    if value is None or not math.isfinite(value):
        return "–"
    mantissa, _, exponent = _three_digits(value).partition("e")
    if exponent:
        superscript = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        mantissa = f"{mantissa}·10{superscript}"
    return f"{mantissa} {unit}".rstrip()


def coverage(value: Any) -> str:
    """``full`` or ``rot 0–90°, tilt 0–45°, psi 0–360°``."""
    if isinstance(value, str):
        return value
    named = zip(("rot", "tilt", "psi"), value, strict=True)
    return ", ".join(f"{name} {digits(low)}–{digits(high)}°" for name, (low, high) in named)


def defocus(value: Any) -> str:
    """``15000 Å`` or, of a range, ``8000–30000 Å``."""
    ends = value if isinstance(value, list | tuple) else (value,)
    return f"{'–'.join(digits(end) for end in ends)} Å"


def _three_digits(value: float) -> str:
    return "0" if value == 0 else f"{value:#.3g}".removesuffix(".").replace(".e", "e")
