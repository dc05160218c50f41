"""Text in every encoding that people save it in: what each reader of PoseLab makes of it."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.base.texts import decoded, in_ascii, not_unicode, read_text, read_toml, without_mark
from engine.cli.generate_arguments import read_arguments
from engine.config.settings import load_config
from engine.experiment.sweep import load_sweep
from engine.io.coordinates import composition
from engine.io.particles import read_particles
from engine.record.annotations import FILENAME, read_annotations
from engine.record.reading import read_config

CIF = "# written by {author}\n" + (
    "data_x\nloop_\n" + "".join(f"_atom_site.{name}\n" for name in (
        "group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id", "label_asym_id",
        "label_seq_id", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy",
    )) + "".join(f"ATOM {i} C CA . ALA A {i} {2 * i}.0 {i}.0 0.0 1.0\n" for i in range(1, 9))
)  # fmt: skip
PDB = "REMARK  {author}\n" + "".join(
    f"ATOM  {i:5d}  CA  ALA A{i:4d}    {2.0 * i:8.3f}{1.0 * i:8.3f}{0.0:8.3f}  1.00 20.00           C\n"
    for i in range(1, 9)
)
STAR = (
    "# {author}\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnImagePixelSize #2\n_rlnImageSize #3\n1 1.5 64\n\n"
    "data_particles\n\nloop_\n_rlnAngleRot #1\n_rlnAngleTilt #2\n_rlnAnglePsi #3\n_rlnImageName #4\n10 20 30 1@a.mrcs\n"
)


def _coordinates(path: Path) -> object:
    return composition(path)


def _star(path: Path) -> object:
    particles = read_particles(path, warn=[].append)
    return particles.image_name(0), particles.pixel_size.tolist(), np.round(particles.poses, 9).tolist()


def _generate(path: Path) -> object:
    return read_arguments(["-conf", str(path)])


READERS = {
    "x.cif": (CIF, _coordinates),
    "x.pdb": (PDB, _coordinates),
    "x.toml": ("# {author}\nseed = 7\n", load_config),
    "sweep.toml": ("# {author}\n[vary]\nseed = [1, 2]\n", load_sweep),
    "x.config": ("# {author}\ninput-file = 1bd2\noutput-file = a.h5\nseed = 7\n", _generate),
    "x.star": (STAR, _star),
    "config.toml": ("# {author}\nseed = 7\n", read_config),
}
each_reader = pytest.mark.parametrize("name", READERS)


@each_reader
def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path, name):
    text, read = READERS[name]
    (tmp_path / name).write_text(text.format(author="me"), encoding="utf-8")
    wanted = read(tmp_path / name)
    assert "damaged" not in str(wanted)
    for data in (text.format(author="me").encode("utf-8-sig"), 2 * codecs.BOM_UTF8 + text.format(author="me").encode()):
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name) == wanted


@each_reader
@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_lines_may_end_as_on_other_systems(tmp_path, name, ending):
    text, read = READERS[name]
    (tmp_path / name).write_text(text.format(author="me"), encoding="utf-8")
    wanted = read(tmp_path / name)
    (tmp_path / name).write_bytes(text.format(author="me").replace("\n", ending).encode("utf-8-sig"))
    assert read(tmp_path / name) == wanted


@each_reader
def test_a_stray_byte_in_a_remark_does_no_harm(tmp_path, name):
    text, read = READERS[name]
    (tmp_path / name).write_text(text.format(author="me"), encoding="utf-8")
    wanted = read(tmp_path / name)
    for encoding in ("latin-1", "cp1252", "utf-8"):
        (tmp_path / name).write_bytes(text.format(author="Bjørn Håkansson").encode(encoding))
        assert read(tmp_path / name) == wanted


@each_reader
@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-16-le with a mark"]
)
def test_other_encodings_are_refused_by_name(tmp_path, name, encoding):
    text, read = READERS[name]
    codec = encoding.removesuffix(" with a mark")
    mark = codecs.BOM_UTF16_LE if codec != encoding else b""
    (tmp_path / name).write_bytes(mark + text.format(author="me").encode(codec))
    try:
        message = str(read(tmp_path / name))  # a record's configuration is no reason to raise
    except InputError as error:
        message = str(error)
    assert f"text in {codec[:6].upper()}; wanted UTF-8" in message
    assert "\n" not in message


@each_reader
def test_binary_data_are_told_from_text(tmp_path, name):
    _, read = READERS[name]
    (tmp_path / name).write_bytes(np.random.default_rng(0).normal(size=500).astype("f4").tobytes())
    try:
        message = str(read(tmp_path / name))
    except InputError as error:
        message = str(error)
    assert "has binary data; wanted text" in message


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.toml", b'[volume]\nsource = "caf\xe9.mrc"\n', r"volume\.source is 'caf\\udce9\.mrc', which has bytes"),
        ("x.toml", b'[training]\nvolumes = ["caf\xe9.mrc"]\n', r"training\.volumes is 'caf\\udce9\.mrc'"),
        ("sweep.toml", b'name = "caf\xe9"\n[vary]\nseed = [1, 2]\n', r"sweep\.toml: name is 'caf\\udce9'"),
        ("x.config", b"input-file = caf\xe9.mrc\noutput-file = a.h5\n", r"input-file is 'caf\\udce9\.mrc'"),
        (
            "x.star",
            STAR.format(author="me").replace("1@a", "1@å").encode("latin-1"),
            r"rlnImageName has '\\udce5\.mrcs'",
        ),
    ],
)
def test_a_stray_byte_in_a_field_that_is_used_is_said(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as refused:
        READERS[name][1](tmp_path / name)
    str(refused.value).encode("utf-8" if name == "x.star" else "ascii")


def test_notes_with_a_byte_order_mark_are_notes(tmp_path):
    (tmp_path / FILENAME).write_bytes(codecs.BOM_UTF8 + b'{"starred": true}')
    assert read_annotations(tmp_path).starred


def test_columns_of_characters_stay_where_they_are():
    line = "REMARK é and \udce9 | 4"
    assert in_ascii(line.encode("utf-8", "surrogateescape"), "x").index(b"|") == line.index("|")
    assert in_ascii(b"plain", "x") == b"plain"


def test_every_byte_comes_back():
    data = bytes(range(32, 256))
    assert decoded(data, "x").encode("utf-8", "surrogateescape") == data
    assert without_mark(b"", "x") == b""


def test_a_few_control_characters_make_no_binary_file(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"seed = 1\n#" + b" " * 4000 + b"\n")
    assert read_toml(tmp_path / "x.toml", "x") == {"seed": 1}
    assert decoded(b"END\n" + b"\0" * 5, "x.pdb").startswith("END")


@pytest.mark.parametrize("data", [b"seed = " + b"9" * 5000, b"a = " + b"[" * 50_000, b"seed = 1\nseed = 2\n"])
def test_what_no_parser_reads_is_one_line(tmp_path, data):
    (tmp_path / "x.toml").write_bytes(data)
    with pytest.raises(InputError, match=r"x is not TOML: "):
        read_toml(tmp_path / "x.toml", "x")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "x: no name is given; wanted a readable text file"),
        ("a\0b", "x: no file can have this name"),
        (".", "x: Is"),
    ],
)
def test_a_name_of_no_file_is_said(path, message):
    with pytest.raises(InputError, match=message):
        read_text(path, "x")


def test_text_typed_where_utf8_is_not_the_encoding_is_not_blamed(monkeypatch):
    assert "are not UTF-8; write it in UTF-8" in not_unicode("\udcc3", "x")
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    assert "are not ascii, the encoding here; set LC_ALL=C.UTF-8" in not_unicode("\udcc3", "x")
