"""Runs compared, in numbers and figures: the values are those of the runs, in each run's own colour."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from engine.config.schema import Config
from engine.config.settings import config_from_dict, config_to_dict
from pages._compare import compare_figures, compare_table
from pages._compare.compare_figures import Training
from pages._compare.compare_table import DIFFERS, UNKNOWN
from pages._compare.compared_runs import read_address
from pages._shared import style


def run_row(number: int, metrics: dict | None = None, status: str = "finished", name: str | None = None, **tables):
    config = config_to_dict(config_from_dict(tables)) if tables != {"config": None} else {}
    return {
        "run_id": f"20261122-0000{number:02}-1bd2-{number:06x}", "number": number, "name": name, "status": status,
        "config": config, "metrics": metrics or {}, "total_seconds": None, "peak_memory_mb": None, "message": "",
    }  # fmt: skip


@pytest.fixture
def runs():
    """Two seeds of one experiment, another one, and one that failed."""
    found = zip((0.1, 0.3, 0.6, None), (0, 1, 0, 0), (0.0, 0.0, 16.0, 0.0), strict=True)
    rows = [
        run_row(
            number, {} if error is None else {"angle_error_median": error}, "finished" if error else "failed",
            name=f"<b>{number}</b>", seed=seed, projections={"noise_variance": noise},
        )
        for number, (error, seed, noise) in enumerate(found, start=5)
    ]  # fmt: skip
    return compare_table.compared(rows)


def trace(figure, name, axis="x"):
    (found,) = [one for one in figure.data if one.name == name and (one.xaxis or "x") == axis]
    return found


# Colours -------------------------------------------------------------------------------------------------------------


def test_colour_and_dash_tell_any_36_runs_in_a_row_apart():
    for first in (1, 20, 37):
        looks = {(style.run_colour(n), style.run_dash(n)) for n in range(first, first + 36)}
        assert len(looks) == 36
    assert style.GREY not in {style.run_colour(n) for n in range(1, 100)}
    assert style.run_dash(1) == style.run_dash(6) == "solid" != style.run_dash(7)


@pytest.mark.parametrize("every", [1, 2, 3, 6])
def test_six_levels_of_a_sweep_hardly_share_a_colour_whatever_its_number_of_seeds(every):
    for first in range(1, 37):
        assert len({style.run_colour(n) for n in range(first, first + 6 * every, every)}) >= 5


# The address ---------------------------------------------------------------------------------------------------------


def test_the_address_gives_runs_in_its_order_each_once(runs):
    rows = [run.row for run in runs]
    ids = [row["run_id"] for row in rows]
    asked = read_address(f"{ids[2]}, {ids[0]},,{ids[2]}", rows)
    assert [row["run_id"] for row in asked.rows] == [ids[2], ids[0]]
    assert asked.problems == []


def test_each_kind_of_problem_has_one_line():
    rows = [run_row(number) for number in range(1, 15)]
    ids = [row["run_id"] for row in rows]
    unknown = [f"20250101-000000-1bd2-{number:06x}" for number in range(30)]
    asked = read_address(",".join(["../etc", "<b>", *ids, *unknown]), rows, waiting=[unknown[0]])
    assert [row["run_id"] for row in asked.rows] == ids[:12]
    malformed, gone, waiting, many = asked.problems
    assert malformed.startswith("Not shown, for '../etc', '<b>' are no run id")
    assert gone.startswith(f"Not shown, for {unknown[1]}, {unknown[2]}, {unknown[3]} and 26 more are not here")
    assert waiting.startswith("Not begun yet")
    assert waiting.endswith(f"{unknown[0]}.")
    assert many.startswith("The first 12 of 14 runs")


# Parameters ----------------------------------------------------------------------------------------------------------


def test_only_differences_are_listed_and_those_to_the_baseline_marked(runs):
    rows = compare_table.parameter_rows(runs, 0, only_differences=True)
    assert [row.key for row in rows] == ["seed", "projections.noise_variance"]
    assert rows[0].values == ("0", "1", "0", "0")
    assert rows[0].differs == (False, True, False, False)
    assert rows[1].values == ("0", "0", "16", "0")
    assert rows[1].differs == (False, False, True, False)
    table = compare_table.parameter_table(runs, rows)
    assert table["C · <b>7</b>"] == ["0", f"{DIFFERS}16"]
    other = compare_table.parameter_rows(runs, 2, only_differences=True)
    assert other[1].differs == (True, True, False, True)


def test_all_parameters_are_listed_when_asked_for(runs):
    rows = {row.key: row for row in compare_table.parameter_rows(runs, 0, only_differences=False)}
    assert rows["projections.count"].values == (str(Config().projections.count),) * 4
    assert not any(rows["projections.count"].differs)
    assert len(rows) > 20


def test_of_a_run_without_configuration_nothing_is_claimed():
    runs = compare_table.compared([run_row(1, seed=3), run_row(2, config=None), run_row(3, seed=4)])
    (row,) = compare_table.parameter_rows(runs, 1, only_differences=True)
    assert (row.key, row.values, row.differs) == ("seed", ("3", UNKNOWN, "4"), (False, False, False))


def test_what_a_run_has_of_its_own_is_told_seed_last(runs):
    assert compare_table.particulars(runs)[1:3] == ["noise variance 0, seed 1", "noise variance 16, seed 0"]


def test_no_noise_is_not_called_automatic():
    runs = compare_table.compared([run_row(1), run_row(2, projections={"noise_variance": 4.0})])
    assert compare_table.particulars(runs) == ["noise variance none", "noise variance 4"]


# Metrics -------------------------------------------------------------------------------------------------------------


def test_chart_table_and_csv_have_the_same_numbers(runs):
    lines = compare_table.metric_lines(runs, folded=True)
    assert [line.letters for line in lines] == ["A, B", "C", "D"]
    baseline = lines[0]
    keys = compare_table.measured(lines)
    assert keys == ["E_OR"]
    table = compare_table.metric_table(lines, baseline, keys)
    mean, sd = math.degrees(0.2), math.degrees(math.sqrt(0.02))
    assert table[0]["runs"] == "A, B (baseline)"
    assert table[0]["E_OR"] == pytest.approx(mean)
    assert table[0]["E_OR sd"] == pytest.approx(sd)
    assert table[0]["E_OR difference"] is None
    assert table[1]["E_OR sd"] is None
    assert table[1]["E_OR difference"] == pytest.approx(math.degrees(0.4))
    assert table[2]["E_OR"] is table[2]["E_OR difference"] is None

    figure = compare_figures.metrics_figure(lines, runs[1], keys)
    drawn = {one.x[0]: one for one in figure.data if one.error_y.array is not None}
    for line, row in zip(lines, table, strict=True):
        assert drawn[line.letters].y[0] == row["E_OR"]
        assert drawn[line.letters].error_y.array[0] == row["E_OR sd"]
    (singles,) = [one for one in figure.data if one.error_y.array is None]
    assert np.allclose(singles.y, np.degrees([0.1, 0.3]))
    assert figure.layout.shapes[0].y0 == figure.layout.shapes[0].y1 == table[0]["E_OR"]
    assert figure.layout.annotations[0].text == "E<sub>OR</sub> (°)"

    written = list(csv.DictReader(io.StringIO(compare_table.metric_csv(lines, baseline).decode())))
    for row, line in zip(written, table, strict=True):
        for column, key in (("E_OR (°)", "E_OR"), ("E_OR (°) sd", "E_OR sd")):
            assert (float(row[column]) if row[column] else None) == pytest.approx(line[key])
        assert row["runs"] == line["runs"]
    assert float(written[1]["E_OR (°) minus baseline"]) == pytest.approx(table[1]["E_OR difference"])
    assert float(written[0]["E_OR (rad)"]) == pytest.approx(0.2)
    assert written[0]["run ids"].split() == [runs[0].row["run_id"], runs[1].row["run_id"]]


def test_seeds_stay_apart_unless_they_are_folded(runs):
    lines = compare_table.metric_lines(runs, folded=False)
    assert [line.letters for line in lines] == ["A", "B", "C", "D"]
    assert all(line.spreads["E_OR"] is None or line.spreads["E_OR"].sd is None for line in lines)


def test_a_spreadsheet_does_not_reckon_with_names():
    runs = compare_table.compared([run_row(1, {"distance_mae": 0.1}, name="=1+1")])
    (line,) = compare_table.metric_lines(runs, folded=False)
    (row,) = csv.DictReader(io.StringIO(compare_table.metric_csv([line], line).decode()))
    assert row["name"] == "'=1+1"


def test_names_are_shown_letter_by_letter(runs):
    lines = compare_table.metric_lines(runs[:3], folded=False)
    figure = compare_figures.metrics_figure(lines, runs[0], ["E_OR"])
    assert [one.name for one in figure.data] == [f"{'ABC'[n]} · &lt;b&gt;{n + 5}&lt;/b&gt;" for n in range(3)]
    many = compare_figures.recovery_figure(runs, {run.letter: np.array([2.0, 1.0]) for run in runs})
    assert [one.name for one in many.data] == ["A", "B", "C", "D"]
    assert "&lt;b&gt;5&lt;/b&gt;" in many.data[0].hovertemplate


# Curves --------------------------------------------------------------------------------------------------------------


def test_histograms_and_cumulative_curves_are_of_the_errors(runs, rng):
    errors = {"A": np.radians(rng.uniform(0, 10, 400)), "C": np.radians(rng.uniform(2, 4, 100))}
    figure = compare_figures.angle_errors_figure(runs, errors)
    assert len(figure.data) == 4  # of the two runs that have errors
    histogram, curve = figure.data[:2]
    assert sum(histogram.y) == pytest.approx(100)
    assert histogram.line.color == curve.line.color == runs[0].colour
    first = histogram.customdata[0]
    inside = np.count_nonzero(np.degrees(errors["A"]) < first[1])
    assert histogram.y[0] == pytest.approx(100 * inside / 400)
    assert first[2:] == pytest.approx(np.radians(first[:2]))
    for at, share in zip(curve.x[::20], curve.y[::20], strict=True):
        below = 100 * np.count_nonzero(np.degrees(errors["A"]) <= at + 1e-9) / 400
        assert below == pytest.approx(share, abs=100 / 199)
    assert figure.layout.xaxis2.title.text == "angle between recovered and true pose (°)"


def test_outliers_of_one_run_do_not_squeeze_the_others(runs):
    errors = {"A": np.full(100, 0.01), "B": np.append(np.full(99, 0.02), 3.0)}
    figure = compare_figures.angle_errors_figure(runs, errors)
    assert figure.layout.xaxis.range[1] < 5
    assert "1 of 100 beyond" in figure.data[2].hovertemplate
    logarithmic = compare_figures.angle_errors_figure(runs, errors, logarithmic=True)
    assert logarithmic.layout.xaxis.type == "log"
    assert 10 ** logarithmic.layout.xaxis.range[1] == pytest.approx(math.degrees(3.0))
    assert sum(logarithmic.data[2].y) == pytest.approx(100)


@pytest.mark.parametrize("logarithmic", [False, True])
def test_errors_of_nothing_but_zeros_are_drawn(runs, logarithmic):
    figure = compare_figures.angle_errors_figure(runs, {"A": np.zeros(20)}, logarithmic)
    low, high = figure.layout.xaxis.range
    assert math.isfinite(low)
    assert low < high
    assert figure.data[1].y[-1] == 100


def test_training_curves_keep_every_validation(runs):
    step = np.arange(1.0, 5001)
    validation = np.where(step % 500 == 0, 1 / step, np.nan)
    figure = compare_figures.training_figure(runs, {"B": Training(step, 10 / step, validation)})
    loss, measured = figure.data
    assert len(loss.x) < 500
    assert np.allclose(loss.y, 10 / np.asarray(loss.x))
    assert list(measured.x) == list(range(500, 5001, 500))
    assert np.allclose(measured.y, np.degrees(1 / np.asarray(measured.x)))
    assert loss.line.color == runs[1].colour


def test_a_recovery_loss_of_zero_is_not_drawn_on_a_logarithmic_axis(runs):
    figure = compare_figures.recovery_figure(runs, {"A": np.array([1.0, 0.0]), "B": np.array([1.0, 0.5])})
    assert figure.layout.yaxis.type == "linear"
    assert trace(figure, figure.data[1].name).line.dash == runs[1].dash
