"""The page of all runs without a browser: its table, its ticks, what it shows in words."""

from __future__ import annotations

from pathlib import Path

from engine.record import catalogue
from engine.service.actor import Actor
from pages._shared import state
from tests.app_testing import shown, texts

ME = Actor("somebody")
TABLE = "runs-table"


def table(app):
    """The table as a data frame."""
    (frame,) = (frame.value for frame in app.dataframe if "star" in frame.value)
    return frame


def again(app):
    """The page a while later."""
    state.forget_runs()
    return shown(app)


def tick(app, *rows: int, key: str = TABLE):
    app.session_state[key] = {"selection": {"rows": list(rows)}}
    return shown(app)


def ids(runs_dir: Path, **asked) -> list[str]:
    return [row["run_id"] for row in catalogue.list_runs(runs_dir, **asked)]


def words(app) -> str:
    return texts([*app.caption, *app.info, *app.error]).replace("\\", "")
