"""A run's first projections as points, their spectrum, graphs of neighbours and recall, drawn with Plotly.

No Streamlit. The data are from :mod:`engine.analysis.figures.manifold` and :mod:`engine.analysis.figures.neighbours`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.analysis.figures.data import Axis, Figure
from pages._shared import style

_COLOUR_SCALES = {"rot": "Phase", "tilt": style.SCALE, "psi": "Phase", "error": style.SCALE}
"""Colour scale by column; cyclic for periodic angles."""
_GRID = "#9CA3AF"  # visible on light and dark backgrounds; WebGL draws no transparent grids
_SQUARE = 520  # px
_EDGE_COLOURS = [[0, "rgba(0,0,0,0)"], [0.5, style.BLUE], [1, style.VERMILION]]


def embedding_figure(data: Figure) -> go.Figure:
    """Points in the plane or in space in the colour of a true angle or the angle error."""
    panel = data.panel
    (points,) = panel.series
    columns = points.columns
    assert panel.colour is not None
    hover_columns = ("projection", "rot", "tilt", "psi", "error", "error_rad")
    common: dict[str, Any] = {
        "mode": "markers",
        "marker": {
            "size": 6 if panel.z is None else 3.5, "color": columns[panel.colour.label], "coloraxis": "coloraxis",
        },
        "customdata": np.column_stack([columns[name] for name in hover_columns]),
        "hovertemplate": "projection %{customdata[0]:.0f}<br>rot %{customdata[1]:.1f}°, tilt %{customdata[2]:.1f}°, "
        "psi %{customdata[3]:.1f}°<br>error %{customdata[4]:.3g}° (%{customdata[5]:.3g} rad)<extra></extra>",
        "showlegend": False,
    }  # fmt: skip
    figure = go.Figure()
    if panel.z is None:
        figure.add_scatter(x=columns["x"], y=columns["y"], **common)
        figure.update_xaxes(title=panel.x.title)
        figure.update_yaxes(title=panel.y.title, scaleanchor="x")
    else:
        figure.add_scatter3d(x=columns["x"], y=columns["y"], z=columns["z"], **common)
        axis = {"showbackground": False, "gridcolor": _GRID, "zerolinecolor": _GRID, "color": style.GREY}
        named = {"xaxis": panel.x, "yaxis": panel.y, "zaxis": panel.z}
        axes = {name: {"title": each.title, **axis} for name, each in named.items()}
        eye = {"camera": {"eye": {"x": 1.5, "y": 1.5, "z": 1.1}}}  # far enough for the axes' titles
        figure.update_layout(scene={"aspectmode": "data"} | eye | axes)
    figure.update_layout(coloraxis=_colour_axis(panel.colour))
    return style.styled(figure, data.title, style.TALL)


def _colour_axis(colour: Axis) -> dict[str, Any]:
    low, high = style.ends(colour)
    bar = {"title": {"text": colour.title, "side": "top"}, "thickness": 10}
    if colour.label != "error":
        bar["tickvals"] = np.arange(int(low), int(high) + 1, 60)
    return {"colorscale": _COLOUR_SCALES[colour.label], "cmin": low, "cmax": high, "colorbar": bar}


def spectrum_figure(data: Figure) -> go.Figure:
    """Bars of the eigenvalues and, where there is one, the theory."""
    panel = data.panel
    figure = make_subplots(rows=1, cols=1)
    bars = (series for series in panel.series if series.kind == "bars")
    for series, colour in zip(bars, (style.BLUE, style.GREY), strict=False):
        figure.add_bar(
            x=series.columns["x"], y=series.columns["y"], name=series.name,
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate=f"{series.name}: eigenvalue %{{x}} is %{{y:.4g}}<extra></extra>", row=1, col=1,
        )  # fmt: skip
    for theory in (series for series in panel.series if series.kind == "reference"):
        x, y = theory.columns["x"], theory.columns["y"]
        figure.add_vline(x[-1], line={"color": style.VERMILION, "dash": "dash", "width": 2})
        name = f"{theory.name}: {y[0]:.4g}, nine times"
        style.line(figure, x, y, name, style.VERMILION, "dot", row=1)
        share = f"rank 9 of exact distances<br>here {100 * data.values['share_of_rank']:.3g} % of the squares"
        style.note(figure, share, 0.98, 0.97, "right")
    figure.update_xaxes(title=panel.x.title, range=panel.x.range, dtick=3, tick0=0)
    figure.update_yaxes(title=panel.y.title)
    return style.styled(figure, data.title, style.WIDE).update_layout(barmode="group", bargap=0.2)


def adjacency_figure(data: Figure) -> go.Figure:
    """A graph of neighbours as a matrix: edges that the other graph has as well in one colour, its own in another."""
    panel = data.panel
    (nearest,) = panel.series
    assert panel.colour is not None
    figure = go.Figure()
    low, high = style.ends(panel.colour)
    figure.add_heatmap(
        z=nearest.grid("edge"), zmin=low, zmax=high, colorscale=_EDGE_COLOURS, showscale=False,
        customdata=np.stack([nearest.grid("projection"), nearest.grid("neighbour")], axis=-1),
        hovertemplate="projections %{customdata[0]} and %{customdata[1]}<extra></extra>",
    )  # fmt: skip
    for name, colour in zip(panel.colour.categories[1:], (style.BLUE, style.VERMILION), strict=True):
        marker = {"color": colour, "size": 9, "symbol": "square"}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=name)
    frame = {"showgrid": False, "zeroline": False, "mirror": True, "linecolor": style.GREY, "showline": True}
    figure.update_xaxes(title=panel.x.title, range=panel.x.range, constrain="domain", **frame)
    figure.update_yaxes(
        title=panel.y.title, range=panel.y.range, scaleanchor="x", constrain="domain", constraintoward="top", **frame
    )
    return style.styled(figure, data.title, _SQUARE)


def recall_figure(data: Figure) -> go.Figure:
    """Recall against the number of neighbours, chance, and the run's own metric."""
    panel = data.panel
    figure = make_subplots(rows=1, cols=1)
    for series in panel.series:
        x, y = series.columns["x"], series.columns["y"]
        if series.kind == "line":
            hover = "k = %{x}: %{y:.1f} % of the true nearest neighbours recovered"
            style.line(figure, x, y, series.name, style.BLUE, "solid", row=1, hover=hover)
        elif series.kind == "reference":
            style.line(figure, x, y, series.name, style.GREY, "dash", row=1, hover="by chance %{y:.1f} %")
        else:
            figure.add_scatter(
                x=x, y=y, mode="markers", name=series.name,
                marker={"color": style.VERMILION, "size": 9, "symbol": "diamond"},
                hovertemplate=f"{series.name}: %{{y:.1f}} %<extra></extra>", row=1, col=1,
            )  # fmt: skip
    figure.update_xaxes(title=panel.x.title, range=panel.x.range)
    figure.update_yaxes(title=panel.y.title, range=panel.y.range)
    return style.styled(figure, data.title, style.WIDE)
