"""A figure as data: its checks, its matrices, its table."""

from __future__ import annotations

import csv
import io
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from engine.analysis.figures.data import Axis, Figure, Panel, Series, cells
from tests.figure_testing import assert_csv_holds


def test_an_axis_is_named_with_its_unit():
    assert Axis("distance", "rad").title == "distance (rad)"
    assert Axis("step").title == "step"


@pytest.mark.parametrize("wrong", [{"x": np.zeros(3), "y": np.zeros(2)}, {"x": np.zeros((2, 2))}])
def test_columns_are_equally_long(wrong):
    with pytest.raises(ValueError, match="'loss': columns have the shapes"):
        Series("loss", "line", wrong)


def test_a_figure_is_frozen_and_says_what_it_holds():
    series = Series("loss", "line", {"x": np.arange(3), "y": np.arange(3.0)})
    figure = Figure("training", "Training", (Panel(Axis("step"), Axis("loss"), (series,)),))
    with pytest.raises(FrozenInstanceError):
        figure.title = "other"
    assert repr(series) == "Series('loss', line, 3 rows of x, y)"
    assert repr(figure) == "Figure('training', 1 panels, 1 series)"
    assert figure.panel["loss"] is series
    with pytest.raises(KeyError):
        figure.panel["none"]


def test_cells_between_edges_stand_row_by_row():
    values = np.array([[1, 2, 3], [4, 5, 6]])
    columns = cells(np.array([0.0, 1, 2, 4]), np.array([10.0, 20, 30]), count=values)
    rows = list(zip(*(columns[name].tolist() for name in columns), strict=True))
    assert list(columns) == ["x_low", "x_high", "y_low", "y_high", "count"]
    assert rows[:4] == [(0, 1, 10, 20, 1), (1, 2, 10, 20, 2), (2, 4, 10, 20, 3), (0, 1, 20, 30, 4)]
    series = Series("map", "heatmap", columns)
    np.testing.assert_array_equal(series.grid("count"), values)
    np.testing.assert_array_equal(series.positions("x"), [0, 1, 2, 4])
    np.testing.assert_array_equal(series.positions("y"), [10, 20, 30])


def test_cells_about_centres_stand_row_by_row():
    values = np.array([[1.5], [2.5], [3.5]])
    columns = cells(np.array([7]), np.array([0, 1, 2]), grey=values)
    assert {name: column.tolist() for name, column in columns.items()} == {
        "x": [7, 7, 7], "y": [0, 1, 2], "grey": [1.5, 2.5, 3.5],
    }  # fmt: skip
    np.testing.assert_array_equal(Series("a", "image", columns).grid("grey"), values)


def test_the_table_has_all_series_and_leaves_empty_what_one_has_not():
    line = Series("loss", "line", {"x": np.array([0.1, 0.2]), "y": np.array([1 / 3, np.nan])})
    bars = Series("count", "bars", {"x": np.float32([0.1]), "y": np.array([7]), "low": np.array([7])}, "", {"low": "%"})
    x = Axis("step")
    figure = Figure("f", "F", (Panel(x, Axis("loss"), (line,), "above"), Panel(x, Axis("y"), (bars,), "beneath")))
    assert list(csv.reader(io.StringIO(figure.to_csv()))) == [
        ["panel", "series", "x: step", "y: loss; y", "low (%)"],
        ["above", "loss", "0.1", "0.3333333333333333", ""],
        ["above", "loss", "0.2", "", ""],
        ["beneath", "count", "0.10000000149011612", "7", "7"],
    ]
    assert_csv_holds(figure)


def test_what_a_spreadsheet_would_take_for_a_formula_stays_text():
    series = Series("=1+1", "line", {"x": np.array(["@a", "b"])})
    figure = Figure("f", "F", (Panel(Axis("x"), Axis("y"), (series,), "-2"),))
    assert list(csv.reader(io.StringIO(figure.to_csv())))[1:] == [["'-2", "'=1+1", "'@a"], ["'-2", "'=1+1", "b"]]


def test_headings_say_what_every_panel_shows():
    rot, distance = Axis("rot", "°"), Axis("distance", "rad")
    tilt = Axis("tilt", "°", ticks=((0.0, "90"),), quantity="cos(tilt)")
    error = Axis("error", "°")
    points = Series("a", "points", {"x": np.ones(1), "y_low": np.ones(1), "error": np.ones(1), "sd": np.ones(1)}, "",
                    {"sd": "Å"})  # fmt: skip
    others = Series("b", "points", {"x": np.ones(1), "sd": np.ones(1), "runs": np.ones(1)}, "", {"sd": "°"})
    figure = Figure(
        "f",
        "F",
        (Panel(rot, tilt, (points,), colour=error), Panel(distance, tilt, (others,)), Panel(rot, tilt, (points,))),
    )
    assert figure.headings() == {
        "x": "x: rot (°); distance (rad)", "y_low": "y_low: cos(tilt)", "error": "error (°)", "sd": "sd (Å; °)",
        "runs": "runs",
    }  # fmt: skip
