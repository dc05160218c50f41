"""Distances, angle errors, losses and FSC drawn with Plotly from their data alone. No Streamlit, no files."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from engine.analysis.figures.data import Figure, Panel, Series
from engine.analysis.figures.fsc import HALVES, INPUT
from pages._shared import style, text

_COLOURS = {INPUT: style.BLUE, HALVES: style.VERMILION}


def distance_figure(data: Figure) -> go.Figure:
    """A heat map of all pairs, and the error against the true distance beneath; a histogram without true distances.

    ``data`` is from :func:`engine.analysis.figures.distances.distance_versus_distance` or
    :func:`engine.analysis.figures.distances.estimated_distances`.
    """
    if len(data.panels) == 1:
        return _estimated_distances(data)
    above, beneath = data.panels
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.76, 0.24], vertical_spacing=0.05,
        subplot_titles=(_mean_error(data),),
    )  # fmt: skip
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    _add_counts(figure, above)
    diagonal = above["estimated = true"].columns
    style.line(figure, diagonal["x"], diagonal["y"], "estimated = true", style.GREY, "dash", row=1)
    for points in (series for series in above.series if series.kind == "points"):
        figure.add_scatter(
            x=points.columns["x"], y=points.columns["y"], mode="markers",
            marker={"size": 3, "color": style.VERMILION}, name=points.name,
            hovertemplate="true %{x:.2f}°, estimated %{y:.2f}°<extra></extra>", row=1, col=1,
        )  # fmt: skip
    _add_error_profile(figure, beneath)
    figure.update_xaxes(range=above.x.range, tickvals=np.arange(0, 181, 30))
    figure.update_xaxes(title=beneath.x.title, row=2, col=1)
    figure.update_yaxes(range=above.y.range, tickvals=np.arange(0, 181, 30), title=above.y.title, row=1, col=1)
    figure.update_yaxes(title=beneath.y.title, zeroline=True, row=2, col=1)
    return style.styled(figure, data.title, style.TALL)


def _estimated_distances(data: Figure) -> go.Figure:
    bars, even = data.panel.series
    figure = make_subplots(rows=1, cols=1)
    columns = bars.columns
    figure.add_bar(
        x=columns["x"], y=columns["pairs"], width=columns["x_high"] - columns["x_low"], name=bars.name,
        marker={"color": style.BLUE, "line": {"width": 0}}, hovertemplate="%{x:.3g}°: %{y:,} pairs<extra></extra>",
    )  # fmt: skip
    style.line(figure, even.columns["x"], even.columns["y"], even.name, style.GREY, "dash", row=1)
    figure.update_xaxes(range=data.panel.x.range, tickvals=np.arange(0, 181, 30), title=data.panel.x.title)
    figure.update_yaxes(title=data.panel.y.title)
    return style.styled(figure, data.title, style.TALL)


def _mean_error(data: Figure) -> str:
    mae = data.values["distance_mae"]
    whose = f" in a sample of {data.values['sample']:,.0f} pairs" if "sample" in data.values else ""
    return f"L<sub>DE</sub> {text.degrees(mae)} ({text.number(mae, 'rad')}){whose}"


def _add_counts(figure: go.Figure, panel: Panel) -> None:
    """The heat map of pairs, in decades, because Plotly has no logarithmic colour scale."""
    pairs = panel["pairs"]
    counts = pairs.grid("pairs")
    across, up = (pairs.positions(axis) for axis in ("x", "y"))
    shown = np.where(counts > 0, counts, 1)
    decades = np.arange(int(np.log10(shown.max())) + 1)
    figure.add_heatmap(
        x=(across[:-1] + across[1:]) / 2,
        y=(up[:-1] + up[1:]) / 2,
        z=np.where(counts > 0, np.log10(shown), np.nan),
        customdata=counts,
        colorscale=style.SCALE,
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
    """Quantiles and mean absolute error by true distance, beneath the map of distances."""
    band, median, mean_absolute = panel.series
    at, low, high = (band.columns[name] for name in ("x", "low", "high"))
    figure.add_scatter(
        x=[*at, *at[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor="rgba(0,114,178,0.22)", line={"width": 0},
        mode="lines", name=band.name, hoverinfo="skip", row=2, col=1,
    )  # fmt: skip
    for series, colour, label in (
        (median, style.BLUE, "median error"), (mean_absolute, style.VERMILION, "mean absolute error"),
    ):  # fmt: skip
        columns = series.columns
        hover = f"{label} %{{y:.2f}}°"
        style.line(figure, columns["x"], columns["y"], series.name, colour, "solid", row=2, hover=hover)


def angle_error_figure(data: Figure) -> go.Figure:
    """Histograms one above the other, from :func:`engine.analysis.figures.angles.angle_errors` or
    :func:`engine.analysis.figures.particles.reference_errors`.
    """
    rows = len(data.panels)
    figure = make_subplots(
        rows=rows, cols=1, row_heights=[0.66, 0.34][:rows], vertical_spacing=0.2,
        subplot_titles=[panel.title for panel in data.panels],
    )  # fmt: skip
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    for row, (panel, colour) in enumerate(zip(data.panels, (style.BLUE, style.GREY)[:rows], strict=True), start=1):
        _add_histogram(figure, panel, colour, row)
    if beyond := data.values["beyond"]:
        style.note(figure, f"{beyond:.0f} of {data.values['projections']:,.0f} beyond →", 0.99, 0.7, "right")
    figure.update_xaxes(title=data.panels[0].x.title)
    figure.update_yaxes(title=data.panels[0].y.title)
    return style.styled(figure, data.title, style.TALL)


def _add_histogram(figure: go.Figure, panel: Panel, colour: str, row: int) -> None:
    """Bars, median and mean."""
    bars = panel["projections"].columns
    ends = np.stack([bars["x_low"], bars["x_high"]], axis=1)
    figure.add_bar(
        x=bars["x"], y=bars["projections"], width=np.diff(ends)[:, 0], marker={"color": colour, "line": {"width": 0}},
        customdata=np.concatenate([ends, np.radians(ends)], axis=1),
        hovertemplate="%{customdata[0]:.3g}–%{customdata[1]:.3g}° "
        f"(%{{customdata[2]:.3g}}–%{{customdata[3]:.3g}} rad)<br>%{{y}} {panel.y.label}<extra></extra>",
        showlegend=False, row=row, col=1,
    )  # fmt: skip
    for name, line_colour, dash in (("median", style.VERMILION, "solid"), ("mean", style.ORANGE, "dash")):
        columns = panel[name].columns
        value = np.radians(columns["x"][0])
        label = f"{name} {text.degrees(value)}"
        figure.add_scatter(
            x=columns["x"], y=columns["y"], mode="lines", line={"color": line_colour, "dash": dash, "width": 2},
            name=label, showlegend=row == 1, hovertemplate=f"{label} ({text.number(value, 'rad')})<extra></extra>",
            row=row, col=1,
        )  # fmt: skip
    figure.update_xaxes(range=panel.x.range, row=row, col=1)


def training_figure(data: Figure) -> go.Figure:
    """Training loss above, validation L_DE beneath, from :func:`engine.analysis.figures.losses.training_curve`."""
    above, beneath = data.panels
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.5, 0.5], vertical_spacing=0.08)
    (loss,), (validation,) = above.series, beneath.series
    hover = "step %{x}: loss %{y:.4g}"
    style.line(figure, loss.columns["x"], loss.columns["y"], loss.name, style.BLUE, "solid", row=1, hover=hover)
    figure.add_scatter(
        x=validation.columns["x"], y=validation.columns["y"], customdata=validation.columns["y_rad"],
        mode="lines+markers", marker={"size": 5}, line={"color": style.VERMILION}, name=text.indexed(validation.name),
        hovertemplate="step %{x}: validation L<sub>DE</sub> %{y:.3g}° (%{customdata:.3g} rad)<extra></extra>",
        row=2, col=1,
    )  # fmt: skip
    figure.update_xaxes(title=beneath.x.title, row=2, col=1)
    figure.update_yaxes(type="log", title=above.y.title, row=1, col=1)
    figure.update_yaxes(rangemode="tozero", title=text.indexed(beneath.y.title), row=2, col=1)
    figure.update_layout(uirevision="training")  # keeps a zoom while the curve grows
    return style.styled(figure, data.title, style.MIDDLE)


def recovery_figure(data: Figure) -> go.Figure:
    """The loss of the final minimisation, from :func:`engine.analysis.figures.losses.recovery_curve`."""
    panel = data.panel
    (loss,) = panel.series
    figure = make_subplots(rows=1, cols=1)
    figure.add_scatter(
        x=loss.columns["x"], y=loss.columns["y"], mode="lines+markers", line={"color": style.BLUE}, showlegend=False,
        hovertemplate="iteration %{x}: %{y:.4g} rad²<extra></extra>", row=1, col=1,
    )  # fmt: skip
    figure.update_xaxes(title=panel.x.title)
    figure.update_yaxes(type="log" if panel.y.log else "linear", title=text.indexed(panel.y.title))
    return style.styled(figure, data.title, style.MIDDLE)


def fsc_figure(data: Figure) -> go.Figure:
    """Both curves on an axis labelled in Å, each with its threshold and the point where it falls below it.

    ``data`` is from :func:`engine.analysis.figures.fsc.fourier_shell_correlations`.
    """
    panel = data.panel
    figure = make_subplots(rows=1, cols=1)
    for curve in (series for series in panel.series if series.kind == "line"):
        _add_fsc_curve(figure, curve, panel, data)
    labels = {"tickvals": [at for at, _ in panel.x.ticks], "ticktext": [word for _, word in panel.x.ticks]}
    figure.update_xaxes(title="resolution (Å)", range=panel.x.range, **labels)
    figure.update_yaxes(title=panel.y.title, range=panel.y.range)
    return style.styled(figure, data.title, style.WIDE)


def _add_fsc_curve(figure: go.Figure, curve: Series, panel: Panel, data: Figure) -> None:
    """A curve, its labelled threshold, and the point where the curve falls below it."""
    colour, hover = _COLOURS[curve.role], f"{curve.name}: %{{y:.3f}}"
    style.line(figure, curve.columns["x"], curve.columns["y"], curve.name, colour, "solid", row=1, hover=hover)
    same = [series for series in panel.series if series.role == curve.role]
    (threshold,) = (float(series.columns["y"][0]) for series in same if series.kind == "reference")
    crossing = next((series.columns for series in same if series.kind == "points"), None)
    figure.add_hline(threshold, line={"color": colour, "dash": "dot", "width": 1.5})
    resolution = data.values.get(f"resolution at {threshold:g} (Å)")
    figure.add_annotation(
        text=f"{threshold:g}: {resolution_text(resolution, crossing is not None)}", x=0.99, xref="paper",
        xanchor="right", y=threshold, yanchor="bottom", showarrow=False, font={"size": 12},
    )  # fmt: skip
    if crossing is not None:
        figure.add_scatter(
            x=crossing["x"], y=crossing["y"], mode="markers", marker={"color": colour, "size": 9},
            showlegend=False, hovertemplate=f"{resolution:.2f} Å<extra></extra>", row=1, col=1,
        )  # fmt: skip


def resolution_text(resolution: float | None, reached: bool) -> str:
    """The resolution in Å where a curve falls below its threshold, or that it never is, or always is, below it."""
    if resolution is None:
        return "below from the start"
    return f"{resolution:.2f} Å" if reached else f"not reached (Nyquist {resolution:.2f} Å)"
