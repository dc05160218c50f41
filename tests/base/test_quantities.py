"""Numbers with every digit, values in messages, ranges with reasons."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from engine.base.errors import ArgumentError, InputError
from engine.base.quantities import Range, digits, shown

COUNT = Range(4, 200_000, "too few", "too many")
VARIANCE = Range(1e-30, 1e24, "too weak", "too strong", or_zero=True)


def test_every_digit_of_any_number_is_kept(rng):
    bits = rng.integers(2**64, size=2000, dtype=np.uint64)
    floats = [value for (value,) in struct.iter_unpack("d", bits.tobytes()) if math.isfinite(value)]
    assert len(floats) > 1000
    assert [float(digits(value)) for value in floats] == floats
    integers = [2**53 + 1, 2**63 - 1, -(10**30), int(bits[0])]
    assert [int(digits(value)) for value in integers] == integers
    assert int(digits(np.int64(2**53 + 1))) == 2**53 + 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(16.0, "16"), (0.004, "0.004"), (1e24, "1e24"), (1e-6, "1e-6"), (1.5e-10, "1.5e-10"), (1e16, "1e16"), (3, "3")],
)
def test_numbers_are_written_shortly(value, text):
    assert digits(value) == text
    assert type(value)(text) == value


@pytest.mark.parametrize("value", ["x" * 10**6, [10**5000], {"a": {"b": "\n" * 1000}}, "\0\x1b\u202e\n", None])
def test_any_value_is_shown_on_a_line(value):
    assert len(shown(value)) <= 80
    assert shown(value).isprintable()


def test_what_python_does_not_write_is_shown_too():
    assert shown(10**5000) == "a whole number of about 5,000 digits"
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    assert shown(nested) == "a value of type list"


def test_a_range_has_its_ends_and_numbers_alone():
    assert all(value in COUNT for value in (4, 200_000, np.int64(5)))
    assert not any(value in COUNT for value in (3, 200_001, 5.0, 4.5, True, "5", None, math.nan, 10**400, [5]))
    assert all(value in VARIANCE for value in (0, 0.0, 1e-30, 1e24, 5, np.float32(2)))
    assert not any(value in VARIANCE for value in (-1.0, 1e-31, math.inf, math.nan, -math.inf, False, 10**400))


@pytest.mark.parametrize(
    ("limits", "value", "message"),
    [
        (COUNT, 3, "n is 3; wanted a whole number from 4 to 200,000: too few"),
        (COUNT, 10**400, "n is a whole number of about 400 digits; wanted a whole number from 4 to 200,000: too many"),
        (COUNT, "5", "n is '5'; wanted a whole number from 4 to 200,000"),
        (VARIANCE, math.nan, "n is nan; wanted a number that is 0 or from 1e-30 to 1e24: NaN is not a number"),
        (VARIANCE, 1e300, "n is 1e+300; wanted a number that is 0 or from 1e-30 to 1e24: too strong"),
        (VARIANCE, True, "n is True; wanted a number that is 0 or from 1e-30 to 1e24: true and false are no numbers"),
    ],
)
def test_a_refusal_names_argument_value_range_and_reason(limits, value, message):
    with pytest.raises(ArgumentError) as caught:
        limits.check(value, "n")
    assert str(caught.value) == message


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\0", "\x1b", "\u2028", "\u202e", "\udcff"])
def test_an_error_is_one_line_whatever_a_name_holds(character):
    line = str(InputError(f"no file a{character}b"))
    assert line.isprintable()
    assert character not in line
    assert line.encode("utf-8").decode("unicode_escape") == f"no file a{character}b"
