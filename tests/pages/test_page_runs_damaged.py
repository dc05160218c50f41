"""The page of all runs with damaged records or a damaged catalogue."""

from __future__ import annotations

import shutil

import pytest

from engine.record import catalogue
from engine.record.runrecord import read_run
from pages._shared import runtable
from tests.app_testing import page, press, shown
from tests.runs_page_testing import again, ids, table, tick, words

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


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
    assert "made anew" in words(shown(app))  # and is still there at the next refresh


def test_a_catalogue_that_cannot_be_used_is_reported(many):
    (many / catalogue.FILENAME).unlink()
    (many / catalogue.FILENAME).mkdir()
    app = page("runs")
    assert len(table(app)) == 30
    assert "cannot be used" in words(app)
