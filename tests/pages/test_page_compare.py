"""The page that compares: whatever its address asks for, it shows what is there and says what is not."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st

from engine.analysis import comparison_table
from engine.analysis.measures import MEASURES
from engine.config.schema import Config
from engine.dispatch import runqueue
from engine.record import catalogue
from engine.record.runlog import RunWriter
from engine.service import notes
from engine.service.actor import Actor
from pages._shared import state
from tests.app_testing import TYPED, UNKNOWN_ID, failed_run, page, shown, texts

ME = Actor("somebody")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]
TABS = ("Overview", "Distances", "Angle errors", "Losses", "Projections", "Directions")
WITH_DATA = {"Overview": 1, "Distances": 1, "Angle errors": 1, "Losses": 1, "Projections": 2, "Directions": 2}
WITH_CHARTS = {"Distances": 3}  # of six runs, in columns


@pytest.fixture
def eight(family, runs_dir) -> list[str]:
    """The ids of eight runs, two seeds each of two coverages at two levels of noise, oldest first."""
    shutil.copytree(family, runs_dir)
    return ids(runs_dir)


def ids(runs_dir: Path) -> list[str]:
    return [row["run_id"] for row in reversed(catalogue.list_runs(runs_dir, archived=None))]


def compare(run_ids, **parameters):
    return page("compare", runs=",".join(run_ids), **parameters)


def copied(runs_dir: Path, run_id: str, number: int) -> str:
    """The same run once more, under an id of its own."""
    other = f"{run_id[:-6]}{number:06x}"
    shutil.copytree(runs_dir / run_id, runs_dir / other)
    note(runs_dir / other, run_id=other)
    state.forget_runs()
    return other


def note(path: Path, **facts) -> None:
    """Change what run.json says."""
    own = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(own | facts))


def words(app) -> str:
    return texts([*app.caption, *app.info, *app.warning, *app.error]).replace("\\", "")


def table(app, column: str):
    (result,) = (frame.value for frame in app.dataframe if column in frame.value)
    return result


def heads(app) -> list[str]:
    """The columns of the table of measures: one per line of runs."""
    return list(table(app, "measure"))[1:]


def measure(app, label: str) -> list:
    """A row of that table."""
    frame = table(app, "measure")
    (cells,) = frame[frame["measure"] == label].to_numpy()[:, 1:].tolist()
    return [None if pd.isna(cell) else cell for cell in cells]


def charts(app) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


# No runs -------------------------------------------------------------------------------------------------------------


def test_without_runs_it_says_what_to_do(runs_dir):
    app = page("compare")
    assert "No runs yet" in words(app)
    assert not app.multiselect


def test_without_an_address_runs_can_be_picked(eight):
    app = page("compare")
    assert "Nothing to compare yet" in words(app)
    assert set(app.multiselect[0].options) == set(eight)
    app.multiselect[0].set_value(eight[:2])
    shown(app)
    assert app.query_params["runs"] in (",".join(eight[:2]), [",".join(eight[:2])])
    assert heads(app) == ["A, B"]  # they differ in their seed
    app.multiselect[0].set_value([])
    shown(app)
    assert "runs" not in app.query_params
    assert "Nothing to compare yet" in words(app)


# One run -------------------------------------------------------------------------------------------------------------


def test_one_run_is_shown_by_itself(finished):
    app = compare([finished.run_id])
    assert "Only one run" in words(app)
    assert heads(app) == ["A"]
    assert len(charts(app)) == 1
    key = app.get("html")[0].proto.body
    assert "&lt;b&gt;Noise&lt;/b&gt;" in key
    assert "<b>Noise" not in key
    assert TYPED in app.multiselect[0].options[0]


def test_a_resolution_that_is_only_a_bound_is_marked(finished, runs_dir):
    other = copied(runs_dir, finished.run_id, 7)
    with np.load(runs_dir / other / "fsc.npz") as arrays:
        curves = dict(arrays)
    curves["to_input"] = curves["to_input"] * 0 + 0.2
    np.savez(runs_dir / other / "fsc.npz", **curves)
    facts = json.loads((runs_dir / other / "result.json").read_text())
    facts["metrics"] |= {"fsc_0.5_angstrom": 21.5, "refined_angle_error_median": 0.01}
    (runs_dir / other / "result.json").write_text(json.dumps(facts))
    app = compare([finished.run_id, other], average="false")
    finest = finished.metrics["fsc_0.5_angstrom"]
    assert measure(app, "FSC 0.5 (Å)") == [f"◆ ≤ {finest:.2f}", "21.50"], "the better one is the bound"
    assert measure(app, "Δ FSC 0.5 (Å)") == [None, f"+{21.5 - finest:.2f}"]
    assert "stays above its threshold" in words(app)
    assert "best of its row" in words(app)
    assert measure(app, "refined E_OR (°)") == [None, "0.573"]
    assert "refined FSC 0.5 (Å)" not in table(app, "measure")["measure"].tolist()
    only = compare([finished.run_id])
    assert "refined E_OR (°)" not in table(only, "measure")["measure"].tolist()
    assert "best of its row" not in words(only)


# Many runs -----------------------------------------------------------------------------------------------------------


def test_seeds_are_folded_and_chart_table_and_csv_agree(eight, runs_dir, monkeypatch):
    written = []
    make = comparison_table.metric_csv
    monkeypatch.setattr(comparison_table, "metric_csv", lambda *given: written.append(make(*given)) or written[-1])
    app = compare(eight)
    assert heads(app) == ["A, B (baseline)", "C, D", "E, F", "G, H"]
    assert measure(app, "runs") == ["2"] * 4
    rows = {row["run_id"]: row for row in catalogue.list_runs(runs_dir)}
    errors = [MEASURES["E_OR"].value(rows[run_id]) for run_id in eight]
    means = [(first + second) / 2 for first, second in zip(errors[::2], errors[1::2], strict=True)]
    deviations = [statistics.stdev(pair) for pair in zip(errors[::2], errors[1::2], strict=True)]
    best = min(means)
    assert measure(app, "E_OR (°)") == [
        f"{'◆ ' if mean == best else ''}{MEASURES['E_OR'].metric.cell(mean)} ± {MEASURES['E_OR'].metric.cell(sd)}"
        for mean, sd in zip(means, deviations, strict=True)
    ]
    changes = [float(cell.replace("−", "-")) for cell in measure(app, "Δ E_OR (°)")[1:]]
    assert changes == pytest.approx([mean - means[0] for mean in means[1:]], rel=0.005)

    figure = charts(app)[0]
    titles = [note["text"] for note in figure["layout"]["annotations"]]
    axis = f"x{titles.index('E<sub>OR</sub> (°)') + 1}"
    drawn = {one["x"][0]: one for one in figure["data"] if one["xaxis"] == axis and "error_y" in one}
    read = list(csv.DictReader(io.StringIO(written[-1].decode())))
    for row, mean, sd in zip(read, means, deviations, strict=True):
        mark = drawn[row["runs"].removesuffix(" (baseline)")]
        assert mark["y"] == pytest.approx([mean])
        assert mark["error_y"]["array"] == pytest.approx([sd])
        assert float(row["E_OR (°)"]) == pytest.approx(mean)
        assert float(row["E_OR (°) sd"]) == pytest.approx(sd)
    assert [row["run ids"] for row in read] == [" ".join(pair) for pair in zip(eight[::2], eight[1::2], strict=True)]
    assert [row["projections.coverage"] for row in read] == [rows[run_id]["coverage"] for run_id in eight[::2]]


def test_only_differences_until_all_parameters_are_asked_for(eight, runs_dir):
    app = compare(eight[:4])
    assert table(app, "parameter")["parameter"].tolist() == ["seed", "projections.noise_variance"]
    app = compare(eight[:4], differences="false")
    everything = table(app, "parameter")
    assert len(everything) > 20
    assert "projections.coverage" in everything["parameter"].tolist()
    assert "differ in no parameter" in words(compare([eight[0], copied(runs_dir, eight[0], 1)]))


def test_the_baseline_is_in_the_address(eight):
    app = compare(eight[:4], baseline=eight[2])
    column = next(name for name in table(app, "parameter") if name.startswith("A"))
    assert table(app, "parameter")[column].tolist() == ["0", "≠ 0"]
    app.selectbox[0].set_value(eight[1])
    shown(app)
    assert app.query_params["baseline"] in (eight[1], [eight[1]])
    assert table(app, "parameter")[column].tolist() == ["≠ 0", "0"]
    assert heads(app) == ["A, B (baseline)", "C, D"]
    app = compare(eight[:2], baseline=eight[5])  # not among them
    assert app.selectbox[0].value == eight[0]


def test_seeds_are_apart_when_asked_for(eight):
    app = compare(eight[:4], average="false")
    assert heads(app) == ["A (baseline)", "B", "C", "D"]


def data_to_download(monkeypatch) -> dict:
    """By file name what makes the data of each figure that a page shows from now on."""
    offered = {}

    def button(label, data, file_name, *_, **named):
        if label == "Data (CSV)":
            offered[file_name] = data

    monkeypatch.setattr(st, "download_button", button)
    return offered


@pytest.mark.parametrize("tab", TABS)
def test_every_section_of_six_runs_is_drawn_and_each_figure_offers_its_data(eight, monkeypatch, tab):
    offered = data_to_download(monkeypatch)
    app = compare(eight[:6], section=tab)
    assert len(offered) == WITH_DATA[tab]
    assert len(charts(app)) == WITH_CHARTS.get(tab, len(offered))
    for name, make in offered.items():
        assert name.startswith("compare-")
        rows = list(csv.DictReader(io.StringIO(make())))
        assert len(rows) >= 6
        assert {"panel", "series"} < rows[0].keys()
    assert not app.warning


def test_the_data_to_download_are_what_the_runs_have_left(eight, runs_dir, monkeypatch):
    offered = data_to_download(monkeypatch)
    compare(eight[:2], section="Losses")
    rows = list(csv.DictReader(io.StringIO(offered["compare-recovery.csv"]())))
    for letter, run_id in zip("AB", eight, strict=False):
        written = [float(row["y: L_OR (rad²)"]) for row in rows if row["series"].startswith(letter)]
        assert written == np.load(runs_dir / run_id / "recovery.npz")["loss_curve"].tolist()


def test_panels_of_distances_fill_the_page_in_columns_on_one_scale(eight):
    figures = charts(compare(eight[:6], section="Distances"))
    assert [sum(one["type"] == "heatmap" for one in figure["data"]) for figure in figures] == [2, 2, 2]
    titles = [note["text"][0] for figure in figures for note in figure["layout"]["annotations"][:2]]
    assert titles == list("ABCDEF")
    assert len({json.dumps(figure["layout"]["coloraxis"]["cmin"]) for figure in figures}) == 1
    assert len(charts(compare(eight[:2], section="Distances"))) == 2


def test_a_run_keeps_its_colour_whatever_it_is_compared_with(eight):
    (one,) = charts(compare([eight[3], eight[0]], section="Angle errors"))
    (other,) = charts(compare(eight[2:6], section="Angle errors"))
    assert [run["name"][0] for run in one["data"][:1] + other["data"][2:3]] == ["A", "B"], "the third of them"
    assert one["data"][0]["line"]["color"] == other["data"][2]["line"]["color"]


def test_two_runs_with_the_same_catalogue_style_are_told_apart(eight, monkeypatch):
    listing = catalogue.list_runs

    def numbered(*given, **named):
        return [row | {"number": 1 + 36 * place} for place, row in enumerate(listing(*given, **named))]

    monkeypatch.setattr(catalogue, "list_runs", numbered)
    state.forget_runs()
    app = compare(eight[:4], section="Angle errors")
    (figure,) = charts(app)
    lines = {(one["line"]["color"], one["line"]["dash"]) for one in figure["data"]}
    assert len(lines) == 4
    key = app.get("html")[0].proto.body
    assert len(set(re.findall(r"background: (repeating-linear-gradient[^']*)", key))) == 4


# Bad addresses and runs ----------------------------------------------------------------------------------------------


def test_fifty_ids_show_those_there_are_and_a_line_on_the_others(eight):
    unknown = [f"20250101-000000-1bd2-{number:06x}" for number in range(42)]
    app = compare([*unknown[:20], *eight, *unknown[20:]])
    assert measure(app, "runs") == ["2"] * 4
    (warning,) = app.warning
    assert "and 39 more are not here" in warning.value.replace("\\", "")


def test_more_than_twelve_runs_are_cut_to_twelve(eight, runs_dir):
    for number, run_id in enumerate(eight[:6]):
        copied(runs_dir, run_id, number)
    app = compare(ids(runs_dir))
    assert "The first 12 of 14 runs are shown" in words(app)
    assert sum(map(int, measure(app, "runs"))) == 12


@pytest.mark.parametrize("asked", ["../../etc/passwd", TYPED, "'; DROP TABLE runs; --", ",,,"])
def test_an_invalid_run_id_is_reported_in_one_line(eight, asked):
    app = compare([asked, eight[0]])
    assert heads(app) == ["A"]
    assert len(app.warning) == (asked != ",,,")
    assert "Nothing to compare yet" in words(compare([asked]))


def test_a_directory_deleted_by_hand_is_reported_while_the_page_is_open(eight, runs_dir):
    app = compare(eight[:3])
    shutil.rmtree(runs_dir / eight[1])
    state.forget_runs()
    shown(app)
    assert f"{eight[1]} is not here" in words(app)
    assert heads(app) == ["A (baseline)", "B"]
    state.forget_runs()
    assert UNKNOWN_ID in words(compare([UNKNOWN_ID]))


def test_a_half_written_run_is_shown_as_far_as_it_goes(eight, runs_dir):
    half = runs_dir / eight[1]
    note(half, process_started=1.0)  # its process is gone
    for name in ("result.json", "poses.npz", "recovery.npz"):
        (half / name).unlink()
    (half / "distances.npz").write_bytes((half / "distances.npz").read_bytes()[:500])
    (runs_dir / eight[2] / "run.json").write_text("{")
    catalogue.rebuild(runs_dir)
    state.forget_runs()
    asked = eight[:4]
    app = compare(asked)
    key = app.get("html")[0].proto.body
    assert "<em>interrupted</em>" in key
    assert "<em>damaged</em>" in key
    assert "No readable configuration: C (damaged)" in words(app)
    app = compare(asked, section="Angle errors")
    assert "No poses: B (interrupted)" in words(app)
    assert len(charts(app)) == 1
    app = compare(asked, section="Distances")
    (warning,) = app.warning
    assert warning.value.startswith("B ·")
    assert "distances" in warning.value
    assert sum(one["type"] == "heatmap" for figure in charts(app) for one in figure["data"]) == 3


def test_runs_without_results_are_compared_by_their_parameters(runs_dir):
    failed = failed_run(runs_dir, "the <i>disk</i> is full")
    with RunWriter.create(runs_dir, Config(seed=7), ["engine"]) as running:
        ids_ = [failed.name, running.path.name]
        assert "None of these runs has reported a metric yet" in words(compare(ids_[1:]))
        app = compare(ids_)
        assert heads(app) == ["A (baseline)", "B"]
        assert "E_OR (°)" not in table(app, "measure")["measure"].tolist()
        assert table(app, "parameter")["parameter"].tolist() == ["seed"]
        key = app.get("html")[0].proto.body
        assert "the &lt;i&gt;disk&lt;/i&gt; is full" in key
        assert "<em>running</em>" in key
        for tab in TABS[1:]:
            app = compare(ids_, section=tab)
            assert not charts(app)
            assert "No " in words(app)
        running.finish({})


def test_a_waiting_run_is_reported_and_an_archived_one_is_shown(eight, runs_dir, monkeypatch):
    monkeypatch.setattr(runqueue, "ensure_worker", lambda folder: None)
    (queued,) = runqueue.submit([Config()], runs_dir)
    notes.annotate(ME, runs_dir, eight[0], archived=True)
    state.forget_runs()
    app = compare([queued, eight[0]])
    assert f"shown as soon as there are results: {queued}." in words(app)
    assert heads(app) == ["A"]
    assert eight[0] in app.multiselect[0].options
    assert eight[0] not in page("compare").multiselect[0].options


@pytest.mark.parametrize("way", ["over another page", "straight"])
def test_who_comes_back_without_an_address_finds_the_comparison_of_before(eight, way):
    app = compare(eight[:3], average="false", baseline=eight[1])
    if way == "over another page":
        app.switch_page("pages/volumes.py")
        shown(app)
        app.switch_page("pages/compare.py")
    app.query_params.clear()
    shown(app)
    assert app.query_params["runs"] in (",".join(eight[:3]), [",".join(eight[:3])])
    assert app.selectbox[0].value == eight[1]
    assert heads(app) == ["A", "B (baseline)", "C"]


def test_settings_without_runs_are_no_comparison_to_come_back_to(eight):
    app = page("compare", differences="false")
    assert "Nothing to compare yet" in words(shown(app))
    app = compare(eight[:2], baseline=eight[1])
    app.multiselect[0].set_value([])
    shown(app)
    assert "Nothing to compare yet" in words(shown(app))
    assert "runs" not in app.query_params
