"""Distances: every pair is counted where it lies, errors are those of each bin, worked out pair by pair."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.figures.distances import distance_versus_distance
from engine.poses.metrics import distance_histogram, error_by_distance
from tests.figure_testing import assert_csv_holds, points_of


@pytest.fixture
def pairs(rng):
    exact = np.arccos(1 - 2 * rng.random(5000))
    estimated = np.clip(exact + 0.1 * rng.standard_normal(5000), 0, np.pi)
    return exact, estimated


def shown(pairs, *arguments, **named):
    counts, edges = distance_histogram(pairs[1], pairs[0])
    return distance_versus_distance(counts, edges, *pairs, *arguments, **named)


def test_every_pair_is_counted_in_its_cell(pairs):
    true, estimated = np.degrees(pairs)
    figure = shown(pairs, 0.0785)
    cells = points_of(figure.panels[0]["pairs"], "x_low", "x_high", "y_low", "y_high", "pairs")
    assert cells.shape == (100 * 100, 5)
    assert cells[:, 4].sum() == 5000
    fullest, some = cells[np.argsort(-cells[:, 4])][:50], cells[::97]
    for left, right, low, high, count in (*fullest, *some):
        assert count == np.sum((left <= true) & (true < right) & (low <= estimated) & (estimated < high))
    assert_csv_holds(figure)


def test_it_says_what_its_axes_are(pairs):
    figure = shown(pairs, 0.0785)
    above, beneath = figure.panels
    assert (above.x.title, above.y.title) == ("true distance (°)", "estimated distance (°)")
    assert (above.x.range, above.y.range, beneath.x.range) == ((0, 180),) * 3
    assert (beneath.y.title, above.colour.label, above.colour.log) == ("error (°)", "pairs", True)
    assert figure.title == "Distances of 5,000 pairs of test projections"
    np.testing.assert_array_equal(points_of(above["estimated = true"], "x", "y"), [[0, 0], [180, 180]])


def test_the_error_profile_of_a_sample_is_that_of_each_bin(pairs):
    true, estimated = np.degrees(pairs)
    band, median, mean_absolute = shown(pairs, 0.1).panels[1].series
    assert band.name == "10–90 % of sampled pairs"
    assert len(band) >= 17
    for number, middle in enumerate(band.columns["x"]):
        error = (estimated - true)[np.abs(true - middle) < 5]
        expected = [*np.percentile(error, [10, 90]), np.median(error), np.abs(error).mean()]
        given = [band.columns["low"], band.columns["high"], median.columns["y"], mean_absolute.columns["y"]]
        np.testing.assert_allclose([column[number] for column in given], expected, rtol=1e-9)


def test_the_error_profile_is_that_of_all_pairs_where_the_run_has_kept_it(pairs):
    kept = np.radians(np.column_stack([np.full(18, -2.0), np.full(18, 1.0), np.full(18, 4.0), np.full(18, 3.0)]))
    kept[0] = np.nan
    figure = shown(pairs, 0.1, kept)
    band, median, mean_absolute = figure.panels[1].series
    assert band.name == "10–90 % of pairs"
    np.testing.assert_allclose(points_of(band, "x", "low", "high"), [[15 + 10 * n, -2, 4] for n in range(17)])
    np.testing.assert_allclose(median.columns["y"], 1.0)
    np.testing.assert_allclose(mean_absolute.columns["y"], 3.0)
    assert_csv_holds(figure)


def test_bins_of_too_few_pairs_are_left_out():
    exact = np.array([0.1] * 10 + [2.0] * 3)
    (band, *_) = shown((exact, exact + 0.05), None).panels[1].series
    np.testing.assert_allclose(points_of(band, "x", "low", "high"), [[5, np.degrees(0.05), np.degrees(0.05)]])
    assert np.isnan(error_by_distance(exact + 0.05, exact)[11]).all()


def test_a_mean_error_of_the_sample_is_marked_as_one(pairs):
    assert shown(pairs, 0.1).values == {"pairs": 5000, "distance_mae": 0.1}
    values = shown(pairs, None).values
    assert values == {"pairs": 5000, "sample": 5000, "distance_mae": pytest.approx(np.mean(abs(pairs[1] - pairs[0])))}


def test_single_pairs_are_there_when_asked_for(pairs):
    assert [series.kind for series in shown(pairs, 0.1).panels[0].series] == ["heatmap", "reference"]
    figure = shown(pairs, 0.1, points=True)
    points = figure.panels[0]["1,000 single pairs"]
    np.testing.assert_allclose(points_of(points, "x", "y"), np.degrees(np.transpose(pairs))[:1000])
    assert_csv_holds(figure)
