"""The figures of a run in Plotly. What they show comes from :mod:`engine.analysis.figures`; here is how it looks."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from engine.analysis.figures import distances, fsc, losses
from engine.analysis.figures.data import Figure, Panel
from pages._shared import style, text

Array = NDArray[np.floating]


def distance_figure(data: Figure, points: bool = False) -> go.Figure:
    """Estimated against true distance of all pairs, as a heat map, and the error against the true distance beneath.

    ``data`` is of :func:`engine.analysis.figures.distances.distance_versus_distance`; ``points``: its single pairs.
    """
    upper, lower = data.panels
    sampled = "distance_mae" not in data.values
    mae = data.values["distance_mae_of_sample" if sampled else "distance_mae"]
    whose = f" in a sample of {data.values['pairs_in_sample']:,.0f} pairs" if sampled else ""
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.76, 0.24], vertical_spacing=0.05,
        subplot_titles=(f"L<sub>DE</sub> {text.degrees(mae)} ({text.number(mae, 'rad')}){whose}",),
    )  # fmt: skip
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    _add_heat_map(figure, upper)
    style.line(figure, [0, 180], [0, 180], distances.DIAGONAL, style.GREY, "dash", row=1)
    if points:
        sample = upper[distances.SAMPLE]
        figure.add_scatter(
            x=sample.columns["true_deg"],
            y=sample.columns["estimated_deg"],
            mode="markers",
            marker={"size": 3, "color": style.VERMILION},
            name="1,000 single pairs",
            hovertemplate="true %{x:.2f}°, estimated %{y:.2f}°<extra></extra>",
            row=1,
            col=1,
        )
    _add_error_profile(figure, lower)
    figure.update_xaxes(range=upper.x.range, tickvals=np.arange(0, 181, 30))
    figure.update_xaxes(title=lower.x.title, row=2, col=1)
    figure.update_yaxes(range=upper.y.range, tickvals=np.arange(0, 181, 30), title=upper.y.title, row=1, col=1)
    figure.update_yaxes(title=lower.y.title, zeroline=True, row=2, col=1)
    return style.styled(figure, data.title, style.TALL)


def _add_heat_map(figure: go.Figure, panel: Panel) -> None:
    cells = panel[distances.PAIRS].columns
    centres = np.unique(cells["true_deg"])
    counts = np.asarray(cells["pairs"]).reshape(len(centres), -1)
    shown = np.where(counts > 0, counts, 1)
    decades = np.arange(int(np.log10(shown.max())) + 1)
    figure.add_heatmap(
        x=centres,
        y=centres,
        z=np.where(counts > 0, np.log10(shown), np.nan).T,
        customdata=counts.T,
        colorscale="Viridis",
        zmin=0,
        zmax=max(1.0, float(np.log10(shown.max()))),
        colorbar={
            "title": {"text": "pairs", "side": "top"},
            "tickvals": decades,
            "ticktext": [f"{10 ** int(n):,}" for n in decades],
            "thickness": 10,
            "len": 0.72,
            "y": 1.0,
            "yanchor": "top",
        },
        hovertemplate="true %{x:.1f}°, estimated %{y:.1f}°<br>%{customdata:,} pairs<extra></extra>",
        hoverongaps=False,
        row=1,
        col=1,
    )


def _add_error_profile(figure: go.Figure, panel: Panel) -> None:
    """Quantiles and mean absolute error, by true distance, beneath the map of distances."""
    series = panel[distances.ERRORS]
    at, low, middle, high, mean_absolute = series.columns.values()
    figure.add_scatter(
        x=[*at, *at[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor="rgba(0,114,178,0.22)", line={"width": 0},
        mode="lines", name=f"10–90 % of {series.role}", hoverinfo="skip", row=2, col=1,
    )  # fmt: skip
    style.line(figure, at, middle, "median", style.BLUE, "solid", row=2, hover="median error %{y:.2f}°")
    hover = "mean absolute error %{y:.2f}°"
    style.line(figure, at, mean_absolute, "mean absolute", style.VERMILION, "solid", row=2, hover=hover)


def angle_error_figure(data: Figure) -> go.Figure:
    """Histograms of the angle errors after a step and, small, before it.

    ``data`` is of :func:`engine.analysis.figures.angles.angle_errors`.
    """
    figure = make_subplots(
        rows=2, cols=1, row_heights=[0.66, 0.34], vertical_spacing=0.2,
        subplot_titles=[panel.title for panel in data.panels],
    )  # fmt: skip
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    looks = ((1, style.BLUE, ""), (2, style.GREY, "_before"))
    for panel, (row, colour, when) in zip(data.panels, looks, strict=True):
        _add_histogram(figure, panel, colour, row)
        for name, dash in (("median", "solid"), ("mean", "dash")):
            _add_marker(figure, panel, name, data.values[f"{name}{when}_deg"], dash, row)
        figure.update_xaxes(range=panel.x.range, title=panel.x.title, row=row, col=1)
        figure.update_yaxes(title=panel.y.title, row=row, col=1)
    if beyond := data.values["beyond"]:
        style.note(figure, f"{beyond} of {data.values['projections']:,} beyond →", 0.99, 0.7, "right")
    return style.styled(figure, data.title, style.TALL)


def _add_histogram(figure: go.Figure, panel: Panel, colour: str, row: int) -> None:
    (bars,) = panel.series
    low, high, counts = bars.columns.values()
    figure.add_bar(
        x=(low + high) / 2, y=counts, width=high - low, marker={"color": colour, "line": {"width": 0}},
        customdata=np.stack([low, high, np.radians(low), np.radians(high)], axis=1),
        hovertemplate="%{customdata[0]:.3g}–%{customdata[1]:.3g}° "
        "(%{customdata[2]:.3g}–%{customdata[3]:.3g} rad)<br>%{y} projections<extra></extra>",
        showlegend=False, row=row, col=1,
    )  # fmt: skip


def _add_marker(figure: go.Figure, panel: Panel, name: str, degrees: float, dash: str, row: int) -> None:
    """A vertical line at the median or the mean."""
    (bars,) = panel.series
    label = f"{name} {text.degrees(np.radians(degrees))}"
    line = {"color": style.VERMILION if name == "median" else style.ORANGE, "dash": dash, "width": 2}
    figure.add_scatter(
        x=[degrees, degrees], y=[0, 1.08 * bars.columns["projections"].max()], mode="lines", line=line, name=label,
        showlegend=row == 1, hovertemplate=f"{label} ({text.number(np.radians(degrees), 'rad')})<extra></extra>",
        row=row, col=1,
    )  # fmt: skip


def training_figure(data: Figure) -> go.Figure:
    """Training loss and validation L_DE; ``data`` is of :func:`engine.analysis.figures.losses.training_curve`."""
    upper, lower = data.panels
    step, loss = upper[losses.LOSS].columns.values()
    at, validation = lower[losses.VALIDATION].columns.values()
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.5, 0.5], vertical_spacing=0.08)
    every = max(1, len(step) // style.MOST_POINTS)
    hover = "step %{x}: loss %{y:.4g}"
    style.line(figure, step[::every], loss[::every], losses.LOSS, style.BLUE, "solid", row=1, hover=hover)
    figure.add_scatter(
        x=at, y=validation, customdata=np.radians(validation),
        mode="lines+markers", marker={"size": 5}, line={"color": style.VERMILION}, name="validation L<sub>DE</sub>",
        hovertemplate="step %{x}: validation L<sub>DE</sub> %{y:.3g}° (%{customdata:.3g} rad)<extra></extra>",
        row=2, col=1,
    )  # fmt: skip
    figure.update_xaxes(title=lower.x.title, row=2, col=1)
    figure.update_yaxes(type="log", title=upper.y.title, dtick=1, row=1, col=1)
    figure.update_yaxes(rangemode="tozero", title=text.indexed(lower.y.title), row=2, col=1)
    figure.update_layout(uirevision="training")  # keeps a zoom while the curve grows
    return style.styled(figure, data.title, style.MIDDLE)


def recovery_figure(data: Figure) -> go.Figure:
    """Recovery loss by iteration; ``data`` is of :func:`engine.analysis.figures.losses.recovery_curve`."""
    panel = data.panel
    iteration, loss = panel.series[0].columns.values()
    figure = make_subplots(rows=1, cols=1)
    figure.add_scatter(
        x=iteration, y=loss, mode="lines+markers", line={"color": style.BLUE}, showlegend=False,
        hovertemplate="iteration %{x}: %{y:.4g} rad²<extra></extra>", row=1, col=1,
    )  # fmt: skip
    figure.update_xaxes(title=panel.x.title)
    figure.update_yaxes(type="log" if panel.y.log else "linear", title=text.indexed(panel.y.title))
    return style.styled(figure, data.title, style.MIDDLE)


def fsc_figure(data: Figure) -> go.Figure:
    """Fourier shell correlations on an axis labelled in Å.

    ``data`` is of :func:`engine.analysis.figures.fsc.fourier_shell_correlations`.
    """
    panel = data.panel
    figure = make_subplots(rows=1, cols=1)
    colours = {fsc.INPUT: style.BLUE, fsc.HALVES: style.VERMILION}
    nyquist = 0.0
    for series in panel.series:
        name, colour, threshold = series.name, colours[series.name], fsc.THRESHOLDS[series.name]
        frequencies, curve = series.columns.values()
        resolution, nyquist = data.values.get(name), float(frequencies[-1])
        style.line(figure, frequencies, curve, name, colour, "solid", row=1, hover=f"{name}: %{{y:.3f}}")
        figure.add_hline(threshold, line={"color": colour, "dash": "dot", "width": 1.5})
        figure.add_annotation(
            text=f"{threshold:g}: {fsc.reached(curve, threshold, resolution)}", x=0.99, xref="paper", xanchor="right",
            y=threshold, yanchor="bottom", showarrow=False, font={"size": 12},
        )  # fmt: skip
        if resolution and np.any(curve < threshold):
            figure.add_scatter(
                x=[1 / resolution], y=[threshold], mode="markers", marker={"color": colour, "size": 9},
                showlegend=False, hovertemplate=f"{resolution:.2f} Å<extra></extra>", row=1, col=1,
            )  # fmt: skip
    ticks = _resolution_ticks(nyquist)
    labels = {"tickvals": [1 / tick for tick in ticks], "ticktext": [f"{tick:.3g}" for tick in ticks]}
    figure.update_xaxes(title="resolution (Å)", range=panel.x.range, **labels)
    figure.update_yaxes(title=panel.y.title, range=panel.y.range)
    return style.styled(figure, data.title, style.WIDE)


def _resolution_ticks(nyquist: float) -> list[float]:
    """Round resolutions in Å, and Nyquist's, that are some way apart on an axis of spatial frequencies."""
    round_ones = [m * 10.0**e for e in (3, 2, 1, 0, -1) for m in (8, 6, 5, 4, 3, 2.5, 2, 1.5, 1.2, 1)]
    ticks = [1 / nyquist]
    for resolution in sorted(round_ones):
        if 1 / ticks[-1] - 1 / resolution > 0.09 * nyquist and resolution < 10 / nyquist:
            ticks.append(resolution)
    return ticks
