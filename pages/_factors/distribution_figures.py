"""How orientations, and the distances between them, are distributed, drawn with Plotly. No Streamlit, no files.

The data are from :mod:`engine.analysis.figures.distributions`: levels as steps, closed forms as dashed grey lines.
"""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.analysis.figures.data import Figure, Series
from pages._shared import style
from pages._shared.level_figures import add_level_line


def orientation_figure(data: Figure) -> go.Figure:
    """Distributions of Euler angles and distances."""
    figure = _panels(data, "%{customdata[0]:.3g}° to %{customdata[1]:.3g}°: %{y:.3g} % by degree")
    for number, panel in enumerate(data.panels):
        low, _ = style.ends(panel.x)
        figure.update_xaxes(range=panel.x.range, dtick=90 if low else 45, **_place(number))
    return style.styled(figure, data.title, 600)


def quaternion_figure(data: Figure) -> go.Figure:
    """Distributions of the components of quaternions."""
    figure = _panels(data, "%{customdata[0]:.1f} to %{customdata[1]:.1f}: density %{y:.2f}")
    return style.styled(figure, data.title, 600)


def strategy_figure(data: Figure) -> go.Figure:
    """The distribution of true distances among the training pairs of each strategy."""
    figure = make_subplots(rows=1, cols=1)
    panel = data.panel
    for number, series in enumerate(_steps(panel.series)):
        hover = "%{customdata[0]:g}–%{customdata[1]:g}°: %{y:.3g} % of the weight"
        add_level_line(figure, series, number, hover, 1, 1, True)
    for form in _forms(panel.series):
        style.line(figure, form.columns["x"], form.columns["y"], form.name, style.GREY, "dash", row=1)
    figure.update_xaxes(title=panel.x.title, range=panel.x.range, dtick=30)
    figure.update_yaxes(title=panel.y.title, rangemode="tozero")
    return style.styled(figure, data.title, style.WIDE)


def _panels(data: Figure, hover: str) -> go.Figure:
    """Four panels; a level's colour is given by its position in the first of them."""
    figure = make_subplots(
        rows=2, cols=2, subplot_titles=[panel.title for panel in data.panels], horizontal_spacing=0.15,
        vertical_spacing=0.16,
    )  # fmt: skip
    style.subtitled(figure)
    levels = [series.name for series in _steps(data.panels[0].series)]
    for number, panel in enumerate(data.panels):
        place = _place(number)
        for series in _steps(panel.series):
            add_level_line(figure, series, levels.index(series.name), hover, legend=number == 0, **place)
        for form in _forms(panel.series):
            figure.add_scatter(
                x=form.columns["x"], y=form.columns["y"], mode="lines",
                line={"color": style.GREY, "dash": "dash", "width": 2}, name=form.name, legendgroup=form.name,
                showlegend=number == 0, hoverinfo="skip", **place,
            )  # fmt: skip
        figure.update_xaxes(title=panel.x.title, **place)
        figure.update_yaxes(rangemode="tozero", title=panel.y.title if number % 2 == 0 else None, **place)
    return figure


def _steps(series: Sequence[Series]) -> list[Series]:
    return [one for one in series if one.kind == "steps"]


def _forms(series: Sequence[Series]) -> list[Series]:
    return [one for one in series if one.kind == "reference"]


def _place(panel: int) -> dict[str, int]:
    return {"row": panel // 2 + 1, "col": panel % 2 + 1}
