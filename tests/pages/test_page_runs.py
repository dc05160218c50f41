"""The page of all runs: filtered, sorted, folded, opened, compared, exported."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import statistics
from datetime import UTC

import numpy as np
import pandas as pd
import pytest
import streamlit as st

from engine.analysis.measures import Measure
from engine.base.errors import InputError
from engine.base.metric import Metric
from engine.config.schema import Config
from engine.dispatch import backends
from engine.record import catalogue
from engine.record.runlog import RunWriter
from engine.service import runs as service
from pages._shared import runtable, selection, state
from tests.app_testing import TYPED, UNKNOWN_ID, failed_run, page, press, shown, texts
from tests.runs_page_testing import TABLE, again, ids, table, tick, words

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


# No runs -----------------------------------------------------------------------------------------------------------


def test_without_runs_one_press_runs_the_default(runs_dir, monkeypatch):
    submitted = []
    monkeypatch.setattr(service, "submit", lambda actor, *given: submitted.append(given) or [UNKNOWN_ID])
    app = page("runs")
    assert "No runs yet" in words(app)
    assert not app.dataframe
    press(app, "Run the default experiment")
    assert submitted == [(runs_dir, [Config()])]
    assert app.query_params["run"] in (UNKNOWN_ID, [UNKNOWN_ID])


def test_what_hinders_the_default_experiment_is_reported(runs_dir, monkeypatch):
    def refuse(*given):
        raise InputError("cannot write to <b>here</b>")

    monkeypatch.setattr(service, "submit", refuse)
    app = press(page("runs"), "Run the default experiment")
    assert "cannot write to <b>here</b>" in words(app)
    assert "<b>" not in app.error[0].value


def test_a_folder_that_cannot_be_read_is_reported(runs_dir):
    runs_dir.write_text("a file")
    assert "Not a directory" in words(page("runs"))


def test_the_first_run_of_somebody_else_appears(runs_dir):
    app = page("runs")
    failed_run(runs_dir, "no")
    assert list(table(again(app))["state"]) == ["✗ failed"]


# One run -----------------------------------------------------------------------------------------------------------


def test_a_line_has_what_the_run_has(finished):
    failed = failed_run(finished.path.parent, "no")
    app = page("runs", columns=["state", "protein", "count", "E_OR", "E_OR rad", "L_DE", "FSC"])
    frame = table(app)
    assert list(frame["name"]) == [failed.name, TYPED]
    assert list(frame["state"]) == ["✗ failed", "✓ finished"]
    assert list(frame["protein"]) == ["1bd2", "1bd2"]
    assert list(frame["count"]) == [1000, 60]
    error = finished.metrics["angle_error_median"]
    assert float(frame["E_OR"][1]) == pytest.approx(math.degrees(error), rel=0.005)
    assert float(frame["E_OR rad"][1]) == pytest.approx(error, rel=0.005)
    assert frame["FSC"][1] == f"≤ {finished.metrics['fsc_0.5_angstrom']:.2f}", "exact poses: up to Nyquist's"
    assert pd.isna(frame["L_DE"][0])
    assert "at best" in words(app)
    assert "2 runs, 0 running" in words(app)


def test_all_columns_can_be_shown(finished):
    keys = [key for key in runtable.COLUMNS if key != "E_OR"]
    frame = table(page("runs", columns=["E_OR", *keys]))
    known = [key for key in keys if not runtable.COLUMNS[key].if_known or key == "verdict"]
    assert list(frame) == ["name", "E_OR", "star", *known]
    assert frame["user"][0] == finished.user
    assert frame["sampling"][0] == "SO(3)"
    assert frame["started"][0].timestamp() == pytest.approx(
        finished.created.astimezone().replace(tzinfo=UTC).timestamp(), abs=1
    )


def test_a_running_run_says_where_it_is(runs_dir):
    with RunWriter.create(runs_dir, Config(), []) as run:
        app = page("runs")
        assert list(table(app)["state"]) == ["▶ starting"]
        with run.stage("training") as stage:
            stage.progress(0.25, {})
            assert list(table(again(app))["state"]) == ["▶ training 25%"]
        assert "1 run, 1 running" in words(app)
        run.finish({})


def test_one_run_is_opened(finished):
    app = tick(page("runs"), 0)
    assert "1 ticked" in words(app)
    press(app, "Open")
    assert app.query_params["run"] in (finished.run_id, [finished.run_id])


# Many runs ---------------------------------------------------------------------------------------------------------


def test_the_newest_come_first(many):
    assert list(table(page("runs", columns=["id"]))["id"]) == ids(many)


def test_filters_search_and_order_are_in_the_address(many):
    app = page("runs", **{"only-noise": ["variance 5", "none"], "only-protein": "1bd2"}, sort="E_OR", ascending="true")
    frame = table(app)
    assert set(frame["noise"]) == {"variance 5", "none"}
    assert set(frame["protein"]) == {"1bd2"}
    errors = frame["E_OR"].astype(float).tolist()
    assert errors[:-1] == sorted(errors[:-1])
    assert math.isnan(errors[-1])  # the failed one, unknown, comes last
    assert len(frame) == 8
    assert "8 of 30 runs, 0 running, protein 1bd2, noise variance 5 or none" in words(app)
    app = page("runs", search="siamese 25 #2", sort="name")
    assert list(table(app)["name"]) == [f"siamese, noise 25 #{number}" for number in (23, 22, 21, 20)]
    assert len(table(page("runs", starred="true"))) == 2


def test_a_linked_filter_that_no_run_meets_shows_none_and_says_so(many):
    app = page("runs", **{"only-user": "<b>anna</b>"})
    assert not app.dataframe
    assert "0 of 30 runs, 0 running, user <b>anna</b>" in words(app)
    assert "<b>" not in texts(app.caption)
    assert len(table(press(app, "Clear"))) == 30


def test_seeds_are_folded_into_mean_and_standard_deviation(many):
    frame = table(page("runs", fold="true", columns=["E_OR", "state"], sort="name"))
    assert len(frame) == 9  # eight kinds and, by itself, the run that failed
    line = next(index for index, name in enumerate(frame["name"]) if "#6" in name)
    rows = [catalogue.get_run(many, run_id) for run_id in ids(many) if int(run_id[-6:], 16) in (4, 5, 6)]
    errors = [math.degrees(row["metrics"]["angle_error_median"]) for row in rows]
    assert frame["n"][line] == 3
    assert float(frame["E_OR"][line]) == pytest.approx(statistics.mean(errors), rel=0.005)
    assert float(frame["E_OR sd"][line]) == pytest.approx(statistics.stdev(errors), rel=0.005)
    assert (frame["name"][line], frame["state"][line]) == ("siamese, noise 5 #6 (+2)", "✓ finished")
    (failed,) = (index for index, state in enumerate(frame["state"]) if state == "✗ failed")
    assert frame["n"][failed] == 1
    assert pd.isna(frame["E_OR"][failed])


def test_a_folded_line_stands_for_all_its_runs(many):
    app = tick(page("runs", fold="true"), 0, 1)
    assert "6 ticked" in words(app)
    press(app, "Compare")
    (asked,) = np.atleast_1d(app.query_params["runs"])
    assert asked.split(",") == ids(many)[:6]


@pytest.mark.parametrize(("rows", "possible"), [((0,), False), ((0, 1), True), (range(12), True), (range(13), False)])
def test_two_to_twelve_runs_are_compared(many, rows, possible):
    app = tick(page("runs"), *rows)
    (compare,) = (button for button in app.button if button.label == "Compare")
    assert compare.disabled != possible


def test_ticks_stay_with_their_runs_when_others_come_and_go(many):
    app = tick(page("runs"), 0, 3)
    wanted = [ids(many)[0], ids(many)[3]]
    newer = shutil.copytree(many / wanted[0], many / "20260201-000000-1bd2-ffffff")
    facts = json.loads((newer / "run.json").read_text()) | {"created": "2026-02-01T00:00:00Z"}
    (newer / "run.json").write_text(json.dumps(facts))
    again(app)
    assert app.session_state[TABLE]["selection"]["rows"] == [1, 4]
    shutil.rmtree(newer)
    shutil.rmtree(many / wanted[0])
    again(app)
    assert app.session_state[TABLE]["selection"]["rows"] == [2]
    press(app, "Open")
    assert app.query_params["run"] in (wanted[1], [wanted[1]])


def test_a_browser_that_has_not_yet_moved_its_ticks_is_understood(many):
    app = tick(page("runs"), 0, 3)
    wanted = [ids(many)[0], ids(many)[3]]
    newer = shutil.copytree(many / wanted[0], many / "20260201-000000-1bd2-ffffff")
    facts = json.loads((newer / "run.json").read_text()) | {"created": "2026-02-01T00:00:00Z"}
    (newer / "run.json").write_text(json.dumps(facts))
    again(app)
    tick(app, 0, 3)  # as drawn before
    assert app.session_state[TABLE]["selection"]["rows"] == [1, 4]
    tick(app, 0, 3, 5)  # one more is ticked in the earlier drawing
    assert app.session_state[TABLE]["selection"]["rows"] == [1, 4, 6]
    shown(app)
    tick(app, 0, 4, 6)  # by now the later one is drawn
    press(app, "Compare")
    (asked,) = np.atleast_1d(app.query_params["runs"])
    assert asked.split(",") == [newer.name, wanted[1], ids(many)[6]]


def click_head(app, column: str):
    """The page after a click on the heading of a column."""
    ticks = app.session_state[TABLE]["selection"]["rows"] if TABLE in app.session_state else []
    app.session_state[TABLE] = {"selection": {"rows": ticks, "columns": [column]}}
    return shown(app)


def order(app) -> tuple[str, bool]:
    sort = next(box for box in app.selectbox if box.label == "Sort by")
    return sort.value, next(toggle for toggle in app.toggle if toggle.label == "Ascending").value


def test_a_click_on_a_heading_sorts_the_best_first_and_another_reverses(many, monkeypatch):
    seconds = [10.0]
    monkeypatch.setattr(selection, "monotonic", lambda: seconds[0])
    app = tick(page("runs"), 2)
    wanted = ids(many)[2]
    errors = table(click_head(app, "E_OR"))["E_OR"].astype(float).dropna().tolist()
    assert errors == sorted(errors)
    assert order(app) == ("E_OR", True)
    (row,) = app.session_state[TABLE]["selection"]["rows"]
    assert list(table(page("runs", columns=["id"], sort="E_OR", ascending="true"))["id"])[row] == wanted, "ticks stay"
    assert order(click_head(app, "E_OR")) == ("E_OR", True), "the browser reported the same click again"
    seconds[0] += 1.5
    frame = table(click_head(app, "E_OR"))
    assert frame["E_OR"].astype(float).dropna().tolist() == errors[::-1]
    assert pd.isna(list(frame["E_OR"])[-1]), "failed runs come last either way"
    assert order(app) == ("E_OR", False)
    assert order(click_head(app, "name")) == ("name", True)
    assert order(click_head(app, "started")) == ("started", False), "the newest first"
    assert order(click_head(app, "star")) == ("started", False), "it is no column to sort by"


def test_whichever_column_is_chosen_is_sorted_in_its_own_order(many):
    app = page("runs")
    for key, ascending in {"L_DE": True, "protein": True, "took": True, "started": False}.items():
        next(box for box in app.selectbox if box.label == "Sort by").set_value(key)
        assert order(shown(app)) == (key, ascending)
    higher = runtable.Column("share", lambda row: 0, measure=Measure(Metric("m", "share", better="higher")))
    assert not higher.ascends


def test_the_table_can_be_taken_away_with_names_ids_and_settings(many, monkeypatch):
    offered = {}
    monkeypatch.setattr(st, "download_button", lambda label, data, name, *_, **named: offered.update({name: data}))
    frame = table(page("runs", fold="true", columns=["id", "E_OR"], sort="E_OR", ascending="true"))
    lines = list(csv.DictReader(io.StringIO(offered["runs.csv"]())))
    assert [line["run id"].split()[0] for line in lines] == list(frame["id"]), "the same lines in the same order"
    assert [line["runs"] for line in lines] == [str(n) for n in frame["n"]]
    row = catalogue.get_run(many, lines[0]["run id"].split()[0])
    assert lines[0]["name"].startswith(row["name"])
    assert {"E_OR (°)", "E_OR sd (°)", "volume.source", "training.steps"} <= lines[0].keys()


def test_a_seed_is_shown_in_all_its_digits(runs_dir):
    with RunWriter.create(runs_dir, Config(seed=2**62 + 1), []) as run:
        run.finish({})
    assert list(table(page("runs", columns=["seed"]))["seed"]) == [str(2**62 + 1)]


def test_columns_of_the_refinement_are_there_where_a_run_has_them(finished):
    columns = ["E_OR", "refined E_OR", "refined FSC"]
    assert list(table(page("runs", columns=columns))) == ["name", "E_OR", "star"]
    path = finished.path / "result.json"
    facts = json.loads(path.read_text())
    facts["metrics"] |= {"refined_angle_error_median": 0.01, "refined_fsc_0.5_angstrom": 7.5}
    path.write_text(json.dumps(facts))
    state.forget_runs()
    frame = table(page("runs", columns=columns))
    assert list(frame) == ["name", "E_OR", "star", "refined E_OR", "refined FSC"]
    assert frame["refined E_OR"][0] == "0.573"
    assert frame["refined FSC"][0] == "7.50"
    assert set(columns) <= set(runtable.SHOWN)


def test_runs_that_have_no_record_yet_are_counted(many, monkeypatch):
    monkeypatch.setattr(backends, "starting", lambda folder: [UNKNOWN_ID])
    assert "30 runs, 0 running, 1 starting" in words(page("runs"))
