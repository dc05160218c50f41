from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.figures import losses
from tests.figure_testing import assert_csv_holds, points_of


def test_validation_is_there_where_it_was_measured():
    step = np.array([10.0, 20, 30])
    figure = losses.training_curve(step, np.array([1.0, 0.5, 0.2]), np.array([np.nan, 0.1, np.nan]))
    above, beneath = figure.panels
    np.testing.assert_array_equal(points_of(above["training loss"], "x", "y"), [[10, 1], [20, 0.5], [30, 0.2]])
    np.testing.assert_allclose(points_of(beneath["validation L_DE"], "x", "y", "y_rad"), [[20, 0.1 * 180 / np.pi, 0.1]])
    assert (above.y.log, beneath.y.title, above.x.title) == (True, "L_DE (°)", "step")
    assert_csv_holds(figure)


def test_a_long_training_is_thinned_and_its_validations_are_not():
    step = np.arange(9000.0)
    figure = losses.training_curve(step, 1 / (1 + step), np.full(9000, 0.1))
    loss = figure.panels[0]["training loss"]
    np.testing.assert_array_equal(loss.columns["x"], np.arange(0, 9000, 4))
    np.testing.assert_array_equal(loss.columns["y"], 1 / (1 + loss.columns["x"]))
    assert len(figure.panels[1]["validation L_DE"]) == 9000


@pytest.mark.parametrize(("curve", "log"), [([1.0, 1e-3, 1e-9], True), ([1.0, 0.0], False)])
def test_recovery_loss_is_on_a_log_axis_unless_it_ends_in_zero(curve, log):
    figure = losses.recovery_curve(np.array(curve))
    np.testing.assert_array_equal(points_of(figure.panel["recovery loss"], "x", "y"), list(enumerate(curve)))
    assert (figure.panel.y.log, figure.panel.y.title) == (log, "L_OR (rad²)")
    assert_csv_holds(figure)
