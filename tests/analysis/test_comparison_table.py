from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import pytest

from engine.analysis import comparison_table
from engine.analysis.measures import MEASURES
from tests.analysis_testing import row


def seeds_and_others():
    """Two seeds of one experiment, one with noise, and one that failed; E_OR of 0.1, 0.3 and 0.6 rad."""
    result = zip((0.1, 0.3, 0.6, None), (0, 1, 0, 0), (0.0, 0.0, 16.0, 0.0), strict=True)
    rows = [
        row(number, seed=seed, projections={"noise_variance": noise})
        | {"metrics": {} if error is None else {"angle_error_median": error}, "name": f"<b>{number}</b>"}
        | {"status": "finished" if error else "failed"}
        for number, (error, seed, noise) in enumerate(result, start=5)
    ]
    return comparison_table.compared(rows)


def test_letters_follow_the_order_and_labels_are_unlike():
    runs = comparison_table.compared([row(1) | {"name": "a"}, row(2) | {"name": "a"}, row(3) | {"name": "n" * 50}])
    assert [run.letter for run in runs] == ["A", "B", "C"]
    assert [run.label for run in runs[:2]] == ["A · a", "B · a"]
    assert runs[2].title == "n" * 39 + "…"


def test_seeds_are_folded_into_a_line_with_mean_and_deviation():
    lines = comparison_table.metric_lines(seeds_and_others(), folded=True)
    assert [line.letters for line in lines] == ["A, B", "C", "D"]
    assert lines[0].label == "A, B · <b>5</b> (+1)"
    assert lines[0].spreads["E_OR"] == pytest.approx((math.degrees(0.2), math.degrees(math.sqrt(0.02)), 2))
    assert lines[0].singles["E_OR"] == pytest.approx((math.degrees(0.1), math.degrees(0.3)))
    assert lines[0].spreads["E_OR rad"] == pytest.approx((0.2, math.sqrt(0.02), 2))
    assert lines[2].spreads["E_OR"] is None
    assert comparison_table.measured(lines) == ["E_OR"]
    assert comparison_table.measured(lines, as_recorded=True) == ["E_OR rad"]


def test_seeds_stay_apart_unless_they_are_folded():
    lines = comparison_table.metric_lines(seeds_and_others(), folded=False)
    assert [line.letters for line in lines] == ["A", "B", "C", "D"]
    assert all(line.spreads["E_OR"] is None or line.spreads["E_OR"].sd is None for line in lines)


def test_many_runs_of_a_line_are_told_by_the_first_and_last():
    (line,) = comparison_table.metric_lines(comparison_table.compared([row(n, seed=n) for n in range(5)]), True)
    assert line.letters == "A … E"


def test_table_and_csv_have_the_same_numbers():
    runs = seeds_and_others()
    lines = comparison_table.metric_lines(runs, folded=True)
    baseline = comparison_table.line_of(lines, runs[1])
    assert baseline is lines[0]
    table = comparison_table.metric_table(lines, baseline, ["E_OR"])
    assert [entry["runs"] for entry in table] == ["A, B (baseline)", "C", "D"]
    assert [entry["E_OR"] for entry in table] == [
        pytest.approx(math.degrees(0.2)), pytest.approx(math.degrees(0.6)), None,
    ]  # fmt: skip
    assert [entry["E_OR sd"] for entry in table] == [pytest.approx(math.degrees(math.sqrt(0.02))), None, None]
    assert [entry["E_OR difference"] for entry in table] == [None, pytest.approx(math.degrees(0.4)), None]
    written = list(csv.DictReader(io.StringIO(comparison_table.metric_csv(lines, baseline, {}).decode())))
    for line, entry in zip(written, table, strict=True):
        assert line["runs"] == entry["runs"]
        for column, key in (
            ("E_OR (°)", "E_OR"), ("E_OR (°) sd", "E_OR sd"), ("E_OR (°) minus baseline", "E_OR difference")
        ):  # fmt: skip
            assert (float(line[column]) if line[column] else None) == pytest.approx(entry[key])
    assert float(written[0]["E_OR (rad)"]) == pytest.approx(0.2)
    assert written[0]["run ids"].split() == [runs[0].row["run_id"], runs[1].row["run_id"]]
    assert [line["projections.noise_variance"] for line in written] == ["0.0", "16.0", "0.0"]
    assert written[0]["seed"] == "0 1"


def test_a_bound_is_marked_in_table_and_csv():
    runs = comparison_table.compared([row(n) | {"metrics": {"fsc_0.5_angstrom": 6.254}} for n in (1, 2)])
    lines = comparison_table.metric_lines(runs, folded=False)
    bounds = {runs[1].row["run_id"]: {"fsc_0.5_angstrom"}}
    assert comparison_table.shown_table(lines, lines[0], ["FSC"], bounds) == {
        "measure": ["FSC 0.5 (Å)", "Δ FSC 0.5 (Å)"], "A (baseline)": ["6.25", None], "B": ["≤ 6.25", "0"],
    }  # fmt: skip
    written = list(csv.DictReader(io.StringIO(comparison_table.metric_csv(lines, lines[0], bounds).decode())))
    assert [line["FSC 0.5 is only a bound"] for line in written] == ["", "yes"]
    assert [line["FSC 0.5 (Å)"] for line in written] == ["6.254", "6.254"]


def test_the_shown_table_has_a_row_a_measure_and_one_of_differences():
    runs = seeds_and_others()
    lines = comparison_table.metric_lines(runs, folded=True)
    table = comparison_table.shown_table(lines, lines[1], ["E_OR"], {})
    assert table["measure"] == ["runs", "E_OR (°)", "Δ E_OR (°)"]
    assert table["A, B"] == ["2", "◆ 11.5 ± 8.10", "−22.9"]
    assert table["C (baseline)"] == ["1", "34.4", None]
    assert table["D"] == ["1", None, None]
    (alone,) = comparison_table.metric_lines(runs[2:3], folded=True)
    assert comparison_table.shown_table([alone], alone, ["E_OR"], {}) == {"measure": ["E_OR (°)"], "C": ["34.4"]}


def test_the_best_is_what_the_metric_says_is_better(monkeypatch):
    rows = [row(n) | {"metrics": {"recovery_loss": value}} for n, value in enumerate((0.2, 0.1, 0.1, None), start=1)]
    lines = comparison_table.metric_lines(comparison_table.compared(rows), folded=False)
    assert [line.letters for line in comparison_table.best(lines, "L_OR")] == ["B", "C"]
    assert comparison_table.best(lines[1:], "L_OR") == [], "all alike"
    assert comparison_table.best(lines[:1], "L_OR") == []
    for better, letters in (("higher", ["A"]), (None, [])):
        other = replace(MEASURES["L_OR"], metric=replace(MEASURES["L_OR"].metric, better=better))
        monkeypatch.setitem(comparison_table.MEASURES, "L_OR", other)
        assert [line.letters for line in comparison_table.best(lines, "L_OR")] == letters


def test_a_spreadsheet_does_not_reckon_with_names():
    runs = comparison_table.compared([row(1) | {"name": "=1+1"}])
    (line,) = comparison_table.metric_lines(runs, folded=False)
    (entry,) = csv.DictReader(io.StringIO(comparison_table.metric_csv([line], line, {}).decode()))
    assert entry["name"] == "'=1+1"
