"""Rows of the catalogue to analyse, without any run; and what every figure's CSV must do."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from engine.analysis.figures.data import Figure
from engine.config.settings import config_from_dict, config_to_dict

SIGNAL = 2.5  # variance of the clean projections of these runs


def row(number: int, found: float | None = 0.1, **settings: Any) -> dict[str, Any]:
    """A finished run of the catalogue; ``found`` is its L_DE in rad."""
    config = config_from_dict(settings)
    given = config.projections
    variance = given.noise_variance or (SIGNAL / given.snr if given.snr else 0.0)
    metrics = {"distance_mae": found, "noise_variance": variance, "snr": SIGNAL / variance if variance else None}
    return {
        "run_id": f"20260101-000000-1bd2-{number:06x}", "name": None, "status": "finished", "seed": config.seed,
        "config": config_to_dict(config), "noise_variance": given.noise_variance, "snr": given.snr,
        "source": config.volume.source, "count": given.count, "coverage": str(given.coverage),
        "sampling": given.sampling, "max_shift": given.max_shift, "distance_method": config.distance.method,
        "metrics": metrics, "science": 1, "number": number, "total_seconds": None, "peak_memory_mb": None,
        "message": "", "seconds": {}, "reused": [],
    }  # fmt: skip


def noisy(number: int, seed: int = 0, found: float | None = 0.1, **projections: Any) -> dict[str, Any]:
    """A run of the coverage and sampling of which noise was published."""
    published = {"coverage": "half", "sampling": "euler"}
    return row(number, found, seed=seed, projections=published | projections)


def close(
    number: int, seed: int, limit: float | None, seconds: float, used: int, reused: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A run whose recovery used pairs up to a distance; its E_OR is a hundredth of the number of pairs, in rad."""
    one = row(number, seed=seed, recovery={} if limit is None else {"max_distance": limit})
    metrics = {"angle_error_median": used / 100, "recovery_loss": 0.5, "recovery_pairs": used}
    return one | {"metrics": metrics, "seconds": {"recovery": seconds}, "reused": list(reused)}


def assert_csv_reads_back(figure: Figure) -> None:
    """The figure's CSV, read by Python's own reader, has every series' rows in order with the same numbers and texts.

    Texts of these tests start with no sign that a spreadsheet would take for a formula's.
    """
    rows = list(csv.DictReader(io.StringIO(figure.to_csv())))
    assert rows
    for panel in figure.panels:
        for series in panel.series:
            own, rows = rows[: len(series)], rows[len(series) :]
            assert all((one["panel"], one["series"]) == (panel.title, series.name) for one in own)
            for name, values in series.columns.items():
                cells = [one[name] for one in own]
                if np.asarray(values).dtype.kind in "US":
                    assert cells == list(values), (series, name)
                else:
                    np.testing.assert_array_equal(
                        [float(cell or "nan") for cell in cells], values, f"{series!r}, {name}"
                    )
    assert not rows
