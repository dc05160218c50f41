from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analysis import comparison_table
from engine.analysis.figures import compare
from engine.analysis.figures.compare import BASELINE, HALF, Training
from tests.analysis.test_comparison_table import seeds_and_others
from tests.analysis_testing import row
from tests.figure_testing import assert_csv_holds


@pytest.fixture
def runs():
    return seeds_and_others()


def test_measures_have_a_panel_each_with_means_single_runs_and_the_baseline(runs):
    lines = comparison_table.metric_lines(runs, folded=True)
    figure = compare.measures(lines, runs[1], ["E_OR", "L_DE"])
    angle, distance = figure.panels
    assert (angle.title, angle.y.title, angle.x.categories) == ("E_OR (°)", "E_OR (°)", ("A, B", "C", "D"))
    mean = angle["A, B · <b>5</b> (+1)"]
    assert (mean.role, list(mean.columns["x"]), list(mean.columns["runs"])) == ("A", ["A, B"], [2])
    np.testing.assert_allclose(mean.columns["y"], np.degrees([0.2]))
    np.testing.assert_allclose(mean.columns["sd"], np.degrees([math.sqrt(0.02)]))
    singles = angle[compare.singles_of(lines[0])]
    np.testing.assert_allclose(singles.columns["y"], np.degrees([0.1, 0.3]))
    assert list(singles.columns["run"]) == ["A · <b>5</b>", "B · <b>6</b>"]
    np.testing.assert_allclose(angle["C · <b>7</b>"].columns["y"], np.degrees([0.6]))
    assert np.isnan([angle["C · <b>7</b>"].columns["sd"][0], angle["D · <b>8</b>"].columns["y"][0]]).all()
    assert list(angle["D · <b>8</b>"].columns["runs"]) == [0]
    np.testing.assert_allclose(angle[BASELINE].columns["y"], np.degrees([0.2]))
    assert BASELINE not in [series.name for series in distance.series], "nobody has measured it"
    assert_csv_holds(figure)


def test_histograms_and_cumulative_curves_are_of_the_errors(runs, rng):
    errors = {"A": np.radians(rng.uniform(0, 10, 400)), "C": np.radians(rng.uniform(2, 4, 100))}
    figure = compare.angle_errors(runs, errors)
    histograms, curves = figure.panels
    assert [series.role for series in histograms.series] == ["A", "C"]
    for series in histograms.series:
        degrees = np.degrees(errors[series.role])
        assert series.columns["y"].sum() == pytest.approx(100)
        for low, high, share in zip(*(series.columns[name] for name in ("x_low", "x_high", "y")), strict=True):
            inside = np.count_nonzero((degrees >= low) & (degrees < high))
            assert share == pytest.approx(100 * inside / len(degrees), abs=100 / len(degrees))
        curve = curves[series.name].columns
        for at, share in zip(curve["x"], curve["y"], strict=True):
            assert 100 * np.count_nonzero(degrees <= at + 1e-9) / len(degrees) >= share - 1e-9
            assert 100 * np.count_nonzero(degrees < at - 1e-9) / len(degrees) <= share + 1e-9
    assert list(curves[HALF].columns["y"]) == [50]
    assert (figure.values["projections of A"], figure.values["projections of A beyond"]) == (400, 0)
    assert histograms.x == curves.x
    assert histograms.x.title == "angle between recovered and true pose (°)"
    assert_csv_holds(figure)


def test_outliers_of_one_run_do_not_squeeze_the_others(runs):
    errors = {"A": np.full(100, 0.01), "B": np.append(np.full(99, 0.02), 3.0)}
    figure = compare.angle_errors(runs, errors)
    assert figure.panels[0].x.range[1] == pytest.approx(1.5 * math.degrees(0.02))
    assert figure.values["projections of B beyond"] == 1
    logarithmic = compare.angle_errors(runs, errors, logarithmic=True)
    assert logarithmic.panels[0].x.log
    assert logarithmic.panels[0].x.range[1] == pytest.approx(math.degrees(3.0))
    assert logarithmic.values["projections of B beyond"] == 0
    columns = logarithmic.panels[0].series[0].columns
    np.testing.assert_allclose(columns["x"] ** 2, columns["x_low"] * columns["x_high"])


@pytest.mark.parametrize("logarithmic", [False, True])
def test_errors_of_nothing_but_zeros_have_an_axis(runs, logarithmic):
    figure = compare.angle_errors(runs, {"A": np.zeros(20)}, logarithmic)
    low, high = figure.panels[0].x.range
    assert 0 <= low < high < math.inf
    assert figure.panels[1].series[0].columns["y"][-1] == 100


def test_quantiles_are_values_that_occur():
    share, at = compare.cumulative(np.array([3.0, 1.0, 2.0, 4.0, 5.0]))
    np.testing.assert_array_equal(share, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_array_equal(at, [1, 2, 3, 4, 5])
    share, at = compare.cumulative(np.arange(10_000.0))
    assert len(share) == len(at) == 200


def test_training_curves_keep_every_validation(runs):
    step = np.arange(1.0, 5001)
    validation = np.where(step % 500 == 0, 1 / step, np.nan)
    figure = compare.trainings(runs, {"B": Training(step, 10 / step, validation)})
    loss, measured = (panel["B · <b>6</b>"] for panel in figure.panels)
    assert (loss.role, measured.role) == ("B", "B")
    np.testing.assert_array_equal(loss.columns["x"], np.arange(1, 5001, 12))
    np.testing.assert_allclose(loss.columns["y"] * loss.columns["x"], 10)
    np.testing.assert_array_equal(measured.columns["x"], np.arange(500, 5001, 500))
    np.testing.assert_allclose(measured.columns["y_rad"] * measured.columns["x"], 1)
    np.testing.assert_allclose(measured.columns["y"], measured.columns["y_rad"] * 57.29577951308232)
    assert [panel.y.title for panel in figure.panels] == ["training loss", "validation L_DE (°)"]
    assert_csv_holds(figure)


@pytest.mark.parametrize(("last", "log"), [(0.5, True), (0.0, False)])
def test_a_recovery_loss_of_zero_has_no_logarithmic_axis(runs, last, log):
    figure = compare.recoveries(runs, {"A": np.array([1.0, 0.5]), "B": np.array([1.0, 0.8, last])})
    panel = figure.panel
    assert (panel.y.log, panel.y.title) == (log, "L_OR (rad²)")
    np.testing.assert_array_equal(panel["B · <b>6</b>"].columns["x"], [0, 1, 2])
    np.testing.assert_array_equal(panel["B · <b>6</b>"].columns["y"], [1, 0.8, last])
    assert_csv_holds(figure)


def test_a_name_in_the_csv_is_no_formula():
    runs = comparison_table.compared([row(1) | {"name": "=1+1"}])
    lines = comparison_table.metric_lines(runs, folded=False)
    assert "\n'=" not in compare.measures(lines, runs[0], ["L_DE"]).to_csv(), "the letter comes first"
