"""The common style of the figures: colours, sizes, titles, legends.

Colours are Okabe and Ito's, which colour-blind people can distinguish. Text and grid colours are left to the theme, so
that the figures are readable on light and dark backgrounds; so are counts and errors, with one scale for both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from engine.analysis.figures.data import Axis

Figure = go.Figure
"""The type of a Plotly figure, for modules that pass figures on without drawing them."""

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F",
)  # fmt: skip

_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

SCALE = [
    "#2C66C7", "#765DBF", "#9E55AF", "#BA4F98", "#CD4F80", "#DA5267", "#E05C4E", "#E26833", "#E0770C",
]  # fmt: skip
"""Colours of counts and errors, from low to high.

Viridis and its relatives begin as dark as the dark background and end as bright as the light one, where what they show
disappears. These are lighter towards the end, from blue to orange, so that colour-blind people see their order too, and
every one of them has a contrast of 3 or more with both backgrounds (WCAG 2.2, 1.4.11).
"""

TALL, MIDDLE, WIDE = 580, 340, 420
_SMALL = 12  # px, the smallest print
# A logarithmic axis of that many decades, or of so many down to tiny values, is labelled with some powers of ten alone:
# "0.000002" beside a panel would cover its neighbour on a narrow screen.
_MANY_DECADES, _SOME_DECADES, _TINY, _MOST_TICKS = 4, 2, -3, 6
_ROOM = 0.04  # of a logarithmic axis, added at both ends so that markers there are not cut
MARGIN = {"l": 56, "r": 16, "t": 48, "b": 44}
# At the bottom, where it may wrap on a narrow screen without covering the title.
LEGEND = {
    "orientation": "h",
    "x": 0,
    "xanchor": "left",
    "y": 0,
    "yref": "container",
    "yanchor": "bottom",
    "title": None,
    "font": {"size": _SMALL},
}


class Stroke(NamedTuple):
    """Colour and dash style of a line, in Plotly's terms."""

    colour: str
    dash: str


_STROKES = tuple(Stroke(colour, dash) for dash in _DASHES for colour in _COLOURS)


def run_stroke(number: int) -> Stroke:
    """A run's own stroke, from its ``number`` in the catalogue (1, 2, ...): unique among 36 consecutive runs."""
    # Shifted by one after each round, so that every third or sixth run, such as one seed of a sweep, varies in colour.
    rounds, place = divmod(number - 1, len(_COLOURS))
    return Stroke(_COLOURS[(place + rounds) % len(_COLOURS)], _DASHES[rounds % len(_DASHES)])


def run_strokes(numbers: Iterable[int]) -> dict[int, Stroke]:
    """The strokes of at most 36 runs that are compared, by number; no two are equal, nor are colours of up to six runs.

    A run keeps its own stroke unless an older run in the comparison has the same one or, of up to six runs, its colour:
    markers have no dashes. It then gets an unused stroke with the least used colour.
    """
    ordered = sorted(set(numbers))
    are_few = len(ordered) <= len(_COLOURS)
    strokes: dict[int, Stroke] = {}
    for number in ordered:
        own = run_stroke(number)
        taken = {stroke.colour for stroke in strokes.values()} if are_few else set(strokes.values())
        if (own.colour if are_few else own) not in taken:
            strokes[number] = own
    for number in ordered:
        if number not in strokes:
            strokes[number] = _least_used(list(strokes.values()))
    return strokes


def _least_used(taken: Sequence[Stroke]) -> Stroke:
    """An unused stroke with the least used colour and, among these, the least used dash style."""
    free = [stroke for stroke in _STROKES if stroke not in taken]
    colours, dashes = Counter(colour for colour, _ in taken), Counter(dash for _, dash in taken)
    return min(free or _STROKES, key=lambda stroke: (colours[stroke.colour], dashes[stroke.dash]))


def place_stroke(place: int) -> Stroke:
    """The stroke of a position (0, 1, ...) among at most 36; neighbours differ in colour and dash style."""
    rounds, at = divmod(place, len(_COLOURS))
    return Stroke(_COLOURS[at], _DASHES[(at + rounds) % len(_DASHES)])


def ends(axis: Axis | None) -> tuple[float, float]:
    """The range of an axis or colour scale, which the data must give."""
    assert axis is not None
    assert axis.range is not None
    return axis.range


def scale(axis: Axis) -> dict[str, Any]:
    """Plotly's layout of an axis of values: linear from zero, or logarithmic."""
    if not axis.log:
        return {"type": "linear", "rangemode": "tozero"}
    low, high = (math.log10(end) for end in ends(axis))
    room = _ROOM * (high - low)
    layout: dict[str, Any] = {"type": "log", "range": [low - room, high + room]}
    decades = high - low
    if decades > _MANY_DECADES or (decades > _SOME_DECADES and low < _TINY):
        layout["dtick"] = math.ceil(decades / _MOST_TICKS)
    return layout


def positions(values: Sequence[float | None], axis: Axis) -> list[float | None]:
    """Positions of values along an axis of :func:`scale`: zero is at the lower end of a logarithmic one."""
    if not axis.log:
        return list(values)
    lowest, _ = ends(axis)
    return [lowest if value == 0 else value for value in values]


def symbols(values: Sequence[float | None], axis: Axis, symbol: str) -> list[str]:
    """The symbol of each value; a triangle pointing down for a zero on a logarithmic axis."""
    return ["triangle-down" if axis.log and value == 0 else symbol for value in values]


def line(
    figure: go.Figure, x: Any, y: Any, name: str, colour: str, dash: str, row: int, hover: str | None = None
) -> None:
    """Add a line to a row of the figure, with its name in the legend; ``hover`` is its hover text."""
    figure.add_scatter(
        x=x, y=y, mode="lines", line={"color": colour, "dash": dash, "width": 2}, name=name,
        hoverinfo="skip" if hover is None else None, hovertemplate=None if hover is None else f"{hover}<extra></extra>",
        row=row, col=1,
    )  # fmt: skip


def note(figure: go.Figure, text: str, x: float, y: float, anchor: str) -> None:
    """Add a text to the figure's first plot, at a position in fractions of its width and height."""
    figure.add_annotation(
        text=text, x=x, y=y, xref="x domain", yref="y domain", xanchor=anchor, yanchor="top", showarrow=False
    )


def subtitled(figure: go.Figure) -> go.Figure:
    """Set titles of subplots in small print; to be called before other annotations are added."""
    return figure.update_annotations(font={"size": _SMALL}, yanchor="bottom")


def styled(figure: go.Figure, title: str, height: int) -> go.Figure:
    """The figure with a title and a height in px, in the common style."""
    figure.update_layout(
        title={"text": title, "font": {"size": 15}},
        height=height,
        margin=MARGIN,
        legend=LEGEND,
        bargap=0,
        font={"size": _SMALL},
    )
    for axes in (figure.update_xaxes, figure.update_yaxes):
        axes(exponentformat="power", tickfont={"size": _SMALL})
        # With a format Plotly labels 2 and 5 between decades that are far apart in full, not with one small digit.
        axes(tickformat="~g", selector=lambda axis: axis.type == "log" and axis.dtick is None)
    figure.update_yaxes(minexponent=5, separatethousands=True)
    figure.update_coloraxes(colorbar={"tickfont": {"size": _SMALL}})
    return figure
