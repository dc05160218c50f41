from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from engine.analysis import level_table
from engine.analysis.factors import CLOSE_PAIRS, COVERAGE, INITIALISATION, METRICS, NOISE, study
from tests.analysis_testing import SIGNAL, close, noisy, row


def read(lines, factor):
    return list(csv.DictReader(io.StringIO(level_table.to_csv(lines, factor).decode())))


def test_levels_have_means_deviations_and_single_runs_in_the_units_of_the_records():
    rows = [noisy(1, 0, 0.1), noisy(2, 1, 0.3), noisy(3, 0, 0.4, noise_variance=8.0), noisy(4, 1, None)]
    first, second, *published = level_table.lines(study(rows, NOISE), NOISE)
    assert (first.level, first.place, first.whose, first.runs) == ("no noise", 0.0, "these runs", 3)
    assert first.spreads["distance_mae"] == pytest.approx((0.2, math.sqrt(0.02), 2))
    assert [single.value for single in first.singles["distance_mae"]] == [0.1, 0.3, None]
    assert [single.name for single in first.singles["distance_mae"]] == [
        "20260101-000000-1bd2-000001, seed 0", "20260101-000000-1bd2-000002, seed 1",
        "20260101-000000-1bd2-000004, seed 1",
    ]  # fmt: skip
    assert (second.level, second.place) == ("variance 8", 8.0)
    assert second.spreads["distance_mae"] == (0.4, None, 1)
    assert second.spreads["recovery_loss"] is None
    # arXiv:2104.06237 gives variances in units of its own map: they stand at the same ratio to the signal.
    assert [line.place for line in published] == pytest.approx(np.array([0, 5, 10, 16, 20, 25]) * SIGNAL / 1.109)
    assert [line.level for line in published][:2] == ["no noise", "variance 5, its own"]
    assert {(line.whose, line.published, line.runs) for line in published} == {
        ("published, 5J0N, Tesla K40c hours", True, None)
    }
    assert published[0].spreads["angle_error_median"] == (0.159, None, 1)


def test_the_table_and_its_csv_have_the_numbers_in_degrees_and_the_csv_in_rad_too():
    rows = [noisy(1, 0, 0.1), noisy(2, 1, 0.3), noisy(3, 0, 0.4, noise_variance=8.0)]
    lines = level_table.lines(study(rows, NOISE), NOISE)
    table, written = level_table.table(lines, NOISE), read(lines, NOISE)
    assert table[0]["L_DE (°)"] == pytest.approx(11.459155902616466)
    assert table[0]["L_DE sd (°)"] == pytest.approx(math.degrees(math.sqrt(0.02)))
    assert table[1]["L_DE sd (°)"] is table[1]["L_OR (rad²)"] is None
    assert float(written[0]["L_DE (rad)"]) == pytest.approx(0.2)
    assert float(written[0]["L_DE sd (rad)"]) == pytest.approx(math.sqrt(0.02))
    assert len(written) == len(table) == 2 + 6
    for line, entry in zip(written, table, strict=True):
        assert (line["level"], line["whose"]) == (entry["level"], entry["whose"])
        for column in ("L_DE (°)", "L_DE sd (°)", "L_OR (rad²)", "E_OR (°)"):
            assert (float(line[column]) if line[column] else None) == pytest.approx(entry[column])


def test_largest_distances_are_in_degrees_and_no_limit_comes_last():
    rows = [close(1, 0, None, 6.0, 40), close(2, 0, 1.2, 2.0, 10), close(3, 1, 1.2, 4.0, 12), close(4, 0, 0.8, 1.0, 5)]
    lines = level_table.lines(study(rows, CLOSE_PAIRS), CLOSE_PAIRS)
    assert [line.place for line in lines] == pytest.approx([math.degrees(0.8), math.degrees(1.2), 180.0])
    table = level_table.table(lines, CLOSE_PAIRS)
    assert [entry["level"] for entry in table] == ["45.8° (0.8 rad)", "68.8° (1.2 rad)", "no limit"]
    assert [entry["pairs used"] for entry in table] == [5, 11, 40]
    assert [entry["time (s)"] for entry in table] == [1, 3, 6]
    assert table[1]["time sd (s)"] == pytest.approx(math.sqrt(2))
    assert [entry["E_OR (°)"] for entry in table] == pytest.approx(np.degrees([0.05, 0.11, 0.4]))
    assert "L_DE (°)" not in table[0], "the same at all levels"
    first = read(lines, CLOSE_PAIRS)[0]
    assert (first["E_OR (rad)"], first["pairs used"], first["time (s)"]) == ("0.05", "5", "1")


def test_a_recovery_that_was_reused_has_no_time():
    rows = [close(1, 0, None, 6.0, 40, reused=("recovery",)), close(2, 1, None, 8.0, 40)]
    ((level,),) = [study(rows, CLOSE_PAIRS).levels]
    assert level.values("recovery_seconds") == [None, 8.0]


def test_starts_are_words():
    rows = [
        close(n, 0, None, 1.0, 9) | {"config": row(n, recovery={"initialisation": start})["config"]}
        for n, start in enumerate(("spectral", "isomap"))
    ]
    lines = level_table.lines(study(rows, INITIALISATION), INITIALISATION)
    assert [(line.level, line.place) for line in lines] == [("isomap", "isomap"), ("spectral", "spectral")]


def test_published_coverages_stand_by_their_own_names_in_the_order_of_the_levels():
    rows = [row(1, 0.1), row(2, 0.2, projections={"coverage": "quarter"})]
    lines = level_table.lines(study(rows, COVERAGE), COVERAGE)
    assert [(line.level, line.whose) for line in lines if line.published] == [
        ("quarter", "published, 5A1A, Tesla K40c hours"), ("full", "published, 5J0N, Tesla K40c hours"),
    ]  # fmt: skip


def test_a_level_of_noise_says_how_it_was_given():
    levels = study([noisy(1), noisy(2, snr=0.5), noisy(3, noise_variance=16)], NOISE).levels
    assert [level_table.label(NOISE, level) for level in levels] == [
        "no noise", "variance 5 (SNR 0.5)", "variance 16",
    ]  # fmt: skip


def test_each_metric_of_a_factor_has_its_measure():
    assert [level_table.measure(name).label for name in METRICS] == ["L_DE (°)", "L_OR (rad²)", "E_OR (°)"]
