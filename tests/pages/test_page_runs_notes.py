"""The page of all runs: names, tags, notes and stars; the archive and deletion."""

from __future__ import annotations

import pytest

from engine.base.errors import InputError
from engine.config.schema import Config
from engine.record.annotations import read_annotations
from engine.record.runlog import RunWriter
from engine.record.runrecord import read_run
from engine.service import notes
from tests.app_testing import TYPED, page, press, shown
from tests.runs_page_testing import ME, TABLE, ids, table, tick, words

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


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
    assert "Saved" not in words(app)
    next(field for field in app.text_input if field.label == "Name").set_value("short")
    press(app, "Save")
    assert not app.session_state["edited"]
    assert "Saved." in words(app)


def test_what_is_too_long_is_reported(finished):
    app = tick(page("runs"), 0)
    next(field for field in app.text_input if field.label == "Name").set_value("x" * 201)
    press(app, "Save")
    assert "name has 201 characters; wanted at most 200" in words(app)
    assert read_run(finished.path).name == TYPED


def test_archived_restored_archived_and_deleted(many):
    first, second = ids(many)[:2]
    app = press(tick(page("runs"), 0, 1), "Archive")
    assert ids(many, archived=True) == [first, second]
    assert len(table(app)) == 28
    assert not app.session_state[TABLE]["selection"]["rows"]
    app = press(tick(page("runs", archive="true"), 1), "Restore")
    assert ids(many, archived=True) == [first]
    assert "1 archived run" in words(app)
    press(tick(app, 0), "Delete for good")
    assert not (many / first).exists()
    assert (many / second).exists()
    assert "The archive is empty" in words(app)


def test_archiving_can_be_undone(many):
    before = ids(many)
    app = press(tick(page("runs"), 0, 3), "Archive")
    assert "Archived 2 runs." in words(app)
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
        assert "is running; cancel it first" in words(app)
        assert run.path.exists()
        run.finish({})
