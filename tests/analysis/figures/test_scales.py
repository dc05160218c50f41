from __future__ import annotations

import math

import pytest

from engine.analysis import comparison_table, level_table
from engine.analysis.factors import CLOSE_PAIRS, study
from engine.analysis.figures import compare, levels
from engine.analysis.figures.scales import value_axis
from tests.analysis_testing import close, row


@pytest.mark.parametrize(
    ("values", "log", "ends"),
    [
        ([1.8, 120.0], True, (1.0, 1000.0)), ([1.8, 1e-6, 120.0], True, (1e-6, 1000.0)),
        ([2.0, 1e-6, 0.0, math.nan], True, (1e-7, 10.0)), ([1.0, 100.0], True, (1.0, 100.0)),
        ([5.0, 60.0], False, None),
        ([0.0, 5.0], False, None), ([-1.0, 1e-6, 9.0], False, None), ([], False, None),
        ([math.inf], False, None),
    ],
)  # fmt: skip
def test_an_axis_is_logarithmic_where_values_span_decades(values, log, ends):
    axis = value_axis("E_OR", "°", values)
    assert (axis.title, axis.log) == ("E_OR (°)", log)
    if ends is None:
        assert axis.range is None
    else:
        assert axis.range == pytest.approx(ends)
        assert all(axis.range[0] <= value <= axis.range[1] for value in values if value > 0)
        assert not any(value == axis.range[0] for value in values) or 0.0 not in values


def test_measures_of_a_comparison_have_each_its_own_scale():
    rows = [
        row(n) | {"metrics": {"angle_error_median": math.radians(angle), "recovery_loss": loss}}
        for n, angle, loss in ((1, 1e-6, 0.1), (2, 1.8, 0.2), (3, 120.0, 0.3))
    ]
    runs = comparison_table.compared(rows)
    lines = comparison_table.metric_lines(runs, folded=False)
    angle, loss = compare.measures(lines, runs[0], ["E_OR", "L_OR"]).panels
    assert angle.y.log
    assert angle.y.range == pytest.approx((1e-6, 1000))
    assert not loss.y.log


def test_measures_of_levels_have_each_its_own_scale():
    rows = [close(1, 0, None, 6.0, 40), close(2, 0, 1.2, 900.0, 10)]
    data = levels.measures(level_table.lines(study(rows, CLOSE_PAIRS), CLOSE_PAIRS), "largest distance (°)")
    assert {panel.y.label: panel.y.log for panel in data.panels} == {
        "E_OR": False, "L_OR": False, "time": True, "pairs used": False,
    }  # fmt: skip
