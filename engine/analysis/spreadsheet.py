"""Cells of CSV files, which are often opened in spreadsheets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def no_formula(value: object) -> object:
    """A cell; a text that a spreadsheet would evaluate as a formula is preceded by an apostrophe.

    >>> no_formula("=1+1"), no_formula("a"), no_formula(-1)
    ("'=1+1", 'a', -1)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def joined(values: Iterable[Any]) -> Any:
    """The common value of several runs or, if they differ, their values separated by spaces; lists as JSON.

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
