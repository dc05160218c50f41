"""TOML as people write it: one kind of error for everything that is wrong with it."""

from __future__ import annotations

import pytest

from engine.base.tomltext import TomlError, parse, parse_value

UNREADABLE = ["9" * 5000, "[" * 100_000, "{a=" * 50_000, "1 2", "", "\0", "2026-13-45", "'", "5\nother = 7"]


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_no_value_is_said_in_a_line(text):
    with pytest.raises(TomlError) as caught:
        parse_value(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", UNREADABLE[:-1])
def test_what_is_no_file_is_said_in_a_line(text):
    with pytest.raises(TomlError):
        parse(f"v = {text}")


def test_integers_keep_their_digits():
    assert parse_value("9223372036854775807") == 2**63 - 1
    assert parse_value("1" + "0" * 400) == 10**400
    assert parse("a.b = 0x20000000000001") == {"a": {"b": 2**53 + 1}}
