"""Runs compared: what is drawn is what the figures' data hold, in each run's own colour; settings in words."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis import comparison_table
from engine.analysis.comparison_table import compared
from engine.analysis.figures import compare
from engine.analysis.figures.compare import Training
from engine.config.schema import Config
from engine.config.settings import config_from_dict, config_to_dict
from pages._compare import compare_figures, compare_table
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
    result = zip((0.1, 0.3, 0.6, None), (0, 1, 0, 0), (0.0, 0.0, 16.0, 0.0), strict=True)
    rows = [
        run_row(
            number, {} if error is None else {"angle_error_median": error}, "finished" if error else "failed",
            name=f"<b>{number}</b>", seed=seed, projections={"noise_variance": noise},
        )
        for number, (error, seed, noise) in enumerate(result, start=5)
    ]  # fmt: skip
    return compared(rows)


# Colours -------------------------------------------------------------------------------------------------------------


def test_colour_and_dash_tell_any_36_runs_in_a_row_apart():
    for first in (1, 20, 37):
        assert len({style.run_stroke(n) for n in range(first, first + 36)}) == 36
    assert style.GREY not in {style.run_stroke(n).colour for n in range(1, 100)}
    assert style.run_stroke(1).dash == style.run_stroke(6).dash == "solid" != style.run_stroke(7).dash
    assert len({style.place_stroke(n) for n in range(36)}) == 36
    for n in range(35):
        assert not set(style.place_stroke(n)) & set(style.place_stroke(n + 1)), "neighbours differ in both"


def test_whichever_runs_are_compared_no_two_look_alike_and_six_share_no_colour(rng):
    for count in (2, 6, 12, 36):
        for _ in range(50):
            numbers = [int(n) for n in rng.choice(2000, count, replace=False) + 1]
            strokes = style.run_strokes(numbers)
            assert len(set(strokes.values())) == count
            kept = [n for n in sorted(numbers) if strokes[n] == style.run_stroke(n)]
            own = {n: style.run_stroke(n).colour if count <= 6 else style.run_stroke(n) for n in numbers}
            assert len(kept) == len(set(own.values())), "of those with one style or colour one keeps its own"
            assert all(n in kept for n in numbers if list(own.values()).count(own[n]) == 1)
            assert count > 6 or len({stroke.colour for stroke in strokes.values()}) == count
            assert style.run_strokes(numbers[::-1]) == strokes, "whatever their order"
    assert len({stroke.colour for stroke in style.run_strokes([1, 37, 73, 109, 145, 181]).values()}) == 6


@pytest.mark.parametrize("every", [1, 2, 3, 6])
def test_six_levels_of_a_sweep_hardly_share_a_colour_whatever_its_number_of_seeds(every):
    for first in range(1, 37):
        assert len({style.run_stroke(n).colour for n in range(first, first + 6 * every, every)}) >= 5


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
    assert malformed.startswith("Not shown: '../etc', '<b>'; wanted run ids, such as ")
    assert gone.startswith(f"Not shown: {unknown[1]}, {unknown[2]}, {unknown[3]} and 26 more are not here")
    assert waiting.startswith("Not started yet")
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
    runs = compared([run_row(1, seed=3), run_row(2, config=None), run_row(3, seed=4)])
    (row,) = compare_table.parameter_rows(runs, 1, only_differences=True)
    assert (row.key, row.values, row.differs) == ("seed", ("3", UNKNOWN, "4"), (False, False, False))


def test_what_a_run_has_of_its_own_is_listed_seed_last(runs):
    assert compare_table.particulars(runs)[1:3] == ["noise variance 0, seed 1", "noise variance 16, seed 0"]


def test_no_noise_is_not_called_automatic():
    runs = compared([run_row(1), run_row(2, projections={"noise_variance": 4.0})])
    assert compare_table.particulars(runs) == ["noise variance 0", "noise variance 4"]


def test_no_noise_is_no_difference_from_noise_of_variance_zero():
    runs = compared([run_row(1), run_row(2, projections={"noise_variance": 0.0}), run_row(3, seed=3)])
    (row,) = compare_table.parameter_rows(runs, 0, only_differences=True)
    assert row.key == "seed"
    rows = {row.key: row for row in compare_table.parameter_rows(runs, 0, only_differences=False)}
    assert not any(rows["projections.noise_variance"].differs)
    assert len(set(rows["projections.noise_variance"].values)) == 1


# Figures -------------------------------------------------------------------------------------------------------------


def traces(figure, row: int = 1):
    """Of a figure of two rows, those in one of them."""
    return [one for one in figure.data if (one.yaxis or "y") == ("y" if row == 1 else f"y{row}")]


def test_measures_are_drawn_with_their_deviations_single_runs_and_the_baseline(runs):
    data = compare.measures(comparison_table.metric_lines(runs, folded=True), runs[1], ["E_OR"])
    figure = compare_figures.metrics_figure(data, runs)
    series = [one for one in data.panel.series if one.name != compare.BASELINE]
    assert len(figure.data) == len(series) == 4
    for drawn, one in zip(figure.data, series, strict=True):
        assert list(drawn.x) == list(one.columns["x"])
        np.testing.assert_array_equal(np.array(drawn.y, dtype=float), one.columns["y"])
        if "sd" in one.columns:
            np.testing.assert_array_equal(np.array(drawn.error_y.array, dtype=float), one.columns["sd"])
        else:
            assert [name for name, _ in drawn.customdata] == ["A · &lt;b&gt;5&lt;/b&gt;", "B · &lt;b&gt;6&lt;/b&gt;"]
    (line,) = figure.layout.shapes
    assert line.y0 == line.y1 == data.panel[compare.BASELINE].columns["y"][0]
    assert figure.layout.annotations[0].text == "E<sub>OR</sub> (°)"
    assert figure.layout.xaxis.categoryarray == ("A, B", "C", "D")
    colours = {letter: stroke.colour for letter, stroke in compare_table.strokes(runs).items()}
    assert [one.marker.color for one in figure.data] == [colours[letter] for letter in "AACD"]
    assert figure.data[1].hovertemplate.startswith(
        "A, B · &lt;b&gt;5&lt;/b&gt; (+1)<br>E_OR (°) %{customdata:.4g} ± 8.1, 2 runs"
    )


def test_values_that_span_decades_are_on_a_logarithmic_axis_zeros_at_its_end():
    angles = (0.0, 1e-6, 1.8, 120.0)
    runs = compared([run_row(n, {"angle_error_median": np.radians(angle)}) for n, angle in enumerate(angles, start=1)])
    data = compare.measures(comparison_table.metric_lines(runs, folded=False), runs[0], ["E_OR"])
    figure = compare_figures.metrics_figure(data, runs)
    lowest, highest = data.panel.y.range
    axis = figure.layout.yaxis
    assert axis.type == "log"
    assert axis.range[0] < np.log10(lowest) < np.log10(1e-6)
    assert axis.range[1] > np.log10(highest) > np.log10(120)
    np.testing.assert_allclose([one.y[0] for one in figure.data], [lowest, *angles[1:]])
    assert [one.marker.symbol[0] for one in figure.data] == ["triangle-down", "circle", "circle", "circle"]
    assert figure.data[0].customdata[0] == 0, "what is said of it"
    assert figure.layout.shapes[0].y0 == lowest, "the baseline"


def test_names_are_shown_letter_by_letter(runs):
    data = compare.measures(comparison_table.metric_lines(runs[:3], folded=False), runs[0], ["E_OR"])
    figure = compare_figures.metrics_figure(data, runs)
    assert [one.name for one in figure.data] == [f"{'ABC'[n]} · &lt;b&gt;{n + 5}&lt;/b&gt;" for n in range(3)]
    losses = compare.recoveries(runs, {run.letter: np.array([2.0, 1.0]) for run in runs})
    many = compare_figures.recovery_figure(losses, runs)
    assert [one.name for one in many.data] == ["A", "B", "C", "D"]
    assert "&lt;b&gt;5&lt;/b&gt;" in many.data[0].hovertemplate


@pytest.mark.parametrize("logarithmic", [False, True])
def test_histograms_and_cumulative_curves_are_drawn_as_they_are(runs, rng, logarithmic):
    errors = {"A": np.radians(rng.uniform(0, 10, 400)), "C": np.append(np.full(99, 0.02), 3.0)}
    data = compare.angle_errors(runs, errors, logarithmic)
    figure = compare_figures.angle_errors_figure(data, runs)
    histograms, curves = data.panels
    assert [len(traces(figure, row)) for row in (1, 2)] == [2, 2]
    for drawn, series in zip(traces(figure, 1), histograms.series, strict=True):
        np.testing.assert_array_equal(drawn.x, series.columns["x"])
        np.testing.assert_array_equal(drawn.y, series.columns["y"])
        np.testing.assert_array_equal(drawn.customdata[:, 0], series.columns["x_low"])
        np.testing.assert_allclose(drawn.customdata[:, 3], np.radians(series.columns["x_high"]))
    for drawn, series in zip(traces(figure, 2), curves.series, strict=False):
        np.testing.assert_array_equal(drawn.x, series.columns["x"])
        np.testing.assert_array_equal(drawn.y, series.columns["y"])
    histogram, curve = traces(figure, 1)[0], traces(figure, 2)[0]
    assert histogram.line.color == curve.line.color == compare_table.strokes(runs)["A"].colour
    assert ("1 of 100 beyond" in traces(figure, 1)[1].hovertemplate) == (not logarithmic)
    ends = np.array(figure.layout.xaxis.range)
    np.testing.assert_allclose(10**ends if logarithmic else ends, histograms.x.range)
    assert figure.layout.xaxis.type == ("log" if logarithmic else "linear")
    assert figure.layout.xaxis2.title.text == "angle between recovered and true pose (°)"
    assert figure.layout.shapes[0].y0 == 50


def test_training_curves_are_drawn_as_they_are(runs):
    step = np.arange(1.0, 5001)
    validation = np.where(step % 500 == 0, 1 / step, np.nan)
    data = compare.trainings(runs, {"B": Training(step, 10 / step, validation)})
    loss, measured = compare_figures.training_figure(data, runs).data
    for drawn, panel in zip((loss, measured), data.panels, strict=True):
        np.testing.assert_array_equal(drawn.x, panel.series[0].columns["x"])
        np.testing.assert_array_equal(drawn.y, panel.series[0].columns["y"])
    np.testing.assert_array_equal(measured.customdata, data.panels[1].series[0].columns["y_rad"])
    assert loss.line.color == compare_table.strokes(runs)["B"].colour


def test_a_recovery_loss_of_zero_is_not_drawn_on_a_logarithmic_axis(runs):
    data = compare.recoveries(runs, {"A": np.array([1.0, 0.0]), "B": np.array([1.0, 0.5])})
    figure = compare_figures.recovery_figure(data, runs)
    assert figure.layout.yaxis.type == "linear"
    assert figure.layout.yaxis.title.text == "L<sub>OR</sub> (rad²)"
    assert [list(one.y) for one in figure.data] == [[1, 0], [1, 0.5]]
    assert figure.data[1].line.dash == compare_table.strokes(runs)["B"].dash
