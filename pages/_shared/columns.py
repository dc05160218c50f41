"""Columns of tables: numbers as texts in columns wide enough for all digits.

Streamlit (1.67) formats numbers inconsistently (``0.00000102`` beside ``2.27e-7``) and fits the width of a column to
its first rows only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import streamlit as st

_LETTER, _PADDING, _NARROWEST, _WIDEST = 6.7, 18, 44, 320  # px


def width(head: str, cells: Iterable[str | None]) -> int:
    """The width in px that the heading and the longest cell of a column need, up to a limit."""
    longest = max((len(cell) for cell in cells if cell), default=1)
    return min(_WIDEST, max(_NARROWEST, round(_LETTER * max(len(head), longest)) + _PADDING))


def numbers(head: str, cells: Iterable[str | None], explained: str | None = None, pinned: bool = False) -> Any:
    """The configuration of a column of numbers formatted as text."""
    return st.column_config.TextColumn(
        head, help=explained, alignment="right", width=width(head, cells), pinned=pinned or None
    )
