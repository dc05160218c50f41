"""A hundred damaged records in one folder: every list, page and command works, and says what is damaged and why."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.cli.main import main
from engine.config.settings import config_from_dict
from engine.dispatch import runqueue
from engine.experiment.pipeline import run_experiment
from engine.io import library
from engine.io.mrc import write_map
from engine.record import catalogue
from engine.record.runrecord import read_run
from engine.service import notes
from engine.service.actor import Actor
from tests import record_damage
from tests.app_testing import page, shown, texts
from tests.conftest import filled_once

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("visited_server", "folder"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
GOOD = "20260101-000000-good-000000"
SEEDS = range(100)
IDS = {f"20260102-{seed // 60:04}{seed % 60:02}-damaged-{seed:06x}": seed for seed in SEEDS}
TABS = {
    "poses.npz": "Sphere", "distances.npz": "Manifold", "recovery.npz": "Losses", "training.npz": "Losses",
    "projections.npz": "Projections", "fsc.npz": "Reconstruction", "reconstruction.mrc": "Reconstruction",
    "refined.npz": "Refinement", "log.txt": "Record", "config.toml": "Record",
}  # fmt: skip
SAID = {
    "emptied", "garbage", "zeros", "deeply nested", "of ten gigabytes", "a directory", "a link to itself",
    "a link to a device", "a pipe",
}  # fmt: skip
"""Ways to damage a file after which nobody can take it for another one."""


@pytest.fixture(scope="session")
def all_damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs, one in order and a hundred not; a queue and volumes, some in order."""

    def fill(folder: Path) -> None:
        run_experiment(record_damage.CONFIG, folder, ["test"], GOOD)
        record_damage.prepare(folder / GOOD)
        ways = {}
        for run_id, seed in IDS.items():
            shutil.copytree(folder / GOOD, folder / run_id)
            ways[run_id] = record_damage.damage(folder / run_id, seed)
        _damage_queue(folder)
        _damage_volumes(folder / "volumes")
        (folder / "ways.json").write_text(json.dumps(ways))

    return filled_once("damaged", fill, tmp_path_factory)


def _damage_queue(folder: Path) -> None:
    start, runqueue.ensure_worker = runqueue.ensure_worker, lambda runs_dir: None
    try:
        run_ids = runqueue.submit([config_from_dict({"seed": seed}) for seed in range(12)], folder)
    finally:
        runqueue.ensure_worker = start
    for seed, run_id in enumerate(run_ids[1:]):
        path, rng = folder / runqueue.FOLDER / run_id, np.random.default_rng(seed)
        if seed < 5:
            record_damage._odd_json(path / "job.json", rng)
        else:
            whole = record_damage.WHOLE[seed % len(record_damage.WHOLE)]
            whole(path / ("job.json" if seed % 2 else "config.toml"), rng)


def _damage_volumes(folder: Path) -> None:
    folder.mkdir()
    z, y, x = np.indices((16, 16, 16)) - 7.5
    write_map(folder / "good.mrc", np.exp(-(x**2 + (y - 2) ** 2 + z**2) / 9).astype(np.float32), 3.0, np.zeros(3))
    shutil.copy(folder / "good.mrc", os.fsencode(folder) + b"/caf\xe9.mrc")
    for seed, whole in enumerate(record_damage.WHOLE[:-1]):
        path = folder / f"{whole.__name__.strip('_')}.mrc"
        shutil.copy(folder / "good.mrc", path)
        whole(path, np.random.default_rng(seed))


@pytest.fixture
def folder(all_damaged: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Path:
    monkeypatch.setenv("POSELAB_RUNS_DIR", str(all_damaged))
    monkeypatch.setattr(runqueue, "ensure_worker", lambda runs_dir: None)
    caplog.set_level(logging.ERROR)
    return all_damaged


def command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(list(words))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_every_list_has_all_of_them_and_the_good_one_as_it_is(folder, capsys):
    rows = {row["run_id"]: row for row in catalogue.list_runs(folder, archived=None)}
    assert rows.keys() == {GOOD, *IDS}
    alone = read_run(folder / GOOD)
    assert (rows[GOOD]["status"], rows[GOOD]["metrics"]) == ("finished", dict(alone.metrics))
    states = [row["status"] for row in rows.values()]
    assert states.count("damaged") > 10
    assert states.count("finished") > 50, "what is damaged besides does not hide a result"
    for row in rows.values():
        assert row["status"] != "damaged" or row["message"]
        assert "\n" not in row["message"]
    assert catalogue.rebuild(folder) == len(rows)
    for words in (("list",), ("list", "--archived"), ("rebuild",)):
        assert command(capsys, "runs", *words)[0] == 0
    status, out, _ = command(capsys, "runs", "list", "--json")
    assert status == 0
    assert {row["run_id"] for row in json.loads(out)} <= rows.keys()
    status, out, err = command(capsys, "queue", "list")
    assert status == 0
    assert len(err.splitlines()) == len(runqueue.problems(folder)) >= 6
    assert int(out.split()[0]) >= 1
    status, out, _ = command(capsys, "sweep", "--vary", "seed=[1, 2]", "--dry-run")
    assert (status, out.splitlines()[-1].split(";")[0]) == (0, "2 runs")


def test_every_one_is_shown_and_exported_or_refused_in_a_line(folder, capsys, tmp_path):
    ways = json.loads((folder / "ways.json").read_text())
    for run_id in IDS:
        status, out, _ = command(capsys, "runs", "show", run_id)
        assert status == 0
        assert out.startswith(f"run {run_id}: {read_run(folder / run_id).status}")
        status, out, _ = command(capsys, "runs", "show", run_id, "--json")
        assert (status, json.loads(out)["run_id"]) == (0, run_id)
        if ways[run_id].endswith("of ten gigabytes"):
            continue  # it is exported as it is, and a copy takes room on the disk
        status, out, err = command(capsys, "runs", "export", run_id, str(tmp_path / run_id))
        assert (status, out) == (0, f"{tmp_path / run_id}\n") or (status, err.count("\n")) == (2, 1), err
        shutil.rmtree(tmp_path / run_id, ignore_errors=True)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("runs", {}), ("runs", {"fold": "true"}), ("runs", {"archive": "true"}), ("runs", {"sort": "L_DE"}),
        ("run", {}), ("experiment", {}), ("volumes", {}), ("coverage", {}), ("noise", {}), ("sampling", {}),
        ("recovery", {}),
    ],
)  # fmt: skip
def test_every_page_opens(folder, name, parameters):
    app = page(name, **parameters)
    damaged = [error for error in app.error if "queued run" in error.value]
    assert len(app.error) == len(damaged) == (len(runqueue.problems(folder)) if name == "runs" else 0)
    if name == "volumes":
        assert "good.mrc" in app.radio(key="volume").options
        for reason in (
            "caf�.mrc is not offered: its name is not UTF-8",
            "a_directory.mrc is not offered: it is a folder",
        ):
            assert reason in texts(app.warning).replace("\\", "")


def test_every_one_can_be_compared_with_the_good_one(folder):
    app, ids = page("compare", runs=GOOD), list(IDS)
    for first in range(0, len(ids), 11):
        app.query_params["runs"] = ",".join([GOOD, *ids[first : first + 11]])
        assert not shown(app).error
    for tab in ("Distances", "Angle errors", "Losses", "Projections", "Directions"):
        app.query_params["runs"] = ",".join([GOOD, *ids[:11]])
        app.query_params["section"] = tab
        assert not shown(app).error


def test_the_page_of_each_says_what_is_damaged(folder):
    ways = json.loads((folder / "ways.json").read_text())
    app = page("run", GOOD)
    for run_id, way in ways.items():
        filename, _, how = way.partition(": ")
        app = page("run", run_id, tab=TABS.get(filename, "Overview"))
        shown_text = " ".join(texts([*app.error, *app.warning, *app.info]).replace("\\", "").split())
        record = read_run(folder / run_id)
        if record.status == "damaged":
            assert " ".join(record.message.split()) in shown_text, way
        if how in SAID and filename in {*TABS, *record_damage.JSON} - {"log.txt"}:
            assert filename in shown_text, way
        if filename in ("config.toml", *record_damage.JSON, "the directory"):  # all that a clone reads
            page("experiment", clone=run_id)


def test_every_volume_opens_or_is_refused(folder):
    for entry in library.list_volumes(folder):
        app = page("volumes", volume=entry.name)
        assert len(app.error) <= 1
    assert len(library.unusable(folder)) >= 5


def _refusal(action: Callable[[Actor, Path, str], None], folder: Path, run_id: str) -> str:
    """What an action is refused with; empty where it is done."""
    try:
        action(Actor("me"), folder, run_id)
    except InputError as error:
        return str(error)
    return ""


def test_each_can_be_archived_and_deleted_or_stays(folder, tmp_path, monkeypatch):
    mine = tmp_path / "runs"
    mine.mkdir()
    gone = []
    for run_id, seed in IDS.items():
        shutil.copytree(folder / GOOD, mine / run_id)
        record_damage.damage(mine / run_id, seed)
        refusals = [refusal for action in (notes.archive, notes.delete) if (refusal := _refusal(action, mine, run_id))]
        assert not any("\n" in refusal for refusal in refusals)
        gone += [] if os.path.lexists(mine / run_id) else [run_id]
    assert {row["run_id"] for row in catalogue.list_runs(mine, archived=None)} == IDS.keys() - set(gone)
    assert len(gone) > 90
