"""cryoSPARC's tables: pyem's and cryoDRGN's formulae, SciPy's rotations, passthrough files, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import recfunctions
from scipy.spatial.transform import Rotation

from engine.base.errors import InputError
from engine.io.particles import read_particles
from engine.io.stacks import open_images
from tests.io.particle_files import cs_rows, write_cs, write_images
from tests.io.test_particles import read
from tests.io.test_star import relion_matrix


def pyem_euler(vector: np.ndarray) -> np.ndarray:
    """RELION's angles in degrees of a rotation vector: ``rot2euler(expmap(e))`` of pyem, from its formulae."""
    theta = np.linalg.norm(vector)
    w = vector / theta
    k = np.array([[0, w[2], -w[1]], [-w[2], 0, w[0]], [w[1], -w[0], 0]])
    r = np.eye(3) + np.sin(theta) * k + (1 - np.cos(theta)) * (k @ k)
    return np.degrees(
        [np.arctan2(r[2, 1], r[2, 0]), np.arctan2(np.hypot(r[0, 2], r[1, 2]), r[2, 2]), np.arctan2(r[1, 2], -r[0, 2])]
    )


@pytest.fixture
def rows(rng: np.random.Generator) -> np.ndarray:
    return cs_rows(8, rng)


def test_poses_are_what_pyem_gives_to_relion(tmp_path: Path, rows):
    table = read(write_cs(tmp_path / "p.cs", rows))
    vectors = rows["alignments3D/pose"].astype(float)
    np.testing.assert_allclose([relion_matrix(*pyem_euler(v)).T for v in vectors], table.poses, atol=1e-12)
    np.testing.assert_allclose(Rotation.from_rotvec(vectors).as_matrix(), table.poses, atol=1e-12)


def test_shifts_are_in_pixels_of_the_alignment_and_point_to_the_centre(tmp_path: Path, rows):
    table = read(write_cs(tmp_path / "p.cs", rows))
    np.testing.assert_allclose(table.shifts_px, -2.0 * rows["alignments3D/shift"].astype(float), rtol=1e-12)
    np.testing.assert_array_equal(table.pixel_size, 1.5)
    given = read(tmp_path / "p.cs", "the table says 1.5 Å per pixel; the 3 Å given are taken", pixel_size=3.0)
    np.testing.assert_array_equal(given.shifts_px, table.shifts_px)


def test_other_columns_in_relions_units(tmp_path: Path, rows):
    table = read(write_cs(tmp_path / "p.cs", rows))
    assert (table.program, len(table), table.image_name(1)) == ("cryoSPARC", 8, "000001@J1/imported/a.mrcs")
    np.testing.assert_array_equal(table.halves, np.arange(8) % 2 + 1)
    np.testing.assert_array_equal(table.image_size, 16)
    np.testing.assert_array_equal(table.image_index, rows["blob/idx"])
    np.testing.assert_array_equal(table.ctf.defocus_angstrom[:, 1], rows["ctf/df2_A"])
    np.testing.assert_allclose(table.ctf.astigmatism_degrees, np.degrees(0.5))
    np.testing.assert_allclose(table.ctf.phase_shift_degrees, 90.0, rtol=1e-6)
    np.testing.assert_allclose(table.ctf.spherical_aberration_mm, 2.7, rtol=1e-6)
    np.testing.assert_array_equal(table.ctf.b_factor, 0.0)


def test_the_projects_folder_has_the_stacks(tmp_path: Path, rows, rng):
    images = rng.normal(size=(2, 4, 16, 16)).astype(np.float32)
    for name, part in zip("ab", images, strict=True):
        write_images(tmp_path / "P1" / "J1" / "imported" / f"{name}.mrcs", part, 1.5)
    table = read(write_cs(tmp_path / "P1" / "J7" / "p.cs", rows))
    read_images = open_images(table).read(np.arange(8))
    np.testing.assert_array_equal(read_images, images[::-1].transpose(1, 0, 2, 3).reshape(8, 16, 16))


def packed(rows: np.ndarray, names: list[str]) -> np.ndarray:
    result = np.empty(len(rows), [(name, *rows.dtype[name].subdtype) if rows.dtype[name].subdtype else
                                  (name, rows.dtype[name]) for name in names])  # fmt: skip
    for name in names:
        result[name] = rows[name]
    return result


def test_columns_of_the_passthrough_file_are_found_by_uid(tmp_path: Path, rows):
    whole = read(write_cs(tmp_path / "whole" / "p.cs", rows))
    names = list(rows.dtype.names)
    own = [name for name in names if name == "uid" or name.startswith("alignments3D")]
    rest = packed(rows, [name for name in names if name == "uid" or name not in own])
    more = np.concatenate([rest[:1], rest[::-1]])
    more["uid"][0] = 5
    main = write_cs(tmp_path / "J1" / "J1_particles.cs", packed(rows, own))
    with pytest.raises(InputError, match=r"has no blob/path; wanted a table of particles, or its passthrough file"):
        read_particles(main)
    write_cs(tmp_path / "J1" / "J1_passthrough_particles.cs", more)
    tables = [
        read(main, "columns that it lacks are taken from J1_passthrough_particles.cs"),
        read(main, passthrough=tmp_path / "J1" / "J1_passthrough_particles.cs"),
    ]
    for table in tables:
        np.testing.assert_array_equal(table.ctf.defocus_angstrom, whole.ctf.defocus_angstrom)
        np.testing.assert_array_equal(table.shifts_px, whole.shifts_px)
        assert [table.image_name(i) for i in range(8)] == [whole.image_name(i) for i in range(8)]
    other = write_cs(tmp_path / "J1" / "other.cs", more[3:])
    with pytest.raises(InputError, match=r"other.cs does not have all particles of J1_particles.cs by uid"):
        read_particles(main, passthrough=other)


def test_a_table_without_alignment_has_no_poses(tmp_path: Path, rows):
    names = [name for name in rows.dtype.names if not name.startswith("alignments3D")]
    table = read(write_cs(tmp_path / "p.cs", packed(rows, names)))
    assert (table.poses, table.shifts_px, table.halves) == (None, None, None)
    renamed = {name: name.replace("alignments3D", "alignments2D") for name in rows.dtype.names}
    plane = recfunctions.rename_fields(rows, renamed)
    table = read(write_cs(tmp_path / "p.cs", plane), "it has alignments2D/pose and no alignments3D/pose; taken as no")
    assert table.poses is None


def test_what_is_not_split_has_no_halves(tmp_path: Path, rows):
    rows["alignments3D/split"] = 0
    assert read(write_cs(tmp_path / "p.cs", rows)).halves is None


def test_a_missing_ctf_is_told(tmp_path: Path, rows):
    names = [name for name in rows.dtype.names if name not in ("ctf/cs_mm", "ctf/amp_contrast")]
    table = read(write_cs(tmp_path / "p.cs", packed(rows, names)), "ctf/cs_mm, ctf/ac are missing: there is no CTF")
    assert table.ctf is None


class Malicious:
    """Would leave a file behind if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_content_is_refused_and_never_loaded(tmp_path: Path):
    trace = tmp_path / "trace"
    objects = np.array([(1, Malicious(trace))], dtype=[("uid", "<u8"), ("blob/path", object)])
    for name, path in (("array", write_cs(tmp_path / "a.cs", objects, True)), ("bare", tmp_path / "b.cs")):
        if name == "bare":
            path.write_bytes(pickle.dumps(Malicious(trace)))
        with pytest.raises(InputError, match="pickled objects" if name == "array" else "is no .cs table") as caught:
            read_particles(path)
        assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x94CSDAT\x01", r"p\.cs is in cryoSPARC's compressed format \(CSDAT\); wanted NumPy's"),
        (b"PK\x03\x04 and so on", r"p\.cs is no \.cs table"),
        (b"\x93NUMPY\x01\x00\x10", r"p\.cs is damaged or cut short"),
        (b"", r"p\.cs is empty"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content, message):
    path = tmp_path / "p.cs"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_particles(path)


def test_a_table_that_is_cut_short_or_no_table(tmp_path: Path, rows):
    path = write_cs(tmp_path / "p.cs", rows)
    content = path.read_bytes()
    for damaged in (content[:-30], content[:20] + b"\0(" + content[22:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"p\.cs is damaged or cut short"):
            read_particles(path)
    with pytest.raises(InputError, match=r"is no table: it has an array \(3, 3\) without named columns"):
        read_particles(write_cs(path, np.eye(3)))
    with pytest.raises(InputError, match=r"has no particles"):
        read_particles(write_cs(path, rows[:0]))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("ctf/df1_A", np.nan, r"p\.cs, particle 3: ctf/df1_A is nan; wanted a number"),
        ("ctf/accel_kv", 300_000, r"ctf/accel_kv is 300000; wanted a number from 10 to 3000: the unit is kV"),
        ("blob/psize_A", 0, r"blob/psize_A gives 0 Å per pixel"),
        ("blob/path", b"", r"blob/path is empty for a particle"),
        ("blob/shape", (16, 15), r"blob/shape is 15 x 16; wanted square images"),
    ],
)
def test_faults_are_named(tmp_path: Path, rows, column, value, message):
    rows[column][2] = value
    with pytest.raises(InputError, match=message):
        read_particles(write_cs(tmp_path / "p.cs", rows))


def test_defocus_in_um_is_refused(tmp_path: Path, rows):
    for name in ("ctf/df1_A", "ctf/df2_A"):
        rows[name] /= 1e4
    with pytest.raises(InputError, match=r"ctf/df1_A has a median of .*, which would be um; wanted Å"):
        read_particles(write_cs(tmp_path / "p.cs", rows))
