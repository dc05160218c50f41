"""Comparisons of runs drawn with Plotly, each run in its own colour and line style. No Streamlit, no files.

The data are from :mod:`engine.analysis.figures.compare`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.analysis.comparison_table import SEPARATOR, Compared
from engine.analysis.figures.compare import BASELINE, HALF
from engine.analysis.figures.data import Figure, Panel, Series
from engine.base.files import plain
from pages._compare.compare_table import strokes
from pages._shared import style, text
from pages._shared.style import Stroke

_FEW_RUNS = 3  # up to so many, the legend has their names
_ROW = 230  # px
_FAINT = 0.45
_BENEATH = 44 + 3 * 20  # px: the axis and three lines of a legend


def metrics_figure(data: Figure, runs: Sequence[Compared]) -> go.Figure:
    """Measures with their standard deviations, one panel each, the runs by letter; single runs are small dots.

    A dashed line marks the baseline's value; triangles pointing down mark zeros, which a logarithmic axis lacks.
    """
    columns = min(2, len(data.panels))
    rows = -(-len(data.panels) // columns)
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=[text.indexed(panel.title) for panel in data.panels],
        horizontal_spacing=0.12, vertical_spacing=0.32 / rows,
    )  # fmt: skip
    style.subtitled(figure)
    colours = {letter: stroke.colour for letter, stroke in strokes(runs).items()}
    for number, panel in enumerate(data.panels):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        for series in panel.series:
            if series.name == BASELINE:
                line = {"color": style.GREY, "dash": "dash", "width": 1}
                (at,) = style.positions(series.columns["y"].tolist(), panel.y)
                figure.add_hline(at, line=line, **place)
            elif "sd" in series.columns:
                _add_mean(figure, series, panel, colours[series.role], place)
            else:
                _add_singles(figure, series, panel, colours[series.role], place)
        figure.update_yaxes(**style.scale(panel.y), **place)
    names = data.panels[0].x.categories
    figure.update_xaxes(
        type="category", categoryorder="array", categoryarray=names, range=[-0.5, len(names) - 0.5], showgrid=False
    )
    styled = style.styled(figure, data.title, 90 + _ROW * rows)
    return styled.update_layout(margin={**style.MARGIN, "t": 64}, showlegend=False)


def _add_singles(figure: go.Figure, series: Series, panel: Panel, colour: str, place: dict[str, int]) -> None:
    values = series.columns["y"].tolist()
    figure.add_scatter(
        x=series.columns["x"].tolist(), y=style.positions(values, panel.y), mode="markers", cliponaxis=False,
        marker={
            "size": 5, "color": colour, "opacity": _FAINT, "symbol": style.symbols(values, panel.y, "circle"),
        },
        showlegend=False, customdata=list(zip(map(escape, series.columns["run"].tolist()), values, strict=True)),
        hovertemplate="%{customdata[0]}: %{customdata[1]:.4g}<extra></extra>", **place,
    )  # fmt: skip


def _add_mean(figure: go.Figure, series: Series, panel: Panel, colour: str, place: dict[str, int]) -> None:
    name, columns = escape(series.name), plain(series.columns)
    spread = "" if columns["sd"] == [None] else f" ± {columns['sd'][0]:.2g}, {columns['runs'][0]} runs"
    figure.add_scatter(
        x=columns["x"], y=style.positions(columns["y"], panel.y), name=name,
        error_y={"type": "data", "array": columns["sd"], "color": colour, "thickness": 2},
        mode="markers", cliponaxis=False,
        marker={"size": 11, "color": colour, "symbol": style.symbols(columns["y"], panel.y, "circle")},
        customdata=columns["y"], hovertemplate=f"{name}<br>{panel.title} %{{customdata:.4g}}{spread}<extra></extra>",
        **place,
    )  # fmt: skip


def angle_errors_figure(data: Figure, runs: Sequence[Compared]) -> go.Figure:
    """Histograms of angle errors, and beneath them the share of projections below each error."""
    histograms, curves = data.panels
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09, subplot_titles=[panel.title for panel in data.panels]
    )
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    by_letter, drawn = {run.letter: run for run in runs}, strokes(runs)
    for histogram in histograms.series:
        run, curve = by_letter[histogram.role], curves[histogram.name]
        _add_histogram(figure, histogram, run, drawn, data.values)
        at, share = curve.columns["x"], curve.columns["y"]
        figure.add_scatter(
            x=at, y=share, customdata=np.radians(at), **_line(run, drawn) | {"showlegend": False},
            hovertemplate=f"{escape(run.label)}<br>%{{y:.3g}} % below %{{x:.3g}}° (%{{customdata:.3g}} rad)"
            "<extra></extra>", row=2, col=1,
        )  # fmt: skip
    half = float(curves[HALF].columns["y"][0])
    figure.add_hline(half, line={"color": style.GREY, "dash": "dot", "width": 1}, row=2, col=1)
    ends, logarithmic = np.array(style.ends(histograms.x)), histograms.x.log
    figure.update_xaxes(type="log" if logarithmic else "linear", range=np.log10(ends) if logarithmic else ends)
    figure.update_xaxes(title=curves.x.title, row=2, col=1)
    figure.update_yaxes(title=histograms.y.title, rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title=curves.y.title, range=curves.y.range, row=2, col=1)
    return _with_key(figure, data.title, style.TALL, len(histograms.series))


def _add_histogram(
    figure: go.Figure, series: Series, run: Compared, drawn: Mapping[str, Stroke], values: Mapping[str, float]
) -> None:
    count = values[f"projections of {run.letter}"]
    beyond = values[f"projections of {run.letter} beyond"]
    further = f", {beyond:,.0f} of {count:,.0f} beyond →" if beyond else ""
    ends = np.stack([series.columns["x_low"], series.columns["x_high"]], axis=1)
    figure.add_scatter(
        x=series.columns["x"], y=series.columns["y"], customdata=np.concatenate([ends, np.radians(ends)], axis=1),
        **_line(run, drawn, "hvh"),
        hovertemplate=f"{escape(run.label)}<br>%{{customdata[0]:.3g}}–%{{customdata[1]:.3g}}° "
        f"(%{{customdata[2]:.3g}}–%{{customdata[3]:.3g}} rad)<br>%{{y:.3g}} % of the projections{further}"
        "<extra></extra>", row=1, col=1,
    )  # fmt: skip


def training_figure(data: Figure, runs: Sequence[Compared]) -> go.Figure:
    """Training loss and, beneath it, validation error against the optimiser's step."""
    losses, validations = data.panels
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    by_letter, drawn = {run.letter: run for run in runs}, strokes(runs)
    quantity = text.indexed(validations.y.label)
    for loss in losses.series:
        run, name, validation = by_letter[loss.role], escape(loss.name), validations[loss.name]
        figure.add_scatter(
            x=loss.columns["x"], y=loss.columns["y"], **_line(run, drawn),
            hovertemplate=f"{name}<br>step %{{x}}: loss %{{y:.4g}}<extra></extra>", row=1, col=1,
        )  # fmt: skip
        figure.add_scatter(
            x=validation.columns["x"], y=validation.columns["y"], customdata=validation.columns["y_rad"],
            **_line(run, drawn) | {"showlegend": False},
            hovertemplate=f"{name}<br>step %{{x}}: {quantity} %{{y:.3g}}° (%{{customdata:.3g}} rad)<extra></extra>",
            row=2, col=1,
        )  # fmt: skip
    figure.update_xaxes(title=validations.x.title, row=2, col=1)
    figure.update_yaxes(type="log", title=_title(losses), row=1, col=1)
    figure.update_yaxes(rangemode="tozero", title=_title(validations), row=2, col=1)
    return _with_key(figure, data.title, style.TALL, len(losses.series))


def recovery_figure(data: Figure, runs: Sequence[Compared]) -> go.Figure:
    """Recovery loss against the iteration."""
    figure = make_subplots(rows=1, cols=1)
    panel = data.panel
    by_letter, drawn = {run.letter: run for run in runs}, strokes(runs)
    for series in panel.series:
        figure.add_scatter(
            x=series.columns["x"], y=series.columns["y"], **_line(by_letter[series.role], drawn),
            hovertemplate=f"{escape(series.name)}<br>iteration %{{x}}: %{{y:.4g}} {panel.y.unit}<extra></extra>",
            row=1, col=1,
        )  # fmt: skip
    figure.update_xaxes(title=panel.x.title)
    figure.update_yaxes(type="log" if panel.y.log else "linear", title=_title(panel))
    return _with_key(figure, data.title, style.WIDE, len(panel.series))


def _title(panel: Panel) -> str:
    return text.indexed(panel.y.title)


def _line(run: Compared, drawn: Mapping[str, Stroke], shape: str = "linear") -> dict[str, Any]:
    colour, dash = drawn[run.letter]
    return {
        "mode": "lines", "name": escape(run.label), "legendgroup": run.letter,
        "line": {"color": colour, "dash": dash, "width": 2, "shape": shape},
    }  # fmt: skip


def _with_key(figure: go.Figure, title: str, height: int, entries: int) -> go.Figure:
    """Add a legend: names if there are few runs, else letters, because names would fill a narrow screen."""
    if entries > _FEW_RUNS:
        figure.for_each_trace(lambda trace: trace.update(name=(trace.name or "").partition(SEPARATOR)[0]))
    styled = style.styled(figure, title, height + _BENEATH)
    return styled.update_layout(margin={**style.MARGIN, "t": 64, "b": _BENEATH}, showlegend=True)
