"""The one way to write: nothing in the pages or on the command line changes anything but through the service."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from engine.config.schema import Config
from engine.dispatch import runqueue
from engine.record import catalogue
from engine.record.runrecord import read_run
from engine.service import notes, runs
from engine.service.actor import Actor

ROOT = Path(__file__).parents[2]
FRONT = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py")), *sorted((ROOT / "engine" / "cli").glob("*.py"))]
WRITING = {
    "engine.dispatch.runqueue": {"submit", "withdraw", "move_to_front", "set_at_a_time", "ensure_worker"},
    "engine.dispatch.backends": {"cancel", "register"},
    "engine.dispatch.local": {"LocalBackend", "start_detached"},
    "engine.dispatch.worker": {"work"},
    "engine.dispatch.queuefiles": {"add", "remove"},
    "engine.experiment.pipeline": {"run_experiment"},
    "engine.io.library": {"add_upload"},
    "engine.record.runlog": {"RunWriter"},
    "engine.record.catalogue": {"rebuild"},
}
"""What changes something, by the module that has it: the service alone calls these."""


def writes(source: str, module: str) -> list[str]:
    """The lines of a module that import, or call on a module that they import, something of :data:`WRITING`."""
    tree = ast.parse(source)
    modules: dict[str, str] = {}
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*package, *([node.module] if node.module else [])])
            for alias in node.names:
                modules[alias.asname or alias.name] = f"{origin}.{alias.name}"
                if alias.name in WRITING.get(origin, ()):
                    lines.append(f"{node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name: alias.name for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            origin = modules.get(ast.unparse(node.value), ast.unparse(node.value))
            if node.attr in WRITING.get(origin, ()):
                lines.append(f"{node.lineno}: {ast.unparse(node)}")
    return lines


@pytest.mark.parametrize(
    "source",
    [
        "from engine.dispatch.runqueue import submit",
        "from engine.dispatch import runqueue\nrunqueue.withdraw(folder, ids)",
        "from engine.dispatch import runqueue as q\ndef f():\n    g(q.submit)",
        "import engine.record.catalogue\nengine.record.catalogue.rebuild(folder)",
        "def f():\n    from ..experiment.pipeline import run_experiment",
        "from ..io import library\nlibrary.add_upload(1, 2, 3)",
    ],
)
def test_the_walker_sees_every_way_around_the_service(source):
    assert writes(source, "engine.cli.main")


def test_the_walker_lets_reading_and_the_service_pass():
    assert not writes(
        "from engine.dispatch import runqueue\nfrom engine.service import runs\n"
        "runqueue.waiting(folder)\nruns.submit(actor, folder, configs)",
        "pages.runs",
    )


@pytest.mark.parametrize("module", WRITING)
def test_what_the_walker_looks_for_is_there(module):
    from importlib import import_module

    for name in WRITING[module]:
        assert callable(getattr(import_module(module), name))


@pytest.mark.parametrize("path", FRONT, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_and_command_line_change_nothing_but_through_the_service(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    assert writes(path.read_text(encoding="utf-8"), module) == []


def test_who_launched_a_run_is_in_its_queue_entry_record_and_catalogue(tmp_path, monkeypatch):
    monkeypatch.setattr(runqueue, "ensure_worker", lambda runs_dir: None)
    (run_id,) = runs.submit(Actor("ada@lab"), tmp_path, [Config()])
    assert json.loads((tmp_path / ".queue" / run_id / "job.json").read_text())["user"] == "ada@lab"
    small = Config.model_validate(
        {
            "distance": {"method": "exact"}, "projections": {"count": 12, "size": 16},
            "volume": {"resolution": 20, "voxel_size": 10}, "recovery": {"restarts": 2},
            "reconstruction": {"enabled": False},
        }
    )  # fmt: skip
    record = runs.run(Actor("ada@lab"), tmp_path, small, ["test"])
    assert record.launched_by == "ada@lab"
    assert json.loads((record.path / "run.json").read_text())["launched_by"] == "ada@lab"
    (row,) = catalogue.list_runs(tmp_path)
    assert row["launched_by"] == "ada@lab"


def test_every_action_is_in_the_log_with_its_actor(tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr(runqueue, "ensure_worker", lambda runs_dir: None)
    eve = Actor("eve")
    (run_id,) = runs.submit(eve, tmp_path, [Config()])
    runs.withdraw(eve, tmp_path, [run_id])
    assert [f"eve: {what}" for what in ("queues 1 runs", f"withdraws {run_id}")] == caplog.messages[-2:]


def test_archive_and_restore(finished):
    runs_dir, run_id = finished.path.parent, finished.run_id
    notes.archive(Actor("me"), runs_dir, run_id)
    assert read_run(finished.path).annotations.archived
    notes.restore(Actor("me"), runs_dir, run_id)
    assert not read_run(finished.path).annotations.archived
