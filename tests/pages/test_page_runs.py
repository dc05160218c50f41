"""The page of all runs: found, put in order, folded, noted, archived, deleted; the queue above them."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import statistics
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st

from engine.analysis.measures import Measure
from engine.base.errors import InputError
from engine.base.metric import Metric
from engine.config.schema import Config
from engine.config.settings import config_from_dict
from engine.dispatch import backends, runqueue
from engine.record import catalogue
from engine.record.annotations import read_annotations
from engine.record.runlog import RunWriter
from engine.record.runrecord import read_run
from engine.service import notes
from engine.service import runs as service
from engine.service.actor import Actor
from pages._shared import runtable, selection, state
from pages._shared.runtable import View
from tests.app_testing import TYPED, UNKNOWN_ID, failed_run, page, press, shown, texts
from tests.benchmarks.bench_pages import make_varied_runs

ME = Actor("somebody")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]
_TABLE = "runs-table"


@pytest.fixture
def many(runs_dir) -> Path:
    """A directory with 30 runs of many kinds, four seeds of each kind."""
    make_varied_runs(runs_dir, 30)
    catalogue.rebuild(runs_dir)
    return runs_dir


def table(app):
    """The table as a data frame."""
    (found,) = (frame.value for frame in app.dataframe if "star" in frame.value)
    return found


def again(app):
    """The page a while later."""
    state.forget_runs()
    return shown(app)


def tick(app, *rows: int, key: str = _TABLE):
    app.session_state[key] = {"selection": {"rows": list(rows)}}
    return shown(app)


def ids(runs_dir: Path, **asked) -> list[str]:
    return [row["run_id"] for row in catalogue.list_runs(runs_dir, **asked)]


def said(app) -> str:
    return texts([*app.caption, *app.info, *app.error]).replace("\\", "")


# No runs -----------------------------------------------------------------------------------------------------------


def test_without_runs_one_press_runs_the_default(runs_dir, monkeypatch):
    submitted = []
    monkeypatch.setattr(service, "submit", lambda actor, *given: submitted.append(given) or [UNKNOWN_ID])
    app = page("runs")
    assert "No runs yet" in said(app)
    assert not app.dataframe
    press(app, "Run the default experiment")
    assert submitted == [(runs_dir, [Config()])]
    assert app.query_params["run"] in (UNKNOWN_ID, [UNKNOWN_ID])


def test_what_hinders_the_default_experiment_is_reported(runs_dir, monkeypatch):
    def refuse(*given):
        raise InputError("cannot write to <b>here</b>")

    monkeypatch.setattr(service, "submit", refuse)
    app = press(page("runs"), "Run the default experiment")
    assert "cannot write to <b>here</b>" in said(app)
    assert "<b>" not in app.error[0].value


def test_a_folder_that_cannot_be_read_is_reported(runs_dir):
    runs_dir.write_text("a file")
    assert "Not a directory" in said(page("runs"))


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
    assert "at best" in said(app)
    assert "2 runs, 0 running" in said(app)


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
        assert "1 run, 1 running" in said(app)
        run.finish({})


def test_one_run_is_opened(finished):
    app = tick(page("runs"), 0)
    assert "1 ticked" in said(app)
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
    assert "8 of 30 runs, 0 running, protein 1bd2, noise variance 5 or none" in said(app)
    app = page("runs", search="siamese 25 #2", sort="name")
    assert list(table(app)["name"]) == [f"siamese, noise 25 #{number}" for number in (23, 22, 21, 20)]
    assert len(table(page("runs", starred="true"))) == 2


def test_a_linked_filter_that_no_run_meets_shows_none_and_says_so(many):
    app = page("runs", **{"only-user": "<b>anna</b>"})
    assert not app.dataframe
    assert "0 of 30 runs, 0 running, user <b>anna</b>" in said(app)
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
    assert "6 ticked" in said(app)
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
    assert app.session_state[_TABLE]["selection"]["rows"] == [1, 4]
    shutil.rmtree(newer)
    shutil.rmtree(many / wanted[0])
    again(app)
    assert app.session_state[_TABLE]["selection"]["rows"] == [2]
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
    assert app.session_state[_TABLE]["selection"]["rows"] == [1, 4]
    tick(app, 0, 3, 5)  # one more is ticked in the earlier drawing
    assert app.session_state[_TABLE]["selection"]["rows"] == [1, 4, 6]
    shown(app)
    tick(app, 0, 4, 6)  # by now the later one is drawn
    press(app, "Compare")
    (asked,) = np.atleast_1d(app.query_params["runs"])
    assert asked.split(",") == [newer.name, wanted[1], ids(many)[6]]


def click_head(app, column: str):
    """The page after a click on the heading of a column."""
    ticks = app.session_state[_TABLE]["selection"]["rows"] if _TABLE in app.session_state else []
    app.session_state[_TABLE] = {"selection": {"rows": ticks, "columns": [column]}}
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
    (row,) = app.session_state[_TABLE]["selection"]["rows"]
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


# Notes, archive, deletion --------------------------------------------------------------------------------------------


def test_name_tags_note_and_star_are_edited(finished):
    app = tick(page("runs"), 0)
    (name,) = (field for field in app.text_input if field.label == "Name")
    assert name.value == TYPED
    name.set_value("<i>second</i>")
    next(field for field in app.multiselect if field.label == "Tags").set_value(["a", "<u>b</u>"])
    app.text_area[0].set_value("'; DROP TABLE runs; --\n<script>")
    next(box for box in app.checkbox if box.label == "Star").check()
    press(app, "Save")
    noted = read_annotations(finished.path)
    assert (noted.name, noted.tags, noted.starred) == ("<i>second</i>", ("a", "<u>b</u>"), True)
    assert noted.note == "'; DROP TABLE runs; --\n<script>"
    frame = table(page("runs", columns=["tags", "note"]))
    assert (frame["name"][0], frame["note"][0], list(frame["tags"][0])) == (noted.name, noted.note, list(noted.tags))
    assert frame["star"][0] == "★"
    assert len(table(page("runs", **{"only-tag": "<u>b</u>"}))) == 1


def test_several_runs_share_only_the_tags_that_are_changed(many):
    first, second = ids(many)[:2]
    notes.annotate(ME, many, first, tags=["both", "own"], note="kept")
    notes.annotate(ME, many, second, tags=["both"])
    app = tick(page("runs"), 0, 1)
    (tags,) = (field for field in app.multiselect if field.label == "Tags of all 2")
    assert tags.value == ["both"]
    tags.set_value(["new"])
    press(app, "Save")
    assert read_annotations(many / first).tags == ("own", "new")
    assert read_annotations(many / second).tags == ("new",)
    assert read_annotations(many / first).note == "kept"


def test_saving_confirms_and_closes_what_cannot_be_saved_stays_open(finished):
    app = tick(page("runs"), 0)
    app.session_state["edited"] = True
    shown(app)
    next(field for field in app.text_input if field.label == "Name").set_value("x" * 201)
    press(app, "Save")
    assert app.session_state["edited"]
    assert "Saved" not in said(app)
    next(field for field in app.text_input if field.label == "Name").set_value("short")
    press(app, "Save")
    assert not app.session_state["edited"]
    assert "Saved." in said(app)


def test_what_is_too_long_is_reported(finished):
    app = tick(page("runs"), 0)
    next(field for field in app.text_input if field.label == "Name").set_value("x" * 201)
    press(app, "Save")
    assert "name has 201 characters; wanted at most 200" in said(app)
    assert read_run(finished.path).name == TYPED


def test_archived_restored_archived_and_deleted(many):
    first, second = ids(many)[:2]
    app = press(tick(page("runs"), 0, 1), "Archive")
    assert ids(many, archived=True) == [first, second]
    assert len(table(app)) == 28
    assert not app.session_state[_TABLE]["selection"]["rows"]
    app = press(tick(page("runs", archive="true"), 1), "Restore")
    assert ids(many, archived=True) == [first]
    assert "1 archived run" in said(app)
    press(tick(app, 0), "Delete for good")
    assert not (many / first).exists()
    assert (many / second).exists()
    assert "The archive is empty" in said(app)


def test_archiving_can_be_undone(many):
    before = ids(many)
    app = press(tick(page("runs"), 0, 3), "Archive")
    assert "Archived 2 runs." in said(app)
    assert set(ids(many, archived=True)) == {before[0], before[3]}
    app = press(app, "Undo")
    assert ids(many) == before
    assert not [button for button in app.button if button.label == "Undo"]


def test_a_running_run_is_not_deleted(runs_dir):
    with RunWriter.create(runs_dir, Config(), []) as run:
        with pytest.raises(InputError, match="is running; cancel it first"):
            notes.annotate(ME, runs_dir, run.run_id, archived=True)
        (run.path / "annotations.json").write_text('{"archived": true}')  # as an earlier version let people do
        app = press(tick(page("runs", archive="true"), 0), "Delete for good")
        assert "is running; cancel it first" in said(app)
        assert run.path.exists()
        run.finish({})


# Bad records -------------------------------------------------------------------------------------------------------


def test_damaged_newer_and_deleted_directories(many):
    first, second, third, fourth = ids(many)[:4]
    (many / first / "run.json").write_text("{")
    (many / second / "run.json").write_text('{"format": 99}')
    (many / third / "config.toml").write_text(
        'volume = 3\n[projections]\ncoverage = "x"\n[distance]\nmethod = 5\n[a.b.c]\nd = 1\n'
    )
    shutil.rmtree(many / fourth)
    for fold in ("false", "true"):
        frame = table(page("runs", fold=fold, columns=list(runtable.COLUMNS)))
        states = dict(zip(frame["id"], frame["state"], strict=True))
        assert (states[first], states[second], states[third]) == ("⚠ damaged", "⚠ newer", "✓ finished")
        assert fourth not in states
    app = tick(page("runs", columns=["id"], search=first), 0)
    next(field for field in app.text_input if field.label == "Name").set_value("broken one")
    press(app, "Save")
    assert read_run(many / first).name == "broken one"
    press(app, "Archive")
    assert ids(many, archived=True) == [first]


@pytest.mark.parametrize("damage", ["lost", "damaged"])
def test_a_catalogue_that_is_made_anew_is_reported_in_a_line(many, damage):
    app = page("runs")
    if damage == "lost":
        (many / catalogue.FILENAME).unlink()
    else:
        (many / catalogue.FILENAME).write_bytes(b"this is no database")
    again(app)
    assert len(table(app)) == 30
    (line,) = app.info
    assert "made anew from 30 run directories, nothing is lost" in line.value.replace("\\", "")
    assert "made anew" in said(shown(app))  # and is still there at the next refresh


def test_a_catalogue_that_cannot_be_used_is_reported(many):
    (many / catalogue.FILENAME).unlink()
    (many / catalogue.FILENAME).mkdir()
    app = page("runs")
    assert len(table(app)) == 30
    assert "cannot be used" in said(app)


# The queue ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def queue(monkeypatch, runs_dir):
    """Three runs that wait, as a list; and what was asked of the queue."""
    waiting = [
        runqueue.QueuedRun(
            run_id=f"20260101-00000{place}-1bd2-00000{place}", name=name, sweep=None, position=place,
            launched_by="anna", config=config_from_dict({"seed": place}), submitted=datetime.now(UTC),
        )
        for place, name in enumerate([TYPED, None, "third"])
    ]  # fmt: skip
    asked: list[tuple] = []

    def withdraw(folder, run_ids):
        asked.append(("withdraw", folder, list(run_ids)))
        waiting[:] = [run for run in waiting if run.run_id not in run_ids]

    monkeypatch.setattr(runqueue, "ensure_worker", lambda folder: asked.append(("worker", folder)))
    monkeypatch.setattr(runqueue, "waiting", lambda folder: list(waiting))
    monkeypatch.setattr(runqueue, "withdraw", withdraw)
    monkeypatch.setattr(runqueue, "move_to_front", lambda *given: asked.append(("front", *given)))
    monkeypatch.setattr(runqueue, "at_a_time", lambda folder: 2)
    monkeypatch.setattr(runqueue, "set_at_a_time", lambda *given: asked.append(("at a time", *given)))
    return waiting, asked


def changes(asked):
    return [call for call in asked if call[0] != "worker"]


def waiting_table(app):
    return next(frame.value for frame in app.dataframe if "place" in frame.value)


def test_the_queue_is_shown_in_its_order_before_there_is_any_run(queue, runs_dir):
    app = page("runs")
    frame = waiting_table(app)
    assert list(frame["place"]) == [1, 2, 3]
    assert list(frame["name"]) == [TYPED, queue[0][1].run_id, "third"]
    assert "seed 2" in frame["experiment"][2]
    assert list(frame["by"]) == ["anna"] * 3
    assert "3 waiting" in texts(app.markdown)
    assert queue[1] == [("worker", runs_dir)]


def test_queued_runs_are_moved_and_withdrawn(queue, many):
    waiting, asked = queue
    second, third = waiting[1].run_id, waiting[2].run_id
    app = press(tick(page("runs"), 2, key="queue"), "To the front")
    assert changes(asked) == [("front", many, third)]
    waiting.pop(0)  # the first one's turn has come
    shown(app)
    assert app.session_state["queue"]["selection"]["rows"] == [1]
    tick(app, 0, 1, key="queue")
    press(app, "Withdraw")
    assert changes(asked)[1:] == [("withdraw", many, [second, third])]
    assert not [frame for frame in app.dataframe if "place" in frame.value]


def test_a_damaged_entry_of_the_queue_is_reported(many):
    entry = many / runqueue.FOLDER / "20260101-000000-1bd2-00000a"
    entry.mkdir(parents=True)
    (entry / "job.json").write_text("{")
    (entry / "config.toml").touch()
    app = page("runs")
    assert f"queued run {entry.name} is skipped: its job.json is damaged" in said(app)
    press(app, "Withdraw the damaged one")
    assert "is skipped" not in said(app)
    assert not entry.exists()
    assert not app.error


def test_damaged_entries_are_withdrawn_where_there_is_no_run(runs_dir):
    for number in range(2):
        (runs_dir / runqueue.FOLDER / f"20260101-000000-1bd2-00000{number}").mkdir(parents=True)
    app = page("runs")
    assert "its job.json is missing" in said(app)
    press(app, "Withdraw the 2 damaged ones")
    assert runqueue.problems(runs_dir) == {}


def test_a_queued_run_is_cloned(queue, runs_dir, monkeypatch):
    left = []
    monkeypatch.setattr(st, "switch_page", lambda where, query_params: left.append((where, query_params)))
    press(tick(page("runs"), 1, key="queue"), "Clone and edit")
    assert left == [("pages/experiment.py", {"clone": queue[0][1].run_id})]


def test_columns_of_the_refinement_are_there_where_a_run_has_them(finished):
    columns = ["E_OR", "refined E_OR", "refined FSC"]
    assert list(table(page("runs", columns=columns))) == ["name", "E_OR", "star"]
    path = finished.path / "result.json"
    told = json.loads(path.read_text())
    told["metrics"] |= {"refined_angle_error_median": 0.01, "refined_fsc_0.5_angstrom": 7.5}
    path.write_text(json.dumps(told))
    state.forget_runs()
    frame = table(page("runs", columns=columns))
    assert list(frame) == ["name", "E_OR", "star", "refined E_OR", "refined FSC"]
    assert frame["refined E_OR"][0] == "0.573"
    assert frame["refined FSC"][0] == "7.50"
    assert set(columns) <= set(runtable.SHOWN)


def test_runs_that_have_no_record_yet_are_counted(many, monkeypatch):
    monkeypatch.setattr(backends, "starting", lambda folder: [UNKNOWN_ID])
    assert "30 runs, 0 running, 1 starting" in said(page("runs"))


def test_how_many_run_at_a_time_is_set(queue, many):
    app = page("runs")
    (field,) = app.number_input
    assert field.value == 2
    field.set_value(4)
    shown(app)
    assert changes(queue[1]) == [("at a time", many, 4)]


# The table without the page ----------------------------------------------------------------------------------------


def test_labels_are_in_the_order_of_their_numbers(many):
    rows = catalogue.list_runs(many)
    assert runtable.labels(rows, "noise") == [
        "none", "variance 5", "variance 10", "variance 16", "variance 20", "variance 25",
    ]  # fmt: skip
    assert runtable.labels(rows, "sweep") == []


def test_a_view_in_words():
    assert str(View()) == ""
    view = View(" a  b ", {"noise": ["none", "SNR 0.1"], "tag": []}, starred=True)
    assert str(view) == "“a  b”, noise none or SNR 0.1, starred"


def test_search_needs_every_word_somewhere(many):
    rows = catalogue.list_runs(many)
    run_id = rows[5]["run_id"]
    assert [row["run_id"] for (row,) in View(f"{run_id[-6:]} NOISE").groups(rows)] == [run_id]
    assert View("nowhere noise").groups(rows) == []


def test_a_name_that_starts_like_an_icon_is_shown_letter_by_letter(many):
    row = catalogue.list_runs(many)[0] | {"name": ":material/star: x"}
    (name,) = runtable.lines([[row]], [], {}, folded=False, bounds=lambda row: ())["name"]
    assert not name.startswith(":material/")
    assert name.replace("\N{ZERO WIDTH SPACE}", "") == ":material/star: x"


@pytest.mark.parametrize("key", ["name", *runtable.COLUMNS])
@pytest.mark.parametrize("folded", [False, True])
def test_every_column_sorts(many, key, folded):
    notes.annotate(ME, many, ids(many)[3], tags=["b", "a"], note="n", name="")
    rows = catalogue.list_runs(many)
    up, down = (View(sort=key, ascending=ascending, folded=folded).groups(rows) for ascending in (True, False))
    assert len(up) == len(down) == (9 if folded else 30)
    assert {row["run_id"] for group in up for row in group} == {row["run_id"] for row in rows}
