"""A factor's levels side by side as Plotly figures: small multiples on one scale. No streamlit, no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from engine.analysis.figures import projections
from pages._shared import picture_figures, style, text
from pages._shared.level_table import MEASURES, Line, column

Array = NDArray[np.floating]

_CELLS = 50  # a side of a small panel; finer cells would be less than 5 px
_BARS = 40
_COLOURS = (style.BLUE, style.VERMILION, style.GREEN, style.PURPLE, style.ORANGE, style.SKY)
_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("diamond", "diamond-open", "square", "square-open")


def metrics_figure(lines: Sequence[Line], axis: str, title: str = "Errors by level") -> go.Figure:
    """Each metric of the lines against the level: mean ± sd, single runs as dots, published results in grey."""
    metrics = list(lines[0].spreads)
    figure = make_subplots(rows=len(metrics), cols=1, shared_xaxes=True, vertical_spacing=0.15 / len(metrics))
    ours = [line for line in lines if not line.published]
    numeric = all(isinstance(line.place, float) for line in lines)
    for row, metric in enumerate(metrics, start=1):
        measure, place = MEASURES[metric], {"row": row, "col": 1}
        for whose, symbol in zip(_published(lines), _SYMBOLS, strict=False):
            told = [line for line in lines if line.whose == whose and line.spreads[metric] is not None]
            figure.add_scatter(
                x=[line.place for line in told], y=[_mean(line, metric) for line in told],
                mode="lines+markers" if numeric else "markers", line={"color": style.GREY, "dash": "dot", "width": 1},
                marker={"symbol": symbol, "size": 9, "color": style.GREY}, name=whose, legendgroup=whose,
                customdata=[[line.level, *_words(line, metric)] for line in told],
                hovertemplate=f"{escape(whose)}<br>%{{customdata[0]}}: %{{customdata[1]}}<extra></extra>",
                showlegend=row == 1, **place,
            )  # fmt: skip
        told = [line for line in ours if line.spreads[metric] is not None]
        figure.add_scatter(
            x=[line.place for line in told], y=[_mean(line, metric) for line in told],
            error_y={"type": "data", "array": [_sd(line, metric) for line in told], "thickness": 1.5, "width": 5},
            mode="lines+markers" if numeric else "markers", line={"color": style.BLUE, "width": 2},
            marker={"symbol": "line-ew", "size": 18, "line": {"width": 3, "color": style.BLUE}},
            name="these runs, mean ± sd", legendgroup="ours",
            customdata=[[escape(line.level), *_words(line, metric)] for line in told],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>", showlegend=row == 1, **place,
        )  # fmt: skip
        singles = [
            (line, single.name, single.value)
            for line in ours
            for single in line.singles[metric]
            if single.value is not None
        ]
        figure.add_scatter(
            x=[line.place for line, _, _ in singles], y=[value * measure.shown_factor for _, _, value in singles],
            mode="markers", marker={"size": 6, "color": "white", "line": {"color": style.BLUE, "width": 1.5}},
                name="single runs", legendgroup="single runs",
            customdata=[[escape(name), _value(value, measure.unit)] for _, name, value in singles],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>", showlegend=row == 1, **place,
        )  # fmt: skip
        name = text.indexed(column(measure, measure.shown_unit))
        figure.update_yaxes(title=name, rangemode="tozero", **place)
    if numeric:
        figure.update_xaxes(zeroline=False)
    else:
        order = list(dict.fromkeys(line.place for line in lines))
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=order, range=[-0.5, len(order) - 0.5])
    figure.update_xaxes(title=axis, row=len(metrics), col=1)
    return style.styled(figure, title, 200 * len(metrics)).update_layout(margin={**style.MARGIN, "b": 96})


def _published(lines: Sequence[Line]) -> list[str]:
    return list(dict.fromkeys(line.whose for line in lines if line.published))


def _mean(line: Line, metric: str) -> float:
    spread = line.spreads[metric]
    assert spread is not None
    return spread.mean * MEASURES[metric].shown_factor


def _sd(line: Line, metric: str) -> float | None:
    spread = line.spreads[metric]
    return None if spread is None or spread.sd is None else spread.sd * MEASURES[metric].shown_factor


def _value(recorded: float, unit: str) -> str:
    return f"{text.degrees(recorded)} ({text.number(recorded, unit)})" if unit == "rad" else text.number(recorded, unit)


def _words(line: Line, metric: str) -> list[str]:
    spread, measure = line.spreads[metric], MEASURES[metric]
    assert spread is not None
    said = _value(spread.mean, measure.unit)
    if spread.sd is not None:
        said += f" ± {_value(spread.sd, measure.unit)}, {spread.n} runs"
    return [said]


def panel_columns(count: int) -> int:
    """How many panels of distances stand side by side, on a narrow screen too."""
    return 1 if count == 1 else 2 if count <= 6 else 3


def distance_panels_figure(
    counts: Mapping[str, NDArray[np.integer]], edges: Array, errors: Mapping[str, float | None]
) -> go.Figure:
    """Estimated against true distance, a panel a level, on one scale: the share of the level's pairs in a cell.

    ``counts`` (bins, bins) by level are pairs by [exact, estimated] over ``edges`` (bins + 1,) in rad; ``errors`` are
    L_DE by level, in rad.
    """
    columns = panel_columns(len(counts))
    rows = -(-len(counts) // columns)
    titles = [f"{escape(name)}<br>L<sub>DE</sub> {text.degrees(errors[name])}" for name in counts]
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=titles, shared_xaxes=True, shared_yaxes=True,
        horizontal_spacing=0.05, vertical_spacing=0.22 / rows,
    )  # fmt: skip
    style.subtitled(figure)
    shares = {name: _coarser(found) / max(1, found.sum()) for name, found in counts.items()}
    cells = next(iter(shares.values())).shape[0]
    centres = np.degrees(np.linspace(edges[0], edges[-1], 2 * cells + 1)[1::2])
    seen = np.concatenate([share[share > 0] for share in shares.values()])
    low, high = (float(np.log10(end)) for end in ((seen.min(), seen.max()) if seen.size else (1e-3, 1.0)))
    decades = np.arange(np.ceil(low), np.floor(high) + 1)
    for number, (name, share) in enumerate(shares.items()):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        with np.errstate(divide="ignore"):
            shown = np.where(share > 0, np.log10(share), np.nan)
        figure.add_heatmap(
            x=centres, y=centres, z=shown.T.astype(np.float32), customdata=(100 * share.T).astype(np.float32),
            coloraxis="coloraxis", hoverongaps=False, name=escape(name),
            hovertemplate="true %{x:.1f}°, estimated %{y:.1f}°<br>%{customdata:.2g} % of the pairs<extra></extra>",
            **place,
        )  # fmt: skip
        figure.add_scatter(
            x=[0, 180], y=[0, 180], mode="lines", line={"color": style.GREY, "dash": "dash", "width": 1.5},
            hoverinfo="skip", showlegend=False, **place,
        )  # fmt: skip
        if number + columns >= len(shares):
            figure.update_xaxes(title="true (°)", showticklabels=True, **place)
        if number % columns == 0:
            figure.update_yaxes(title="estimated (°)", **place)
    bar = {
        "thickness": 10, "tickvals": decades,
        "ticktext": [f"{100 * 10**n:g} %" for n in decades], "orientation": "h", "x": 0.5, "y": 0, "yref": "container",
        "yanchor": "bottom", "len": 0.8,
    }  # fmt: skip
    figure.update_layout(
        coloraxis={"colorscale": "Viridis", "cmin": low, "cmax": max(high, low + 0.1), "colorbar": bar}
    )
    figure.update_xaxes(range=[0, 180], tickvals=[0, 60, 120])  # 180 would meet the next panel's 0
    figure.update_yaxes(range=[0, 180], tickvals=[0, 60, 120, 180])
    styled = style.styled(figure, "Distances, % of the level's pairs in a cell", 170 + 250 * rows)
    return styled.update_layout(margin={**style.MARGIN, "t": 84, "b": 90})


def _coarser(counts: NDArray[np.integer]) -> NDArray[np.integer]:
    """Neighbouring cells taken together, where that is possible, until there are few enough for a small panel."""
    together = max(1, counts.shape[0] // _CELLS)
    if counts.shape[0] % together:
        return counts
    cells = counts.shape[0] // together
    return counts.reshape(cells, together, cells, together).sum(axis=(1, 3))


def error_panels_figure(errors: Mapping[str, Array]) -> go.Figure:
    """Histograms of the angle errors (n,) in rad, one beneath another on one scale, with each level's median."""
    figure = make_subplots(
        rows=len(errors), cols=1, shared_xaxes=True, shared_yaxes=True, vertical_spacing=0.2 / len(errors),
        subplot_titles=[f"{escape(name)}: median {text.degrees(float(np.median(e)))}" for name, e in errors.items()],
    )  # fmt: skip
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    # Few outliers of one level must not squeeze the others into one bar.
    end = max(min(float(e.max()), 1.5 * float(np.quantile(e, 0.98))) for e in errors.values())
    edges = np.linspace(0.0, np.degrees(end) or 1.0, _BARS + 1)
    highest = 0.0
    for row, found in enumerate(errors.values(), start=1):
        in_degrees = np.degrees(found)
        share = 100 * np.histogram(in_degrees, edges)[0] / len(found)
        highest = max(highest, float(share.max()))
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2, y=share, width=np.diff(edges), marker={"color": style.BLUE},
            customdata=np.stack([edges[:-1], edges[1:], np.radians(edges[:-1]), np.radians(edges[1:])], axis=1),
            hovertemplate="%{customdata[0]:.3g}–%{customdata[1]:.3g}° "
            "(%{customdata[2]:.3g}–%{customdata[3]:.3g} rad)<br>%{y:.3g} % of the projections<extra></extra>",
            showlegend=False, row=row, col=1,
        )  # fmt: skip
        if beyond := int(np.count_nonzero(in_degrees > edges[-1])):
            figure.add_annotation(
                text=f"{beyond:,} of {len(found):,} beyond →", x=0.99, y=0.95, xref="x domain", yref="y domain",
                xanchor="right", yanchor="top", showarrow=False, font={"size": 12}, row=row, col=1,
            )  # fmt: skip
    for row, found in enumerate(errors.values(), start=1):
        median = float(np.median(found))
        figure.add_scatter(
            x=[np.degrees(median)] * 2, y=[0, 1.05 * highest], mode="lines",
            line={"color": style.VERMILION, "width": 2}, name="median", showlegend=row == 1,
            hovertemplate=f"median {_value(median, 'rad')}<extra></extra>", row=row, col=1,
        )  # fmt: skip
    figure.update_xaxes(range=[0, edges[-1]])
    figure.update_xaxes(title="angle between recovered and true pose (°)", row=len(errors), col=1)
    figure.update_yaxes(range=[0, 1.05 * (highest or 1.0)], title="%")
    return style.styled(figure, "Angle errors, % of the projections", 140 + 125 * len(errors))


def projections_by_level_figure(
    images: Mapping[str, Array], columns: int = 4, title: str = "Projections at each level"
) -> go.Figure:
    """The first projections (n, size, size) of each level, a row a level, each on its own greys."""
    figure = make_subplots(
        rows=len(images), cols=1, subplot_titles=[escape(name) for name in images], vertical_spacing=0.12 / len(images)
    )
    style.subtitled(figure)
    for row, found in enumerate(images.values(), start=1):
        picture_figures.add_projections(figure, projections.gallery_panel(found, columns), row, columns)
    styled = style.styled(figure, title, 60 + 150 * len(images))
    return styled.update_layout(margin={"l": 0, "r": 8, "t": 64, "b": 8})


def level_line(number: int) -> dict[str, Any]:
    """Colour, dashes and width of the lines of the level in that place (0, 1, ...)."""
    return {"color": _COLOURS[number % len(_COLOURS)], "dash": _DASHES[number % len(_DASHES)], "width": 2}


def add_level_line(
    figure: go.Figure, edges: Array, values: Array, name: str, number: int, hover: str, row: int, col: int, legend: bool
) -> None:
    """A level's distribution (bins,) over ``edges`` (bins + 1,) as steps, in the level's own colour and dashes.

    ``hover`` is what is said of a bin from ``%{customdata[0]}`` to ``%{customdata[1]}``.
    """
    figure.add_scatter(
        x=edges, y=[*values, values[-1]], mode="lines", name=escape(name), legendgroup=name, showlegend=legend,
        line=level_line(number) | {"shape": "hv"},
        customdata=np.stack([edges, np.append(edges[1:], edges[-1])], axis=1),
        hovertemplate=f"{escape(name)}<br>{hover}<extra></extra>", row=row, col=col,
    )  # fmt: skip
