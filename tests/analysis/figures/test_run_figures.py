"""What the figures of a run show, against values worked out the plain way; and the same numbers as CSV."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from engine.analysis.figures.angles import angle_errors, upper_end
from engine.analysis.figures.data import Axis, Figure, Panel, Series
from engine.analysis.figures.distances import DIAGONAL, ERRORS, PAIRS, SAMPLE, distance_versus_distance
from engine.analysis.figures.fsc import HALVES, INPUT, fourier_shell_correlations, reached
from engine.analysis.figures.losses import recovery_curve, training_curve


def table(figure):
    return list(csv.DictReader(io.StringIO(figure.to_csv())))


def column(rows, series, name):
    return [float(row[name]) for row in rows if row["series"] == series]


def test_every_cell_of_the_distance_plot_counts_its_pairs(rng):
    exact = rng.uniform(0, np.pi, 400)
    estimated = np.clip(exact + rng.normal(0, 0.2, 400), 0, np.pi)
    edges = np.linspace(0, np.pi, 13)
    counts = np.histogram2d(exact, estimated, [edges, edges])[0].astype(int)
    figure = distance_versus_distance(counts, edges, exact, estimated, 0.123)
    upper, lower = figure.panels
    cells = upper[PAIRS].columns
    for true, guessed, pairs in zip(*cells.values(), strict=True):
        near = [np.abs(np.degrees(v) - c) <= 7.5 + 1e-9 for v, c in ((exact, true), (estimated, guessed))]
        assert pairs == np.count_nonzero(near[0] & near[1])
    assert cells["pairs"].sum() == 400
    np.testing.assert_array_equal(upper[DIAGONAL].columns["true_deg"], upper[DIAGONAL].columns["estimated_deg"])
    np.testing.assert_allclose(upper[SAMPLE].columns["estimated_deg"], np.degrees(estimated))
    assert figure.values["distance_mae"] == 0.123
    assert figure.values["distance_mae_of_sample"] == pytest.approx(np.mean(np.abs(estimated - exact)))
    errors = lower[ERRORS]
    assert errors.role == "sampled pairs"
    for true, low, middle, high, mean in zip(*errors.columns.values(), strict=True):
        inside = np.abs(np.degrees(exact) - true) < 5
        expected = np.degrees(estimated - exact)[inside]
        np.testing.assert_allclose([low, middle, high], np.quantile(expected, [0.1, 0.5, 0.9]), atol=1e-9)
        assert mean == pytest.approx(np.abs(expected).mean())


def test_the_distance_plot_as_csv_reads_back_to_its_numbers(rng):
    edges = np.linspace(0, np.pi, 5)
    counts = rng.integers(0, 9, (4, 4))
    exact = rng.uniform(0, np.pi, 50)
    figure = distance_versus_distance(counts, edges, exact, exact, None, np.full((18, 4), 0.1))
    rows = table(figure)
    assert column(rows, PAIRS, "pairs") == counts.ravel().tolist()
    np.testing.assert_allclose(column(rows, SAMPLE, "true_deg"), np.degrees(exact))
    np.testing.assert_allclose(column(rows, ERRORS, "error_median_deg"), np.degrees(0.1))
    assert "distance_mae" not in figure.values


def test_the_histograms_count_every_error_and_tell_what_is_beyond(rng):
    errors, before = np.radians(np.append(rng.uniform(0, 2, 99), 170.0)), np.radians(rng.uniform(0, 180, 100))
    figure = angle_errors(errors, before)
    after, earlier = (panel.series[0].columns for panel in figure.panels)
    for columns, values in ((after, np.degrees(errors)), (earlier, np.degrees(before))):
        low, high, counts = columns.values()
        np.testing.assert_allclose(low[1:], high[:-1])
        for a, b, count in list(zip(low, high, counts, strict=True))[:-1]:
            assert count == np.count_nonzero((values >= a) & (values < b))
    assert figure.values["beyond"] == 1
    assert sum(after["projections"]) == 99
    assert figure.values["median_deg"] == pytest.approx(np.median(np.degrees(errors)))
    assert figure.values["mean_before_deg"] == pytest.approx(np.mean(np.degrees(before)))
    assert figure.panels[1].x.range == (0.0, 180.0)
    assert column(table(figure), "projections", "projections") == [*after["projections"], *earlier["projections"]]


@pytest.mark.parametrize(
    ("values", "end"), [([1.0, 2, 3], 3.0), ([*[1.0] * 99, 100.0], 1.5), ([0.0, 0, 0], 0.0), ([*[0.0] * 99, 7], 7.0)]
)
def test_the_end_of_an_axis_leaves_out_few_outliers(values, end):
    assert upper_end(np.array(values)) == end


def test_the_validation_is_shown_where_it_was_measured():
    figure = training_curve(np.array([10, 20, 30]), np.array([3.0, 2, 1]), np.array([np.nan, 0.5, np.nan]))
    loss, validation = (panel.series[0].columns for panel in figure.panels)
    assert loss["loss"].tolist() == [3, 2, 1]
    assert validation["step"].tolist() == [20]
    np.testing.assert_allclose(validation["validation_mae_deg"], np.degrees(0.5))
    assert column(table(figure), "training loss", "step") == [10, 20, 30]


@pytest.mark.parametrize(("curve", "log"), [([1.0, 0.1], True), ([1.0, 0.0], False)])
def test_a_loss_that_vanishes_has_no_logarithm(curve, log):
    panel = recovery_curve(np.array(curve)).panel
    assert panel.y.log is log
    assert panel.series[0].columns["iteration"].tolist() == [0, 1]


def test_correlations_with_and_without_a_true_map():
    frequencies, high, low = np.array([0.1, 0.2]), np.array([0.9, 0.6]), np.array([0.8, -0.2])
    both = fourier_shell_correlations(frequencies, high, low, 5.0, 6.5)
    assert [series.name for series in both.panel.series] == [INPUT, HALVES]
    assert both.values == {INPUT: 5.0, HALVES: 6.5}
    assert both.panel.y.range == (-0.2, 1.03)
    alone = fourier_shell_correlations(frequencies, None, low, None, float("inf"))
    assert [series.name for series in alone.panel.series] == [HALVES]
    assert alone.values == {}
    assert column(table(both), HALVES, "correlation") == [0.8, -0.2]


@pytest.mark.parametrize(
    ("curve", "resolution", "text"),
    [([0.9, 0.1], 4.2, "4.20 Å"), ([0.9, 0.8], 3.0, "not reached (Nyquist 3.00 Å)"), ([0.1, 0.1], None, "below from")],
)
def test_a_resolution_in_words(curve, resolution, text):
    assert text in reached(np.array(curve), 0.5, resolution)


# The table-like object -----------------------------------------------------------------------------------------------


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"series 'a': columns have the shapes .*wanted equally long ones, 1-D"):
        Series("a", "line", {"x": np.zeros(3), "y": np.zeros(4)})
    with pytest.raises(ValueError, match="1-D"):
        Series("a", "line", {"x": np.zeros((3, 2))})


def test_what_a_spreadsheet_would_run_is_made_text():
    series = Series("=cmd()", "points", {"x": np.array([1.0, np.nan]), "who": np.array(["+1", "me"])})
    panel = Panel(Axis("x"), Axis("y"), (series,), "@panel")
    rows = table(Figure("f", "F", (panel,)))
    assert [row["series"] for row in rows] == ["'=cmd()"] * 2
    assert [row["panel"] for row in rows] == ["'@panel"] * 2
    assert [(row["x"], row["who"]) for row in rows] == [("1.0", "'+1"), ("", "me")]


def test_a_figure_prints_a_line():
    panel = Panel(Axis("x", "Å"), Axis("y"), (Series("a", "line", {"x": np.zeros(3)}),))
    assert repr(Figure("f", "F", (panel,))) == "Figure('f', 1 panels, 1 series)"
    assert repr(panel["a"]) == "Series('a', line, 3 rows of x)"
    assert (panel.x.title, panel.y.title) == ("x (Å)", "y")
    with pytest.raises(KeyError, match="b"):
        panel["b"]
