"""What every figure's data must do, whatever they show: come back from CSV as the same numbers and texts."""

from __future__ import annotations

import csv
import io

import numpy as np

from engine.analysis.figures.data import Figure


def assert_csv_holds(figure: Figure) -> None:
    """The figure's CSV, read by Python's own reader, has every series' rows in order with the very same values.

    Each column's heading starts with its name and has the titles or units of all axes that it lies along. Texts are to
    start with no sign that makes a formula of them.
    """
    rows = list(csv.DictReader(io.StringIO(figure.to_csv())))
    every = {name for panel in figure.panels for series in panel.series for name in series.columns}
    assert rows
    heads = {name: _only([head for head in rows[0] if head.split(":")[0].split(" (")[0] == name]) for name in every}
    for panel in figure.panels:
        for axis, letter in ((panel.x, "x"), (panel.y, "y"), (panel.z, "z")):
            for name in every & {letter, f"{letter}_low", f"{letter}_high"}:
                in_panel = any(name in series.columns for series in panel.series)
                assert not in_panel or axis is None or (axis.quantity or axis.title) in heads[name], (axis, heads)
    for panel in figure.panels:
        for series in panel.series:
            part, rows = rows[: len(series)], rows[len(series) :]
            assert all((row["panel"], row["series"]) == (panel.title, series.name) for row in part)
            for name, values in series.columns.items():
                cells = [row[heads[name]] for row in part]
                if values.dtype.kind == "U":
                    assert cells == values.tolist(), f"{series!r}: {name}"
                    continue
                read = np.array([float(cell or "nan") for cell in cells])
                np.testing.assert_array_equal(read, np.asarray(values, dtype=float), err_msg=f"{series!r}: {name}")
            assert all(row[heads[name]] == "" for row in part for name in every - set(series.columns))
    assert not rows


def _only(names: list[str]) -> str:
    (one,) = names
    return one


def points_of(series, *names: str) -> np.ndarray:
    """Columns of a series as (rows, names)."""
    return np.stack([np.asarray(series.columns[name], dtype=float) for name in names], axis=1)
