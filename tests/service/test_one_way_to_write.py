"""The one way to write: nothing in the pages or on the command line changes anything but through the service."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.service.writing_calls import HARMLESS, ROOT, WRITING, below_the_service, module_name, writers, writes

FRONT = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py")), *sorted((ROOT / "engine" / "cli").glob("*.py"))]
for _name in ("generate", "generate_projections", "generate_particles"):  # they write new files where the user says
    FRONT.remove(ROOT / "engine" / "cli" / f"{_name}.py")
KNOWN = {f"{module}.{name}" for module, names in WRITING.items() for name in names}


@pytest.mark.parametrize(
    "source",
    [
        "from engine.dispatch.runqueue import submit",
        "from engine.dispatch.runqueue import *",
        "from engine.dispatch import runqueue\nrunqueue.withdraw(folder, ids)",
        "from engine.dispatch import runqueue as q\ndef f():\n    g(q.submit)",
        "from engine import dispatch\ndispatch.runqueue.submit([], folder)",
        "from engine.dispatch import backends\nbackends.get().cancel(folder, run_id, handle)",
        "import engine.record.catalogue\nengine.record.catalogue.rebuild(folder)",
        "import engine.record.catalogue as c\nc.rebuild(folder)",
        "def f():\n    from ..experiment.pipeline import run_experiment",
        "from ..io import library\nlibrary.add_upload(1, 2, 3)",
        "(record.path / 'annotations.json').write_text('{}')",
        "from engine.base.files import writing\nwith writing(path) as aside:\n    pass",
        "import shutil\nshutil.rmtree(record.path)",
        "from shutil import rmtree\nrmtree(record.path)",
        "import os\nos.kill(pid, 15)",
        "import subprocess as s\ns.run(['rm'])",
        "import numpy as np\nnp.save(path, array)",
        "path.open('w')",
        "open(path, mode='ab')",
    ],
)
def test_the_walker_sees_every_way_around_the_service(source):
    assert writes(source, "engine.cli.main")


@pytest.mark.parametrize(
    "source",
    [
        "from engine.dispatch import runqueue\nrunqueue.waiting(folder)",
        "from engine.service import runs\nruns.submit(actor, folder, configs)",
        "from engine.record import catalogue\ncatalogue.list_runs(folder)",
        "path.open('rb').read()\nopen(path)\npath.read_text()",
        "import shutil\nshutil.which('git')",
        "name.replace('a', 'b')",
    ],
)
def test_the_walker_lets_reading_and_the_service_pass(source):
    assert writes(source, "pages.runs") == []


@pytest.mark.parametrize("path", FRONT, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_and_command_line_change_nothing_but_through_the_service(path):
    assert writes(path.read_text(encoding="utf-8"), module_name(path)) == []


def test_every_function_below_the_service_that_writes_is_known():
    assert writers(below_the_service()) - KNOWN == set()


def test_writers_are_found_through_modules_and_imports_within_functions():
    sources = {
        "engine.record.a": "from pathlib import Path\ndef put(path):\n    _put(path)\ndef _put(path):\n"
        "    path.write_text('')\ndef get(path):\n    return path.read_text()",
        "engine.record.b": "def change(path):\n    from . import a\n    a.put(path)\ndef look(path):\n"
        "    from .a import get\n    return get(path)",
        "engine.dispatch.c": "from ..record.b import change\nclass Worker:\n    def work(self):\n        change(self)",
    }
    assert writers(sources) == {"engine.record.a.put", "engine.record.b.change", "engine.dispatch.c.Worker"}


@pytest.mark.parametrize("name", sorted([*HARMLESS, *KNOWN]))
def test_what_is_known_is_there(name):
    module, _, function = name.rpartition(".")
    assert callable(getattr(import_module(module), function))
