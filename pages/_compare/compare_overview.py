"""The overview of the comparison: metrics and parameters side by side."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from engine.analysis import comparison_table
from engine.analysis.comparison_table import Compared, Line
from engine.analysis.figures import compare
from engine.analysis.measures import MEASURES
from pages._compare import compare_figures, compare_table
from pages._compare.compare_table import View
from pages._compare.comparisons import by_reason, chart, fsc_bounds, status
from pages._shared import text

_DRAWN = ("L_DE", "L_OR", "E_OR", "FSC", "FSC halves", "refined E_OR", "refined FSC", "took")
_MARKED = "background-color: rgba(230, 159, 0, 0.22)"


def show_overview(view: View) -> None:
    """Metrics as chart and table, and the parameters."""
    lines = comparison_table.metric_lines(view.runs, view.folded)
    keys = comparison_table.measured(lines)
    baseline = view.runs[view.baseline]
    if not keys:
        st.caption("None of these runs has reported a metric yet.")
        _show_parameters(view)
        return
    _show_metrics(lines, baseline, keys)
    left, right = st.columns([2, 3])
    with left:
        drawn = [key for key in _DRAWN if key in keys]
        data = compare.measures(lines, baseline, drawn or keys)
        chart(compare_figures.metrics_figure(data, view.runs), "metrics", data)
    with right:
        _show_parameters(view)


def _show_metrics(lines: Sequence[Line], baseline: Compared, keys: Sequence[str]) -> None:
    reference = comparison_table.line_of(lines, baseline)
    rows = comparison_table.metric_table(lines, reference, keys)
    bounds = fsc_bounds([run for line in lines for run in line.runs], keys)
    rows = comparison_table.with_bounds(rows, lines, bounds)
    st.dataframe(
        rows, hide_index=True, height="content", placeholder="–", key="metrics-table", alt="Metrics",
        column_order=[key for key in rows[0] if any(row[key] is not None for row in rows)],
        column_config=_metric_columns(keys, bounds),
    )  # fmt: skip
    if bounds:
        st.caption("≤: the FSC stays above its threshold up to Nyquist's frequency.")
    st.download_button(
        "Metrics (.csv)", comparison_table.metric_csv(lines, reference), "comparison.csv", "text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip


def _metric_columns(keys: Sequence[str], in_words: Collection[str]) -> dict[str, Any]:
    configs: dict[str, Any] = {
        "runs": st.column_config.TextColumn("runs", pinned=True, width=110),
        "name": st.column_config.TextColumn("name", width=210),
        "n": st.column_config.NumberColumn("n", help="number of runs in the line", width=40),
    }
    for key in keys:
        measure = MEASURES[key]
        metric = measure.metric
        number = "%.1f" if metric.format == "%.0f" else metric.format
        configs[key] = (
            st.column_config.TextColumn(measure.label, help=metric.meaning, alignment="right")
            if key in in_words
            else st.column_config.NumberColumn(measure.label, format=number, help=metric.meaning)
        )
        configs[f"{key} sd"] = st.column_config.NumberColumn(
            "± sd", format=number, help=f"{measure.label}: standard deviation over the seeds"
        )
        configs[f"{key} difference"] = st.column_config.NumberColumn(
            f"Δ {measure.label}", format=number.replace("%", "%+"), help=f"{measure.label} minus the baseline's"
        )
    return configs


def _show_parameters(view: View) -> None:
    unknown = [run for run in view.runs if not run.row["config"]]
    rows = compare_table.parameter_rows(view.runs, view.baseline, view.only_differences)
    if rows:
        table = pd.DataFrame(compare_table.parameter_table(view.runs, rows))
        marks = pd.DataFrame("", index=table.index, columns=table.columns)
        for place, run in enumerate(view.runs):
            marks[run.label] = [_MARKED if row.differs[place] else "" for row in rows]
        st.dataframe(
            table.style.apply(lambda _: marks, axis=None), hide_index=True, key="parameters", alt="Parameters",
            height="content" if len(rows) <= 15 else 560,
            column_config={"parameter": st.column_config.TextColumn("parameter", pinned=True)},
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
