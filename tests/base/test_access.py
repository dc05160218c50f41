"""Folders that several people share: rights, whose a thing is, removal that fails, locks."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from engine.base import access


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("around", "file", "folder"), [(0o755, 0o644, 0o755), (0o775, 0o664, 0o775), (0o777, 0o666, 0o777)]
)
def test_what_all_have_to_write_has_the_rights_of_its_folder(tmp_path, around, file, folder):
    previous = os.umask(0o022)
    try:
        (tmp_path / "shared").mkdir()
        (tmp_path / "shared").chmod(around)
        (tmp_path / "shared" / "file").touch()
        access.make_shared(tmp_path / "shared" / "folder")
    finally:
        os.umask(previous)
    access.share(tmp_path / "shared" / "file")
    assert (mode(tmp_path / "shared" / "file"), mode(tmp_path / "shared" / "folder")) == (file, folder)
    access.share(tmp_path / "gone")


def test_nobody_is_shown_more_than_they_may_write(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "private").touch(0o600)
    access.share(tmp_path / "private")
    assert mode(tmp_path / "private") == 0o600


def test_a_folder_is_removed_with_what_names_it_last(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    (folder / "below" / "deeper").mkdir(parents=True)
    for name in ("z", "a", "name", "below/x", "below/deeper/y"):
        (folder / name).touch()
    (folder / "link").symlink_to(tmp_path)
    removed = []
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **named: (removed.append(path.name), unlink(path, **named)))
    access.remove_folder(folder, ("name", "never there"))
    assert removed[-2:] == ["name", "never there"]
    assert sorted(tmp_path.iterdir()) == []
    access.remove_folder(folder)


def test_of_a_link_only_the_link_is_removed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    access.remove_folder(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_removal_that_fails_keeps_what_names_the_folder_and_says_what_was_in_its_way(tmp_path, monkeypatch):
    for name in ("a", "b", "c", "name"):
        (tmp_path / name).touch()
    unlink = Path.unlink

    def refusing(path: Path, **named: bool) -> None:
        if path.name == "b":
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        unlink(path, **named)

    monkeypatch.setattr(Path, "unlink", refusing)
    with pytest.raises(access.RemovalError) as error:
        access.remove_folder(tmp_path, ("name",))
    assert error.value.removed == 1
    assert access.reason(error.value, tmp_path) == f"Operation not permitted; {tmp_path / 'b'} is protected"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c", "name"]
    monkeypatch.undo()
    access.remove_folder(tmp_path, ("name",))
    assert not tmp_path.exists()


def test_a_file_that_a_share_keeps_because_it_is_open_is_not_overlooked(tmp_path, monkeypatch):
    for name in ("data", "name"):
        (tmp_path / name).touch()
    unlink = Path.unlink

    def as_on_nfs(path: Path, **named: bool) -> None:
        unlink(path, **named)
        if path.name == "data":
            path.with_name(".nfs0001").touch()

    monkeypatch.setattr(Path, "unlink", as_on_nfs)
    with pytest.raises(access.RemovalError, match="It is still open in some process") as error:
        access.remove_folder(tmp_path, ("name",))
    assert access.reason(error.value, tmp_path).endswith("it is open in some process")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".nfs0001", "name"]


def test_whose_a_thing_is(two_users):
    folder, become = two_users
    become(54001)
    (folder / "theirs").mkdir()
    become(54002)
    with pytest.raises(PermissionError) as error:
        (folder / "theirs" / "mine").touch()
    assert access.reason(error.value, folder) == f"Permission denied; {folder / 'theirs'} belongs to user 54001"
    access.make_shared(folder / "ours")
    become(54001)
    (folder / "ours" / "mine").touch()


def test_locks_are_had_once_and_where_there_are_none_that_is_known(tmp_path, monkeypatch):
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert access.lock(first) is True
    assert access.lock(second) is access.lock(second, shared=True) is False
    assert access.has_locks(tmp_path)
    assert access.has_locks(tmp_path / "gone"), "nobody can tell"

    def without(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without)
    monkeypatch.setattr(fcntl, "lockf", without)
    assert access.lock(second) is None
    assert not access.has_locks(tmp_path)
    os.close(first)
    os.close(second)
