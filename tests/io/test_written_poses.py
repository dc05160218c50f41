"""The same table with other poses: everything else keeps its text, and ASPIRE, starfile and we read the new ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import starfile

from engine.base.errors import ArgumentError, InputError
from engine.geometry import rotations
from engine.io.particles import read_particles, write_poses
from engine.io.stacks import open_images
from tests.io.particle_files import RELION_30, RELION_31, VERSIONS, cs_rows, write_cs, write_images, write_star_text
from tests.io.test_star import relion_matrix

REPLACED = {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginX", "rlnOriginY", "rlnOriginXAngst",
            "rlnOriginYAngst"}  # fmt: skip


def silent(line: str) -> None:
    """Nobody listens."""


@pytest.fixture
def new(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "poses": rotations.sample_orientations(3, rng),
        "shifts_px": rng.uniform(-3, 3, (3, 2)),
        "confidence": rng.uniform(0, 1, 3),
        "halves": np.array([2, 1, 2]),
    }


def first(new: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    return {name: values[:count] for name, values in new.items()}


def rows_of(text: str) -> list[dict[str, str]]:
    """Values of the particle block by column, as texts: split at spaces, which the tests' quoted name has none of."""
    lines = text.replace("'mic/b 2.mrc'", "'mic/b_2.mrc'").splitlines()
    start = max(number for number, line in enumerate(lines) if line.startswith("_rlnImageName"))
    while lines[start - 1].startswith("_"):
        start -= 1
    names = []
    while lines[start].startswith("_"):
        names.append(lines[start].split()[0][1:])
        start += 1
    return [dict(zip(names, line.split(), strict=True)) for line in lines[start:] if line.strip()]


@pytest.mark.parametrize("version", VERSIONS)
def test_all_other_values_and_blocks_keep_their_text(tmp_path: Path, version, new):
    text = VERSIONS[version]
    table = read_particles(write_star_text(tmp_path / "p.star", text))
    count = len(table)
    remarks = write_poses(tmp_path / "out.star", table, np.arange(count), **first(new, count))
    assert remarks == []
    written = (tmp_path / "out.star").read_text(encoding="utf-8")
    before, after = rows_of(text), rows_of(written)
    assert list(after[0]) == [*before[0], "poselabConfidence"]
    for old, row in zip(before, after, strict=True):
        assert {name: row[name] for name in old if name not in REPLACED | {"rlnRandomSubset"}} == {
            name: value for name, value in old.items() if name not in REPLACED | {"rlnRandomSubset"}
        }
    head, head_after = (t.partition("_rlnImageName")[0].splitlines() for t in (text, written))
    assert head == head_after
    assert written.endswith(text[len(text.rstrip()) :])
    assert sorted(os.listdir(tmp_path)) == ["out.star", "p.star"]


@pytest.mark.parametrize("version", VERSIONS)
def test_starfile_and_we_read_the_new_values(tmp_path: Path, version, new):
    table = read_particles(write_star_text(tmp_path / "p.star", VERSIONS[version]))
    count = len(table)
    given = first(new, count)
    write_poses(tmp_path / "out.star", table, np.arange(count), **given)
    again = read_particles(tmp_path / "out.star")
    np.testing.assert_allclose(again.poses, given["poses"], atol=3e-8)
    np.testing.assert_allclose(again.shifts_px, given["shifts_px"], atol=1e-6)
    np.testing.assert_array_equal(again.halves, given["halves"])
    assert again.program == table.program
    blocks = starfile.read(tmp_path / "out.star", always_dict=True)
    frame = blocks.get("particles", blocks.get(""))
    angles = frame[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy()
    np.testing.assert_allclose([relion_matrix(*row).T for row in angles], given["poses"], atol=3e-8)
    names, unit = (["rlnOriginX", "rlnOriginY"], 1.0) if version == "3.0" else (
        ["rlnOriginXAngst", "rlnOriginYAngst"], table.pixel_size[:, None])  # fmt: skip
    np.testing.assert_allclose(frame[names], -given["shifts_px"] * unit, atol=1e-6)
    np.testing.assert_allclose(frame["poselabConfidence"], given["confidence"], atol=1e-6)
    assert list(frame["rlnRandomSubset"]) == given["halves"].tolist()


@pytest.mark.parametrize("version", VERSIONS)
def test_aspire_reads_poses_and_origins(tmp_path: Path, version, new, aspire):
    text = "\n".join(line for line in VERSIONS[version].replace("é", "e").splitlines() if "night2" not in line)
    if version != "3.0":
        text = "\n".join(line for line in text.splitlines() if "@b.mrcs" not in line)
    table = read_particles(write_star_text(tmp_path / "p.star", text + "\n"))
    for name in ("a.mrcs", "b.mrcs"):
        write_images(tmp_path / name, np.zeros((3, 16, 16), np.float32), 2.0)
    write_poses(tmp_path / "out.star", table, [0, 1], **first(new, 2))
    source = aspire.source.RelionSource(str(tmp_path / "out.star"), pixel_size=2.0)
    np.testing.assert_allclose(source.rotations, new["poses"][:2], atol=1e-6)
    np.testing.assert_allclose(np.asarray(source.offsets), -new["shifts_px"][:2], atol=1e-5)


def test_particles_are_dropped_and_counted_and_keep_the_tables_order(tmp_path: Path, new):
    table = read_particles(write_star_text(tmp_path / "p.star", RELION_31))
    remarks = write_poses(tmp_path / "out.star", table, [2, 0], new["poses"][:2], new["shifts_px"][:2])
    assert remarks == ["1 of the 3 particles of p.star are not in out.star"]
    again = read_particles(tmp_path / "out.star")
    assert [again.image_name(i) for i in range(2)] == [table.image_name(0), table.image_name(2)]
    np.testing.assert_allclose(again.poses, new["poses"][[1, 0]], atol=3e-8)
    np.testing.assert_array_equal(again.halves, table.halves[[0, 2]])
    assert "poselabConfidence" not in (tmp_path / "out.star").read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", [".star", ".cs"])
def test_shifts_are_the_same_pixels_by_the_tables_own_pixel_size(tmp_path: Path, ending, new, rng):
    path = tmp_path / f"p{ending}"
    write_star_text(path, RELION_31) if ending == ".star" else write_cs(path, cs_rows(3, rng))
    table = read_particles(path, pixel_size=4.0, warn=silent)
    write_poses(tmp_path / f"out{ending}", table, [0, 1, 2], **new)
    for size in (None, 4.0):
        again = read_particles(tmp_path / f"out{ending}", pixel_size=size, warn=silent)
        np.testing.assert_allclose(again.shifts_px, new["shifts_px"], atol=1e-6)


def test_written_twice_there_is_one_confidence(tmp_path: Path, new):
    table = read_particles(write_star_text(tmp_path / "p.star", RELION_31))
    write_poses(tmp_path / "p.star", table, [0, 1, 2], **new)
    once = (tmp_path / "p.star").read_bytes()
    write_poses(tmp_path / "p.star", read_particles(tmp_path / "p.star"), [0, 1, 2], **new)
    assert (tmp_path / "p.star").read_bytes() == once


def test_columns_that_are_missing_are_added_in_the_unit_of_the_version(tmp_path: Path, new):
    for text, names in ((RELION_30, ("rlnOriginX", "rlnOriginY")), (RELION_31, ("rlnOriginXAngst", "rlnOriginYAngst"))):
        for name in (*names, "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnRandomSubset"):
            text = text.replace(f"_{name} ", f"_other{name} ")
        table = read_particles(write_star_text(tmp_path / "p.star", text))
        assert table.poses is None
        write_poses(tmp_path / "out.star", table, [0, 1], **first(new, 2))
        last = list(rows_of((tmp_path / "out.star").read_text(encoding="utf-8"))[0])[-7:]
        assert last == ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", *names, "rlnRandomSubset", "poselabConfidence"]
        again = read_particles(tmp_path / "out.star")
        np.testing.assert_allclose(again.poses, new["poses"][:2], atol=3e-8)
        np.testing.assert_allclose(again.shifts_px, new["shifts_px"][:2], atol=1e-6)


def test_a_stray_line_is_dropped_and_windows_line_ends_and_other_bytes_stay(tmp_path: Path, new):
    head, last = RELION_30.rstrip("\n").rsplit("\n", 1)
    text = f"{head}\n9\n{last}\n".replace("3.0.6", "3.0.6 of M?ller").replace("\n", "\r\n")
    path = tmp_path / "p.star"
    path.write_bytes(text.encode().replace(b"M?ller", b"M\xfcller"))
    table = read_particles(path, warn=silent)
    write_poses(tmp_path / "out.star", table, [0, 1], **first(new, 2))
    data = (tmp_path / "out.star").read_bytes()
    assert b"of M\xfcller\r\n" in data
    assert data.count(b"\n") == data.count(b"\r\n")
    assert b"\r\n9\r\n" not in data
    assert len(read_particles(tmp_path / "out.star")) == 2


def test_one_row_without_a_loop(tmp_path: Path, new):
    pairs = "_rlnImageName 000004@a.mrcs\n_rlnImagePixelSize 1.5\n_rlnAngleRot 1\n_rlnAngleTilt 2\n_rlnAnglePsi 3\n"
    table = read_particles(write_star_text(tmp_path / "p.star", f"data_\n\n{pairs}\n"), warn=silent)
    write_poses(tmp_path / "out.star", table, [0], **first(new, 1))
    again = read_particles(tmp_path / "out.star", warn=silent)
    np.testing.assert_allclose(again.poses, new["poses"][:1], atol=3e-8)
    np.testing.assert_allclose(again.shifts_px, new["shifts_px"][:1], atol=1e-6)
    assert again.halves.tolist() == [2]
    assert "_poselabConfidence 0." in (tmp_path / "out.star").read_text()


def test_images_alone_get_a_table_that_aspire_and_we_read(tmp_path: Path, new, rng, aspire):
    images = rng.normal(size=(4, 16, 16)).astype(np.float32)
    path = write_images(tmp_path / "a.mrcs", images, 1.5)
    table = read_particles(path, warn=silent)
    write_poses(tmp_path / "x.star", table, [3, 0, 1], **new)
    again = read_particles(tmp_path / "x.star", warn=silent)
    np.testing.assert_allclose(again.poses, new["poses"][[1, 2, 0]], atol=3e-8)
    np.testing.assert_array_equal(open_images(again).read([0, 1, 2]), images[[0, 1, 3]])
    np.testing.assert_allclose(again.pixel_size, 1.5)
    source = aspire.source.RelionSource(str(tmp_path / "x.star"))
    np.testing.assert_allclose(source.rotations, new["poses"][[1, 2, 0]], atol=1e-6)
    np.testing.assert_array_equal(source.images[:].asnumpy(), images[[0, 1, 3]])


# cryoSPARC ------------------------------------------------------------------------------------------------------------


def test_cryosparcs_fields_stay_and_poses_shifts_and_halves_are_replaced(tmp_path: Path, new, rng):
    rows = cs_rows(5, rng)
    table = read_particles(write_cs(tmp_path / "p.cs", rows))
    remarks = write_poses(tmp_path / "out.cs", table, [4, 0, 2], **new)
    assert remarks == ["2 of the 5 particles of p.cs are not in out.cs"]
    written = np.load(tmp_path / "out.cs", allow_pickle=False)
    assert written.dtype.names == (*rows.dtype.names, "poselab/confidence")
    for name in set(rows.dtype.names) - {"alignments3D/pose", "alignments3D/shift", "alignments3D/split"}:
        assert written[name].tobytes() == rows[name][[0, 2, 4]].tobytes()
    np.testing.assert_allclose(written["poselab/confidence"], new["confidence"][[1, 2, 0]], rtol=1e-6)
    np.testing.assert_allclose(written["alignments3D/shift"], -new["shifts_px"][[1, 2, 0]] / 2, rtol=1e-6)  # of 3 Å
    again = read_particles(tmp_path / "out.cs")
    np.testing.assert_allclose(again.poses, new["poses"][[1, 2, 0]], atol=1e-6)
    np.testing.assert_allclose(again.shifts_px, new["shifts_px"][[1, 2, 0]], atol=1e-6)
    np.testing.assert_array_equal(again.halves, new["halves"][[1, 2, 0]])


def test_fields_that_cryosparcs_table_lacks_are_added(tmp_path: Path, new, rng):
    rows = cs_rows(3, rng)[["uid", "blob/path", "blob/idx", "blob/psize_A"]]
    table = read_particles(write_cs(tmp_path / "p.cs", rows), warn=silent)
    write_poses(tmp_path / "out.cs", table, [0, 1, 2], **new)
    again = read_particles(tmp_path / "out.cs", warn=silent)
    np.testing.assert_allclose(again.poses, new["poses"], atol=1e-6)
    np.testing.assert_allclose(again.shifts_px, new["shifts_px"], atol=1e-6)
    np.testing.assert_array_equal(again.halves, new["halves"])
    written = np.load(tmp_path / "out.cs", allow_pickle=False)
    assert written.dtype["alignments3D/pose"] == np.dtype(("<f4", (3,)))
    np.testing.assert_allclose(written["alignments3D/psize_A"], 1.5)


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("indices", "changes", "message"),
    [
        ([0, 1], {}, r"poses has 3 rows; wanted one for each of the 2 in indices"),
        ([0, 1, 2], {"halves": np.array([1])}, r"halves has 1 rows; wanted"),
        ([0, 1, 1], {}, r"indices repeat or are not in the table"),
        ([0, 1, 3], {}, r"indices repeat or are not in the table"),
        ([-1, 0, 1], {}, r"indices repeat or are not in the table"),
        ([], {"poses": [], "shifts_px": [], "confidence": None, "halves": None}, r"indices are none"),
        ([0, 1, 2], {"halves": np.array([0, 1, 2])}, r"halves are 0; wanted 1 or 2"),
        ([0, 1, 2], {"confidence": np.array([0.1, np.nan, 1])}, r"confidence has values that are not finite"),
        ([0, 1, 2], {"shifts_px": np.full((3, 2), np.inf)}, r"shifts_px has values that are not finite"),
        ([0, 1, 2], {"poses": np.full((3, 3, 3), np.nan)}, r"poses has values that are not finite"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_match_are_refused_by_name(tmp_path: Path, new, indices, changes, message):
    table = read_particles(write_star_text(tmp_path / "p.star", RELION_31))
    with pytest.raises(ArgumentError, match=message):
        write_poses(tmp_path / "out.star", table, indices, **(new | changes))
    assert not (tmp_path / "out.star").exists()


def test_without_a_pixel_size_nothing_is_written(tmp_path: Path, new):
    text = RELION_31.replace("_rlnImagePixelSize ", "_other ").replace("_rlnMicrographOriginalPixelSize ", "_another ")
    table = read_particles(write_star_text(tmp_path / "p.star", text), warn=silent)
    with pytest.raises(ArgumentError, match=r"p.star has no pixel size, in which shifts are written; read it with pix"):
        write_poses(tmp_path / "out.star", table, [0, 1, 2], **new)


def test_a_stacks_name_that_a_star_cannot_hold(tmp_path: Path, new):
    path = write_images(tmp_path / "my stack.mrcs", np.zeros((3, 16, 16), np.float32), 1.5)
    with pytest.raises(InputError, match=r"cannot be a stack's name in a .star"):
        write_poses(tmp_path / "x.star", read_particles(path, warn=silent), [0, 1, 2], **new)


def test_origins_in_pixels_beside_optics_groups_are_joined_by_those_in_angstrom(tmp_path: Path, new):
    """RELION 3.1 reads the latter alone."""
    text = RELION_31.replace("_rlnOriginXAngst", "_rlnOriginX").replace("_rlnOriginYAngst", "_rlnOriginY")
    table = read_particles(write_star_text(tmp_path / "p.star", text))
    np.testing.assert_array_equal(table.shifts_px[0], [-3.0, 5.0])
    write_poses(tmp_path / "out.star", table, [0, 1, 2], **new)
    frame = starfile.read(tmp_path / "out.star")["particles"]
    np.testing.assert_allclose(frame[["rlnOriginX", "rlnOriginY"]], -new["shifts_px"], atol=1e-6)
    in_angstrom = -new["shifts_px"] * table.pixel_size[:, None]
    np.testing.assert_allclose(frame[["rlnOriginXAngst", "rlnOriginYAngst"]], in_angstrom, atol=1e-6)


def test_other_endings_and_folders_that_are_not_there(tmp_path: Path, new):
    table = read_particles(write_star_text(tmp_path / "p.star", RELION_31))
    with pytest.raises(InputError, match=r"out.cs: the poses of p.star are written as .star; give it this ending"):
        write_poses(tmp_path / "out.cs", table, [0, 1, 2], **new)
    with pytest.raises(InputError, match=r"cannot write .*none/out.star: No such file"):
        write_poses(tmp_path / "none" / "out.star", table, [0, 1, 2], **new)


@pytest.mark.parametrize("name", ["5j0n-small", "5j0n-noisy"])
def test_stacks_that_aspire_wrote(shared_data: Path, tmp_path: Path, name):
    path = shared_data / "particles" / name / "particles.star"
    if not path.exists():
        pytest.skip("the stacks are not there")
    table = read_particles(path)
    write_poses(tmp_path / "out.star", table, np.arange(len(table)), table.poses, table.shifts_px)
    again = read_particles(tmp_path / "out.star")
    np.testing.assert_allclose(again.poses, table.poses, atol=3e-8)
    np.testing.assert_allclose(again.shifts_px, table.shifts_px, atol=1e-6)
    old, written = path.read_text().splitlines(), (tmp_path / "out.star").read_text().splitlines()
    replaced = [3, 4, 5, 9, 10]
    assert len(old) == len(written)
    for line, now in zip(old, written, strict=True):
        if line != now:
            values, others = line.split(), now.split()
            assert [v for i, v in enumerate(values) if i not in replaced] == [
                v for i, v in enumerate(others) if i not in replaced
            ]
