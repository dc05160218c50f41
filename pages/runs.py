"""All runs, newest first; a click opens one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import streamlit as st

from engine import catalogue
from engine.errors import InputError
from engine.runrecord import latest_progress
from pages import _state, _text

_REFRESH_S = 3.0
_COLUMNS: dict[str, Any] = {
    "run": st.column_config.TextColumn("run", pinned=True, width="medium"),
    "state": st.column_config.TextColumn("state", width=150),
    "E_OR": st.column_config.NumberColumn(
        "E_OR (°)", format="%.3g", help="median angle error after alignment, degrees"
    ),
    "L_DE": st.column_config.NumberColumn("L_DE (°)", format="%.3g", help="mean absolute distance error, degrees"),
    "L_OR": st.column_config.NumberColumn("L_OR (rad²)", format="%.2e", help="mean squared recovery loss"),
    "FSC 0.5": st.column_config.NumberColumn("FSC 0.5 (Å)", format="%.2f", help="against the input map"),
    "took": st.column_config.NumberColumn("took (s)", format="%.0f"),
    "started": st.column_config.DatetimeColumn("started", format="YYYY-MM-DD HH:mm"),
}


def _line(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    found = row["metrics"] or {}
    state = f"{_text.STATUS_SIGNS.get(row['status'], '⚠')} {row['status']}"
    if row["status"] == "running" and (progress := latest_progress(folder / row["run_id"])) is not None:
        state = f"{_text.STATUS_SIGNS['running']} {progress.stage} {progress.fraction:.0%}"
    return {
        "run": row["name"] or row["run_id"],
        "state": state,
        "protein": _text.source_name(row["source"] or ""),
        "coverage": _coverage(row["config"]),
        "sampling": row["sampling"],
        "count": row["count"],
        "noise": _text.noise(row["noise_variance"], row["snr"]),
        "shift (px)": row["max_shift"],
        "distance": row["distance_method"],
        "E_OR": _degrees(found.get("angle_error_median")),
        "L_DE": _degrees(found.get("distance_mae")),
        "L_OR": found.get("recovery_loss"),
        "FSC 0.5": found.get("fsc_0.5_angstrom"),
        "took": row["total_seconds"],
        "started": row["created"],
        "by": row["user"],
    }


def _coverage(config: dict[str, Any]) -> str:
    """In words; empty where a damaged or foreign configuration has none."""
    try:
        return _text.coverage(config["projections"]["coverage"])
    except (KeyError, TypeError, ValueError):
        return ""


def _degrees(radians: float | None) -> float | None:
    return None if radians is None else math.degrees(radians)


@st.fragment(run_every=_REFRESH_S)
def _show_table() -> None:
    notices: list[str] = []
    folder = _state.runs_dir()
    try:
        rows = catalogue.list_runs(folder, on_notice=notices.append)
    except InputError as error:
        _state.show_error(error)
        return
    for notice in notices:
        st.toast(_text.escaped(notice))
    if not rows:
        _state.no_runs()
    running = sum(row["status"] == "running" for row in rows)
    st.caption(f"{len(rows):,} {'run' if len(rows) == 1 else 'runs'}, {running} running. Click one to open it.")
    chosen = st.dataframe(
        [_line(row, folder) for row in rows],
        column_config=_COLUMNS,
        hide_index=True,
        height="content" if len(rows) < 20 else 720,
        on_select="rerun",
        selection_mode="single-cell",
        placeholder="–",
        key="runs",
    )
    if cells := chosen["selection"]["cells"]:
        _state.go_to_run(rows[cells[0][0]]["run_id"])


_state.require_navigation()
st.subheader("Runs", anchor=False)
_show_table()
