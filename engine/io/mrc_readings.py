"""Which of several readings of an MRC file's data is right: the header's own statistics decide, if they can.

Bytes can be signed or not, data can begin in one place or another, and what a header says of either may be wrong. Its
statistics were computed from the data: they say what the values are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FITS = 1e-3
"""Of the range: what half precision, and means summed up in single precision, make of right statistics."""
_BETTER = 10.0  # times closer than any other reading
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Statistics:
    """Least, largest and mean value and standard deviation; None for what is not known."""

    low: float | None = None
    high: float | None = None
    mean: float | None = None
    rms: float | None = None

    @classmethod
    def of(cls, data: NDArray[np.number], with_rms: bool = False) -> Statistics:
        """Those of the data themselves; the deviation, which takes memory, only where it is asked for."""
        with np.errstate(all="ignore"):
            rms = float(data.std(dtype=float)) if with_rms else None
            return cls(float(data.min()), float(data.max()), float(data.mean(dtype=float)), rms)

    @property
    def compared(self) -> tuple[str, ...]:
        """What tells readings apart: range and mean, else the deviation, of which there are two definitions."""
        names = [name for name in ("low", "high", "mean") if getattr(self, name) is not None]
        return tuple(names) or (("rms",) if self.rms is not None else ())

    def __str__(self) -> str:
        words = {"low": "minimum", "high": "maximum", "mean": "mean", "rms": "rms"}
        return ", ".join(f"{words[name]} {getattr(self, name):.6g}" for name in self.compared)


def set_in_header(low: float, high: float, mean: float, rms: float) -> Statistics:
    """What of a header's ``dmin``, ``dmax``, ``dmean`` and ``rms`` is set.

    MRC2014 says "not set" by dmax < dmin, dmean less than both, and rms < 0. Zeros, and what is not finite, are left by
    programs that do not know of that.
    """
    has_range = math.isfinite(low) and math.isfinite(high) and low < high
    has_mean = math.isfinite(mean) and (low <= mean <= high if has_range else mean != 0 and not mean < min(low, high))
    return Statistics(
        low if has_range else None,
        high if has_range else None,
        mean if has_mean else None,
        rms if math.isfinite(rms) and rms > 0 else None,
    )


@dataclass(frozen=True)
class Reading:
    """Values of a type that begin at a byte after the header."""

    offset: int
    dtype: np.dtype[np.number]

    def of(self, block: NDArray[np.uint8], count: int) -> NDArray[np.number]:
        """So many values of a file's bytes after the header."""
        return block[self.offset : self.offset + count * self.dtype.itemsize].view(self.dtype)


@dataclass(frozen=True)
class Choice:
    """A reading of the data.

    ``is_chosen``: the header's statistics fit it alone. ``computed``: its own statistics; ``mismatch``: their largest
    difference from the header's as a fraction of the range. Both are empty where the header's are not set.
    """

    reading: Reading
    is_chosen: bool = False
    computed: Statistics = Statistics()
    mismatch: float = 0.0


def choose(block: NDArray[np.uint8], count: int, readings: Sequence[Reading], expected: Statistics) -> Choice:
    """The reading that the header's statistics fit, if they fit one alone; else the first.

    Parameters
    ----------
    block
        the file's bytes after the header.
    count
        of values.
    readings
        at least one, the likeliest first.
    expected
        the header's statistics.
    """
    if not expected.compared:
        return Choice(readings[0])
    judged: dict[tuple[int, Statistics], Choice] = {}
    for reading in readings:
        computed = Statistics.of(reading.of(block, count), "rms" in expected.compared)
        # Signed or not are one reading where no value has the highest bit.
        judged.setdefault((reading.offset, computed), Choice(reading, False, computed, _mismatch(expected, computed)))
    first, *_ = choices = list(judged.values())
    best = min(choices, key=lambda choice: choice.mismatch)
    others = [choice for choice in choices if choice is not best]
    if best.mismatch <= FITS:
        is_alone = all(choice.mismatch > _BETTER * best.mismatch + _ROUNDING for choice in others)
    else:  # 0 to 255 of bytes that do not use them all
        within = [choice for choice in choices if _is_within(choice.computed, expected)]
        is_alone = len(within) == 1 and bool(others)
        best = within[0] if within else best
    if is_alone:
        return Choice(best.reading, True, best.computed, best.mismatch)
    return first


def _mismatch(expected: Statistics, computed: Statistics) -> float:
    """The largest difference over the range; infinite for what is not finite."""
    low, high = (expected.low, expected.high) if expected.low is not None else (computed.low, computed.high)
    differences = [abs(getattr(expected, name) - getattr(computed, name)) for name in expected.compared]
    width = (high or 0.0) - (low or 0.0)
    if not width:
        return math.inf if any(differences) else 0.0
    amount = max(differences) / width
    return amount if math.isfinite(amount) else math.inf


def _is_within(computed: Statistics, expected: Statistics) -> bool:
    if expected.low is None or expected.high is None or computed.low is None or computed.high is None:
        return False
    return expected.low <= computed.low and computed.high <= expected.high
