"""The sections of the comparison: each shows what the runs have left, and says in a line which have not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from engine.comparison import Row
from engine.config import Config
from engine.errors import InputError
from engine.rotations import viewing_directions
from engine.runrecord import read_run
from pages import _compare_figures, _compare_table, _level_figures, _spheres, _state, _text
from pages._compare_figures import Training
from pages._compare_table import MEASURES, Compared
from pages._live import curve_arrays
from pages._state import Arrays

_CHART = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}
_DRAWN = ("L_DE", "L_OR", "E_OR", "FSC", "FSC halves", "took")
_MOST_DIRECTIONS = 4000  # of all spheres together: each is an element of the page
_MARKED = "background-color: rgba(230, 159, 0, 0.22)"
_TRAINED = ("siamese",)


@dataclass(frozen=True)
class View:
    """The runs, the place of the baseline among them, and what the tables show."""

    runs: list[Compared]
    baseline: int
    only_differences: bool
    folded: bool


def left(row: Row, growing: bool) -> tuple[tuple[str, int], ...]:
    """What a run has left to draw and when; ``growing``: the events of a running one too."""
    path = _state.runs_dir() / row["run_id"]
    files = [*path.glob("*.npz"), *([path / "events.jsonl"] if growing and row["status"] == "running" else [])]
    try:
        return tuple(sorted((file.name, file.stat().st_mtime_ns) for file in files))
    except FileNotFoundError:
        return ()


def show_overview(view: View) -> None:
    """Metrics as chart and table, and the parameters."""
    lines = _compare_table.metric_lines(view.runs, view.folded)
    keys = _compare_table.measured(lines)
    baseline = view.runs[view.baseline]
    if drawn := [key for key in _DRAWN if key in keys]:
        chart, tables = st.columns([2, 3])
        with chart:
            _chart(_compare_figures.metrics_figure(lines, baseline, drawn), "metrics")
    else:
        st.caption("None of these runs has told a metric yet.")
        tables = st.container()
    with tables:
        if keys:
            _show_metrics(lines, baseline, keys)
        _show_parameters(view)


def _show_metrics(lines: Sequence[_compare_table.Line], baseline: Compared, keys: Sequence[str]) -> None:
    reference = _compare_table.line_of(lines, baseline)
    rows = _compare_table.metric_table(lines, reference, keys)
    st.dataframe(
        rows, hide_index=True, height="content", placeholder="–", key="metrics-table", alt="Metrics",
        column_order=[key for key in rows[0] if any(row[key] is not None for row in rows)],
        column_config=_metric_columns(keys),
    )  # fmt: skip
    st.download_button(
        "Metrics (.csv)", _compare_table.metric_csv(lines, reference), "comparison.csv", "text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip


def _metric_columns(keys: Sequence[str]) -> dict[str, Any]:
    configs: dict[str, Any] = {
        "runs": st.column_config.TextColumn("runs", pinned=True, width=90),
        "name": st.column_config.TextColumn("name", width=150),
        "n": st.column_config.NumberColumn("n", help="runs in the line", width=40),
    }
    for key in keys:
        measure = MEASURES[key]
        number = measure.format or "%.3g"
        configs[key] = st.column_config.NumberColumn(measure.label, format=number, help=measure.help)
        configs[f"{key} sd"] = st.column_config.NumberColumn(
            "± sd", format=number, help=f"{measure.label}: standard deviation over the seeds"
        )
        configs[f"{key} difference"] = st.column_config.NumberColumn(
            f"Δ {measure.label}", format=number.replace("%", "%+"), help=f"{measure.label} minus the baseline's"
        )
    return configs


def _show_parameters(view: View) -> None:
    unknown = [run for run in view.runs if not run.row["config"]]
    rows = _compare_table.parameter_rows(view.runs, view.baseline, view.only_differences)
    if rows:
        table = pd.DataFrame(_compare_table.parameter_table(view.runs, rows))
        marks = pd.DataFrame("", index=table.index, columns=table.columns)
        for place, run in enumerate(view.runs):
            marks[run.label] = [_MARKED if row.differs[place] else "" for row in rows]
        st.dataframe(
            table.style.apply(lambda _: marks, axis=None), hide_index=True, key="parameters", alt="Parameters",
            height="content" if len(rows) <= 15 else 560,
            column_config={"parameter": st.column_config.TextColumn("parameter", pinned=True)},
        )  # fmt: skip
        st.caption(
            _text.escaped(f"{_compare_table.DIFFERS.strip()} not as in the baseline, {view.runs[view.baseline].label}.")
        )
    elif len(view.runs) > 1:
        st.caption("These runs differ in no parameter.")
    else:
        st.caption("One run alone: pick another to compare it with, or turn off **Only differences**.")
    if unknown:
        st.caption(_text.escaped(f"The configuration cannot be read: {_named(unknown)}."))


def show_distances(view: View) -> None:
    """Distance-versus-distance panels on one scale."""
    found = _read(view.runs, "distances.npz", "distances", "counts", "edges")
    if not found:
        return
    first = next(iter(found.values()))["edges"]
    alike = {letter: one for letter, one in found.items() if len(one["edges"]) == len(first)}
    if others := [run for run in view.runs if run.letter in found.keys() - alike.keys()]:
        st.caption(_text.escaped(f"Their bins are of another width, so they are not shown: {_named(others)}."))
    titles = _panel_titles(view, alike)
    counts = {titles[letter]: one["counts"] for letter, one in alike.items()}
    errors = {
        titles[run.letter]: (run.row["metrics"] or {}).get("distance_mae") for run in view.runs if run.letter in alike
    }
    _chart(_level_figures.distance_panels_figure(counts, first, errors), "distances")


def show_angle_errors(view: View) -> None:
    """Histograms and cumulative curves, overlaid."""
    found = _read(view.runs, "poses.npz", "poses", "errors")
    if not found:
        return
    logarithmic = st.toggle("Logarithmic angles", key="log", bind="query-params")
    errors = {letter: one["errors"] for letter, one in found.items()}
    _chart(_compare_figures.angle_errors_figure(view.runs, errors, logarithmic), "angle-errors")


def show_losses(view: View) -> None:
    """Training and recovery, overlaid."""
    curves = {run.letter: curve for run in view.runs if (curve := _training(run)) is not None}
    recoveries = _read(view.runs, "recovery.npz", "recovery loss", "loss_curve")
    left_, right = st.columns(2) if curves and recoveries else (st.container(), st.container())
    with left_:
        if curves:
            _chart(_compare_figures.training_figure(view.runs, curves), "training")
        untrained = [run for run in view.runs if run.letter not in curves]
        if untrained:
            st.caption(_text.escaped(f"No training (yet): {_named(untrained, why=_why_untrained)}."))
    with right:
        if recoveries:
            losses = {letter: one["loss_curve"] for letter, one in recoveries.items()}
            _chart(_compare_figures.recovery_figure(view.runs, losses), "recovery")


def _training(run: Compared) -> Training | None:
    """The whole curve or, of a training that goes on or was stopped, what its events tell."""
    path = _state.runs_dir() / run.row["run_id"]
    try:
        found = _state.arrays(path / "training.npz")
        if found is not None:
            return Training(*found["curve"].T)
        if run.row["distance_method"] not in _TRAINED:
            return None
        record = read_run(path)
        curve = curve_arrays(
            _state.feed(record, record.config if isinstance(record.config, Config) else Config()).curve
        )
    except (InputError, KeyError, TypeError) as error:
        _tell(f"{run.label}: the training curve cannot be shown: {error}")
        return None
    return Training(*curve) if curve.size else None


def _why_untrained(run: Compared) -> str:
    method = run.row["distance_method"]
    return f"{method} distances" if method and method not in _TRAINED else str(run.row["status"])


def show_projections(view: View) -> None:
    """Clean and as given, a row a run."""
    found = _read(view.runs, "projections.npz", "projections", "clean", "images")
    if not found:
        return
    labels = {run.letter: run.label for run in view.runs}
    for column, name, title in zip(
        st.columns(2), ("clean", "images"), ("Projections, clean", "The same, as given"), strict=True
    ):
        images = {labels[letter]: one[name] for letter, one in found.items()}
        with column:
            _chart(_level_figures.projections_by_level_figure(images, title=title), name)


def show_directions(view: View) -> None:
    """True viewing directions with their errors on spheres, and how many there are on maps."""
    found = _read(view.runs, "poses.npz", "poses", "true", "errors")
    if not found:
        return
    titles = _panel_titles(view, found)
    each = max(100, _MOST_DIRECTIONS // len(found))
    directions = {titles[letter]: viewing_directions(one["true"]) for letter, one in found.items()}
    errors = {titles[letter]: one["errors"][:each] for letter, one in found.items()}
    spheres, maps = st.columns(2)
    with spheres:
        some = {name: vectors[:each] for name, vectors in directions.items()}
        _chart(_spheres.sphere_figure(some, errors, title="True viewing directions"), "spheres")
        if any(len(vectors) > each for vectors in directions.values()):
            st.caption(f"The first {each:,} projections of each run, by their angle errors.")
    with maps:
        _chart(_spheres.direction_heatmap_figure(directions), "maps")


def _panel_titles(view: View, found: dict[str, Arrays]) -> dict[str, str]:
    """Of small panels by letter: the whole label only where there is room for it."""
    return {run.letter: run.letter for run in view.runs if run.letter in found}


def _read(runs: Sequence[Compared], filename: str, what: str, *keys: str) -> dict[str, Arrays]:
    """The file's arrays by letter; of which runs they are not to be had is said."""
    found: dict[str, Arrays] = {}
    missing = []
    for run in runs:
        try:
            arrays = _state.arrays(_state.runs_dir() / run.row["run_id"] / filename)
            if arrays is None:
                missing.append(run)
            elif lacking := [key for key in keys if key not in arrays]:
                raise InputError(f"{filename} has no array {lacking[0]!r}")
            else:
                found[run.letter] = arrays
        except InputError as error:
            _tell(f"{run.label}: {error}")
    if missing:
        st.caption(_text.escaped(f"No {what} (yet): {_named(missing, why=lambda run: run.row['status'])}."))
    return found


def _named(runs: Sequence[Compared], why: Any = None) -> str:
    return ", ".join(run.label + (f" ({why(run)})" if why else "") for run in runs)


def _tell(message: str) -> None:
    st.warning(_text.escaped(message), icon=":material/broken_image:")


def _chart(figure: go.Figure, key: str) -> None:
    st.plotly_chart(figure, key=f"compare-{key}", config=_CHART)
