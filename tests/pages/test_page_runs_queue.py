"""The queue above the runs: order, moving, withdrawing, damaged entries."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import streamlit as st

from engine.config.settings import config_from_dict
from engine.dispatch import runqueue
from tests.app_testing import TYPED, page, press, shown, texts
from tests.runs_page_testing import tick, words

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


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
    assert f"queued run {entry.name} is skipped: its job.json is damaged" in words(app)
    press(app, "Withdraw the damaged one")
    assert "is skipped" not in words(app)
    assert not entry.exists()
    assert not app.error


def test_damaged_entries_are_withdrawn_where_there_is_no_run(runs_dir):
    for number in range(2):
        (runs_dir / runqueue.FOLDER / f"20260101-000000-1bd2-00000{number}").mkdir(parents=True)
    app = page("runs")
    assert "its job.json is missing" in words(app)
    press(app, "Withdraw the 2 damaged ones")
    assert runqueue.problems(runs_dir) == {}


def test_a_queued_run_is_cloned(queue, runs_dir, monkeypatch):
    left = []
    monkeypatch.setattr(st, "switch_page", lambda where, query_params: left.append((where, query_params)))
    press(tick(page("runs"), 1, key="queue"), "Clone and edit")
    assert left == [("pages/experiment.py", {"clone": queue[0][1].run_id})]


def test_how_many_run_at_a_time_is_set(queue, many):
    app = page("runs")
    (field,) = app.number_input
    assert field.value == 2
    field.set_value(4)
    shown(app)
    assert changes(queue[1]) == [("at a time", many, 4)]
