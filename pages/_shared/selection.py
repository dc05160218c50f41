"""Ticked rows of a table, identified by the runs they represent, because rows above them come and go."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple

import streamlit as st

_SAME_CLICK_S = 1.0


class _Drawn(NamedTuple):
    """The ids that a table's rows represented when it was drawn, and which rows were ticked."""

    lines: Sequence[Sequence[str]]
    rows: tuple[int, ...]


def follow(table: str, lines: Sequence[Sequence[str]]) -> list[str]:
    """Move a table's ticks to the current positions of their lines; to be called before the table is drawn.

    ``table`` is its key, ``lines`` are the ids that each line represents. Returns those of the ticked lines, in order.
    (Streamlit itself identifies rows only by position.)
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


def clicked_head(table: str) -> str | None:
    """The column whose heading was clicked since the last call; to be called before the table is drawn.

    Until the browser has the table without the click it may report it once more, when a fragment asks for news: the
    same heading within :data:`_SAME_CLICK_S` is one click.
    """
    chosen = st.session_state.get(table, {}).get("selection", {})
    heads = chosen.get("columns", ())
    if not heads:
        return None
    st.session_state[table] = {"selection": {"rows": list(chosen.get("rows", ()))}}
    head, now = str(heads[0]), monotonic()
    before, at = st.session_state.get(f"{table} head", ("", 0.0))
    st.session_state[f"{table} head"] = head, now
    return None if head == before and now - at < _SAME_CLICK_S else head


def clear(table: str) -> None:
    """Remove all ticks; only before the table is drawn, as in a callback."""
    st.session_state[table] = {"selection": {"rows": []}}


def line(table: str, row: int) -> Sequence[str]:
    """The ids that a row represented when the table was last drawn."""
    lines = st.session_state[_drawings(table)][-1].lines
    return lines[row] if row < len(lines) else ()


def _drawings(table: str) -> str:
    return f"{table} drawings"
