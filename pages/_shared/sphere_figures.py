"""Viewing directions as Plotly figures: on spheres that can be turned, and on equal-area maps. No streamlit.

The maps are Lambert's cylindrical ones, rot against cos(tilt): no side is hidden, equal areas are equal solid angles.
The spheres are drawn as globes, in SVG: a browser has only a few places for WebGL.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from engine.geometry.rotations import viewing_directions
from pages._shared import style

Array = NDArray[np.floating]

_MOST_ON_A_SPHERE = 1000
_AXES = {"x": (0.0, 0.0), "y": (90.0, 0.0), "z": (0.0, 90.0)}  # longitude and latitude of the object's axes
_PER_CELL = 3  # projections that an even distribution would put into a cell
_FEWEST_ROWS, _MOST_ROWS = 4, 18
_TILTS = np.array([0, 45, 90, 135, 180])
_ROW = 250  # px


def sphere_figure(
    directions: Mapping[str, Array],
    errors: Mapping[str, Array] | None = None,
    colours: Mapping[str, str] | None = None,
    title: str = "Viewing directions",
) -> go.Figure:
    """Unit vectors (n, 3) by name, each on a sphere of its own, at most 1,000 of them; dragging turns a sphere.

    Names are shown letter by letter. Points have the colour of their error, ``errors`` (n,) by name in rad, or else one
    colour by name.
    """
    columns = min(len(directions), 2 if len(directions) <= 4 else 3)
    rows = -(-len(directions) // columns)
    figure = make_subplots(
        rows=rows, cols=columns, specs=[[{"type": "geo"}] * columns] * rows,
        subplot_titles=[escape(name) for name in directions], horizontal_spacing=0.02,
        vertical_spacing=0.12 / rows,
    )  # fmt: skip
    style.subtitled(figure)
    for number, (name, vectors) in enumerate(directions.items()):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        shown = vectors[:_MOST_ON_A_SPHERE]
        rot, tilt = _rot_and_tilt(shown)
        marker: dict[str, Any] = {"size": 4, "color": (colours or {}).get(name, style.BLUE)}
        hover = "rot %{lon:.1f}°, tilt %{customdata[0]:.1f}°"
        told = [tilt]
        if errors is not None:
            told.append(np.degrees(errors[name][:_MOST_ON_A_SPHERE]))
            marker |= {"color": told[1], "coloraxis": "coloraxis"}
            hover += "<br>error %{customdata[1]:.2f}°"
        figure.add_scattergeo(
            lon=rot, lat=90 - tilt, mode="markers", marker=marker, showlegend=False,
            customdata=np.stack(told, axis=1), hovertemplate=f"{hover}<extra></extra>", **place,
        )  # fmt: skip
        figure.add_scattergeo(
            lon=[lon for lon, _ in _AXES.values()], lat=[lat for _, lat in _AXES.values()], text=list(_AXES),
            mode="text", textfont={"size": 15, "weight": "bold"}, hoverinfo="skip", showlegend=False, **place,
        )  # fmt: skip
    grid = {"showgrid": True, "gridcolor": "rgba(127,127,127,0.35)", "gridwidth": 1}
    # visible=False leaves out the Earth, whose outlines would be fetched from elsewhere.
    figure.update_geos(
        visible=False, projection={"type": "orthographic", "rotation": {"lon": 50, "lat": 30}}, bgcolor="rgba(0,0,0,0)",
        showframe=True, framecolor=style.GREY, lonaxis=grid | {"dtick": 30}, lataxis=grid | {"dtick": 30},
    )  # fmt: skip
    if errors is not None:
        beneath = {"title": {"text": "error (°)", "side": "top"}, "orientation": "h", "y": 0, "yanchor": "top"}
        axis = _error_axis(np.concatenate([errors[name] for name in directions]), beneath)
        figure.update_layout(coloraxis=axis)
    most = max(len(vectors) for vectors in directions.values())
    few = "" if most <= _MOST_ON_A_SPHERE else f", the first {_MOST_ON_A_SPHERE:,} of {most:,}"
    beneath_px = 8 if errors is None else 70
    figure = style.styled(figure, f"{title}{few}", _ROW * rows + 76 + beneath_px)
    return figure.update_layout(margin={"l": 8, "r": 8, "t": 76, "b": beneath_px})


def direction_heatmap_figure(
    directions: Mapping[str, Array], title: str = "Viewing directions by solid angle", row_height: int = _ROW
) -> go.Figure:
    """How many of the unit vectors (n, 3) point into each cell of equal solid angle; a map for each name, one scale.

    Names are shown letter by letter. Cells without any direction are left empty. ``row_height`` is that of a map, px.
    """
    edges = cell_edges(min(len(vectors) for vectors in directions.values()))
    figure = _maps([escape(name) for name in directions])
    area = 4 * np.pi / ((len(edges[0]) - 1) * (len(edges[1]) - 1))
    most = 0
    for row, vectors in enumerate(directions.values(), start=1):
        counts = cell_counts(vectors, edges)
        uniform = len(vectors) / counts.size
        most = max(most, int(counts.max()))
        _add_map(
            figure, row, edges, np.where(counts > 0, counts, np.nan), [counts, counts / uniform],
            f"%{{customdata[0]:,}} projections in {area:.3f} sr<br>"
            f"%{{customdata[1]:.2f}} times the {uniform:.3g} of an even distribution",
        )  # fmt: skip
    bar = {"title": {"text": "projections<br>in a cell", "side": "top"}, "thickness": 10}
    figure.update_layout(coloraxis={"colorscale": "Viridis", "cmin": 0, "cmax": max(1, most), "colorbar": bar})
    return style.styled(figure, title, 90 + row_height * len(directions))


def error_map_figure(poses: Array, errors: Array, title: str = "Angle error over the sphere") -> go.Figure:
    """Median of the angle errors (n,), rad, of the poses (n, 3, 3) that look into each cell of equal solid angle."""
    directions = viewing_directions(poses)
    edges = cell_edges(len(errors))
    median, mean, counts = cell_errors(directions, np.degrees(errors), edges)
    figure = _maps([""])
    _add_map(
        figure, 1, edges, median, [median, mean, np.radians(median), counts],
        "median %{customdata[0]:.3g}° (%{customdata[2]:.3g} rad), mean %{customdata[1]:.3g}°<br>"
        "%{customdata[3]:.0f} projections",
    )  # fmt: skip
    bar = {"title": {"text": "median<br>error (°)", "side": "top"}}
    figure.update_layout(coloraxis=_error_axis(np.radians(median[counts > 0]), bar))
    return style.styled(figure, title, 90 + _ROW)


def cell_edges(count: int) -> tuple[Array, Array]:
    """Edges in rot (degrees) and in cos(tilt) of cells of equal solid angle, of a size that suits ``count`` directions.

    On the equator the cells are about as wide as high.
    """
    rows = int(np.clip(round(np.sqrt(count / (3 * _PER_CELL))), _FEWEST_ROWS, _MOST_ROWS))
    return np.linspace(-180.0, 180.0, 3 * rows + 1), np.linspace(-1.0, 1.0, rows + 1)


def cell_counts(directions: Array, edges: tuple[Array, Array]) -> NDArray[np.int64]:
    """How many directions (n, 3) there are in each cell [cos(tilt), rot]."""
    shape = len(edges[1]) - 1, len(edges[0]) - 1
    return np.bincount(_cells(directions, edges), minlength=shape[0] * shape[1]).reshape(shape)


def cell_errors(directions: Array, errors: Array, edges: tuple[Array, Array]) -> tuple[Array, Array, NDArray[np.int64]]:
    """Median and mean of the errors (n,) in each cell [cos(tilt), rot], NaN where there is none; and how many."""
    counts = cell_counts(directions, edges)
    member = _cells(directions, edges)
    median, mean = np.full(counts.size, np.nan), np.full(counts.size, np.nan)
    for cell in np.flatnonzero(counts):
        inside = errors[member == cell]
        median[cell], mean[cell] = np.median(inside), np.mean(inside)
    return median.reshape(counts.shape), mean.reshape(counts.shape), counts


def _rot_and_tilt(directions: Array) -> tuple[Array, Array]:
    x, y, z = np.asarray(directions, dtype=float).T
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(np.hypot(x, y), z))


def _cells(directions: Array, edges: tuple[Array, Array]) -> NDArray[np.int64]:
    """The number of each direction's cell, counted along rot first."""
    rot, _ = _rot_and_tilt(directions)
    columns, rows = len(edges[0]) - 1, len(edges[1]) - 1
    column = np.clip(((rot + 180.0) / 360.0 * columns).astype(int), 0, columns - 1)
    row = np.clip(((directions[:, 2] + 1.0) / 2.0 * rows).astype(int), 0, rows - 1)
    return row * columns + column


def _maps(names: list[str]) -> go.Figure:
    """Empty maps above one another, so that they stay readable on a narrow screen."""
    figure = make_subplots(
        rows=len(names), cols=1, shared_xaxes=True, subplot_titles=names if any(names) else None,
        vertical_spacing=0.0 if len(names) == 1 else 0.12 / len(names) + 0.02,
    )  # fmt: skip
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    figure.update_xaxes(range=[-180, 180], tickvals=np.arange(-180, 181, 60), showgrid=False, zeroline=False)
    figure.update_xaxes(title="rot (°)", row=len(names), col=1)
    ticks = {"tickvals": np.cos(np.radians(_TILTS)), "ticktext": [str(tilt) for tilt in _TILTS]}
    figure.update_yaxes(title="tilt (°)", range=[-1, 1], showgrid=False, zeroline=False, **ticks)
    return figure


def _add_map(
    figure: go.Figure, row: int, edges: tuple[Array, Array], values: Array, told: list[NDArray[Any]], hover: str
) -> None:
    figure.add_heatmap(
        x=edges[0], y=edges[1], z=values, customdata=np.stack(told, axis=-1), coloraxis="coloraxis", xgap=1, ygap=1,
        hovertemplate=f"{hover}<extra></extra>", hoverongaps=False, row=row, col=1,
    )  # fmt: skip


def _error_axis(errors: Array, bar: dict[str, Any]) -> dict[str, Any]:
    """Colours of errors in rad, drawn in degrees; the few largest share the brightest."""
    top = float(np.quantile(np.degrees(errors), 0.98))
    return {"colorscale": "Cividis", "cmin": 0, "cmax": top or 1.0, "colorbar": bar | {"thickness": 10}}
