"""The overview of the comparison: metrics and parameters side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from engine.analysis import comparison_table
from engine.analysis.comparison_table import BEST, Compared, Line
from engine.analysis.figures import compare
from engine.analysis.resolutions import AT_BEST
from pages._compare import compare_figures, compare_table
from pages._compare.compare_table import View
from pages._compare.comparisons import by_reason, status
from pages._shared import charts, columns, state, text

_DRAWN = ("L_DE", "L_OR", "E_OR", "FSC", "FSC halves", "refined E_OR", "refined FSC", "took")
_FEW = 5  # lines, up to which tables and chart fit side by side
_MARKED = "background-color: rgba(230, 159, 0, 0.22)"


def show_overview(view: View) -> None:
    """Metrics and parameters as tables, and the metrics as a chart."""
    lines = comparison_table.metric_lines(view.runs, view.folded)
    keys = comparison_table.measured(lines)
    baseline = view.runs[view.baseline]
    if not keys:
        st.caption("None of these runs has reported a metric yet.")
        _show_parameters(view)
        return
    few = len(lines) <= _FEW
    left, right = st.columns(2) if few else (st.container(), st.container())
    with left:
        _show_metrics(lines, baseline, keys)
        _show_parameters(view)
    with right:
        drawn = [key for key in _DRAWN if key in keys] or keys
        data = compare.measures(lines, baseline, drawn)
        draw = partial(compare_figures.metrics_figure, runs=view.runs)
        charts.show_abreast(draw, "compare-metrics", data, 1 if few else min(2, len(drawn)))


def _show_metrics(lines: Sequence[Line], baseline: Compared, keys: Sequence[str]) -> None:
    reference = comparison_table.line_of(lines, baseline)
    bounds = {run.row["run_id"]: state.bounds(run.row) for line in lines for run in line.runs}
    table = comparison_table.shown_table(lines, reference, keys, bounds)
    wide = columns.width("", table["measure"])
    configs: dict[str, Any] = {"measure": st.column_config.TextColumn("measure", pinned=True, width=wide)}
    configs |= {head: columns.numbers(head, table[head]) for head in list(table)[1:]}
    st.dataframe(
        table, hide_index=True, height="content", placeholder="–", key="metrics-table", alt="Metrics",
        column_config=configs,
    )  # fmt: skip
    st.caption(" ".join(_explained(table)))
    st.download_button(
        "Metrics and parameters (.csv)", comparison_table.metric_csv(lines, reference, bounds), "comparison.csv",
        "text/csv", icon=":material/download:", on_click="ignore",
    )  # fmt: skip


def _explained(table: Mapping[str, Sequence[str | None]]) -> list[str]:
    """Explanations of the signs in the table."""
    cells = [cell for column in table.values() for cell in column if cell]
    signs = {
        BEST: "the best of its row", "±": "standard deviation over seeds", "Δ": "minus the baseline's",
        AT_BEST: "at best, for the FSC stays above its threshold up to Nyquist's frequency",
    }  # fmt: skip
    return [f"{sign.strip()}: {words}." for sign, words in signs.items() if any(sign in cell for cell in cells)]


def _head(view: View, place: int) -> str:
    return f"{view.runs[place].letter} (baseline)" if place == view.baseline else view.runs[place].letter


def _show_parameters(view: View) -> None:
    unknown = [run for run in view.runs if not run.row["config"]]
    rows = compare_table.parameter_rows(view.runs, view.baseline, view.only_differences)
    if rows:
        table = pd.DataFrame(compare_table.parameter_table(view.runs, rows))
        marks = pd.DataFrame("", index=table.index, columns=table.columns)
        for place, run in enumerate(view.runs):
            marks[run.label] = [_MARKED if row.differs[place] else "" for row in rows]
        configs = {
            run.label: st.column_config.TextColumn(
                _head(view, place), width=columns.width(run.letter, table[run.label])
            )
            for place, run in enumerate(view.runs)
        }
        configs["parameter"] = st.column_config.TextColumn("parameter", pinned=True)
        st.dataframe(
            table.style.apply(lambda _: marks, axis=None), hide_index=True, key="parameters", alt="Parameters",
            height="content" if len(rows) <= 15 else 560, column_config=configs,
        )  # fmt: skip
        st.caption(
            text.escaped(
                f"{compare_table.DIFFERS.strip()} differs from the baseline, {view.runs[view.baseline].label}."
            )
        )
    elif len(view.runs) > 1:
        st.caption("These runs differ in no parameter.")
    else:
        st.caption("Only one run: pick another to compare it with, or turn off **Only differences**.")
    if unknown:
        st.caption(text.escaped(f"No readable configuration: {by_reason(unknown, status)}."))
