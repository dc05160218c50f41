"""Figures in columns: every panel in one of them, in order, under one title."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.figures.data import Axis, Figure, Panel, Series
from pages._shared import charts, columns, level_figures


def figure(count: int) -> Figure:
    panels = [Panel(Axis("x"), Axis("y"), (Series(str(n), "line", {"x": np.ones(1)}),), str(n)) for n in range(count)]
    return Figure("f", "Title", tuple(panels))


@pytest.mark.parametrize("count", range(1, 13))
def test_panels_stay_in_order_and_fill_their_columns(count):
    beside = level_figures.beside(count)
    groups = charts.parts(figure(count), beside)
    assert [panel.title for group in groups for panel in group.panels] == [str(n) for n in range(count)]
    assert [group.title for group in groups] == ["Title"] + [""] * (len(groups) - 1)
    assert len(groups) == beside <= 4, "no column stays empty"
    rows = max(len(group.panels) for group in groups)
    assert rows * beside - count < beside, "no row stays empty"


def test_a_column_is_as_wide_as_the_longest_of_its_cells():
    narrow, wide = columns.width("E_OR", ["1"]), columns.width("E_OR", ["1", None, "113 ± 3.14"])
    assert narrow < wide == columns.width("E_OR", ["113 ± 3.14"] * 1000) == columns.width("113 ± 3.14", [])
    assert columns.width("note", ["x" * 500]) < 400
