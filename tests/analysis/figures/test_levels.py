from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analysis import level_table
from engine.analysis.factors import CLOSE_PAIRS, COVERAGE, NOISE, study
from engine.analysis.figures import levels
from engine.analysis.figures.levels import DIAGONAL, MEAN, MEDIAN, PAIRS, PROJECTIONS, PUBLISHED, SINGLE
from tests.analysis_testing import SIGNAL, close, noisy, row
from tests.figure_testing import assert_csv_holds


def test_measures_have_means_deviations_and_single_runs_by_level():
    rows = [
        noisy(1, 0, 0.1), noisy(2, 1, 0.3), noisy(3, 0, 0.4, noise_variance=8.0),
        noisy(4, 1, None, noise_variance=8.0),
    ]  # fmt: skip
    figure = levels.measures(level_table.lines(study(rows, NOISE), NOISE), "variance of the noise")
    assert [panel.y.title for panel in figure.panels] == ["L_DE (°)", "L_OR (rad²)", "E_OR (°)"]
    assert [panel.x.title for panel in figure.panels] == ["variance of the noise"] * 3
    means = figure.panels[0][MEAN]
    assert (means.kind, list(means.columns["level"])) == ("line", ["no noise", "variance 8"])
    np.testing.assert_array_equal(means.columns["x"], [0.0, 8.0])
    np.testing.assert_allclose(means.columns["y"], np.degrees([0.2, 0.4]))
    np.testing.assert_allclose(means.columns["y_rad"], [0.2, 0.4])
    np.testing.assert_allclose(means.columns["sd"], [math.degrees(math.sqrt(0.02)), np.nan])
    np.testing.assert_array_equal(means.columns["runs"], [2, 1])
    singles = figure.panels[0][SINGLE].columns
    np.testing.assert_array_equal(singles["x"], [0.0, 0.0, 8.0])
    np.testing.assert_allclose(singles["y"], np.degrees([0.1, 0.3, 0.4]))
    assert singles["run"][1] == "20260101-000000-1bd2-000002, seed 1"
    assert len(figure.panels[1][MEAN]) == 0, "nobody has recorded it"
    published = figure.panels[2]["published, 5J0N, Tesla K40c hours"]
    assert published.role == PUBLISHED
    np.testing.assert_allclose(published.columns["y_rad"], [0.159, 0.189, 0.232, 0.418, 0.801, 0.725])
    np.testing.assert_allclose(published.columns["x"], np.array([0, 5, 10, 16, 20, 25]) * SIGNAL / 1.109)
    assert_csv_holds(figure)


def test_levels_that_are_words_are_in_their_order():
    rows = [row(1, 0.1), row(2, 0.2, projections={"coverage": "quarter"})]
    figure = levels.measures(level_table.lines(study(rows, COVERAGE), COVERAGE), "coverage", "Title")
    assert figure.title == "Title"
    assert {panel.x.categories for panel in figure.panels} == {("full", "quarter")}
    means = figure.panels[0][MEAN]
    assert (means.kind, list(means.columns["x"])) == ("points", ["full", "quarter"])
    assert list(figure.panels[0]["published, 5A1A, Tesla K40c hours"].columns["x"]) == ["quarter"]
    assert_csv_holds(figure)


def test_recoveries_have_a_panel_a_metric_against_the_largest_distance():
    rows = [close(1, 0, None, 6.0, 40), close(2, 0, 1.2, 2.0, 10), close(3, 1, 1.2, 4.0, 12), close(4, 0, 0.8, 1.0, 5)]
    figure = levels.measures(level_table.lines(study(rows, CLOSE_PAIRS), CLOSE_PAIRS), "largest distance (°)")
    assert [panel.title for panel in figure.panels] == ["E_OR (°)", "L_OR (rad²)", "time (s)", "pairs used"]
    np.testing.assert_allclose(figure.panels[2][MEAN].columns["x"], [math.degrees(0.8), math.degrees(1.2), 180])
    np.testing.assert_array_equal(figure.panels[2][MEAN].columns["y"], [1, 3, 6])
    assert "y_rad" not in figure.panels[2][MEAN].columns
    np.testing.assert_array_equal(figure.panels[3][SINGLE].columns["y"], [5, 10, 12, 40])


def test_pairs_are_summed_over_the_runs_of_a_level_that_have_the_same_bins():
    edges, other = np.linspace(0, np.pi, 3), np.linspace(0, 3, 3)
    one, two = np.array([[1, 2], [3, 4]]), np.array([[10, 0], [0, 10]])
    pooled, bins = levels.pooled_counts({"a": [(one, edges), (two, edges)], "b": [(two, other), (one, edges)]})
    np.testing.assert_array_equal(bins, edges)
    np.testing.assert_array_equal(pooled["a"], [[11, 2], [3, 14]])
    np.testing.assert_array_equal(pooled["b"], one)
    np.testing.assert_array_equal(one, [[1, 2], [3, 4]])
    assert levels.pooled_counts({}) == ({}, None)


def test_cells_of_distances_hold_per_cent_of_their_level(rng):
    edges = np.linspace(0, np.pi, 101)
    exact = {"few": rng.uniform(0, np.pi, 100), "many": rng.uniform(0, np.pi, 4000)}
    estimated = {name: np.clip(true + rng.normal(0, 0.2, len(true)), 0, np.pi) for name, true in exact.items()}
    counts = {name: np.histogram2d(exact[name], estimated[name], (edges, edges))[0].astype(int) for name in exact}
    figure = levels.distances(counts, edges, {"few": 0.125, "many": None})
    for panel in figure.panels:
        cells = panel[PAIRS].columns
        assert len(cells["percent"]) == 50 * 50
        true, guessed = np.degrees(exact[panel.title]), np.degrees(estimated[panel.title])
        for at in rng.integers(0, 2500, 40):
            x, y = cells["x"][at], cells["y"][at]
            inside = np.count_nonzero((np.abs(true - x) <= 1.8 + 1e-9) & (np.abs(guessed - y) <= 1.8 + 1e-9))
            assert cells["percent"][at] == pytest.approx(100 * inside / len(true))
        assert cells["percent"].sum() == pytest.approx(100)
        np.testing.assert_array_equal(panel[DIAGONAL].columns["x"], panel[DIAGONAL].columns["y"])
    least = min(100 * pairs[pairs > 0].min() / pairs.sum() for pairs in map(_pairs_by_four, counts.values()))
    assert figure.panels[0].colour == figure.panels[1].colour
    assert figure.panels[0].colour.range[0] == pytest.approx(least)
    assert [panel.values for panel in figure.panels] == [{"distance_mae": 0.125}, {}]
    assert_csv_holds(figure)


def _pairs_by_four(counts):
    return counts[::2, ::2] + counts[1::2, ::2] + counts[::2, 1::2] + counts[1::2, 1::2]


def test_bins_that_cannot_be_taken_together_stay_as_they_are():
    figure = levels.distances({"odd": np.eye(101, dtype=int)}, np.linspace(0, np.pi, 102), {"odd": None})
    assert figure.panel[PAIRS].grid("percent").shape == (101, 101)


def test_distances_of_no_pairs_have_a_scale():
    figure = levels.distances({"none": np.zeros((4, 4), dtype=int)}, np.linspace(0, np.pi, 5), {})
    low, high = figure.panel.colour.range
    assert 0 < low < high


def test_angle_errors_share_their_bins_and_have_their_medians():
    errors = {"low": np.radians(np.linspace(1, 5, 101)), "high": np.radians([*np.linspace(10, 20, 99), 170, 171])}
    figure = levels.angle_errors(errors)
    low, high = figure.panels
    np.testing.assert_array_equal(low[PROJECTIONS].columns["x_low"], high[PROJECTIONS].columns["x_low"])
    assert (low.x, low.y) == (high.x, high.y)
    for panel, shown in ((low, 101), (high, 99)):
        columns, degrees = panel[PROJECTIONS].columns, np.degrees(errors[panel.title])
        assert columns["y"].sum() == pytest.approx(100 * shown / 101)
        for start, end, percent in zip(*(columns[name] for name in ("x_low", "x_high", "y")), strict=True):
            inside = np.count_nonzero((degrees >= start) & (degrees < end))
            assert percent == pytest.approx(100 * inside / 101, abs=100 / 101)
    assert low.values == {"angle_error_median": pytest.approx(np.radians(3)), "projections": 101, "beyond": 0}
    assert high.values["beyond"] == 2
    np.testing.assert_allclose(high[MEDIAN].columns["x"], np.full(2, np.median(np.degrees(errors["high"]))))
    assert low.y.range[1] == pytest.approx(
        1.05 * max(low[PROJECTIONS].columns["y"].max(), high[PROJECTIONS].columns["y"].max())
    )
    assert_csv_holds(figure)


def test_losses_are_a_series_a_run():
    curves = {"all": [np.array([3.0, 1.0]), np.array([4.0, 2.0, 1.5])], "random": [np.array([5.0, 0.5])]}
    figure = levels.recovery_losses(curves)
    assert [(series.name, series.role) for series in figure.panel.series] == [
        ("all, run 1", "all"), ("all, run 2", "all"), ("random, run 1", "random"),
    ]  # fmt: skip
    assert [series.columns["y"].tolist() for series in figure.panel.series] == [[3, 1], [4, 2, 1.5], [5, 0.5]]
    assert figure.panel["all, run 2"].columns["x"].tolist() == [0, 1, 2]
    assert figure.panel.y.log
    assert not levels.recovery_losses({"exact": [np.array([1.0, 0.0])]}).panel.y.log
    assert_csv_holds(figure)


def test_projections_are_the_first_of_each_level(rng):
    images = {"no noise": rng.standard_normal((5, 6, 6)), "variance 9": rng.standard_normal((2, 6, 6))}
    figure = levels.projections(images, count=3)
    assert [(panel.title, len(panel.series)) for panel in figure.panels] == [("no noise", 3), ("variance 9", 2)]
    np.testing.assert_array_equal(figure.panels[0].series[2].grid("value"), images["no noise"][2])
    assert_csv_holds(figure)
