"""Stacks that may be chosen from elsewhere: only those inside the folders that are named, whichever way leads there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.io import data_folders, mrc
from engine.io.particles import read_particles

OUTSIDE = "in none of the folders of which this app may read particles"


@pytest.fixture
def named(tmp_path, monkeypatch) -> Path:
    """A named folder with a stack, a table and a folder in it; beside it what is not to be read."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside / "deeper", outside):
        folder.mkdir(parents=True)
        write_stack(folder)
    write_stack(inside)
    (inside / "notes.txt").touch()
    (inside / ".hidden.star").touch()
    monkeypatch.setenv("POSELAB_DATA_DIRS", f"{inside}:{tmp_path / 'missing'}")
    return inside


def write_stack(folder: Path, stack: str = "stack.mrcs") -> None:
    mrc.write_stack(folder / "stack.mrcs", np.zeros((3, 8, 8), np.float32), 2.0)
    (folder / "particles.star").write_text(table(stack))


def table(stack: str) -> str:
    rows = "".join(f"{number:06d}@{stack} 1\n" for number in (1, 2, 3))
    return (
        "data_optics\nloop_\n_rlnOpticsGroup #1\n_rlnImagePixelSize #2\n_rlnImageSize #3\n1 2.0 8\n\n"
        f"data_particles\nloop_\n_rlnImageName #1\n_rlnOpticsGroup #2\n{rows}"
    )


def test_a_folder_lists_its_folders_tables_and_stacks(named, runs_dir):
    assert data_folders.roots(runs_dir) == (named,)
    listing = data_folders.list_folder(named, runs_dir)
    assert (listing.folders, listing.files) == (("deeper",), ("particles.star", "stack.mrcs"))
    assert (listing.refused, listing.more) == ((), 0)


def test_uploads_may_be_chosen_too_and_nothing_else_is_named_by_default(runs_dir, monkeypatch):
    monkeypatch.delenv("POSELAB_DATA_DIRS", raising=False)
    assert data_folders.roots(runs_dir) == ()
    data_folders.uploads_dir(runs_dir).mkdir(parents=True)
    assert data_folders.roots(runs_dir) == (runs_dir / "particles",)


@pytest.mark.parametrize(
    "path", ["{named}/..", "{named}/../outside", "{named}/deeper/../../outside/particles.star", "/etc", "/", "..", "."]
)
def test_what_is_outside_is_refused_whichever_way_leads_there(named, runs_dir, path):
    path = path.format(named=named)
    for ask in (data_folders.inside, data_folders.list_folder):
        with pytest.raises(InputError, match=OUTSIDE) as error:
            ask(path, runs_dir)
        assert "\n" not in str(error.value)


def test_a_folder_whose_name_begins_alike_is_outside(named, runs_dir):
    (named.parent / "inside-too").mkdir()
    with pytest.raises(InputError, match=OUTSIDE):
        data_folders.inside(named.parent / "inside-too", runs_dir)


def test_links_that_lead_out_are_refused_and_those_within_are_not(named, runs_dir):
    outside = named.parent / "outside"
    os.symlink(outside, named / "away")
    os.symlink(outside / "particles.star", named / "away.star")
    os.symlink(named / "deeper", named / "near")
    os.symlink(named / "nowhere", named / "dangling.star")
    listing = data_folders.list_folder(named, runs_dir)
    assert listing.refused == ("away", "away.star")
    assert listing.folders == ("deeper", "near")
    assert listing.files == ("particles.star", "stack.mrcs")
    for name in ("away", "away.star", "away/particles.star"):
        with pytest.raises(InputError, match=OUTSIDE):
            data_folders.inside(named / name, runs_dir)


@pytest.mark.parametrize("stack", ["{outside}/stack.mrcs", "../outside/stack.mrcs", "linked.mrcs"])
def test_a_table_may_not_name_a_stack_outside(named, runs_dir, stack):
    outside = named.parent / "outside"
    os.symlink(outside / "stack.mrcs", named / "linked.mrcs")
    source = named / "names.star"
    source.write_text(table(stack.format(outside=outside)))
    read = read_particles(source, warn=lambda line: None)
    data_folders.require_inside(source, None, runs_dir)
    with pytest.raises(InputError, match=r"names the stack .*stack.mrcs|names the stack .*linked.mrcs"):
        data_folders.require_inside(source, None, runs_dir, read)
    with pytest.raises(InputError, match=OUTSIDE):
        data_folders.require_inside(source, outside, runs_dir)
    good = named / "particles.star"
    data_folders.require_inside(good, named, runs_dir, read_particles(good, warn=lambda line: None))


def test_an_upload_is_kept_once_and_can_be_read(named, runs_dir):
    files = {name: (named / name).read_bytes() for name in ("particles.star", "stack.mrcs")}
    source = data_folders.add_upload(runs_dir, files)
    assert data_folders.add_upload(runs_dir, files) == source
    assert len(read_particles(source, warn=lambda line: None)) == 3
    assert data_folders.inside(source, runs_dir).is_file()
    alone = data_folders.add_upload(runs_dir, {"stack.mrcs": files["stack.mrcs"]})
    assert Path(alone).name == "stack.mrcs"
    assert Path(alone).parent != Path(source).parent


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("particles.star",), "stack.mrcs"),
        (("stack.mrcs", "other.mrcs"), "0 tables and 2 stacks"),
        (("particles.star", "again.star", "stack.mrcs"), "2 tables and 1 stacks"),
        ((".star",), "cannot be kept"),
        (("x y.mrcs",), "cannot be kept"),
        (("run.sh",), "cannot be kept"),
        ((), "0 tables and 0 stacks"),
    ],
)
def test_an_upload_that_cannot_be_used_leaves_nothing(named, runs_dir, names, expected):
    contents = {
        name: (named / ("stack.mrcs" if name.endswith("mrcs") else "particles.star")).read_bytes() for name in names
    }
    with pytest.raises(InputError, match=expected):
        data_folders.add_upload(runs_dir, contents)
    folder = data_folders.uploads_dir(runs_dir)
    assert not folder.exists() or not list(folder.iterdir())


def test_an_uploaded_table_may_not_lead_to_files_of_the_server(named, runs_dir):
    outside = named.parent / "outside" / "stack.mrcs"
    contents = {"particles.star": table(str(outside)).encode(), "stack.mrcs": outside.read_bytes()}
    with pytest.raises(InputError, match=r"names stack\.mrcs, which is not among the files"):
        data_folders.add_upload(runs_dir, contents)


def test_a_name_with_folders_is_kept_by_its_last_part(named, runs_dir):
    source = data_folders.add_upload(runs_dir, {"../../stack.mrcs": (named / "stack.mrcs").read_bytes()})
    assert Path(source).parent.parent == data_folders.uploads_dir(runs_dir)


def test_what_is_too_large_is_refused(runs_dir, monkeypatch):
    monkeypatch.setattr(data_folders, "LARGEST_UPLOAD", 10)
    with pytest.raises(InputError, match="the files have 0 MiB; at most 0 MiB"):
        data_folders.add_upload(runs_dir, {"stack.mrcs": bytes(11)})
