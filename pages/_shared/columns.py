"""Columns of tables as Streamlit draws them: numbers as texts that are wide enough for every digit, units in the heads.

Streamlit's own format for numbers has ``0.00000102`` beside ``2.27e-7``, and measures a column by its first lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import streamlit as st

_LETTER, _PADDING, _NARROWEST, _WIDEST = 6.7, 18, 44, 320  # px


def width(head: str, cells: Iterable[str | None]) -> int:
    """What the head of a column and the longest of its cells need, in px; of long texts less."""
    longest = max((len(cell) for cell in cells if cell), default=1)
    return min(_WIDEST, max(_NARROWEST, round(_LETTER * max(len(head), longest)) + _PADDING))


def numbers(head: str, cells: Iterable[str | None], explained: str | None = None, pinned: bool = False) -> Any:
    """The configuration of a column of numbers in words."""
    return st.column_config.TextColumn(
        head, help=explained, alignment="right", width=width(head, cells), pinned=pinned or None
    )
