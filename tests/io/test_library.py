"""The proteins at hand: which files count, what becomes of uploads good and bad."""

from __future__ import annotations

import gzip
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.io import library
from engine.io.loading import BUILT_IN, load_volume
from engine.io.mrc import write_map


@pytest.fixture
def map_bytes(tmp_path, toy_density) -> bytes:
    write_map(tmp_path / "made.mrc", toy_density, 2.5, np.zeros(3))
    return (tmp_path / "made.mrc").read_bytes()


def names(runs_dir: Path) -> list[str]:
    return [entry.name for entry in library.list_volumes(runs_dir)]


def test_the_built_in_ones_are_always_there(runs_dir):
    assert library.list_volumes(runs_dir) == [library.Entry(name, name, "built-in") for name in BUILT_IN]
    assert not runs_dir.exists()


def test_files_of_the_folder_are_listed_by_name(runs_dir, tmp_path, monkeypatch):
    folder = tmp_path / "maps of the lab"
    (folder / "sub.mrc").mkdir(parents=True)
    for name in ("b.MRC", "a.cif.gz", "c.map", "notes.txt", ".part-1234-d.mrc", "e.mrcs"):
        (folder / name).touch()
    monkeypatch.setenv("POSELAB_VOLUMES_DIR", str(folder))
    listed = library.list_volumes(runs_dir)[len(BUILT_IN) :]
    assert listed == [
        library.Entry("a.cif.gz", str(folder / "a.cif.gz"), "coordinates"),
        library.Entry("b.MRC", str(folder / "b.MRC"), "map"),
        library.Entry("c.map", str(folder / "c.map"), "map"),
    ]


def test_a_folder_that_is_none_is_said(runs_dir, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("POSELAB_VOLUMES_DIR", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"the folder of volumes .*file: Not a directory"):
        library.list_volumes(runs_dir)


def test_the_folder_lies_beside_the_runs_and_its_path_is_whole(runs_dir, monkeypatch):
    assert library.volumes_dir(runs_dir) == runs_dir / "volumes"
    assert library.volumes_dir(Path("runs")).is_absolute()


def test_an_upload_is_kept_and_can_be_run(runs_dir, map_bytes, toy_density):
    source = library.add_upload(runs_dir, "my map.mrc", map_bytes)
    assert source == str(runs_dir / "volumes" / "my_map.mrc")
    assert np.array_equal(load_volume(source).density, toy_density)
    assert names(runs_dir)[-1] == "my_map.mrc"


def test_the_same_upload_is_kept_once_and_another_beside_it(runs_dir, map_bytes):
    first = library.add_upload(runs_dir, "a.mrc.gz", gzip.compress(map_bytes, mtime=0))
    assert library.add_upload(runs_dir, "a.mrc.gz", gzip.compress(map_bytes, mtime=0)) == first
    other = library.add_upload(runs_dir, "a.mrc.gz", gzip.compress(map_bytes, mtime=1))
    assert Path(other).name.startswith("a-")
    assert other.endswith(".mrc.gz")
    assert len(names(runs_dir)) == len(BUILT_IN) + 2


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("../../etc/x.mrc", "x.mrc"),
        ("C:\\maps\\x.mrc", "x.mrc"),
        (".hidden.mrc", "hidden.mrc"),
        ("<b>ä</b> $(rm).mrc", "b_rm_.mrc"),
        ("-rf.mrc", "rf.mrc"),
        (300 * "x" + ".mrc", 96 * "x" + ".mrc"),
    ],
)
def test_names_become_safe(runs_dir, map_bytes, typed, kept):
    assert library.add_upload(runs_dir, typed, map_bytes) == str(runs_dir / "volumes" / kept)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("蛋白质.mrc", r"upload-[0-9a-f]{6}\.mrc"), ("белок.map", r"upload-[0-9a-f]{6}\.map"),
        ("é.mrc", r"e-[0-9a-f]{6}\.mrc"), ("größe Ω.mrc", r"groe_-[0-9a-f]{6}\.mrc"), ("_.mrc", r"upload\.mrc"),
        (".mrc", r"upload\.mrc"), ("....mrc", r"upload\.mrc"), ("．mrc", r"upload\.mrc"), ("x..mrc", r"x\.\.mrc"),
        ("CON.mrc", r"upload-CON\.mrc"), ("nul.new.mrc", r"upload-nul\.new\.mrc"), ("console.mrc", r"console\.mrc"),
        ("x.mrc\u200f", r"x\.mrc"), ("\u202ex.mrc ", r"x\.mrc"), ("x.mrc. ", r"x\.mrc"), ("x.MRC", r"x\.MRC"),
        ("a\u0301.mrc", r"a-[0-9a-f]{6}\.mrc"), (300 * "я" + ".mrc", r"upload-[0-9a-f]{6}\.mrc"),
        ("\udce9.mrc", r"upload\.mrc"), ("\0\n.mrc", r"upload\.mrc"), ("🧬.mrc", r"upload-[0-9a-f]{6}\.mrc"),
    ],
)  # fmt: skip
def test_names_of_every_script_are_kept_under_safe_ones_with_their_ending(runs_dir, map_bytes, typed, kept):
    path = Path(library.add_upload(runs_dir, typed, map_bytes))
    assert re.fullmatch(kept, path.name)
    assert path.read_bytes() == map_bytes
    assert names(runs_dir)[-1] == path.name
    assert load_volume(str(path)).density.shape == (24, 22, 26)


def test_different_names_never_end_in_one_file(runs_dir, map_bytes):
    typed = ["蛋白质.mrc", "белок.mrc", "é.mrc", "è.mrc", "e.mrc", "_.mrc", "ß.mrc", "a b.mrc", "🧬.mrc", "🦠.mrc"]
    kept = [library.add_upload(runs_dir, name, map_bytes) for name in typed]
    assert len(set(kept)) == len(typed)
    assert library.add_upload(runs_dir, "é.mrc", map_bytes) == library.add_upload(runs_dir, "e\u0301.mrc", map_bytes)
    other = bytearray(map_bytes)
    other[-1] ^= 1
    for name, path in zip(typed, kept, strict=True):
        beside = library.add_upload(runs_dir, name, bytes(other))
        assert beside != path
        assert (Path(path).read_bytes(), Path(beside).read_bytes()) == (map_bytes, bytes(other))


def test_a_header_without_a_voxel_size_is_helped(runs_dir, tmp_path, toy_density):
    write_map(tmp_path / "none.mrc", toy_density, 0.0, np.zeros(3))
    data = (tmp_path / "none.mrc").read_bytes()
    with pytest.raises(InputError, match=r"^none\.mrc: the header gives a voxel size of 0, 0, 0 Å"):
        library.add_upload(runs_dir, "none.mrc", data)
    assert library.add_upload(runs_dir, "none.mrc", data, voxel_size=1.5).endswith("none.mrc")


def test_a_volume_whose_header_says_stack_is_helped(runs_dir, map_bytes, toy_density):
    fields = struct.pack("<i", 1), struct.pack("<f", 2.5), struct.pack("<i", 0)  # mz, cella.z, ispg
    data = map_bytes[:36] + fields[0] + map_bytes[40:48] + fields[1] + map_bytes[52:88] + fields[2] + map_bytes[92:]
    with pytest.raises(InputError, match=r"^x\.mrc is a stack of 24 images .* turn on volume\.stack_is_volume"):
        library.add_upload(runs_dir, "x.mrc", data)
    source = library.add_upload(runs_dir, "x.mrc", data, stack_is_volume=True)
    np.testing.assert_array_equal(load_volume(source, stack_is_volume=True).density, toy_density)


@pytest.mark.parametrize(
    ("filename", "cut", "message"),
    [
        ("x.mrc", lambda data: data[:5000], "x.mrc is cut short: the header promises 26 x 22 x 24 voxels"),
        ("x.mrc", lambda data: b"", "x.mrc is empty"),
        ("x.mrc", lambda data: b"hello" * 300, "x.mrc is no MRC map"),
        ("x.mrc.gz", lambda data: gzip.compress(data)[:2000], "x.mrc.gz: the gzip file is cut short or damaged"),
        ("x.pdb", lambda data: b"REMARK\nEND\n", "x.pdb holds no atoms"),
        ("x.exe", lambda data: data, "'x.exe' is of no known kind; wanted a name that ends in .mrc"),
        ("x.mrcs", lambda data: data, "'x.mrcs' is of no known kind"),
        ("mrc", lambda data: data, "'mrc' is of no known kind"),
    ],
)
def test_what_is_no_volume_is_refused_and_not_kept(runs_dir, map_bytes, filename, cut, message):
    with pytest.raises(InputError) as refused:
        library.add_upload(runs_dir, filename, cut(map_bytes))
    messages = str(refused.value)
    assert messages.startswith(message)
    assert "\n" not in messages
    assert str(runs_dir) not in messages
    assert not list((runs_dir / "volumes").glob("*")) or not (runs_dir / "volumes").exists()


def test_an_oversized_upload_is_refused_before_it_is_written(runs_dir, map_bytes, monkeypatch):
    monkeypatch.setattr(library, "LARGEST_UPLOAD", len(map_bytes) - 1)
    with pytest.raises(InputError, match=r"x\.mrc has 0 MiB; at most 0 MiB can be uploaded, put it into .*volumes"):
        library.add_upload(runs_dir, "x.mrc", map_bytes)
    assert not runs_dir.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser writes everywhere")
def test_a_folder_that_cannot_be_written_is_said(runs_dir, map_bytes):
    (runs_dir / "volumes").mkdir(parents=True, mode=0o500)
    with pytest.raises(InputError, match=r"cannot keep x\.mrc in .*volumes: Permission denied"):
        library.add_upload(runs_dir, "x.mrc", map_bytes)


def test_a_file_in_the_place_of_the_folder_is_said(runs_dir, map_bytes):
    runs_dir.mkdir()
    (runs_dir / "volumes").touch()
    with pytest.raises(InputError, match=r"cannot keep x\.mrc in .*volumes: "):
        library.add_upload(runs_dir, "x.mrc", map_bytes)
