from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from engine.base.errors import InputError
from engine.cli.main import main
from engine.config.schema import Config
from engine.dispatch import local
from engine.record import catalogue
from engine.record.annotations import FILENAME, Annotations, read_annotations
from engine.record.runlog import RunWriter
from engine.record.runrecord import read_run
from engine.service import notes
from engine.service.actor import Actor

ME = Actor("somebody")

UNKNOWN_ID = "20260101-000000-1bd2-ffffff"
TYPED = "<script>alert(1)</script> '; DROP TABLE runs; -- $x$ 日本"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The directory of a finished run named ``first``."""
    with RunWriter.create(tmp_path, Config(), ["engine"], name="first") as run:
        run.finish({"distance_mae": 0.5})
    return run.path


def test_changes_add_up_and_are_read_back(path):
    assert read_annotations(path) == Annotations()
    notes.annotate(ME, path.parent, path.name, tags=["noise"], starred=True)
    noted = notes.annotate(ME, path.parent, path.name, note="seen", name="mine")
    assert noted == read_annotations(path) == Annotations(name="mine", tags=("noise",), starred=True, note="seen")
    assert {file.name for file in path.iterdir()} == {
        "run.json", "config.toml", "events.jsonl", "log.txt", "result.json", FILENAME,
    }  # fmt: skip


def test_the_name_of_the_annotation_is_the_runs_until_it_is_taken_back(path):
    assert read_run(path).name == "first"
    notes.annotate(ME, path.parent, path.name, name="second")
    assert (read_run(path).name, read_run(path).facts.name) == ("second", "first")
    notes.annotate(ME, path.parent, path.name, name=" \n")
    assert read_run(path).name == "first"


def test_what_is_typed_is_kept_letter_by_letter_without_control_characters(path):
    noted = notes.annotate(
        ME,
        path.parent,
        path.name,
        name=f" {TYPED}\n\x00",
        tags=[" a\tb ", "a b", "", "</i>", "\udc80"],
        note=f"\n one\r\x1b[31m\n{TYPED}\n\n",
    )
    assert noted.name == TYPED
    assert noted.tags == ("a b", "</i>")
    assert noted.note == f"one  [31m\n{TYPED}"
    assert read_annotations(path) == noted
    (row,) = catalogue.list_runs(path.parent)
    assert (row["name"], row["tags"], row["note"]) == (TYPED, ["a b", "</i>"], noted.note)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "x" * 201}, "name has 201 characters; wanted at most 200"),
        ({"tags": ["ok", "x" * 41]}, "tag 'x{40}'… has 41 characters; wanted at most 40"),
        ({"tags": [str(number) for number in range(21)]}, "21 tags are given; wanted at most 20"),
        ({"note": "x" * 10_001}, "note has 10,001 characters; wanted at most 10,000"),
    ],
)
def test_what_is_too_long_is_refused_and_nothing_changes(path, changes, message):
    notes.annotate(ME, path.parent, path.name, starred=True)
    with pytest.raises(InputError, match=message):
        notes.annotate(ME, path.parent, path.name, **changes)
    assert read_annotations(path) == Annotations(starred=True)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"tags": 3}', b'{"archived": "perhaps"}', b"\xff", b'{"name": "\\ud880"}']
)
def test_a_damaged_file_counts_as_none_is_said_and_can_be_written_over(path, content):
    (path / FILENAME).write_bytes(content)
    record = read_run(path)
    assert (record.annotations, record.name, record.status) == (Annotations(), "first", "finished")
    assert record.message.startswith(f"{FILENAME} is damaged: ")
    assert record.message.endswith("; what it noted is not shown")
    notes.annotate(ME, path.parent, path.name, note="again")
    assert read_annotations(path) == Annotations(note="again")


def test_what_a_newer_version_noted_is_kept(path):
    (path / FILENAME).write_text(json.dumps({"name": "new", "mood": {"good": [1, 2]}}))
    notes.annotate(ME, path.parent, path.name, starred=True)
    kept = json.loads((path / FILENAME).read_text())
    assert (kept["name"], kept["starred"], kept["mood"]) == ("new", True, {"good": [1, 2]})


@pytest.mark.parametrize(("content", "status"), [(None, "damaged"), ("{", "damaged"), ('{"format": 99}', "newer")])
def test_damaged_and_newer_runs_can_be_annotated(path, content, status):
    (path / "run.json").unlink()
    if content is not None:
        (path / "run.json").write_text(content)
    notes.annotate(ME, path.parent, path.name, name="odd one", archived=True)
    (row,) = catalogue.list_runs(path.parent, archived=True)
    assert (row["status"], row["name"]) == (status, "odd one")
    notes.delete(ME, path.parent, path.name)
    assert not path.exists()


def test_two_who_change_different_things_at_once_lose_nothing(path):
    def tag() -> None:
        for number in range(20):
            notes.annotate(ME, path.parent, path.name, tags=[str(number)])

    def write_note() -> None:
        for number in range(20):
            notes.annotate(ME, path.parent, path.name, note=str(number))

    both = [threading.Thread(target=tag), threading.Thread(target=write_note)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert read_annotations(path) == Annotations(tags=("19",), note="19")


def test_only_an_archived_run_that_has_ended_is_deleted(path):
    runs_dir = path.parent
    with pytest.raises(InputError, match="is not archived; archive it first"):
        notes.delete(ME, runs_dir, path.name)
    with RunWriter.create(runs_dir, Config(), []) as running:
        with pytest.raises(InputError, match="is running; cancel it first, then archive it"):
            notes.archive(ME, runs_dir, running.run_id)
        (running.path / FILENAME).write_text('{"archived": true}')
        with pytest.raises(InputError, match="is running; cancel it first, then delete it"):
            notes.delete(ME, runs_dir, running.run_id)
        notes.restore(ME, runs_dir, running.run_id)
        running.finish({})
    (runs_dir / local.FOLDER / path.name).mkdir(parents=True)
    notes.annotate(ME, runs_dir, path.name, archived=True)
    notes.delete(ME, runs_dir, path.name)
    assert [row["run_id"] for row in catalogue.list_runs(runs_dir, archived=None)] == [running.run_id]
    assert sorted(entry.name for entry in runs_dir.iterdir()) == [
        local.FOLDER, running.run_id, catalogue.FILENAME,
    ]  # fmt: skip
    assert not list((runs_dir / local.FOLDER).iterdir())


def test_deleting_a_link_leaves_what_it_leads_to(path, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    os.rename(path, elsewhere)
    path.symlink_to(elsewhere)
    notes.annotate(ME, path.parent, path.name, archived=True)
    notes.delete(ME, path.parent, path.name)
    assert not path.is_symlink()
    assert (elsewhere / "result.json").exists()


@pytest.mark.parametrize(
    ("run_id", "message"), [("../" + UNKNOWN_ID, "is not a run id"), ("..", "is not a run id"), (UNKNOWN_ID, "no run")]
)
def test_only_known_runs_are_touched(path, run_id, message):
    with pytest.raises(InputError, match=message):
        notes.annotate(ME, path.parent, run_id, archived=True)
    with pytest.raises(InputError, match=message):
        notes.delete(ME, path.parent, run_id)


def test_a_run_that_cannot_be_written_to_is_named(path):
    (path / FILENAME).mkdir()
    with pytest.raises(InputError, match=f"cannot write {FILENAME} of run {path.name}: Is a directory"):
        notes.annotate(ME, path.parent, path.name, starred=True)


def test_a_slip_of_the_programmer_is_an_error(path):
    with pytest.raises(TypeError, match="no such annotation: stared"):
        notes.annotate(ME, path.parent, path.name, stared=True)


def test_the_command_line_archives_restores_and_deletes(path, capsys):
    at = ["--runs-dir", str(path.parent)]
    assert main(["runs", "archive", path.name, *at]) == 0
    assert capsys.readouterr().out == f"archived {path.name}\n"
    assert main(["runs", "list", *at]) == 0
    assert path.name not in capsys.readouterr().out
    assert main(["runs", "list", "--archived", *at]) == 0
    assert path.name in capsys.readouterr().out
    assert main(["runs", "restore", path.name, *at]) == 0
    assert main(["runs", "delete", path.name, *at]) == 2
    assert "archive it first" in capsys.readouterr().err
    assert main(["runs", "archive", path.name, *at]) == 0
    assert main(["runs", "delete", path.name, *at]) == 0
    assert capsys.readouterr().out.endswith(f"deleted {path.name}\n")
    assert not path.exists()
