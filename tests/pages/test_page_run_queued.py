"""The page of a run that waits for its turn."""

from __future__ import annotations

import pytest

from engine.dispatch import local, runqueue
from pages._shared import text
from tests.app_testing import QUICK, TYPED, page, press, texts

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


@pytest.fixture
def queued(runs_dir, monkeypatch):
    monkeypatch.setattr(runqueue, "ensure_worker", lambda folder: None)
    return runqueue.submit(
        [QUICK.model_copy(update={"seed": seed}) for seed in range(3)], runs_dir, [None, TYPED, None]
    )


def test_a_queued_run_shows_its_place(queued, runs_dir):
    runqueue.set_at_a_time(runs_dir, 2)
    app = page("run", queued[1])
    assert texts(app.info) == "Queued, 2nd of 3; 2 runs at a time."
    (title,) = app.title
    assert title.value.replace("\\", "") == TYPED
    assert "<b>" not in title.value.replace("\\<b\\>", "")
    assert queued[1] in texts(app.caption).replace("\\", "")
    assert "60 projections" in texts(app.markdown).replace("\\", "")


def test_it_can_go_to_the_front(queued, runs_dir):
    app = press(page("run", queued[2]), "To the front")
    assert texts(app.info) == "Queued, 1st of 3; 1 run at a time."
    assert [run.run_id for run in runqueue.waiting(runs_dir)] == [queued[2], queued[0], queued[1]]
    (button,) = (button for button in app.button if button.label == "To the front")
    assert button.disabled


def test_it_can_be_withdrawn(queued, runs_dir):
    press(page("run", queued[0]), "Withdraw")
    assert [run.run_id for run in runqueue.waiting(runs_dir)] == queued[1:]
    assert f"no run {queued[0]}" in texts(page("run", queued[0]).warning).replace("\\", "")


def test_it_can_be_cloned_into_the_form(queued):
    (link,) = (link.proto for link in page("run", queued[2]).get("page_link"))
    assert (link.label, link.query_string) == ("Clone and edit", f"clone={queued[2]}")
    app = page("experiment", clone=queued[2])
    assert app.text_input(key="seed").value == "2"
    assert app.number_input(key="projections.count").value == 60
    assert f"Cloned from {queued[2]}." in texts(app.caption).replace("\\", "")


def test_withdrawing_too_late_is_reported(queued, runs_dir, monkeypatch):
    app = page("run", queued[0])
    folder = runs_dir / local.FOLDER / queued[0]
    result = runqueue.waiting(runs_dir)
    folder.mkdir(parents=True)
    (folder / local.PROCESS).write_text('{"pid": 1, "process_started": 1, "host": "elsewhere"}')
    monkeypatch.setattr(runqueue, "waiting", lambda runs_dir: result)  # as the page saw it last
    press(app, "Withdraw")
    assert "is not waiting in the queue" in texts(app.error).replace("\\", "")


def test_once_it_is_its_turn_the_page_goes_on(queued, runs_dir):
    folder = runs_dir / local.FOLDER / queued[0]
    folder.mkdir(parents=True)
    (folder / local.PROCESS).write_text('{"pid": 1, "process_started": 1, "host": "elsewhere"}')
    assert "Starting: the volume is being loaded" in texts(page("run", queued[0]).info)


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (21, "21st"),
        (112, "112th"),
    ],
)
def test_places_in_words(number, word):
    assert text.ordinal(number) == word
