"""Arrays to Plotly charts. No streamlit, no files; angles come in radians and are drawn in degrees."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from engine.poses.metrics import error_by_distance
from pages._shared import style, text

Array = NDArray[np.floating]


def distance_figure(
    counts: NDArray[np.integer],
    edges: Array,
    exact: Array,
    estimated: Array,
    distance_mae: float | None,
    points: bool = False,
    errors: Array | None = None,
) -> go.Figure:
    """Estimated against true distance of all pairs, as a heat map, and the error against the true distance beneath.

    ``counts`` (bins, bins) are pairs by [exact, estimated] over ``edges`` (bins + 1,); ``exact`` and ``estimated`` (m,)
    are a sample of the pairs, which ``points`` shows in the map too; ``errors`` is what
    :func:`engine.poses.metrics.error_by_distance` says of all pairs, ``distance_mae`` their mean absolute error;
    what of these is None is taken from the sample, and told to be. All in rad.
    """
    whose = "" if distance_mae is not None else f" in a sample of {exact.size:,} pairs"
    mae = float(np.mean(np.abs(estimated.astype(float) - exact))) if distance_mae is None else distance_mae
    said = f"L<sub>DE</sub> {text.degrees(mae)} ({text.number(mae, 'rad')}){whose}"
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.76, 0.24], vertical_spacing=0.05, subplot_titles=(said,)
    )
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    centres = np.degrees((edges[:-1] + edges[1:]) / 2)
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
    style.line(figure, [0, 180], [0, 180], "estimated = true", style.GREY, "dash", row=1)
    if points:
        figure.add_scatter(
            x=np.degrees(exact[:1000]),
            y=np.degrees(estimated[:1000]),
            mode="markers",
            marker={"size": 3, "color": style.VERMILION},
            name="1,000 single pairs",
            hovertemplate="true %{x:.2f}°, estimated %{y:.2f}°<extra></extra>",
            row=1,
            col=1,
        )
    of_whom = "pairs" if errors is not None else "sampled pairs"
    profile = np.degrees(error_by_distance(estimated, exact) if errors is None else errors)
    _add_error_profile(figure, profile, of_whom)
    figure.update_xaxes(range=[0, 180], tickvals=np.arange(0, 181, 30))
    figure.update_xaxes(title="true distance (°)", row=2, col=1)
    figure.update_yaxes(range=[0, 180], tickvals=np.arange(0, 181, 30), title="estimated distance (°)", row=1, col=1)
    figure.update_yaxes(title="error (°)", zeroline=True, row=2, col=1)
    return style.styled(figure, f"Distances of {counts.sum():,} pairs of test projections", style.TALL)


def _add_error_profile(figure: go.Figure, profile: Array, of_whom: str) -> None:
    """Quantiles and mean absolute error (bins, 4) in degrees, by true distance, beneath the map of distances."""
    at = (np.arange(len(profile)) + 0.5) * 180 / len(profile)
    told = ~np.isnan(profile[:, 0])
    at, (low, middle, high, mean_absolute) = at[told], profile[told].T
    figure.add_scatter(
        x=[*at, *at[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor="rgba(0,114,178,0.22)", line={"width": 0},
        mode="lines", name=f"10–90 % of {of_whom}", hoverinfo="skip", row=2, col=1,
    )  # fmt: skip
    style.line(figure, at, middle, "median", style.BLUE, "solid", row=2, hover="median error %{y:.2f}°")
    hover = "mean absolute error %{y:.2f}°"
    style.line(figure, at, mean_absolute, "mean absolute", style.VERMILION, "solid", row=2, hover=hover)


def angle_error_figure(
    errors: Array,
    errors_before: Array,
    titles: tuple[str, str] = ("after alignment", "before alignment (arbitrary frame)"),
    before_alike: bool = False,
) -> go.Figure:
    """Histograms of the angle errors (n,) in rad, after alignment and, small, before it; or of another pair of steps.

    ``before_alike`` draws both on one axis; else the errors before reach to 180 degrees.
    """
    figure = make_subplots(
        rows=2, cols=1, row_heights=[0.66, 0.34], vertical_spacing=0.2,
        subplot_titles=titles,
    )  # fmt: skip
    style.subtitled(figure).update_annotations(x=0, xanchor="left")
    end = _upper_end(np.degrees(np.concatenate([errors, errors_before]) if before_alike else errors))
    beyond = _histogram(figure, np.degrees(errors), end, style.BLUE, row=1)
    _histogram(figure, np.degrees(errors_before), end if before_alike else 180.0, style.GREY, row=2)
    if beyond:
        style.note(figure, f"{beyond} of {len(errors):,} beyond →", 0.99, 0.7, "right")
    figure.update_xaxes(title="angle between recovered and true pose (°)")
    figure.update_yaxes(title="projections")
    return style.styled(figure, f"Angle errors of {len(errors):,} projections", style.TALL)


def _upper_end(values: Array) -> float:
    """Where the axis of a histogram ends: few outliers must not squeeze the others into one bar."""
    if (highest := float(values.max())) <= (usual := 1.5 * float(np.quantile(values, 0.98))):
        return highest
    return usual or highest


def _histogram(figure: go.Figure, values: Array, end: float, colour: str, row: int) -> int:
    """Bars, median and mean; how many values lie beyond the last bar."""
    counts, edges = np.histogram(values, bins=45, range=(0.0, end or 1.0))
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2, y=counts, width=np.diff(edges), marker={"color": colour, "line": {"width": 0}},
        customdata=np.stack([edges[:-1], edges[1:], np.radians(edges[:-1]), np.radians(edges[1:])], axis=1),
        hovertemplate="%{customdata[0]:.3g}–%{customdata[1]:.3g}° "
        "(%{customdata[2]:.3g}–%{customdata[3]:.3g} rad)<br>%{y} projections<extra></extra>",
        showlegend=False, row=row, col=1,
    )  # fmt: skip
    top = [0, 1.08 * counts.max()]
    for name, value, dash in (("median", np.median(values), "solid"), ("mean", np.mean(values), "dash")):
        label = f"{name} {text.degrees(np.radians(value))}"
        line = {"color": style.VERMILION if name == "median" else style.ORANGE, "dash": dash, "width": 2}
        figure.add_scatter(
            x=[value, value], y=top, mode="lines", line=line, name=label, showlegend=row == 1,
            hovertemplate=f"{label} ({text.number(np.radians(value), 'rad')})<extra></extra>", row=row, col=1,
        )  # fmt: skip
    figure.update_xaxes(range=[0, end or 1.0], row=row, col=1)
    return int(np.count_nonzero(values > end))


def training_figure(step: Array, loss: Array, validation_mae: Array) -> go.Figure:
    """Training loss (n,) and validation L_DE (n,) in rad, NaN where not measured, against the optimiser's step."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.5, 0.5], vertical_spacing=0.08)
    every = max(1, len(step) // style.MOST_POINTS)
    hover = "step %{x}: loss %{y:.4g}"
    style.line(figure, step[::every], loss[::every], "training loss", style.BLUE, "solid", row=1, hover=hover)
    measured = np.isfinite(validation_mae)
    figure.add_scatter(
        x=step[measured], y=np.degrees(validation_mae[measured]), customdata=validation_mae[measured],
        mode="lines+markers", marker={"size": 5}, line={"color": style.VERMILION}, name="validation L<sub>DE</sub>",
        hovertemplate="step %{x}: validation L<sub>DE</sub> %{y:.3g}° (%{customdata:.3g} rad)<extra></extra>",
        row=2, col=1,
    )  # fmt: skip
    figure.update_xaxes(title="step", row=2, col=1)
    figure.update_yaxes(type="log", title="loss", dtick=1, row=1, col=1)
    figure.update_yaxes(rangemode="tozero", title="L<sub>DE</sub> (°)", row=2, col=1)
    figure.update_layout(uirevision="training")  # keeps a zoom while the curve grows
    return style.styled(figure, "Training of the network", style.MIDDLE)


def recovery_figure(loss_curve: Array) -> go.Figure:
    """Recovery loss L_OR (iterations + 1,) in rad² against the iteration of the final minimisation."""
    figure = make_subplots(rows=1, cols=1)
    figure.add_scatter(
        x=np.arange(len(loss_curve)), y=loss_curve, mode="lines+markers", line={"color": style.BLUE}, showlegend=False,
        hovertemplate="iteration %{x}: %{y:.4g} rad²<extra></extra>", row=1, col=1,
    )  # fmt: skip
    figure.update_xaxes(title="iteration")
    figure.update_yaxes(type="log" if np.all(loss_curve > 0) else "linear", title="L<sub>OR</sub> (rad²)")
    return style.styled(figure, "Recovery of the poses", style.MIDDLE)


def fsc_figure(
    frequencies: Array, to_input: Array, between_halves: Array, at_half: float | None, at_143: float | None
) -> go.Figure:
    """Fourier shell correlations (shells,) against the spatial frequency (shells,) in 1/Å, on an axis labelled in Å.

    ``at_half`` and ``at_143`` are the resolutions in Å where the two curves fall below their thresholds.
    """
    figure = make_subplots(rows=1, cols=1)
    curves = (
        ("against the input map", to_input, style.BLUE, 0.5, at_half),
        ("between the half maps", between_halves, style.VERMILION, 0.143, at_143),
    )
    nyquist = float(frequencies[-1])
    for name, curve, colour, threshold, resolution in curves:
        style.line(figure, frequencies, curve, name, colour, "solid", row=1, hover=f"{name}: %{{y:.3f}}")
        figure.add_hline(threshold, line={"color": colour, "dash": "dot", "width": 1.5})
        said = f"{threshold:g}: {resolution_text(curve, threshold, resolution)}"
        figure.add_annotation(
            text=said, x=0.99, xref="paper", xanchor="right", y=threshold, yanchor="bottom", showarrow=False,
            font={"size": 12},
        )  # fmt: skip
        if resolution and np.isfinite(resolution) and np.any(curve < threshold):
            figure.add_scatter(
                x=[1 / resolution], y=[threshold], mode="markers", marker={"color": colour, "size": 9},
                showlegend=False, hovertemplate=f"{resolution:.2f} Å<extra></extra>", row=1, col=1,
            )  # fmt: skip
    ticks = _resolution_ticks(nyquist)
    labels = {"tickvals": [1 / tick for tick in ticks], "ticktext": [f"{tick:.3g}" for tick in ticks]}
    figure.update_xaxes(title="resolution (Å)", range=[0, nyquist * 1.01], **labels)
    figure.update_yaxes(title="FSC", range=[min(-0.05, float(np.min([to_input, between_halves]))), 1.03])
    return style.styled(figure, "Fourier shell correlation", style.WIDE)


def _resolution_ticks(nyquist: float) -> list[float]:
    """Round resolutions in Å, and Nyquist's, that are some way apart on an axis of spatial frequencies."""
    round_ones = [m * 10.0**e for e in (3, 2, 1, 0, -1) for m in (8, 6, 5, 4, 3, 2.5, 2, 1.5, 1.2, 1)]
    ticks = [1 / nyquist]
    for resolution in sorted(round_ones):
        if 1 / ticks[-1] - 1 / resolution > 0.09 * nyquist and resolution < 10 / nyquist:
            ticks.append(resolution)
    return ticks


def resolution_text(curve: Array, threshold: float, resolution: float | None) -> str:
    """The resolution in Å where a curve falls below its threshold, or that it never does."""
    if resolution is None or not np.isfinite(resolution):
        return "below from the start"
    return f"{resolution:.2f} Å" if np.any(curve < threshold) else f"not reached (Nyquist {resolution:.2f} Å)"
