from __future__ import annotations

import pytest

from engine.base.metric import Metric


@pytest.mark.parametrize(
    ("format_", "value", "shown"),
    [
        ("%#.3g", 1.0237e-6, "1.02e-6"), ("%#.3g", 2.2747e-7, "2.27e-7"), ("%#.3g", 34.0, "34.0"),
        ("%#.3g", 120.4, "120"), ("%#.3g", 0.0668, "0.0668"), ("%#.3g", 1234567.0, "1.23e6"), ("%#.3g", 0.0, "0"),
        ("%#.3g", -0.00001, "-1.00e-5"), ("%.2e", 8.93e-4, "8.93e-4"), ("%.2e", 12.0, "1.20e1"),
        ("%.2f", 10.333, "10.33"), ("%.1f", 0.02, "0.020"), ("%.1f", 11.72, "11.7"), ("%d", 44850.0, "44,850"),
        ("%.0f", 301.2, "301"),
    ],
)  # fmt: skip
def test_cells_of_a_table_are_written_in_one_way(format_, value, shown):
    cell = Metric("m", "metric", format=format_).cell(value)
    assert cell == shown
    assert float(cell.replace(",", "")) == pytest.approx(value, rel=0.05)
