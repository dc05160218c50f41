"""Texts in CSV, which spreadsheets open."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def no_formula(value: object) -> object:
    """The same to the eye: a text that a spreadsheet would take for a formula is preceded by an apostrophe.

    >>> no_formula("=1+1"), no_formula("a"), no_formula(-1)
    ("'=1+1", 'a', -1)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def joined(values: Iterable[Any]) -> Any:
    """The value that several runs share or, where they differ, their values with blanks between; lists as JSON.

    >>> joined([7, 7]), joined([1, 2]), joined([None]), joined([("a", "b")])
    (7, '1 2', '', '["a", "b"]')
    """
    each = list(dict.fromkeys(map(_plain, values)))
    return each[0] if len(each) == 1 else " ".join(map(str, each))


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | tuple | dict) else value
