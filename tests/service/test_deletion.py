"""Deleting and noting where it fails: nothing leaves the lists unless it is gone, and what is begun can be ended."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.base import files
from engine.base.errors import InputError
from engine.cli.main import main
from engine.record import catalogue
from engine.record.annotations import read_annotations
from engine.record.runrecord import read_run
from engine.service import notes
from engine.service.actor import Actor
from tests.record_testing import AN_ID, finished

ME = Actor("me")


@pytest.fixture
def archived(tmp_path: Path) -> Path:
    """The directory of an archived run with an artefact."""
    run = finished(tmp_path, distance_mae=0.5)
    (run.path / "poses.npz").write_bytes(b"x")
    notes.archive(ME, tmp_path, run.run_id)
    return run.path


def listed(path: Path) -> tuple[str, bool, str]:
    """State, whether archived, message of the run in the list of all."""
    (row,) = catalogue.list_runs(path.parent, archived=None)
    assert row["run_id"] == path.name
    return row["status"], row["archived"], row["message"]


def content(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name != "annotations.json"}


@contextmanager
def keeping(name: str, error: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file system that does not let a file of this name go."""
    unlink = Path.unlink

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if path.name == name:
            raise OSError(error, os.strerror(error), str(path))
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refusing)
        yield


def test_a_deletion_that_cannot_begin_changes_nothing(archived, monkeypatch):
    before = content(archived)
    first = min(before)
    with (
        keeping(first, errno.EPERM, monkeypatch),
        pytest.raises(
            InputError, match=f"cannot delete run {archived.name}: .*{first} is protected; nothing of it is gone"
        ),
    ):
        notes.delete(ME, archived.parent, archived.name)
    assert content(archived) == before
    assert not read_annotations(archived).deleting
    assert listed(archived) == ("finished", True, "")


@pytest.mark.parametrize("name", ["poses.npz", "run.json"])
def test_a_deletion_that_cannot_end_is_seen_and_taken_up_again(archived, monkeypatch, name):
    with (
        keeping(name, errno.EBUSY, monkeypatch),
        pytest.raises(InputError, match=r"it is open in some process; \d of its files are gone; delete it again"),
    ):
        notes.delete(ME, archived.parent, archived.name)
    assert listed(archived) == ("damaged", True, "its deletion was begun and not finished; delete it again")
    assert [path.name for path in archived.parent.glob(f"{files.ASIDE}*")] == []
    notes.delete(ME, archived.parent, archived.name)
    assert not archived.exists()
    assert catalogue.list_runs(archived.parent, archived=None) == []


def test_a_process_killed_while_it_deletes_hides_nothing(archived, monkeypatch):
    unlink, removed = Path.unlink, []

    def killed(path: Path, missing_ok: bool = False) -> None:
        if len(removed) == 2:
            raise SystemExit("killed")
        removed.append(path)
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(SystemExit):
            notes.delete(ME, archived.parent, archived.name)
    assert listed(archived)[:2] == ("damaged", True)
    notes.delete(ME, archived.parent, archived.name)
    assert list(archived.parent.glob("*2*")) == []


def test_a_full_disk_can_be_freed(archived, monkeypatch):
    def full(path: Path, *given: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        notes.delete(ME, archived.parent, archived.name)
    assert not archived.exists()


def test_a_run_on_a_disk_that_is_not_there_is_listed_and_only_its_link_can_be_deleted(tmp_path):
    path = tmp_path / AN_ID
    path.symlink_to(tmp_path / "unmounted")
    status, archived, message = listed(path)
    assert (status, archived) == ("damaged", False)
    assert message == f"its directory is a link to {tmp_path / 'unmounted'}, which cannot be reached"
    with pytest.raises(InputError, match="cannot write annotations"):
        notes.archive(ME, tmp_path, AN_ID)
    shutil.move(finished(tmp_path / "other").path, tmp_path / "unmounted")
    assert listed(path)[0] == "finished"
    shutil.rmtree(tmp_path / "unmounted")
    assert listed(path)[0] == "damaged"
    notes.delete(ME, tmp_path, AN_ID)
    assert catalogue.list_runs(tmp_path, archived=None) == []


# ---- two users


def test_what_belongs_to_somebody_else_stays_and_it_is_said_whose_it_is(two_users, capsys):
    folder, become = two_users
    become(54001)
    path = finished(folder, distance_mae=0.5).path
    notes.archive(ME, folder, path.name)
    assert listed(path)[:2] == ("finished", True)
    before, owned = content(path), "Permission denied; .* belongs to user 54001"
    become(54002)
    assert listed(path)[:2] == ("finished", True), "the catalogue is everybody's"
    with pytest.raises(InputError, match=f"cannot delete run {path.name}: {owned}; nothing of it is gone"):
        notes.delete(ME, folder, path.name)
    for changes in ({"archived": False}, {"name": "mine"}, {"starred": True}):
        with pytest.raises(InputError, match=f"cannot write annotations.json of run {path.name}: {owned}"):
            notes.annotate(ME, folder, path.name, **changes)
    assert main(["runs", "delete", path.name, "--runs-dir", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: cannot delete run ")
    assert error.count("\n") == 1
    assert content(path) == before
    assert listed(path) == ("finished", True, "")
    notices: list[str] = []
    catalogue.rebuild(folder)
    become(54001)
    catalogue.list_runs(folder, on_notice=notices.append)
    assert notices == []
    notes.delete(ME, folder, path.name)
    assert not path.exists()


def test_a_protected_file_is_named_and_the_rest_can_go_later(two_users):
    folder, _ = two_users
    path = finished(folder).path
    (path / "poses.npz").touch()
    notes.archive(ME, folder, path.name)
    if subprocess.run(["chattr", "+i", path / "poses.npz"], capture_output=True).returncode:
        pytest.skip("this file system protects no files")
    try:
        with pytest.raises(InputError, match=r"poses.npz is protected; \d of its files are gone; delete it again"):
            notes.delete(ME, folder, path.name)
        assert listed(path)[:2] == ("damaged", True)
    finally:
        subprocess.run(["chattr", "-i", path / "poses.npz"], check=True)
    notes.delete(ME, folder, path.name)
    assert not path.exists()


def test_a_closed_directory_of_somebody_else_is_shown_as_what_it_is(two_users):
    folder, become = two_users
    become(54001)
    path = finished(folder).path
    path.chmod(stat.S_IRUSR)
    become(54002)
    record = read_run(path)
    assert record.status == "damaged"
    assert "cannot be read: Permission denied" in record.message
    assert listed(path)[0] == "damaged"
    become(54001)
    path.chmod(0o700)
    assert listed(path)[0] == "finished"
