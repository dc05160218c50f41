"""Surfaces of densities in 3D drawn with Plotly. No Streamlit, no files."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.analysis.figures.data import Figure
from pages._shared import style

_ROW = 380  # px
_CAMERA = {"eye": {"x": 1.4, "y": -1.4, "z": 0.75}, "center": {"x": 0, "y": 0, "z": -0.1}}  # sees the whole cube
_GRID = "#9CA3AF"  # visible on light and dark backgrounds; WebGL draws no transparent grids
_LIGHT = {"ambient": 0.45, "diffuse": 0.8, "specular": 0.15, "roughness": 0.6, "fresnel": 0.1}


def isosurface_figure(data: Figure, colours: Mapping[str, str] | None = None) -> go.Figure:
    """Surfaces one beneath another, for a narrow screen has no room beside one, on axes of equal scale.

    ``data`` is from :func:`engine.analysis.figures.densities.isosurfaces`.
    ``colours`` are by the density's name.
    """
    names = [panel.title for panel in data.panels]
    figure = make_subplots(
        rows=len(names), cols=1, specs=[[{"type": "scene"}]] * len(names), vertical_spacing=0.06,
        subplot_titles=names if len(names) > 1 else None,
    )  # fmt: skip
    style.subtitled(figure)
    for row, (name, panel) in enumerate(zip(names, data.panels, strict=True), start=1):
        figure.add_mesh3d(
            **panel["vertices"].columns, **panel["faces"].columns, color=(colours or {}).get(name, style.SKY),
            flatshading=False, lighting=_LIGHT, name=name, lightposition={"x": 1000, "y": -2000, "z": 3000},
            hovertemplate="%{x:.0f}, %{y:.0f}, %{z:.0f} Å<extra></extra>", row=row, col=1,
        )  # fmt: skip
        if not len(panel["vertices"]):
            scene = next(figure.select_scenes(row=row, col=1))
            middle = (scene.domain.y[0] + scene.domain.y[1]) / 2
            figure.add_annotation(
                text=f"no surface at {data.values[name]:.3g} σ", x=0.5, y=middle, xref="paper", yref="paper",
                showarrow=False,
            )  # fmt: skip
    axis = {
        "showbackground": False, "gridcolor": _GRID, "color": style.GREY, "nticks": 5, "zeroline": False,
        "showspikes": False, "showline": True, "linecolor": _GRID, "tickfont": {"size": 12},
    }  # fmt: skip
    first = data.panels[0]
    assert first.z is not None
    named = {"xaxis": first.x, "yaxis": first.y, "zaxis": first.z}
    figure.update_scenes(
        {name: axis | {"range": each.range, "title": {"text": each.title}} for name, each in named.items()},
        aspectmode="cube", camera=_CAMERA, dragmode="orbit",
    )  # fmt: skip
    figure.update_layout(uirevision="isosurface")
    height = style.WIDE if len(names) == 1 else _ROW * len(names)
    return style.styled(figure, data.title, height).update_layout(margin={"l": 0, "r": 0, "t": 64, "b": 8})
