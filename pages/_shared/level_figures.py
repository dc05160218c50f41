"""A factor's levels side by side drawn with Plotly: small multiples on one scale. No Streamlit, no files.

The data are from :mod:`engine.analysis.figures.levels`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.analysis.figures.data import Axis, Figure, Panel, Series
from engine.analysis.figures.levels import DIAGONAL, MEAN, MEDIAN, PAIRS, PROJECTIONS, PUBLISHED, SINGLE
from engine.base.files import plain
from engine.experiment.metrics import ANGLE_ERROR_MEDIAN, DISTANCE_MAE
from pages._shared import picture_figures, style, text

_PANEL_HEIGHTS = (400, 400, 330, 250)  # px, by number of columns: panels are about square on a wide screen
_SYMBOLS = ("diamond", "diamond-open", "square", "square-open")


def metrics_figure(data: Figure) -> go.Figure:
    """Each metric against the level: mean ± sd, single runs as dots, published results in grey.

    Triangles pointing down mark zeros, which a logarithmic axis lacks.
    """
    rows = len(data.panels)
    figure = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.15 / rows)
    for row, panel in enumerate(data.panels, start=1):
        place = {"row": row, "col": 1, "showlegend": row == 1}
        published = [series for series in panel.series if series.role == PUBLISHED]
        for series, symbol in zip(published, itertools.cycle(_SYMBOLS), strict=False):
            _add_published(figure, series, symbol, panel.y, place)
        _add_means(figure, panel[MEAN], panel.y, place)
        _add_singles(figure, panel[SINGLE], panel.y, place)
        figure.update_yaxes(title=text.indexed(panel.title), **style.scale(panel.y), row=row, col=1)
    axis = data.panels[-1].x
    if axis.categories:
        ends = [-0.5, len(axis.categories) - 0.5]
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=axis.categories, range=ends)
    else:
        figure.update_xaxes(zeroline=False)
    figure.update_xaxes(title=axis.title, row=rows, col=1)
    return style.styled(figure, data.title, 200 * rows).update_layout(margin={**style.MARGIN, "b": 96})


def _add_published(figure: go.Figure, series: Series, symbol: str, axis: Axis, place: dict[str, Any]) -> None:
    columns = plain(series.columns)
    figure.add_scatter(
        x=columns["x"], y=style.positions(columns["y"], axis), mode=_mode(series),
        line={"color": style.GREY, "dash": "dot", "width": 1},
        marker={"symbol": style.symbols(columns["y"], axis, symbol), "size": 9, "color": style.GREY},
        name=series.name, legendgroup=series.name,
        customdata=list(zip(columns["level"], _spreads(columns, axis.unit), strict=True)),
        hovertemplate=f"{escape(series.name)}<br>%{{customdata[0]}}: %{{customdata[1]}}<extra></extra>", **place,
    )  # fmt: skip


def _add_means(figure: go.Figure, series: Series, axis: Axis, place: dict[str, Any]) -> None:
    columns = plain(series.columns)
    figure.add_scatter(
        x=columns["x"], y=style.positions(columns["y"], axis),
        error_y={"type": "data", "array": columns["sd"], "thickness": 1.5, "width": 5}, mode=_mode(series),
        line={"color": style.BLUE, "width": 2},
        marker={"symbol": "line-ew", "size": 18, "line": {"width": 3, "color": style.BLUE}}, name=series.name,
        legendgroup="ours",
        customdata=list(zip(map(escape, columns["level"]), _spreads(columns, axis.unit), strict=True)),
        hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>", **place,
    )  # fmt: skip


def _add_singles(figure: go.Figure, series: Series, axis: Axis, place: dict[str, Any]) -> None:
    columns = plain(series.columns)
    values = [_value(value, axis.unit) for value in columns["y"]]
    figure.add_scatter(
        x=columns["x"], y=style.positions(columns["y"], axis), mode="markers", cliponaxis=False,
        marker={
            "size": 6, "color": "white", "line": {"color": style.BLUE, "width": 1.5},
            "symbol": style.symbols(columns["y"], axis, "circle"),
        },
        name=series.name,
        legendgroup=series.name, customdata=list(zip(map(escape, columns["run"]), values, strict=True)),
        hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>", **place,
    )  # fmt: skip


def _mode(series: Series) -> str:
    return "lines+markers" if series.kind == "line" else "markers"


def _value(shown: float, unit: str) -> str:
    """A value as text; an angle in degrees and in rad."""
    if unit != "°":
        return text.number(shown, unit)
    return f"{text.degrees(np.radians(shown))} ({text.number(np.radians(shown), 'rad')})"


def _spreads(columns: Mapping[str, list[Any]], unit: str) -> list[str]:
    """Each mean as text, with its standard deviation if there is one."""
    return [
        _value(mean, unit) if sd is None else f"{_value(mean, unit)} ± {_value(sd, unit)}, {runs} runs"
        for mean, sd, runs in zip(columns["y"], columns["sd"], columns["runs"], strict=True)
    ]


def beside(count: int) -> int:
    """The number of columns of panels on a wide screen: such that the rows are full, if possible."""
    return count if count <= 4 else 3 if count in (5, 6, 9) else 4


def distance_panels_figure(data: Figure, beside: int = 1) -> go.Figure:
    """Estimated against true distance, one panel per level in a column: the share of the level's pairs in a cell.

    ``beside`` is the number of such columns side by side; all are on one scale.
    """
    rows = len(data.panels)
    error = text.indexed(DISTANCE_MAE.short)
    figure = make_subplots(
        rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.22 / rows, subplot_titles=[
            f"{escape(panel.title)}<br>{error} {text.degrees(panel.values.get(DISTANCE_MAE.name))}"
            for panel in data.panels
        ],
    )  # fmt: skip
    style.subtitled(figure)
    for row, panel in enumerate(data.panels, start=1):
        place = {"row": row, "col": 1}
        _add_pairs(figure, panel, place)
        figure.update_yaxes(title=panel.y.title, **place)
    figure.update_xaxes(title=data.panels[-1].x.title, row=rows, col=1)
    low, high = np.log10(style.ends(data.panels[0].colour)) - 2  # of shares, not of per cent
    decades = np.arange(np.ceil(low), np.floor(high) + 1)
    bar = {
        "thickness": 10, "tickvals": decades,
        "ticktext": [f"{100 * 10**n:g} %" for n in decades], "orientation": "h", "x": 0.5, "y": 0, "yref": "container",
        "yanchor": "bottom", "len": 0.8,
    }  # fmt: skip
    figure.update_layout(
        coloraxis={"colorscale": style.SCALE, "cmin": low, "cmax": max(high, low + 0.1), "colorbar": bar}
    )
    figure.update_xaxes(range=data.panels[0].x.range, tickvals=[0, 60, 120, 180])
    figure.update_yaxes(range=data.panels[0].y.range, tickvals=[0, 60, 120, 180])
    styled = style.styled(figure, data.title, 170 + _PANEL_HEIGHTS[beside - 1] * rows)
    return styled.update_layout(margin={**style.MARGIN, "t": 84, "b": 90})


def _add_pairs(figure: go.Figure, panel: Panel, place: dict[str, int]) -> None:
    pairs, diagonal = panel[PAIRS], panel[DIAGONAL]
    percent = pairs.grid("percent")
    with np.errstate(divide="ignore"):
        shown = np.where(percent > 0, np.log10(percent) - 2, np.nan)
    figure.add_heatmap(
        x=pairs.positions("x"), y=pairs.positions("y"), z=shown.astype(np.float32),
        customdata=percent.astype(np.float32), coloraxis="coloraxis", hoverongaps=False, name=escape(panel.title),
        hovertemplate="true %{x:.1f}°, estimated %{y:.1f}°<br>%{customdata:.2g} % of the pairs<extra></extra>",
        **place,
    )  # fmt: skip
    figure.add_scatter(
        x=diagonal.columns["x"].tolist(), y=diagonal.columns["y"].tolist(), mode="lines",
        line={"color": style.GREY, "dash": "dash", "width": 1.5}, hoverinfo="skip", showlegend=False, **place,
    )  # fmt: skip


def error_panels_figure(data: Figure, height: int = 0) -> go.Figure:
    """Histograms of the angle errors, one beneath another on one scale, with each level's median.

    ``height`` is the least height of the figure in px, that of the figure beside it.
    """
    rows = len(data.panels)
    figure = make_subplots(
        rows=rows, cols=1, shared_xaxes=True, shared_yaxes=True, vertical_spacing=0.2 / rows,
        subplot_titles=[f"{escape(panel.title)}: median {text.degrees(_median(panel))}" for panel in data.panels],
    )  # fmt: skip
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    for row, panel in enumerate(data.panels, start=1):
        _add_bars(figure, panel, row)
    for row, panel in enumerate(data.panels, start=1):
        median = panel[MEDIAN].columns
        figure.add_scatter(
            x=median["x"].tolist(), y=median["y"].tolist(), mode="lines", line={"color": style.VERMILION, "width": 2},
            name=MEDIAN, showlegend=row == 1, row=row, col=1,
            hovertemplate=f"median {text.degrees(_median(panel))} ({text.number(_median(panel), 'rad')})"
            "<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(range=data.panels[0].x.range)
    figure.update_xaxes(title=data.panels[-1].x.title, row=rows, col=1)
    figure.update_yaxes(range=data.panels[0].y.range, title=data.panels[0].y.title)
    return style.styled(figure, data.title, max(height, 140 + 125 * rows))


def _median(panel: Panel) -> float:
    return panel.values[ANGLE_ERROR_MEDIAN.name]


def _add_bars(figure: go.Figure, panel: Panel, row: int) -> None:
    bars = panel[PROJECTIONS].columns
    ends = np.stack([bars["x_low"], bars["x_high"]], axis=1)
    figure.add_bar(
        x=bars["x"], y=bars["y"], width=bars["x_high"] - bars["x_low"], marker={"color": style.BLUE},
        customdata=np.concatenate([ends, np.radians(ends)], axis=1),
        hovertemplate="%{customdata[0]:.3g}–%{customdata[1]:.3g}° "
        "(%{customdata[2]:.3g}–%{customdata[3]:.3g} rad)<br>%{y:.3g} % of the projections<extra></extra>",
        showlegend=False, row=row, col=1,
    )  # fmt: skip
    if beyond := panel.values["beyond"]:
        figure.add_annotation(
            text=f"{beyond:,.0f} of {panel.values['projections']:,.0f} beyond →", x=0.99, y=0.95, xref="x domain",
            yref="y domain", xanchor="right", yanchor="top", showarrow=False, font={"size": 12}, row=row, col=1,
        )  # fmt: skip


def projections_by_level_figure(data: Figure, columns: int = 4) -> go.Figure:
    """The first ``columns`` projections of each level, one row per level, each with its own grey scale."""
    rows = len(data.panels)
    figure = make_subplots(
        rows=rows, cols=1, subplot_titles=[escape(panel.title) for panel in data.panels], vertical_spacing=0.12 / rows
    )
    style.subtitled(figure)
    for row, panel in enumerate(data.panels, start=1):
        picture_figures.add_projections(figure, panel, row, columns)
    styled = style.styled(figure, data.title, 60 + 150 * rows)
    return styled.update_layout(margin={"l": 0, "r": 8, "t": 64, "b": 8})


def level_line(number: int) -> dict[str, Any]:
    """Colour, dashes and width of the lines of a level, by its position (0, 1, ...)."""
    colour, dash = style.place_stroke(number)
    return {"color": colour, "dash": dash, "width": 2}


def add_level_line(
    figure: go.Figure, series: Series, number: int, hover: str, row: int, col: int, legend: bool
) -> None:
    """Add a level's distribution as steps, in the colour and dashes of its position ``number``.

    ``hover`` is the hover text of a bin from ``%{customdata[0]}`` to ``%{customdata[1]}``.
    """
    low, high, values = (series.columns[name] for name in ("x_low", "x_high", "y"))
    edges, name = np.append(low, high[-1]), escape(series.name)
    figure.add_scatter(
        x=edges, y=[*values, values[-1]], mode="lines", name=name, legendgroup=series.name, showlegend=legend,
        line=level_line(number) | {"shape": "hv"},
        customdata=np.stack([edges, np.append(edges[1:], edges[-1])], axis=1),
        hovertemplate=f"{name}<br>{hover}<extra></extra>", row=row, col=col,
    )  # fmt: skip
