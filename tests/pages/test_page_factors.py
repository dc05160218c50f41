"""The pages of the factors: coverage, noise, sampling in both of its meanings, the recovery's settings, mismatches."""

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

from engine.analysis import level_table
from engine.analysis.factors import COVERAGE, METRICS, NOISE, study
from engine.config.settings import config_from_dict
from engine.experiment import sweep
from engine.experiment.pipeline import run_experiment
from engine.record import catalogue
from engine.record.runlog import RunWriter
from engine.service import notes
from engine.service.actor import Actor
from pages._factors import factor as factor_page
from pages._shared import state
from tests.app_testing import TYPED, UNKNOWN_ID, failed_run, page, shown, texts

ME = Actor("somebody")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]
PAGES = {
    "coverage": "coverage", "noise": "noise", "sampling": "orientation-sampling", "recovery": "recovery-pairs",
    "mismatch": "mismatch-defocus",
}  # fmt: skip


@pytest.fixture
def eight(family, runs_dir) -> Path:
    """A directory with two coverages x two variances x two seeds."""
    shutil.copytree(family, runs_dir)
    state.forget_runs()
    return runs_dir


@pytest.fixture(autouse=True)
def fresh(runs_dir):
    state.forget_runs()


def rows(runs_dir):
    return catalogue.list_runs(runs_dir)


def words(app) -> str:
    return texts([*app.info, *app.warning, *app.error, *app.caption]).replace("\\", "")


def table(app):
    (result,) = (frame.value for frame in app.dataframe if "whose" in frame.value)
    return result


def left_out(app) -> dict[str, str]:
    frames = [frame.value for frame in app.dataframe if "reason" in frame.value]
    return dict(zip(frames[0]["id"], frames[0]["reason"], strict=True)) if frames else {}


def charts(app) -> dict[str, dict]:
    """The figures by their titles."""
    figures = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    return {figure["layout"]["title"]["text"]: figure for figure in figures}


def parameter(app, key: str) -> str:
    """What the address says; AppTest has it as a list where the page did not write it."""
    value = app.query_params[key]
    return value if isinstance(value, str) else value[0]


def numbers(values) -> list[float]:
    """An array of a figure's JSON, where numbers may be packed."""
    if isinstance(values, dict):
        import base64

        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()
    return [float(value) for value in values]


# No runs, one run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "study_name"), PAGES.items())
def test_without_runs_it_says_what_to_do(runs_dir, name, study_name):
    app = page(name)
    assert "No two finished runs differ only in" in words(app)
    (link,) = (link.proto for link in app.get("page_link"))
    assert study_name in link.label
    assert link.query_string == f"study={study_name}"
    assert not app.get("plotly_chart")


@pytest.mark.parametrize(
    ("name", "tab", "study_name"),
    [
        ("recovery", "Close pairs", "close-pairs"), ("recovery", "Start", "initialisation"),
        ("noise", "Spectrum", "noise-spectrum"), ("noise", "Defocus", "defocus"),
        ("mismatch", "Noise", "mismatch-noise"), ("mismatch", "Reference", "mismatch-reference"),
    ],
)  # fmt: skip
def test_each_tab_offers_its_study(runs_dir, name, tab, study_name):
    (link,) = (link.proto for link in page(name, tab=tab).get("page_link"))
    assert link.query_string == f"study={study_name}"
    assert study_name in sweep.studies()


@pytest.mark.parametrize("name", PAGES)
def test_one_run_differs_from_no_other(finished, name):
    assert "No two finished runs differ only in" in words(page(name))


def test_one_run_that_is_asked_for_is_shown_alone(finished):
    app = page("noise", runs=finished.run_id)
    assert "one level of noise only: no noise" in words(app)
    assert list(table(app)["whose"]) == ["these runs"]
    assert "Projections at each level" in charts(app)


def test_a_run_that_failed_is_left_out_with_the_reason(runs_dir):
    path = failed_run(runs_dir, "no volume")
    app = page("coverage", runs=path.name)
    assert "None of these runs can be shown" in words(app)
    assert left_out(app) == {path.name: "it is failed"}


def test_a_folder_that_cannot_be_read_is_reported(runs_dir):
    runs_dir.write_text("a file")
    assert "Not a directory" in words(page("noise"))


# Many runs -----------------------------------------------------------------------------------------------------------


def test_a_family_is_shown_and_the_others_are_left_out_with_the_reason(eight):
    app = page("noise")
    by_id = {row["run_id"]: row for row in rows(eight)}
    (choice,) = app.selectbox
    assert [option.rsplit(" · ", 1)[0] for option in choice.options] == [
        f"1bd2 · 40 projections · {coverage} coverage · SO(3) sampling" for coverage in ("half", "full")
    ]
    assert {by_id[run_id]["coverage"] for run_id in left_out(app)} == {"full"}
    assert set(left_out(app).values()) == {"projections.coverage is full, not half"}
    assert by_id[parameter(app, "family")]["coverage"] == "half"


def test_the_table_has_the_means_and_deviations_of_the_catalogue(eight):
    frame = table(page("noise"))
    ours = frame[frame["whose"] == "these runs"]
    assert list(ours["level"]) == ["no noise", "variance 16"]
    for level, variance in zip(ours.to_dict("records"), (0.0, 16.0), strict=True):
        group = [r["metrics"] for r in rows(eight) if r["coverage"] == "half" and r["noise_variance"] == variance]
        for column, metric, factor in (
            ("L_DE", "distance_mae", 180 / np.pi), ("L_OR", "recovery_loss", 1.0),
            ("E_OR", "angle_error_median", 180 / np.pi),
        ):  # fmt: skip
            unit = "rad²" if column == "L_OR" else "°"
            values = [metrics[metric] * factor for metrics in group]
            assert level[f"{column} ({unit})"] == pytest.approx(statistics.fmean(values))
            assert level[f"{column} sd ({unit})"] == pytest.approx(statistics.stdev(values))


@pytest.mark.parametrize(("name", "factor"), [("coverage", COVERAGE), ("noise", NOISE)])
def test_chart_table_and_csv_have_the_same_numbers(eight, name, factor):
    app = page(name)
    frame = table(app)
    drawn = charts(app)["Errors by level"]["data"]
    for number, column in enumerate(("L_DE (°)", "L_OR (rad²)", "E_OR (°)")):
        of = {}
        for trace in drawn:
            of.setdefault(trace["name"], []).append(trace)
        values = [value for name, each in of.items() if name != "single runs" for value in numbers(each[number]["y"])]
        assert sorted(values) == pytest.approx(sorted(frame[column].dropna()))
    like = next(row for row in rows(eight) if row["run_id"] == parameter(app, "family"))
    lines = level_table.lines(study(rows(eight), factor, like), factor)
    entries = list(csv.DictReader(io.StringIO(level_table.to_csv(lines, factor).decode())))
    assert [entry["level"] for entry in entries] == list(frame["level"])
    assert [float(entry["E_OR (°)"]) for entry in entries] == pytest.approx(list(frame["E_OR (°)"]))


def test_each_level_has_its_panels_and_each_figure_offers_its_data(eight, monkeypatch):
    offered = {}
    monkeypatch.setattr(st, "download_button", lambda label, data, name, *_, **named: offered.update({name: data}))
    app = page("coverage")
    figures = charts(app)
    rows = [row for row in csv.DictReader(io.StringIO(offered["coverage-metrics.csv"]())) if row["panel"] == "E_OR (°)"]
    y = "y: L_DE (°); L_OR (rad²); E_OR (°)"
    means = [float(row[y]) for row in rows if row["series"] == "these runs, mean ± sd"]
    assert means == pytest.approx(list(table(app)["E_OR (°)"]))
    assert {"sd (°; rad²)", "x: coverage"} <= rows[0].keys()
    beside = figures.pop("")
    assert len(offered.keys() - {"coverage.csv"}) == len(figures) == 7, "the other is the table's"
    both = (figures["Distances, % of the level's pairs in a cell"], beside)
    assert [trace["name"] for figure in both for trace in figure["data"] if trace["type"] == "heatmap"] == [
        "full", "half",
    ]  # fmt: skip
    errors = figures["Angle errors, % of the projections"]["data"]
    assert sum(trace["type"] == "bar" for trace in errors) == 2
    assert {"Euler angles and distances of the true poses", "Quaternion components of the true poses"} <= set(figures)
    assert any("by solid angle" in title for title in figures)


def is_table(element, frame) -> bool:
    """Whether an element of a page is the table with this content."""
    value = getattr(element, "value", None)
    return hasattr(value, "equals") and value.equals(frame)


def test_the_table_comes_first_and_says_of_what_each_deviation_is(eight):
    app = page("noise")
    measures = table(app)
    tables = [n for n, element in enumerate(app.main) if element.type != "plotly_chart" and is_table(element, measures)]
    assert tables[0] < next(n for n, element in enumerate(app.main) if element.type == "plotly_chart")
    heads = list(measures)
    assert [head for head in heads if " sd" in head] == ["L_DE sd (°)", "L_OR sd (rad²)", "E_OR sd (°)"]


def test_numbers_of_runs_are_shown_without_decimals():
    measures = [level_table.measure(metric) for metric in METRICS]
    table = pd.DataFrame(
        {"level": ["full", "quarter"], "whose": ["these runs", "published"], "runs": [2, None]}
        | {measure.column(what): [0.5, None] for measure in measures for what in ("", " sd")}
    )  # published figures have no number of runs, which makes floats of the others
    shown_table, _ = factor_page._in_words(table, COVERAGE)
    assert re.findall(r'class="data row0 col2" >(.*?)<', shown_table.to_html()) == ["2"]
    assert re.findall(r'class="data row1 col2" >(.*?)<', shown_table.to_html()) == ["–"]


def test_projections_of_each_level_stand_in_two_columns(eight):
    figures = [json.loads(chart.proto.spec) for chart in page("noise").get("plotly_chart")]
    first = next(n for n, one in enumerate(figures) if one["layout"]["title"]["text"] == "Projections at each level")
    shown = figures[first : first + 2]
    assert [sum(trace["type"] == "heatmap" for trace in figure["data"]) for figure in shown] == [2, 2]
    assert shown[1]["layout"]["title"]["text"] == ""


def test_published_figures_stand_beside_by_name(eight):
    assert set(table(page("coverage"))["whose"]) == {"these runs"}  # noise of variance 16 was not published as such
    family = next(r["run_id"] for r in rows(eight) if r["noise_variance"] == 0)
    frame = table(page("coverage", family=family))
    assert set(frame["whose"]) == {"these runs", "published, 5J0N", "published, 5A1A"}


# Links ---------------------------------------------------------------------------------------------------------------


def test_a_link_to_a_family_shows_it_and_another_can_be_picked(eight):
    full = next(row["run_id"] for row in rows(eight) if row["coverage"] == "full")
    app = page("noise", family=full)
    assert set(left_out(app).values()) == {"projections.coverage is half, not full"}
    (choice,) = app.selectbox
    choice.select_index(0)
    app = shown(app)
    assert set(left_out(app).values()) == {"projections.coverage is full, not half"}
    opened = page("noise", family=parameter(app, "family"))
    assert table(opened).equals(table(app))


def test_a_link_to_runs_shows_these_and_says_which_do_not_belong(eight):
    one_seed = [row for row in rows(eight) if row["seed"] == 0]
    notes.annotate(ME, eight, one_seed[0]["run_id"], name=TYPED)
    asked = [*(row["run_id"] for row in one_seed), UNKNOWN_ID]
    app = page("coverage", runs=",".join(asked))
    assert app.selectbox[0].options[0] == "5 runs in the address"
    assert list(table(app)["runs"].dropna()) == [1, 1]
    reasons = left_out(app)
    assert reasons.pop(UNKNOWN_ID) == "there is no such run"
    assert len(reasons) == 2
    assert set(reasons.values()) <= {
        f"projections.noise_variance is {a}, not {b}" for a, b in ((0.0, 16.0), (16.0, 0.0))
    }
    assert "family" not in app.query_params


def test_a_link_to_a_sweep_shows_its_runs(eight):
    for row in rows(eight):
        if row["coverage"] == "full":
            path = eight / row["run_id"] / "run.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"sweep": "noise-1"}))
    notes.annotate(
        ME, eight, next(row["run_id"] for row in rows(eight) if row["sweep"] and row["seed"] == 1), archived=True
    )
    app = page("noise", sweep="noise-1")
    ours = table(app)
    assert sorted(ours[ours["whose"] == "these runs"]["runs"]) == [1, 2]
    assert set(left_out(app).values()) == {"it is archived"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"runs": "../../etc,<b>x</b>"}, "'<b>x</b>' is not a run id"),
        ({"runs": UNKNOWN_ID}, "None of the runs in the address is here"),
        ({"sweep": "<b>none</b>"}, "There is no sweep '<b>none</b>' here"),
        ({"family": "<b>none</b>"}, "No finished run differs from '<b>none</b>' in noise only"),
    ],
)
def test_a_malformed_link_is_reported_and_the_largest_family_shown(eight, asked, message):
    app = page("noise", **asked)
    assert message in words(app)
    assert not any("<b>" in warning.value for warning in app.warning)
    assert len(table(app)) >= 2


def test_a_damaged_file_costs_one_run_of_its_figures_and_is_reported_once(eight):
    for row in rows(eight):
        if row["coverage"] == "half" and row["seed"] == 0 and row["noise_variance"] == 0:
            (eight / row["run_id"] / "poses.npz").write_bytes(b"not an archive")
    app = page("noise")
    assert len([warning for warning in app.warning if "poses.npz" in warning.value.replace("\\", "")]) == 1
    assert "Angle errors, % of the projections" in charts(app)
    app = page("coverage", family=next(r["run_id"] for r in rows(eight) if r["noise_variance"] == 0))
    assert len([warning for warning in app.warning if "poses.npz" in warning.value.replace("\\", "")]) == 1


def links(app) -> dict[str, str]:
    """What the links to runs say and where they lead."""
    return {link.proto.label.replace("\\", ""): link.proto.query_string for link in app.get("page_link")}


def test_there_are_links_to_each_run_and_to_their_comparison(eight):
    app = page("noise")
    shown = [row for row in rows(eight) if row["coverage"] == "half"]
    addresses = links(app)
    compared = addresses.pop("Compare these runs").removeprefix("runs=").replace("%2C", ",").split(",")
    assert set(compared) == {row["run_id"] for row in shown}
    by_id = {row["run_id"]: row["noise_variance"] for row in shown}
    assert [by_id[run_id] for run_id in compared] == [0, 16, 0, 16], "a run of each level first"
    assert addresses == {
        f"{'variance 16' if row['noise_variance'] else 'no noise'}: {row['run_id']}, seed {row['seed']}":
        f"run={row['run_id']}"
        for row in shown
    }  # fmt: skip


# Recovery ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recoveries(tmp_path_factory) -> Path:
    """A directory with runs of 40 projections: two choices of pairs, two largest distances, two starts."""
    folder = tmp_path_factory.mktemp("recoveries")
    for recovery in ({}, {"pairs": "random"}, {"max_distance": 2.0}, {"initialisation": "mds"}):
        tables = {
            "projections": {"count": 40, "size": 24}, "distance": {"method": "perturbed"},
            "recovery": {"restarts": 10, "pairs_per_projection": 20} | recovery, "reconstruction": {"enabled": False},
        }  # fmt: skip
        run_experiment(config_from_dict(tables), folder, ["python", "-m", "engine", "run"])
    return folder


@pytest.mark.parametrize(
    ("tab", "key", "levels"),
    [
        ("Which pairs", "pairs", ["all", "random"]), ("Start", "initialisation", ["mds", "spectral"]),
        ("Close pairs", "max_distance", ["115° (2 rad)", "no limit"]),
    ],
)  # fmt: skip
def test_recoveries_are_compared_by_error_loss_time_and_pairs(recoveries, runs_dir, tab, key, levels):
    shutil.copytree(recoveries, runs_dir)
    app = page("recovery", tab=tab)
    frame = table(app)
    assert list(frame["level"]) == levels
    changed = next(row for row in rows(runs_dir) if row["config"]["recovery"].get(key) in ("random", 2.0, "mds"))
    at = next(n for n, level in enumerate(levels) if level in ("random", "115° (2 rad)", "mds"))
    line = frame.iloc[at]
    metrics = changed["metrics"]
    assert line["E_OR (°)"] == pytest.approx(np.degrees(metrics["angle_error_median"]))
    assert line["L_OR (rad²)"] == pytest.approx(metrics["recovery_loss"])
    assert line["time (s)"] == changed["seconds"]["recovery"]
    arrays = state.arrays(runs_dir / changed["run_id"] / "recovery.npz")
    assert line["pairs used"] == metrics["recovery_pairs"] == arrays["pairs"]
    if key == "max_distance":  # 2 rad are within the 64th bin of 1.8 degrees
        closer = state.arrays(runs_dir / changed["run_id"] / "distances.npz")["counts"].sum(axis=0).cumsum()
        assert closer[62] <= line["pairs used"] <= closer[63]
    else:
        assert line["pairs used"] == {"pairs": 40 * 20 // 2, "initialisation": 40 * 39 // 2}[key]
    losses = charts(app)["Loss of each run, over the pairs that it used"]["data"]
    assert [trace["name"] for trace in losses] == levels
    assert numbers(losses[at]["y"]) == pytest.approx(arrays["loss_curve"].tolist())
    assert "Errors and cost of the recovery by level" in charts(app)
    assert len(links(app)) == 3


# Sampling ------------------------------------------------------------------------------------------------------------


def quick_pairs(strategy):
    return config_from_dict(
        {
            "pairs": {"strategy": strategy},
            "projections": {"size": 24, "count": 40},
            "training": {"projections": 200, "image_size": 24},
        }
    )


def test_pairs_show_what_each_strategy_feeds_the_network(runs_dir):
    for strategy in ("random", "knn"):
        with RunWriter.create(runs_dir, quick_pairs(strategy), ["engine"]) as run:
            run.finish({"distance_mae": 0.2, "recovery_loss": 0.01, "angle_error_median": 0.1})
    app = page("sampling", tab="Pairs")
    frame = table(app)
    assert list(frame["level"]) == ["knn", "random"]
    assert frame["L_DE (°)"].iloc[0] == pytest.approx(np.degrees(0.2))
    traces = charts(app)["Distances that each pair strategy feeds the network"]["data"]
    assert [trace["name"] for trace in traces][:4] == ["random", "knn", "knn+random", "uniform"]
    assert "the first of these runs" in words(app)
    assert "200 clean projections" in words(app)
    assert "have no recorded distances" in words(app)
    assert "pairs-family" in app.query_params


def test_without_a_network_pairs_make_no_difference(runs_dir):
    for strategy in ("random", "uniform"):
        config = quick_pairs(strategy)
        config = config.model_copy(update={"distance": config.distance.model_copy(update={"method": "exact"})})
        with RunWriter.create(runs_dir, config, ["engine"]) as run:
            run.finish({"distance_mae": 0.0})
    assert "no network is trained" in words(page("sampling", tab="Pairs"))


def test_a_mismatch_is_shown_against_its_size(runs_dir):
    for error in (0, 1000, 3000):
        tables = {
            "projections": {"count": 40, "size": 24, "defocus": 12_000, "defocus_error": error},
            "distance": {"method": "euclidean"}, "recovery": {"restarts": 10}, "reconstruction": {"enabled": False},
        }  # fmt: skip
        run_experiment(config_from_dict(tables), runs_dir, ["test"])
    app = page("mismatch")
    assert list(table(app)["level"]) == ["none", "+1,000 Å", "+3,000 Å"]
    figure = charts(app)["Errors by level"]
    means = [numbers(one["x"]) for one in figure["data"] if one["name"] == "these runs, mean ± sd"]
    assert means[0] == [0, 1000, 3000]
    assert "known less true defocus (Å)" in json.dumps(figure["layout"], ensure_ascii=False)
