"""Histograms of angle errors: counted bar by bar, outliers counted, both on one axis where they are alike."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.figures.angles import angle_errors, upper_end
from tests.figure_testing import assert_csv_holds, points_of


def bars(panel):
    return points_of(panel["projections"], "x_low", "x_high", "x", "projections")


@pytest.fixture
def errors(rng):
    return np.concatenate([np.radians(np.abs(rng.normal(1.0, 0.3, 997))), np.radians([120.0, 150.0, 179.0])])


def test_each_bar_counts_the_errors_between_its_ends(errors, rng):
    before = np.radians(rng.uniform(0, 180, 1000))
    figure = angle_errors(errors, before)
    for panel, values in zip(figure.panels, np.degrees([errors, before]), strict=True):
        for low, high, middle, count in bars(panel):
            inside = (low <= values) & (values < high)
            assert count == np.sum(inside)
            assert middle == pytest.approx((low + high) / 2)
        for name, value in (("median", np.median(values)), ("mean", np.mean(values))):
            np.testing.assert_allclose(panel[name].columns["x"], value)
            assert panel[name].columns["y"][1] >= bars(panel)[:, 3].max()
    assert figure.title == "Angle errors of 1,000 projections"
    assert figure.panels[0].x.title == "angle between recovered and true pose (°)"
    assert_csv_holds(figure)


def test_few_outliers_do_not_squeeze_the_others(errors):
    figure = angle_errors(errors, errors)
    assert figure.panels[0].x.range[1] < 4
    assert bars(figure.panels[0])[:, 3].sum() == 997
    assert figure.panels[1].x.range == (0, 180)
    assert figure.values == {
        "angle_error_median": pytest.approx(np.median(errors)), "angle_error_mean": pytest.approx(np.mean(errors)),
        "projections": 1000, "beyond": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "end"), [([1.0, 2, 3], 3.0), ([*[1.0] * 99, 100.0], 1.5), ([0.0, 0, 0], 0.0), ([*[0.0] * 99, 7], 7.0)]
)
def test_the_end_of_an_axis_leaves_out_few_outliers(values, end):
    assert upper_end(np.array(values)) == end


def test_steps_that_are_alike_share_an_axis():
    figure = angle_errors(np.radians([1.0, 2.0]), np.radians([3.0, 8.0]), ("after", "before"), before_alike=True)
    assert [panel.x.range for panel in figure.panels] == [(0, pytest.approx(8.0))] * 2
    assert [panel.title for panel in figure.panels] == ["after", "before"]
    assert figure.values["beyond"] == 0


@pytest.mark.parametrize("errors", [np.zeros(5), np.full(5, 1e-9), np.array([np.pi])])
def test_errors_that_are_all_alike_are_all_in_bars(errors):
    figure = angle_errors(errors, np.full(len(errors), np.pi))
    assert [bars(panel)[:, 3].sum() for panel in figure.panels] == [len(errors)] * 2
