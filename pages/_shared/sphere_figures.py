"""Viewing directions drawn with Plotly: on spheres that can be turned, and on equal-area maps. No Streamlit.

The data are from :mod:`engine.analysis.figures.directions`. The spheres are drawn as globes, in SVG, because a
browser allows only a few WebGL contexts.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from engine.analysis.figures.data import Axis, Figure, Series
from pages._shared import style

_AXES = {"x": (0.0, 0.0), "y": (90.0, 0.0), "z": (0.0, 90.0)}  # longitude and latitude of the object's axes
_ROW, _LOWEST_MAP, _BESIDE_MAPS = 250, 150, 90  # px


def sphere_figure(data: Figure, colours: Mapping[str, str] | None = None) -> go.Figure:
    """Each panel of :func:`engine.analysis.figures.directions.on_spheres` on a sphere of its own; dragging turns it.

    Names are shown verbatim. Points are coloured by their error if the data have one, else by name.
    """
    columns = min(len(data.panels), 2)
    rows = -(-len(data.panels) // columns)
    figure = make_subplots(
        rows=rows, cols=columns, specs=[[{"type": "geo"}] * columns] * rows,
        subplot_titles=[escape(panel.title) for panel in data.panels], horizontal_spacing=0.02,
        vertical_spacing=0.12 / rows,
    )  # fmt: skip
    style.subtitled(figure)
    for number, panel in enumerate(data.panels):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        _add_globe(figure, panel["projections"], (colours or {}).get(panel.title, style.BLUE), place)
    grid = {"showgrid": True, "gridcolor": "rgba(127,127,127,0.35)", "gridwidth": 1}
    # visible=False hides the Earth, whose outlines would be fetched from another server.
    figure.update_geos(
        visible=False, projection={"type": "orthographic", "rotation": {"lon": 50, "lat": 30}}, bgcolor="rgba(0,0,0,0)",
        showframe=True, framecolor=style.GREY, lonaxis=grid | {"dtick": 30}, lataxis=grid | {"dtick": 30},
    )  # fmt: skip
    colour = data.panels[0].colour
    if colour is not None:
        beneath = {"title": {"text": colour.title, "side": "top"}, "orientation": "h", "y": 0, "yanchor": "top"}
        figure.update_layout(coloraxis=_colour_axis(colour, beneath))
    beneath_px = 8 if colour is None else 70
    figure = style.styled(figure, data.title, _ROW * rows + 76 + beneath_px)
    return figure.update_layout(margin={"l": 8, "r": 8, "t": 76, "b": beneath_px})


def _add_globe(figure: go.Figure, points: Series, colour: str, place: dict[str, int]) -> None:
    """Add points at longitude rot and latitude 90° - tilt, and the object's axes."""
    rot, tilt = points.columns["rot"], points.columns["tilt"]
    marker: dict[str, Any] = {"size": 4, "color": colour}
    hover = "rot %{lon:.1f}°, tilt %{customdata[0]:.1f}°"
    hover_values = [tilt]
    if "error" in points.columns:
        hover_values.append(points.columns["error"])
        marker |= {"color": hover_values[1], "coloraxis": "coloraxis"}
        hover += "<br>error %{customdata[1]:.2f}°"
    figure.add_scattergeo(
        lon=rot, lat=90 - tilt, mode="markers", marker=marker, showlegend=False,
        customdata=np.stack(hover_values, axis=1), hovertemplate=f"{hover}<extra></extra>", **place,
    )  # fmt: skip
    figure.add_scattergeo(
        lon=[lon for lon, _ in _AXES.values()], lat=[lat for _, lat in _AXES.values()], text=list(_AXES),
        mode="text", textfont={"size": 15, "weight": "bold"}, hoverinfo="skip", showlegend=False, **place,
    )  # fmt: skip


def map_height(spheres: go.Figure, count: int) -> int:
    """The height in px of each of ``count`` maps that together are as high as the figure of spheres beside them."""
    return max(_LOWEST_MAP, (spheres.layout.height - _BESIDE_MAPS) // count)


def direction_heatmap_figure(data: Figure, row_height: int = _ROW) -> go.Figure:
    """A map for each panel of :func:`engine.analysis.figures.directions.by_solid_angle`, on one scale.

    Names are shown verbatim. Cells without any direction are left empty. ``row_height`` is the height of a map in px.
    """
    figure = _maps(data)
    area = data.values["solid_angle"]
    for row, panel in enumerate(data.panels, start=1):
        series = panel["projections"]
        counts = series.grid("projections")
        _add_map(
            figure, row, series, np.where(counts > 0, counts, np.nan), [counts, series.grid("times_even")],
            f"%{{customdata[0]:,}} projections in {area:.3f} sr<br>"
            f"%{{customdata[1]:.2f}} times the {counts.mean():.3g} of an even distribution",
        )  # fmt: skip
    bar = {"title": {"text": "projections<br>in a cell", "side": "top"}}
    figure.update_layout(coloraxis=_colour_axis(data.panels[0].colour, bar))
    return style.styled(figure, data.title, _BESIDE_MAPS + row_height * len(data.panels))


def error_map_figure(data: Figure) -> go.Figure:
    """The median error of each cell, from :func:`engine.analysis.figures.directions.errors_by_direction`."""
    panel = data.panel
    (series,) = panel.series
    median, mean, counts = (series.grid(name) for name in ("median", "mean", "projections"))
    figure = _maps(data)
    _add_map(
        figure, 1, series, median, [median, mean, np.radians(median), counts],
        "median %{customdata[0]:.3g}° (%{customdata[2]:.3g} rad), mean %{customdata[1]:.3g}°<br>"
        "%{customdata[3]:.0f} projections",
    )  # fmt: skip
    bar = {"title": {"text": "median<br>error (°)", "side": "top"}}
    figure.update_layout(coloraxis=_colour_axis(panel.colour, bar))
    return style.styled(figure, data.title, _BESIDE_MAPS + _ROW)


def _maps(data: Figure) -> go.Figure:
    """Empty maps above one another, so that they stay readable on a narrow screen."""
    names = [escape(panel.title) for panel in data.panels]
    figure = make_subplots(
        rows=len(names), cols=1, shared_xaxes=True, subplot_titles=names if any(names) else None,
        vertical_spacing=0.0 if len(names) == 1 else 0.12 / len(names) + 0.02,
    )  # fmt: skip
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    x, y = data.panels[0].x, data.panels[0].y
    figure.update_xaxes(range=x.range, tickvals=np.arange(-180, 181, 60), showgrid=False, zeroline=False)
    figure.update_xaxes(title=x.title, row=len(names), col=1)
    ticks = {"tickvals": [at for at, _ in y.ticks], "ticktext": [word for _, word in y.ticks]}
    figure.update_yaxes(title=y.title, range=y.range, showgrid=False, zeroline=False, **ticks)
    return figure


def _add_map(
    figure: go.Figure, row: int, series: Series, values: NDArray[Any], hover_values: list[NDArray[Any]], hover: str
) -> None:
    figure.add_heatmap(
        x=series.positions("x"), y=series.positions("y"), z=values, customdata=np.stack(hover_values, axis=-1),
        coloraxis="coloraxis", xgap=1, ygap=1, hovertemplate=f"{hover}<extra></extra>", hoverongaps=False,
        row=row, col=1,
    )  # fmt: skip


def _colour_axis(colour: Axis | None, bar: dict[str, Any]) -> dict[str, Any]:
    low, high = style.ends(colour)
    return {"colorscale": style.SCALE, "cmin": low, "cmax": high, "colorbar": bar | {"thickness": 10}}
