"""Recorded particles drawn with Plotly: confidence, power spectra, particles beside what they match. No Streamlit.

The data are from :mod:`engine.analysis.figures.particles`.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.analysis.figures.data import Figure, Panel
from pages._shared import picture_figures, style, text

_MATCHES_PX = 300


def confidence_figure(data: Figure) -> go.Figure:
    """Errors against the confidence, or a histogram of the confidence where there are no errors."""
    panel = data.panel
    if panel.series[0].kind == "bars":
        return bars_figure(data)
    points, band, median = panel.series
    figure = make_subplots(rows=1, cols=1)
    at, low, high = (band.columns[name] for name in ("x", "low", "high"))
    figure.add_scatter(
        x=points.columns["x"], y=points.columns["y"], mode="markers", name=points.name,
        marker={"size": 4, "color": style.BLUE, "opacity": 0.45},
        hovertemplate="confidence %{x:.3g}: %{y:.3g}°<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=[*at, *at[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor="rgba(213,94,0,0.2)", line={"width": 0},
        mode="lines", name=band.name, hoverinfo="skip",
    )  # fmt: skip
    hover = "confidence %{x:.3g}: median %{y:.3g}°"
    style.line(figure, median.columns["x"], median.columns["y"], median.name, style.VERMILION, "solid", 1, hover)
    figure.update_xaxes(range=panel.x.range, title=panel.x.title)
    figure.update_yaxes(rangemode="tozero", title=panel.y.title)
    if "ratio" in data.values:
        note = f"more confident half: {text.number(data.values['ratio'])} of the median error of all"
        style.note(figure, note, 0.99, 0.99, "right")
    return style.styled(figure, data.title, style.WIDE)


def bars_figure(data: Figure) -> go.Figure:
    """A histogram of particles."""
    panel = data.panel
    columns = panel["particles"].columns
    ends = np.stack([columns["x_low"], columns["x_high"]], axis=1)
    figure = make_subplots(rows=1, cols=1)
    figure.add_bar(
        x=columns["x"], y=columns["particles"], width=np.diff(ends)[:, 0],
        marker={"color": style.BLUE, "line": {"width": 0}}, customdata=ends,
        hovertemplate="%{customdata[0]:.3g}–%{customdata[1]:.3g}: %{y:,} particles<extra></extra>", showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(range=panel.x.range, title=panel.x.title)
    figure.update_yaxes(title=panel.y.title)
    return style.styled(figure, data.title, style.MIDDLE)


def spectrum_figure(data: Figure) -> go.Figure:
    """Panels of lines along the spatial frequency, one above the other."""
    rows = len(data.panels)
    titles = [panel.title for panel in data.panels]
    figure = make_subplots(
        rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.14, subplot_titles=titles if any(titles) else None
    )
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    drawn = 0
    for row, panel in enumerate(data.panels, start=1):
        _add_lines(figure, panel, row, drawn)
        drawn += len(panel.series)
    figure.update_xaxes(title=data.panels[-1].x.title, row=rows, col=1)
    return style.styled(figure, data.title, style.MIDDLE + 140 * (rows - 1))


def _add_lines(figure: go.Figure, panel: Panel, row: int, drawn: int) -> None:
    """The lines of a panel, after ``drawn`` others that share the legend."""
    for number, series in enumerate(panel.series, start=drawn):
        colour = style.place_stroke(number).colour
        columns = series.columns
        hover = f"{series.name}: %{{y:.3g}} at %{{x:.3g}} {panel.x.unit}"
        style.line(figure, columns["x"], columns["y"], series.name, colour, "solid", row, hover)
    figure.update_xaxes(range=panel.x.range, row=row, col=1)
    if panel.y.log:
        figure.update_yaxes(**style.scale(panel.y), row=row, col=1)
    else:
        figure.update_yaxes(range=panel.y.range, row=row, col=1)
    figure.update_yaxes(title=panel.y.title, row=row, col=1)


def matches_figure(data: Figure) -> go.Figure:
    """Particles in a row, beneath each what it matches, and its confidence above it."""
    columns, rows = (int(data.panel.values[name]) for name in ("columns", "rows"))
    figure = picture_figures.projections_figure(data, columns, rows)
    for number in range(1, columns + 1):
        figure.add_annotation(
            text=text.number(data.values[f"confidence of {number}"]), x=(number - 0.5) / columns, xref="x domain", y=1,
            yref="y domain", xanchor="center", yanchor="bottom", showarrow=False,
        )  # fmt: skip
    for place, label in enumerate(("particle", "map")[:rows]):
        figure.add_annotation(
            text=label, x=0, xref="x domain", xanchor="right", xshift=-4, y=1 - (place + 0.5) / rows, yref="y domain",
            yanchor="middle", textangle=-90, showarrow=False,
        )  # fmt: skip
    figure.update_yaxes(constraintoward="top")
    return figure.update_layout(margin={"l": 28, "r": 8, "t": 64, "b": 4}, height=_MATCHES_PX)
