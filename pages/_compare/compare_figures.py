"""Runs compared as Plotly figures, each run in its own colour and kind of line. No streamlit, no files.

Angles come in rad and are drawn in degrees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from pages._compare.compare_table import MEASURES, SEPARATOR, Compared, Line, line_of
from pages._shared import style, text

Array = NDArray[np.floating]

_FEWEST_BARS, _MOST_BARS = 15, 60
_FEW_RUNS = 3  # have their names in the legend
_MOST_POINTS = 400  # of a run's curve
_MOST_QUANTILES = 200
_ROW = 230  # px
_FAINT = 0.45
_BENEATH = 44 + 3 * 20  # px: the axis and three lines of a legend


class Training(NamedTuple):
    """Loss (n,) and validation L_DE (n,) in rad, NaN where not measured, by the optimiser's step (n,)."""

    step: Array
    loss: Array
    validation_mae: Array


def metrics_figure(lines: Sequence[Line], baseline: Compared, keys: Sequence[str]) -> go.Figure:
    """Measures with their standard deviations, a panel a measure, the runs by letter; single runs as small dots.

    Numbers: :func:`pages._compare.compare_table.metric_table`. A dashed line is at the baseline's value.
    """
    columns = min(2, len(keys))
    rows = -(-len(keys) // columns)
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=[text.indexed(MEASURES[key].label) for key in keys],
        horizontal_spacing=0.12, vertical_spacing=0.32 / rows,
    )  # fmt: skip
    style.subtitled(figure)
    reference = line_of(lines, baseline)
    for number, key in enumerate(keys):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        for line in lines:
            _add_measure(figure, line, key, number == 0, place)
        if (spread := reference.spreads[key]) is not None:
            figure.add_hline(spread.mean, line={"color": style.GREY, "dash": "dash", "width": 1}, **place)
    names = [line.letters for line in lines]
    figure.update_xaxes(
        type="category", categoryorder="array", categoryarray=names, range=[-0.5, len(names) - 0.5], showgrid=False
    )
    figure.update_yaxes(rangemode="tozero")
    return _with_key(figure, "Metrics, mean ± standard deviation over seeds", 40 + _ROW * rows, len(lines))


def _add_measure(figure: go.Figure, line: Line, key: str, legend: bool, place: dict[str, int]) -> None:
    spread = line.spreads[key]
    run, name = line.runs[0], f"{line.letters}{SEPARATOR}{escape(line.title)}"
    if len(line.runs) > 1:
        singles = [
            (escape(one.label), value)
            for one, value in zip(line.runs, line.singles[key], strict=True)
            if value is not None
        ]
        figure.add_scatter(
            x=[line.letters] * len(singles), y=[value for _, value in singles], mode="markers",
            marker={"size": 5, "color": run.colour, "opacity": _FAINT}, showlegend=False, legendgroup=name,
            customdata=[said for said, _ in singles], hovertemplate="%{customdata}: %{y:.4g}<extra></extra>", **place,
        )  # fmt: skip
    said = "" if spread is None or spread.sd is None else f" ± {spread.sd:.2g}, {spread.n} runs"
    figure.add_scatter(
        x=[line.letters], y=[None if spread is None else spread.mean], name=name, legendgroup=name, showlegend=legend,
        error_y={
            "type": "data", "array": [None if spread is None else spread.sd], "color": run.colour, "thickness": 2,
        },
        mode="markers", marker={"size": 11, "color": run.colour},
        hovertemplate=f"{name}<br>{MEASURES[key].label} %{{y:.4g}}{said}<extra></extra>", **place,
    )  # fmt: skip


def angle_errors_figure(runs: Sequence[Compared], errors: Mapping[str, Array], logarithmic: bool = False) -> go.Figure:
    """Angle errors (n,) in rad by the runs' letters: histograms, and beneath them which share is below an error."""
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09, subplot_titles=["histograms", "cumulative"]
    )
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    shown = [(run, np.degrees(errors[run.letter])) for run in runs if run.letter in errors]
    edges = _edges([found for _, found in shown], logarithmic)
    middles = np.sqrt(edges[:-1] * edges[1:]) if logarithmic else (edges[:-1] + edges[1:]) / 2
    ends = np.stack([edges[:-1], edges[1:]], axis=1)
    ends = np.concatenate([ends, np.radians(ends)], axis=1)
    for run, found in shown:
        name = escape(run.label)
        beyond = int(np.count_nonzero(found > edges[-1]))
        figure.add_scatter(
            x=middles, y=100 * np.histogram(found, edges)[0] / len(found), customdata=ends, **_line(run, "hvh"),
            hovertemplate=f"{name}<br>%{{customdata[0]:.3g}}–%{{customdata[1]:.3g}}° "
            "(%{customdata[2]:.3g}–%{customdata[3]:.3g} rad)<br>%{y:.3g} % of the projections"
            f"{f', {beyond:,} of {len(found):,} beyond →' if beyond else ''}<extra></extra>", row=1, col=1,
        )  # fmt: skip
        share, at = cumulative(found)
        figure.add_scatter(
            x=at, y=100 * share, customdata=np.radians(at), **_line(run) | {"showlegend": False},
            hovertemplate=f"{name}<br>%{{y:.3g}} % below %{{x:.3g}}° (%{{customdata:.3g}} rad)<extra></extra>",
            row=2, col=1,
        )  # fmt: skip
    figure.add_hline(50, line={"color": style.GREY, "dash": "dot", "width": 1}, row=2, col=1)
    figure.update_xaxes(
        type="log" if logarithmic else "linear", range=np.log10(edges[[0, -1]]) if logarithmic else edges[[0, -1]]
    )
    figure.update_xaxes(title="angle between recovered and true pose (°)", row=2, col=1)
    figure.update_yaxes(title="% of projections", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title="% below", range=[0, 101], row=2, col=1)
    return _with_key(figure, "Angle errors after alignment", style.TALL, len(shown))


def cumulative(values: Array) -> tuple[Array, Array]:
    """Shares (m,) from 0 to 1 and the values (m,) that so many are not above, at most 200 of them."""
    share = np.linspace(0.0, 1.0, min(len(values), _MOST_QUANTILES))
    return share, np.quantile(values, share, method="inverted_cdf")


def _edges(found: Sequence[Array], logarithmic: bool) -> Array:
    """Of bars that all runs share; few outliers of one run must not squeeze the others into one bar."""
    bars = int(np.clip(1.5 * np.sqrt(min(map(len, found))), _FEWEST_BARS, _MOST_BARS))
    if not logarithmic:
        end = max(min(float(values.max()), 1.5 * float(np.quantile(values, 0.98))) for values in found) or 1.0
        return np.linspace(0.0, end, bars + 1)
    end = max(float(values.max()) for values in found) or 1.0
    begin = min((float(np.quantile(values[values > 0], 0.005)) for values in found if np.any(values > 0)), default=0.0)
    return np.geomspace(min(begin, end / 10) or end / 1000, end, bars + 1)


def training_figure(runs: Sequence[Compared], curves: Mapping[str, Training]) -> go.Figure:
    """Training loss and validation L_DE against the optimiser's step, by the runs' letters."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    shown = [run for run in runs if run.letter in curves]
    for run in shown:
        step, loss, validation = curves[run.letter]
        every = max(1, len(step) // _MOST_POINTS)
        figure.add_scatter(
            x=step[::every], y=loss[::every], **_line(run),
            hovertemplate=f"{escape(run.label)}<br>step %{{x}}: loss %{{y:.4g}}<extra></extra>", row=1, col=1,
        )  # fmt: skip
        told = np.isfinite(validation)
        figure.add_scatter(
            x=step[told], y=np.degrees(validation[told]), customdata=validation[told],
            **_line(run) | {"showlegend": False},
            hovertemplate=f"{escape(run.label)}<br>step %{{x}}: validation L<sub>DE</sub> %{{y:.3g}}° "
            "(%{customdata:.3g} rad)<extra></extra>", row=2, col=1,
        )  # fmt: skip
    figure.update_xaxes(title="step", row=2, col=1)
    figure.update_yaxes(type="log", dtick=1, title="training loss", row=1, col=1)
    figure.update_yaxes(rangemode="tozero", title="validation L<sub>DE</sub> (°)", row=2, col=1)
    return _with_key(figure, "Training of the network", style.TALL, len(shown))


def recovery_figure(runs: Sequence[Compared], curves: Mapping[str, Array]) -> go.Figure:
    """Recovery loss L_OR (iterations + 1,) in rad² against the iteration, by the runs' letters."""
    figure = make_subplots(rows=1, cols=1)
    shown = [run for run in runs if run.letter in curves]
    for run in shown:
        figure.add_scatter(
            x=np.arange(len(curves[run.letter])), y=curves[run.letter], **_line(run),
            hovertemplate=f"{escape(run.label)}<br>iteration %{{x}}: %{{y:.4g}} rad²<extra></extra>", row=1, col=1,
        )  # fmt: skip
    positive = all(np.all(curves[run.letter] > 0) for run in shown)
    figure.update_xaxes(title="iteration")
    figure.update_yaxes(type="log" if positive else "linear", title="L<sub>OR</sub> (rad²)")
    return _with_key(figure, "Recovery of the poses", style.WIDE, len(shown))


def _line(run: Compared, shape: str = "linear") -> dict[str, Any]:
    return {
        "mode": "lines", "name": escape(run.label), "legendgroup": run.letter,
        "line": {"color": run.colour, "dash": run.dash, "width": 2, "shape": shape},
    }  # fmt: skip


def _with_key(figure: go.Figure, title: str, height: int, entries: int) -> go.Figure:
    """With a legend: of few runs their names; of many their letters, for names would fill a narrow screen."""
    if entries > _FEW_RUNS:
        figure.for_each_trace(lambda trace: trace.update(name=(trace.name or "").partition(SEPARATOR)[0]))
    styled = style.styled(figure, title, height + _BENEATH)
    return styled.update_layout(margin={**style.MARGIN, "t": 64, "b": _BENEATH}, showlegend=True)
