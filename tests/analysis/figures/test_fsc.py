"""Fourier shell correlations: each threshold belongs to its curve and is crossed where that curve is."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.figures.fsc import fourier_shell_correlations, resolution_ticks
from engine.imaging.fsc import resolution_at
from tests.figure_testing import assert_csv_holds, points_of

FREQUENCIES = np.linspace(0.01, 0.1, 10)  # 1/Å
TO_INPUT, HALVES = np.linspace(1, 0.1, 10), np.linspace(1, 0.01, 10)


def shown(to_input=TO_INPUT, halves=HALVES, frequencies=FREQUENCIES):
    resolutions = (resolution_at(frequencies, to_input, 0.5), resolution_at(frequencies, halves, 0.143))
    return fourier_shell_correlations(frequencies, to_input, halves, *resolutions)


def test_each_curve_crosses_its_own_threshold_where_it_has_that_value():
    figure = shown()
    for curve, values, threshold in (
        ("against the input map", TO_INPUT, 0.5),
        ("between the half maps", HALVES, 0.143),
    ):
        series = figure.panel[curve]
        np.testing.assert_array_equal(points_of(series, "x", "y"), np.stack([FREQUENCIES, values], axis=1))
        ((x, y, resolution),) = points_of(figure.panel[f"below {threshold}"], "x", "y", "resolution")
        assert y == threshold
        assert np.interp(x, FREQUENCIES, values) == pytest.approx(threshold)
        assert resolution == pytest.approx(1 / x) == figure.values[f"resolution at {threshold} (Å)"]
        line = figure.panel[f"threshold {threshold}"]
        assert set(line.columns["y"]) == {threshold}
        assert line.role == series.role == figure.panel[f"below {threshold}"].role
    assert_csv_holds(figure)


def test_a_curve_that_never_falls_crosses_nothing_and_has_nyquists_resolution():
    figure = shown(np.ones(2), np.zeros(2), np.array([0.1, 0.2]))
    assert not [series for series in figure.panel.series if series.kind == "points"]
    assert figure.values == {"resolution at 0.5 (Å)": 5.0}, "the other is below its threshold from the start"


def test_without_a_true_map_there_is_the_curve_of_the_halves_alone():
    figure = fourier_shell_correlations(FREQUENCIES, None, HALVES, None, 11.0)
    assert [series.name for series in figure.panel.series if series.kind == "line"] == ["between the half maps"]
    assert figure.values == {"resolution at 0.143 (Å)": 11.0}
    assert_csv_holds(figure)


def test_the_axis_holds_all_frequencies_and_is_named_in_resolutions():
    axis = shown().panel.x
    assert axis.range == (0, pytest.approx(0.101))
    assert [1 / at for at, _ in axis.ticks] == pytest.approx([float(word) for _, word in axis.ticks])
    assert axis.ticks[0][1] == "10"  # Nyquist's
    assert shown(TO_INPUT - 1.5).panel.y.range[0] == pytest.approx(-1.4)


@pytest.mark.parametrize("nyquist", [0.02, 0.1, 0.187, 0.5, 2.0])
def test_ticks_are_round_apart_and_not_too_far_out(nyquist):
    first, *others = resolution_ticks(nyquist)
    assert first == 1 / nyquist
    assert len(others) >= 3
    assert [float(f"{tick:.2g}") for tick in others] == pytest.approx(others), "of two digits"
    assert np.diff([1 / tick for tick in (first, *others)]).max() < -0.09 * nyquist
