"""Figures of a run: what Plotly draws are the very numbers of the data, in the units that the axes name."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.figures import losses
from engine.analysis.figures.angles import angle_errors
from engine.analysis.figures.distances import distance_versus_distance
from engine.analysis.figures.fsc import fourier_shell_correlations
from engine.poses.metrics import distance_histogram
from pages._run import figures


def trace(figure, name):
    (named,) = [trace for trace in figure.data if trace.name == name]
    return named


def same(trace, series, x="x", y="y"):
    """Whether a trace has the columns of a series to the last digit."""
    return np.array_equal(trace.x, series.columns[x]) and np.array_equal(trace.y, series.columns[y])


@pytest.fixture
def pairs(rng):
    exact = np.arccos(1 - 2 * rng.random(5000))
    estimated = np.clip(exact + 0.1 * rng.standard_normal(5000), 0, np.pi)
    return exact, estimated


def distances(pairs, *arguments, **named):
    counts, edges = distance_histogram(pairs[1], pairs[0])
    return distance_versus_distance(counts, edges, *pairs, *arguments, **named)


def test_the_map_of_distances_shows_every_pair(pairs):
    data = distances(pairs, 0.0785)
    figure = figures.distance_figure(data)
    heat, counted = figure.data[0], data.panels[0]["pairs"]
    drawn = np.where(np.isnan(heat.z), 0, 10.0 ** np.nan_to_num(heat.z))
    assert np.allclose(drawn, counted.grid("pairs"))
    assert np.array_equal(heat.customdata, counted.grid("pairs"))
    cell = next(n for n, count in enumerate(counted.columns["pairs"]) if count > 1)
    column, row = (np.argmin(abs(heat[axis] - counted.columns[f"{axis}_low"][cell] - 0.9)) for axis in "xy")
    assert heat.customdata[row, column] == counted.columns["pairs"][cell]
    assert heat.x[0] == pytest.approx(0.9)
    assert heat.x[-1] == pytest.approx(179.1)
    assert list(heat.colorbar.ticktext)[:2] == ["1", "10"]
    assert same(trace(figure, "estimated = true"), data.panels[0]["estimated = true"])
    assert figure.layout.title.text == "Distances of 5,000 pairs of test projections"
    assert figure.layout.xaxis2.title.text == "true distance (°)"
    assert figure.layout.yaxis.title.text == "estimated distance (°)"


def test_single_pairs_are_drawn_when_the_data_have_them(pairs):
    few = len(figures.distance_figure(distances(pairs, 0.1)).data)
    data = distances(pairs, 0.1, points=True)
    figure = figures.distance_figure(data)
    assert len(figure.data) == few + 1
    points = trace(figure, "1,000 single pairs")
    assert points.type == "scatter"  # not scattergl: a page has few WebGL contexts
    assert same(points, data.panels[0]["1,000 single pairs"])


def test_the_error_beneath_is_that_of_the_data(pairs):
    data = distances(pairs, 0.1)
    figure = figures.distance_figure(data)
    band, median, mean_absolute = data.panels[1].series
    assert same(trace(figure, "median"), median)
    assert same(trace(figure, "mean absolute"), mean_absolute)
    area = trace(figure, "10–90 % of sampled pairs")
    count = len(band)
    assert np.array_equal(area.x[:count], band.columns["x"])
    assert np.array_equal(area.y[:count], band.columns["high"])
    assert np.array_equal(area.x[count:], band.columns["x"][::-1])
    assert np.array_equal(area.y[count:], band.columns["low"][::-1])


def test_a_mean_error_of_the_sample_is_marked_as_one(pairs):
    whole, sampled = (figures.distance_figure(distances(pairs, mae)) for mae in (0.1, None))
    assert whole.layout.annotations[0].text == "L<sub>DE</sub> 5.73° (0.100 rad)"
    mae = np.mean(np.abs(pairs[1] - pairs[0]))
    expected = f"L<sub>DE</sub> {np.degrees(mae):.3g}° ({mae:#.3g} rad) in a sample of 5,000 pairs"
    assert sampled.layout.annotations[0].text == expected


def test_histograms_of_angle_errors(rng):
    errors = np.radians(np.abs(rng.normal(1.0, 0.3, 997)))
    errors = np.concatenate([errors, np.radians([120.0, 150.0, 179.0])])
    data = angle_errors(errors, np.radians(rng.uniform(0, 180, 1000)))
    figure = figures.angle_error_figure(data)
    for bars, panel in zip((t for t in figure.data if t.type == "bar"), data.panels, strict=True):
        assert same(bars, panel["projections"], y="projections")
        ends = np.stack([panel["projections"].columns[name] for name in ("x_low", "x_high")], axis=1)
        assert np.allclose(bars.customdata, np.concatenate([ends, np.radians(ends)], axis=1))
        assert np.allclose(bars.width, ends[:, 1] - ends[:, 0])
    assert "3 of 1,000 beyond" in figure.layout.annotations[-1].text
    median, mean = (t for t in figure.data if t.showlegend and t.type == "scatter")
    assert same(median, data.panels[0]["median"])
    assert same(mean, data.panels[0]["mean"])
    assert median.name == f"median {np.degrees(np.median(errors)):#.3g}°"
    assert figure.layout.xaxis.range == data.panels[0].x.range
    assert figure.layout.xaxis.title.text.endswith("(°)")


def test_training_curve_shows_validation_where_it_was_measured():
    data = losses.training_curve(np.array([10.0, 20, 30]), np.array([1.0, 0.5, 0.2]), np.array([np.nan, 0.1, np.nan]))
    figure = figures.training_figure(data)
    loss, validation = figure.data
    assert same(loss, data.panels[0]["training loss"])
    assert same(validation, data.panels[1]["validation L_DE"])
    assert list(validation.customdata) == [0.1]
    assert validation.name == "validation L<sub>DE</sub>"
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.yaxis2.title.text == "L<sub>DE</sub> (°)"


@pytest.mark.parametrize(("curve", "kind"), [([1.0, 1e-3, 1e-9], "log"), ([1.0, 0.0], "linear")])
def test_recovery_loss_is_on_the_axis_that_the_data_ask_for(curve, kind):
    data = losses.recovery_curve(np.array(curve))
    figure = figures.recovery_figure(data)
    assert same(figure.data[0], data.panel["recovery loss"])
    assert figure.layout.yaxis.type == kind
    assert figure.layout.yaxis.title.text == "L<sub>OR</sub> (rad²)"


def test_fsc_marks_each_threshold_on_its_own_curve():
    to_input, halves = np.linspace(1, 0.1, 10), np.linspace(1, 0.01, 10)
    data = fourier_shell_correlations(np.linspace(0.01, 0.1, 10), to_input, halves, 18.0, 11.7)
    figure = figures.fsc_figure(data)
    for name in ("against the input map", "between the half maps"):
        assert same(trace(figure, name), data.panel[name])
    texts = [note.text for note in figure.layout.annotations]
    assert texts == ["0.5: 18.00 Å", "0.143: 11.70 Å"]
    assert [line.y0 for line in figure.layout.shapes] == [0.5, 0.143]
    marks = [t for t in figure.data if t.mode == "markers"]
    assert same(marks[0], data.panel["below 0.5"])
    assert same(marks[1], data.panel["below 0.143"])
    assert [line.line.color for line in figure.layout.shapes] == [mark.marker.color for mark in marks]
    axis = figure.layout.xaxis
    assert list(zip(axis.tickvals, axis.ticktext, strict=True)) == list(data.panel.x.ticks)
    assert axis.ticktext[0] == "10"  # Nyquist's


def test_fsc_without_a_true_map_has_the_curve_of_the_halves_alone():
    halves = np.array([0.8, -0.2])
    data = fourier_shell_correlations(np.array([0.1, 0.2]), None, halves, None, 6.5)
    figure = figures.fsc_figure(data)
    assert same(trace(figure, "between the half maps"), data.panel["between the half maps"])
    assert [note.text for note in figure.layout.annotations] == ["0.143: 6.50 Å"]


def test_fsc_that_never_falls_says_so():
    frequencies, ones = np.array([0.1, 0.2]), np.ones(2)
    figure = figures.fsc_figure(fourier_shell_correlations(frequencies, ones, 0 * ones, 5.0, None))
    texts = [note.text for note in figure.layout.annotations]
    assert texts[0].endswith("not reached (Nyquist 5.00 Å)")
    assert texts[1].endswith("below from the start")
    assert not [t for t in figure.data if t.mode == "markers"]
