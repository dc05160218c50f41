"""Runs compared: their measures, angle errors, trainings and recoveries. A run's series have its letter as role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...experiment.metrics import ANGLE_ERROR_MEDIAN, DISTANCE_MAE, RECOVERY_LOSS
from ..comparison_table import Compared, Line, line_of
from ..measures import MEASURES, Measure
from .data import Axis, Figure, Panel, Series
from .scales import value_axis

Array = NDArray[np.floating]

BASELINE, HALF = "baseline", "half of the projections"
"""Names of the reference lines in a panel."""
_FEWEST_BARS, _MOST_BARS = 15, 60
_MOST_POINTS = 400  # of a run's curve
_MOST_QUANTILES = 200


class Training(NamedTuple):
    """Loss (n,) and validation L_DE (n,) in rad, NaN where not measured, by the optimiser's step (n,)."""

    step: Array
    loss: Array
    validation_mae: Array


def singles_of(line: Line) -> str:
    """Name of the series with the single runs of a line."""
    return f"runs of {line.letters}"


def measures(lines: Sequence[Line], baseline: Compared, keys: Sequence[str]) -> Figure:
    """Measures of the lines with their standard deviations, one panel per measure (:data:`analysis.measures.MEASURES`).

    A line with several runs has a second series with the values of each (:func:`singles_of`). Where the baseline's line
    is known, its mean is a reference line. Angles are in degrees. Axes are logarithmic where values span decades.
    """
    reference = line_of(lines, baseline)
    runs = Axis("runs", categories=tuple(line.letters for line in lines))
    panels = []
    for key in keys:
        series = [one for line in lines for one in _line_series(line, key)]
        if (spread := reference.spreads[key]) is not None:
            series.append(Series(BASELINE, "reference", {"y": np.array([spread.mean])}))
        measure = MEASURES[key]
        values = [value for line in lines for value in line.singles[key] if value is not None]
        y = value_axis(measure.metric.short, measure.unit, values)
        panels.append(Panel(runs, y, tuple(series), measure.label))
    return Figure(
        "metrics", "Metrics, mean ± standard deviation over seeds", tuple(panels),
        "Means over runs that differ only in their seed, their standard deviations, and the single runs.",
    )  # fmt: skip


def _line_series(line: Line, key: str) -> list[Series]:
    spread, role = line.spreads[key], line.runs[0].letter
    mean, sd, count = (np.nan, None, 0) if spread is None else spread
    columns = {
        "x": np.array([line.letters]), "y": np.array([mean]), "sd": np.array([np.nan if sd is None else sd]),
        "runs": np.array([count]),
    }  # fmt: skip
    means = Series(line.label, "points", columns, role, {"sd": MEASURES[key].unit})
    if len(line.runs) == 1:
        return [means]
    known = [(run.label, value) for run, value in zip(line.runs, line.singles[key], strict=True) if value is not None]
    single = {
        "x": np.full(len(known), line.letters), "y": np.array([value for _, value in known], dtype=float),
        "run": np.array([label for label, _ in known], dtype=str),
    }  # fmt: skip
    return [Series(singles_of(line), "points", single, role), means]


def angle_errors(runs: Sequence[Compared], errors: Mapping[str, Array], logarithmic: bool = False) -> Figure:
    """Histograms of angle errors (n,) in rad by the runs' letters, and the cumulative share of the projections.

    Both are in degrees and per cent of the run's projections; all histograms have the same bins. Each run's number of
    ``projections`` and of those ``beyond`` the histograms are among the figure's values.
    """
    shown = {run.label: (run.letter, np.degrees(errors[run.letter])) for run in runs if run.letter in errors}
    edges = _edges([degrees for _, degrees in shown.values()], logarithmic)
    middles = np.sqrt(edges[:-1] * edges[1:]) if logarithmic else (edges[:-1] + edges[1:]) / 2
    histograms, curves, values = [], [], {}
    for label, (letter, degrees) in shown.items():
        share = 100 * np.histogram(degrees, edges)[0] / len(degrees)
        columns = {"x": middles, "x_low": edges[:-1], "x_high": edges[1:], "y": share}
        histograms.append(Series(label, "steps", columns, letter))
        below, at = cumulative(degrees)
        curves.append(Series(label, "line", {"x": at, "y": 100 * below}, letter))
        values[f"projections of {letter}"] = float(len(degrees))
        values[f"projections of {letter} beyond"] = float(np.count_nonzero(degrees > edges[-1]))
    curves.append(Series(HALF, "reference", {"y": np.array([50.0])}))
    x = Axis("angle between recovered and true pose", "°", logarithmic, (float(edges[0]), float(edges[-1])))
    return Figure(
        "angle-errors", "Angle errors after alignment",
        (
            Panel(x, Axis("% of projections"), tuple(histograms), "histograms"),
            Panel(x, Axis("% below", range=(0.0, 101.0)), tuple(curves), "cumulative"),
        ),
        f"{ANGLE_ERROR_MEDIAN.short} is the angle that half of a run's projections are below.", values,
    )  # fmt: skip


def cumulative(values: Array) -> tuple[Array, Array]:
    """Shares (m,) from 0 to 1 and the corresponding quantiles (m,), at most 200 of them."""
    share = np.linspace(0.0, 1.0, min(len(values), _MOST_QUANTILES))
    return share, np.quantile(values, share, method="inverted_cdf")


def _edges(errors: Sequence[Array], logarithmic: bool) -> Array:
    """Of bars that all runs share; a few outliers of one run must not compress the others into one bar."""
    bars = int(np.clip(1.5 * np.sqrt(min(map(len, errors))), _FEWEST_BARS, _MOST_BARS))
    if not logarithmic:
        end = max(min(float(values.max()), 1.5 * float(np.quantile(values, 0.98))) for values in errors) or 1.0
        return np.linspace(0.0, end, bars + 1)
    end = max(float(values.max()) for values in errors) or 1.0
    begin = min((float(np.quantile(values[values > 0], 0.005)) for values in errors if np.any(values > 0)), default=0.0)
    return np.geomspace(min(begin, end / 10) or end / 1000, end, bars + 1)


def trainings(runs: Sequence[Compared], curves: Mapping[str, Training]) -> Figure:
    """Training loss and validation L_DE against the optimiser's step, by the runs' letters.

    Of a long training every k-th step is kept, and every validation: L_DE in degrees, and in rad beside it.
    """
    losses, validations = [], []
    for run in (run for run in runs if run.letter in curves):
        step, loss, validation = curves[run.letter]
        every = max(1, len(step) // _MOST_POINTS)
        losses.append(Series(run.label, "line", {"x": step[::every], "y": loss[::every]}, run.letter))
        measured = np.isfinite(validation)
        columns = {"x": step[measured], "y": np.degrees(validation[measured]), "y_rad": validation[measured]}
        validations.append(Series(run.label, "line", columns, run.letter))
    step_axis, error = Axis("step"), Measure(DISTANCE_MAE)
    return Figure(
        "training", "Training of the network",
        (
            Panel(step_axis, Axis("training loss", log=True), tuple(losses), "training"),
            Panel(step_axis, Axis(f"validation {error.metric.short}", error.unit), tuple(validations), "validation"),
        ),
        "Loss of the training batches, and mean absolute distance error on the validation projections.",
    )  # fmt: skip


def recoveries(runs: Sequence[Compared], curves: Mapping[str, Array]) -> Figure:
    """Recovery loss L_OR (iterations + 1,) in rad² against the iteration, by the runs' letters."""
    shown = [run for run in runs if run.letter in curves]
    series = tuple(
        Series(run.label, "line", {"x": np.arange(len(curves[run.letter])), "y": curves[run.letter]}, run.letter)
        for run in shown
    )
    y = Axis(RECOVERY_LOSS.short, RECOVERY_LOSS.unit, log=all(np.all(curves[run.letter] > 0) for run in shown))
    caption = "Recovery loss of the best start of each run."
    return Figure("recovery", "Recovery of the poses", (Panel(Axis("iteration"), y, series),), caption)
