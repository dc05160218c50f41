"""The table of runs as CSV: read by Python's own reader, against the rows it is made of."""

from __future__ import annotations

import csv
import io
import math
import statistics
from datetime import UTC, datetime

import pytest

from engine.analysis.comparison import fold_seeds
from engine.analysis.runs_csv import runs_csv
from engine.config.settings import known_keys
from tests.analysis_testing import row

CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def run(number, error=None, name=None, resolution=None, **settings):
    metrics = {"angle_error_median": error, "fsc_0.5_angstrom": resolution}
    noted = {"tags": ["a", "b c"], "starred": True, "sweep": None, "note": "=1+1", "launched_by": "anna"}
    return row(number, **settings) | noted | {"metrics": metrics, "name": name, "created": CREATED}


def read(groups, bounds=()):
    return list(csv.DictReader(io.StringIO(runs_csv(groups, dict(bounds)))))


def test_each_run_has_its_name_id_figures_with_units_and_all_settings():
    big = 2**63 - 1
    first = run(1, 1 / 3, "<b>one</b>, two", 5.4, seed=big, projections={"coverage": [[0, 90], [0, 45], [0, 360]]})
    second = run(2) | {"status": "failed", "message": "no", "created": None}
    one, other = read([[first], [second]], {first["run_id"]: {"fsc_0.5_angstrom"}}.items())
    assert (one["name"], one["run id"], one["state"]) == ("<b>one</b>, two", first["run_id"], "finished")
    assert one["started"] == "2026-01-02T03:04:05+00:00"
    assert (one["by"], one["tags"], one["starred"], one["note"]) == ("anna", '["a", "b c"]', "True", "'=1+1")
    assert float(one["E_OR (°)"]) == math.degrees(1 / 3)
    assert float(one["E_OR (rad)"]) == 1 / 3
    assert (one["FSC 0.5 (Å)"], one["FSC 0.5 is only a bound"]) == ("5.4", "yes")
    assert one["seed"] == str(big)
    assert one["projections.coverage"] == "[[0.0, 90.0], [0.0, 45.0], [0.0, 360.0]]"
    assert one["projections.noise_variance"] == "0.0"
    assert set(known_keys()) <= one.keys()
    assert (other["name"], other["state"], other["message"], other["started"]) == ("", "failed", "no", "")
    assert (other["E_OR (°)"], other["FSC 0.5 is only a bound"]) == ("", "")
    assert not any("sd" in heading.split() for heading in one)


def test_seeds_of_one_line_have_their_mean_deviation_and_all_ids():
    rows = [run(n, error, seed=n) for n, error in enumerate((0.1, 0.2, 0.4), start=1)]
    rows.append(run(9, 0.7, projections={"count": 50}))
    three, alone = read(fold_seeds(rows))
    assert (three["runs"], alone["runs"]) == ("3", "1")
    assert three["run id"].split() == [each["run_id"] for each in rows[:3]]
    assert float(three["E_OR (rad)"]) == pytest.approx(statistics.mean((0.1, 0.2, 0.4)))
    assert float(three["E_OR sd (rad)"]) == pytest.approx(statistics.stdev((0.1, 0.2, 0.4)))
    assert (three["seed"], three["projections.count"], alone["projections.count"]) == ("1 2 3", "1000", "50")
    assert alone["E_OR sd (rad)"] == ""
