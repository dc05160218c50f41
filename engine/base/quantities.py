"""Numbers as people give them and read them: with every digit, within a range that has its reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any

from .errors import ArgumentError

EXACT = 2**53
"""The largest of the whole numbers that a floating-point number holds without gaps: beyond it, neighbours merge."""
_MOST_SHOWN = 80  # letters of a value that a message repeats
_MOST_DIGITS = 400  # of a whole number that is written out


def digits(value: float) -> str:
    """The shortest text that reads back as the same number: ``16`` for 16.0, ``0.1``, ``1e-30``, all of an integer.

    >>> digits(16.0), digits(0.1 + 0.2), digits(2**53 + 1)
    ('16', '0.30000000000000004', '9007199254740993')
    """
    if isinstance(value, Integral):
        return str(int(value))
    return _short(repr(float(value)).removesuffix(".0"))


def _short(text: str) -> str:
    return text.replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def shown(value: Any) -> str:
    """A value of any type on one line of bounded length, for a message.

    >>> shown("a" * 1000)[-4:], shown(10**5000)
    ("aaa…", 'a whole number of about 5,000 digits')
    """
    try:
        if isinstance(value, int) and value.bit_length() > _MOST_DIGITS * math.log2(10):
            return f"a whole number of about {value.bit_length() / math.log2(10):,.0f} digits"
        text = repr(value)
    except (ValueError, RecursionError):  # what contains such a number, or itself
        text = f"a value of type {type(value).__name__}"
    line = " ".join(text.split())
    return line if len(line) <= _MOST_SHOWN else f"{line[: _MOST_SHOWN - 1]}…"


@dataclass(frozen=True)
class Range:
    """The values of a quantity that make sense, and why no others do. Of whole numbers if both ends are integers.

    Attributes
    ----------
    least, most
        the ends, which belong to it.
    below, above
        the reasons: a phrase that follows the range after a colon.
    or_zero
        whether zero, below ``least``, belongs to it too.
    """

    least: float
    most: float
    below: str
    above: str
    or_zero: bool = False

    @cached_property
    def whole(self) -> bool:
        """Whether only whole numbers belong to it."""
        return isinstance(self.least, int) and isinstance(self.most, int)

    def __str__(self) -> str:
        """``a whole number from 4 to 200,000``."""
        least, most = (f"{end:,}" if self.whole else _short(f"{end:g}") for end in (self.least, self.most))
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} {'that is 0 or ' * self.or_zero}from {least} to {most}"

    def __contains__(self, value: object) -> bool:
        """Whether a value is a number of this range; NaN and booleans are none."""
        number: Any = value
        if type(number) is (int if self.whole else float):  # nearly all, and quicker to ask than what follows
            known = True
        else:
            known = isinstance(number, Integral if self.whole else Real) and not isinstance(number, bool)
        return known and (bool(self.least <= number <= self.most) or (self.or_zero and bool(number == 0)))

    def reason(self, value: Any) -> str:
        """Why a value does not belong here, after a colon; empty for what was not meant to be a number."""
        if isinstance(value, bool):
            return ": true and false are no numbers"
        if not isinstance(value, Real):
            return ""
        number: Any = value
        if number != number:
            return ": NaN is not a number"
        if number < self.least:
            return f": {self.below}"
        return f": {self.above}" if number > self.most else ""

    def check(self, value: Any, name: str) -> Any:
        """The value itself; ArgumentError, naming the argument, if it does not belong here."""
        if value not in self:
            raise ArgumentError(
                f"{{{name}}} is {{given}}; wanted {{range}}{{reason}}", name, given=shown(value), range=self,
                reason=self.reason(value),
            )  # fmt: skip
        return value
