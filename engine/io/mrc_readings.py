"""Which of several readings of an MRC file's data is meant: the header's own statistics decide, if they can.

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
_BETTER = 10.0  # times less amiss than any other reading
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
        """What readings are told apart by: range and mean, else the deviation, which programs define in two ways."""
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
    """A reading; whether the statistics chose it; what they are, and how far off, in ranges (0 where none are set)."""

    reading: Reading
    is_chosen: bool = False
    found: Statistics = Statistics()
    amiss: float = 0.0


def choose(block: NDArray[np.uint8], count: int, readings: Sequence[Reading], told: Statistics) -> Choice:
    """The reading whose statistics the header tells, if they fit that one alone; else the first.

    Parameters
    ----------
    block
        the file's bytes after the header.
    count
        of values.
    readings
        at least one, the likeliest first.
    told
        what the header says of the data.
    """
    if not told.compared:
        return Choice(readings[0])
    judged: dict[tuple[int, Statistics], Choice] = {}
    for reading in readings:
        found = Statistics.of(reading.of(block, count), "rms" in told.compared)
        # Signed or not are one reading where no value has the highest bit.
        judged.setdefault((reading.offset, found), Choice(reading, False, found, _amiss(told, found)))
    first, *_ = choices = list(judged.values())
    best = min(choices, key=lambda choice: choice.amiss)
    others = [choice for choice in choices if choice is not best]
    if best.amiss <= FITS:
        is_alone = all(choice.amiss > _BETTER * best.amiss + _ROUNDING for choice in others)
    else:  # 0 to 255 of bytes that do not use them all
        within = [choice for choice in choices if _is_within(choice.found, told)]
        is_alone = len(within) == 1 and bool(others)
        best = within[0] if within else best
    if is_alone:
        return Choice(best.reading, True, best.found, best.amiss)
    return first


def _amiss(told: Statistics, found: Statistics) -> float:
    """The largest difference over the range; infinite for what is not finite."""
    low, high = (told.low, told.high) if told.low is not None else (found.low, found.high)
    differences = [abs(getattr(told, name) - getattr(found, name)) for name in told.compared]
    width = (high or 0.0) - (low or 0.0)
    amount = max(differences) / width if width else math.inf * any(differences)
    return amount if math.isfinite(amount) else math.inf


def _is_within(found: Statistics, told: Statistics) -> bool:
    if told.low is None or told.high is None or found.low is None or found.high is None:
        return False
    return told.low <= found.low and found.high <= told.high
