"""Rows ticked in a table, known by what they stand for: rows come and go above them while they are ticked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st


class _Drawn(NamedTuple):
    """What a table's rows stood for when it was drawn, and which were ticked."""

    lines: Sequence[Sequence[str]]
    rows: tuple[int, ...]


def follow(table: str, lines: Sequence[Sequence[str]]) -> list[str]:
    """To be called before the table with the key ``table`` is drawn: moves its ticks to where their lines are now.

    ``lines`` are the ids that each line of the table stands for; those of the ticked ones come back, in their order.
    (Streamlit itself knows rows by their place only.)
    """
    selected_rows = tuple(st.session_state.get(table, {}).get("selection", {}).get("rows", ()))
    before = _meant(selected_rows, st.session_state.get(_drawings(table), []))
    ticked = {run_id for row in selected_rows if row < len(before) for run_id in before[row]}
    rows = tuple(row for row, ids in enumerate(lines) if ticked.intersection(ids))
    drawn = _Drawn(lines, rows)
    st.session_state[_drawings(table)] = [_Drawn(before, selected_rows), drawn] if before != lines else [drawn]
    if rows != selected_rows:
        st.session_state[table] = {"selection": {"rows": list(rows)}}
    return [run_id for row in rows for run_id in lines[row]]


def _meant(selected_rows: tuple[int, ...], drawings: Sequence[_Drawn]) -> Sequence[Sequence[str]]:
    """The lines of the drawing that ``selected_rows`` refer to.

    For a moment after the lines have moved the browser still shows the earlier drawing and reports its ticks. The
    drawing meant is the one whose ticks differ least from ``selected_rows``, the latest of several that match equally.
    """
    if not drawings:
        return ()
    return min(reversed(drawings), key=lambda drawn: len(set(selected_rows).symmetric_difference(drawn.rows))).lines


def clear(table: str) -> None:
    """Take all ticks away; only before the table is drawn, as in a callback."""
    st.session_state[table] = {"selection": {"rows": []}}


def line(table: str, row: int) -> Sequence[str]:
    """What a row stood for when the table was drawn last."""
    lines = st.session_state[_drawings(table)][-1].lines
    return lines[row] if row < len(lines) else ()


def _drawings(table: str) -> str:
    return f"{table} drawings"
