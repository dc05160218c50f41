"""Paths from people and their environment: whole, expanded, and told from folders that are out of reach."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.base import paths
from engine.base.errors import InputError
from engine.base.paths import absolute, from_environment, make_folder, require_reachable
from engine.dispatch import queuefiles
from engine.io import archives, library
from engine.record import catalogue
from engine.record.runrecord import default_runs_dir, export_run, run_path
from tests.record_testing import AN_ID

ROOT = Path(__file__).parents[2]
VARIABLES = {
    "POSELAB_RUNS_DIR": default_runs_dir,
    "POSELAB_VOLUMES_DIR": lambda: library.volumes_dir(Path("/runs")),
    "POSELAB_CACHE": archives.cache_folder,
    "XDG_CACHE_HOME": lambda: archives.cache_folder().parent,
}


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_folder_of_the_environment_is_expanded(variable, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DISK", str(tmp_path / "disk"))
    monkeypatch.delenv("POSELAB_CACHE", raising=False)
    monkeypatch.chdir(tmp_path)
    for typed, wanted in (
        ("~/pl", "home/pl"), ("$DISK/pl", "disk/pl"), ("${DISK}/pl", "disk/pl"), ("rel/pl", "rel/pl"),
        (f"  {tmp_path}/a b ", "a b"), ("$HOME/~/pl", "home/~/pl"),
    ):  # fmt: skip
        monkeypatch.setenv(variable, typed)
        assert VARIABLES[variable]() == tmp_path / wanted, typed


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("$NOWHERE/pl", "NOWHERE is not set"),
        ("${NOWHERE}", "NOWHERE is not set"),
        ("~nobody-x/pl", "no home folder ~nobody-x"),
    ],
)
def test_what_cannot_be_expanded_is_said(variable, typed, message, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    monkeypatch.delenv("POSELAB_CACHE", raising=False)
    monkeypatch.setenv(variable, typed)
    with pytest.raises(InputError, match=message) as refused:
        VARIABLES[variable]()
    assert variable in str(refused.value)


@pytest.mark.parametrize("nothing", ["", "  "])
def test_a_blank_variable_is_none(nothing, monkeypatch):
    monkeypatch.setenv("POSELAB_RUNS_DIR", nothing)
    assert from_environment("POSELAB_RUNS_DIR") is None
    assert default_runs_dir() == ROOT / "runs"


def test_no_home_is_said_where_it_is_needed(monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: str(path))  # as where no user is known by this number
    monkeypatch.delenv("POSELAB_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(InputError, match="no home folder is known"):
        archives.cache_folder()
    with pytest.raises(InputError, match="no home folder is known"):
        absolute("~/map.mrc")
    assert absolute("/a/~b.mrc") == Path("/a/~b.mrc")


def test_a_folder_that_was_removed_under_the_process_is_said(tmp_path):
    program = (
        "import os; from engine.base.paths import absolute; from engine.base.errors import InputError\n"
        f"os.mkdir({str(tmp_path / 'gone')!r}); os.chdir({str(tmp_path / 'gone')!r}); os.rmdir(os.getcwd())\n"
        "try: absolute('map.mrc')\nexcept InputError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "map.mrc: the current folder has been deleted; change to another one\n"


@pytest.fixture(params=["the folder", "one above it", "itself"])
def away(request, tmp_path) -> Path:
    """A folder behind a link that leads nowhere."""
    link = tmp_path / "link"
    link.symlink_to(link if request.param == "itself" else tmp_path / "nowhere")
    return link / "sub" if request.param == "one above it" else link


def test_a_folder_behind_a_dangling_link_is_out_of_reach(away, tmp_path):
    for ask in (require_reachable, make_folder):
        with pytest.raises(OSError, match=r"not reachable: .*link is a link to .*, which does not exist"):
            ask(away)
    assert not (tmp_path / "nowhere").exists()
    require_reachable(tmp_path / "not made yet")


def test_runs_behind_a_dangling_link_are_not_none(away, monkeypatch):
    for ask in (catalogue.list_runs, queuefiles.entries, lambda folder: run_path(folder, AN_ID), library.list_volumes):
        with pytest.raises(InputError, match=r"not reachable: .* is a link to "):
            ask(away)
    with pytest.raises(InputError, match="not reachable"):
        library.add_upload(away, "x.mrc", b"data")
    monkeypatch.setenv("POSELAB_CACHE", str(away))
    with pytest.raises(InputError, match="not reachable"):
        archives.fetch("pdb:5j0n")


def test_an_export_behind_a_dangling_link_is_refused(away, tmp_path):
    (tmp_path / AN_ID).mkdir()
    with pytest.raises(InputError, match=r"cannot export to .*: not reachable|exists already"):
        export_run(tmp_path, AN_ID, away)


def test_several_folders_in_one_variable_are_separated_by_colons(tmp_path, monkeypatch):
    monkeypatch.setenv("POSELAB_DATA_DIRS", f"{tmp_path}: $POSELAB_STACKS/a ::")
    monkeypatch.setenv("POSELAB_STACKS", "/stacks")
    assert paths.paths_from_environment("POSELAB_DATA_DIRS") == [tmp_path, Path("/stacks/a")]
    monkeypatch.delenv("POSELAB_STACKS")
    with pytest.raises(InputError, match="POSELAB_STACKS is not set"):
        paths.paths_from_environment("POSELAB_DATA_DIRS")
    monkeypatch.delenv("POSELAB_DATA_DIRS")
    assert paths.paths_from_environment("POSELAB_DATA_DIRS") == []
