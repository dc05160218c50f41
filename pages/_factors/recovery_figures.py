"""Recoveries side by side, drawn with Plotly. No Streamlit, no files.

The data are from :func:`engine.analysis.figures.levels.recovery_losses`.
"""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.analysis.figures.data import Figure
from pages._shared import level_figures, style, text

_LEGEND_PX = 60


def losses_figure(data: Figure) -> go.Figure:
    """The loss of each run against the iteration, one colour and one legend entry per level."""
    figure = make_subplots(rows=1, cols=1)
    panel = data.panel
    levels = list(dict.fromkeys(series.role for series in panel.series))
    named = set()
    for series in panel.series:
        level = series.role
        figure.add_scatter(
            x=series.columns["x"], y=series.columns["y"], mode="lines",
            line=level_figures.level_line(levels.index(level)), name=escape(level), legendgroup=level,
            showlegend=level not in named,
            hovertemplate=f"{escape(level)}<br>iteration %{{x}}: %{{y:.4g}} {panel.y.unit}<extra></extra>",
            row=1, col=1,
        )  # fmt: skip
        named.add(level)
    figure.update_xaxes(title=panel.x.title)
    figure.update_yaxes(type="log" if panel.y.log else "linear", title=text.indexed(panel.y.title))
    styled = style.styled(figure, data.title, style.WIDE + _LEGEND_PX)
    return styled.update_layout(margin={**style.MARGIN, "b": 44 + _LEGEND_PX}, showlegend=True)
