"""What the figures have in common: colours, sizes, titles, legends.

Colours are Okabe and Ito's, which the colour-blind can tell apart; maps of counts and errors are viridis and cividis.
Texts and grids are left to the theme, so that the figures are readable on light and on dark.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from engine.analysis.figures.data import Axis

Figure = go.Figure
"""A figure as Plotly has it: the type, for those who pass one on and draw nothing."""

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F",
)  # fmt: skip

_RUN_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_RUN_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

TALL, MIDDLE, WIDE = 580, 340, 420
MARGIN = {"l": 56, "r": 16, "t": 48, "b": 44}
# At the lower end, where it may wrap on a narrow screen without covering the title.
LEGEND = {
    "orientation": "h",
    "x": 0,
    "xanchor": "left",
    "y": 0,
    "yref": "container",
    "yanchor": "bottom",
    "title": None,
}


def run_colour(number: int) -> str:
    """The colour of a run wherever runs are told apart, from its ``number`` in the catalogue (1, 2, ...)."""
    # Shifted by one after each round: every third or sixth run, one seed of a sweep, is to have several colours too.
    rounds, place = divmod(number - 1, len(_RUN_COLOURS))
    return _RUN_COLOURS[(place + rounds) % len(_RUN_COLOURS)]


def run_dash(number: int) -> str:
    """The kind of line of a run; with the colour it tells any 36 runs that follow one another apart."""
    return _RUN_DASHES[(number - 1) // len(_RUN_COLOURS) % len(_RUN_DASHES)]


def ends(axis: Axis | None) -> tuple[float, float]:
    """From where to where an axis or its colours go, which the data say."""
    assert axis is not None
    assert axis.range is not None
    return axis.range


def line(
    figure: go.Figure, x: Any, y: Any, name: str, colour: str, dash: str, row: int, hover: str | None = None
) -> None:
    """A line in a row of the figure, with its name in the legend; ``hover`` is what pointing at it shows."""
    figure.add_scatter(
        x=x, y=y, mode="lines", line={"color": colour, "dash": dash, "width": 2}, name=name,
        hoverinfo="skip" if hover is None else None, hovertemplate=None if hover is None else f"{hover}<extra></extra>",
        row=row, col=1,
    )  # fmt: skip


def note(figure: go.Figure, text: str, x: float, y: float, anchor: str) -> None:
    """A text within the first of the figure's plots, at a place given in parts of its width and height."""
    figure.add_annotation(
        text=text, x=x, y=y, xref="x domain", yref="y domain", xanchor=anchor, yanchor="top", showarrow=False
    )


def subtitled(figure: go.Figure) -> go.Figure:
    """Titles of subplots in small print; to be called before anything else is noted on the figure."""
    return figure.update_annotations(font={"size": 12}, yanchor="bottom")


def styled(figure: go.Figure, title: str, height: int) -> go.Figure:
    """The figure with a title and a height in px, in the style of all."""
    figure.update_layout(
        title={"text": title, "font": {"size": 15}}, height=height, margin=MARGIN, legend=LEGEND, bargap=0
    )
    figure.update_xaxes(exponentformat="power")
    figure.update_yaxes(exponentformat="power")
    return figure
