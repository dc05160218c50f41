"""Recoveries side by side as Plotly figures. No streamlit, no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from pages._shared import level_figures, style

_LEGEND_PX = 60


def losses_figure(curves: Mapping[str, Sequence[NDArray[np.floating]]]) -> go.Figure:
    """L_OR (iterations + 1,) in rad² of each run against the iteration, a colour a level."""
    figure = make_subplots(rows=1, cols=1)
    for number, (name, each) in enumerate(curves.items()):
        for seed, curve in enumerate(each):
            figure.add_scatter(
                x=np.arange(len(curve)), y=curve, mode="lines", line=level_figures.level_line(number),
                name=escape(name), legendgroup=name, showlegend=seed == 0,
                hovertemplate=f"{escape(name)}<br>iteration %{{x}}: %{{y:.4g}} rad²<extra></extra>", row=1, col=1,
            )  # fmt: skip
    positive = all(np.all(curve > 0) for each in curves.values() for curve in each)
    figure.update_xaxes(title="iteration of the final minimisation")
    figure.update_yaxes(type="log" if positive else "linear", title="L<sub>OR</sub> (rad²)")
    styled = style.styled(figure, "Loss of each run, over the pairs that it used", style.WIDE + _LEGEND_PX)
    return styled.update_layout(margin={**style.MARGIN, "b": 44 + _LEGEND_PX}, showlegend=True)
