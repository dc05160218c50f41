from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile
from scipy import ndimage

from engine.base.errors import InputError
from engine.geometry import rotations
from engine.io.particles import read_particles
from engine.io.star import ERROR_COLUMN, write_star
from tests.conftest import gaussians, reference_projection

SIZE, PIXEL = 24, 2.5


def relion_matrix(rot_deg: float, tilt_deg: float, psi_deg: float) -> np.ndarray:
    """RELION's ``Euler_angles2matrix`` (reference to observation), from Heymann et al., J. Struct. Biol. 151 (2005)."""
    a, b, g = np.radians([rot_deg, tilt_deg, psi_deg])
    ca, cb, cg, sa, sb, sg = np.cos(a), np.cos(b), np.cos(g), np.sin(a), np.sin(b), np.sin(g)
    return np.array(
        [
            [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
            [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
            [sb * ca, sb * sa, cb],
        ]
    )


@pytest.fixture
def poses(rng: np.random.Generator) -> np.ndarray:
    return rotations.sample_orientations(6, rng)


def test_columns_hold_relions_matrix_and_minus_the_displacement(tmp_path: Path, poses, rng):
    shifts = rng.uniform(-3, 3, (6, 2))
    errors = rng.uniform(0, 0.1, 6)
    write_star(tmp_path / "a.star", poses, PIXEL, SIZE, "a.mrcs", shifts, errors)
    blocks = starfile.read(tmp_path / "a.star")
    table = blocks["particles"]
    angles = table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy()
    np.testing.assert_allclose([relion_matrix(*row).T for row in angles], poses, atol=2e-8)
    np.testing.assert_allclose(table[["rlnOriginXAngst", "rlnOriginYAngst"]], -shifts * PIXEL, atol=1e-6)
    np.testing.assert_allclose(table[ERROR_COLUMN], np.degrees(errors), atol=1e-6)
    assert list(table["rlnImageName"])[::5] == ["000001@a.mrcs", "000006@a.mrcs"]
    assert set(table["rlnOpticsGroup"]) == {1}
    optics = {column: blocks["optics"][column][0] for column in blocks["optics"]}
    assert (optics["rlnImagePixelSize"], optics["rlnImageSize"], optics["rlnImageDimensionality"]) == (PIXEL, SIZE, 2)


def test_a_known_pose_is_written_as_its_angles(tmp_path: Path):
    write_star(tmp_path / "a.star", rotations.from_euler([[30.0, 50.0, -70.0]]), 1.0, 8, "s/a.mrcs")
    row = starfile.read(tmp_path / "a.star")["particles"].iloc[0]
    assert [row[c] for c in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")] == [30.0, 50.0, -70.0]
    assert (row["rlnOriginXAngst"], row["rlnOriginYAngst"], row["rlnImageName"]) == (0.0, 0.0, "000001@s/a.mrcs")


def test_the_same_content_gives_the_same_bytes_in_relions_layout(tmp_path: Path, poses):
    for name in ("a.star", "b.star"):
        write_star(tmp_path / name, poses, PIXEL, SIZE, "a.mrcs")
    text = (tmp_path / "a.star").read_text()
    assert text == (tmp_path / "b.star").read_text()
    assert text.startswith("# version 30001\n\ndata_optics\n")
    assert text.count("# version 30001\n\ndata_") == 2
    assert "\t0.000000\t0.000000\t000001@a.mrcs" in text  # no shift is zero, not minus zero
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.star", "b.star"]


def test_reads_back_what_was_written(tmp_path: Path, poses, rng):
    shifts = rng.uniform(-3, 3, (6, 2))
    write_star(tmp_path / "a.star", poses, PIXEL, SIZE, "a.mrcs", shifts)
    doubts: list[str] = []
    table = read_particles(tmp_path / "a.star", warn=doubts.append)
    np.testing.assert_allclose(table.poses, poses, atol=2e-8)
    np.testing.assert_allclose(table.shifts_px, shifts, atol=1e-6)
    assert (set(table.pixel_size), set(table.image_size)) == ({PIXEL}, {SIZE})
    assert table.image_name(2) == "000003@a.mrcs"
    assert len(doubts) == 1
    assert "there is no CTF" in doubts[0]


def test_aspire_sees_the_images_that_we_mean(tmp_path: Path, poses, rng, aspire):
    """ASPIRE reads our table and stack, projects the volume by what it read, and finds our images.

    ASPIRE's arrays are laid out as ours, volumes [z, y, x] and images [y, x], without transposition; its rotations are
    our poses; its projections are sums over voxels divided by the box size; ``Image.shift(s)`` moves the content by -s,
    so that ``shift(offsets)`` displaces a centred projection as observed.
    """
    density = gaussians((SIZE,) * 3, [(3, 0, 0), (0, -4, 1), (-1, 2, 5)], [1.8, 2.0, 1.6], [1.0, 0.7, 0.5])
    shifts = rng.uniform(-3, 3, (6, 2))
    centred = np.stack([reference_projection(density, pose, np.full(3, SIZE // 2), SIZE) for pose in poses])
    observed = np.stack([ndimage.shift(i, s[::-1], order=5) for i, s in zip(centred, shifts, strict=True)])
    mrcfile.write(tmp_path / "a.mrcs", observed.astype(np.float32))
    write_star(tmp_path / "a.star", poses, PIXEL, SIZE, "a.mrcs", shifts, np.zeros(6))

    source = aspire.source.RelionSource(str(tmp_path / "a.star"))
    assert (source.n, source.L, source.pixel_size) == (6, SIZE, PIXEL)
    np.testing.assert_allclose(source.rotations, poses, atol=1e-6)
    np.testing.assert_array_equal(source.images[:].asnumpy(), observed.astype(np.float32))

    projected = aspire.volume.Volume(density).project(source.rotations)
    assert relative_error(projected.asnumpy() * SIZE, centred) < 2e-3
    again = projected.shift(source.offsets.astype(np.float32)).asnumpy() * SIZE
    assert relative_error(again, observed) < 2e-3
    assert relative_error(again, centred) > 0.3  # the shifts were not too small to tell


def relative_error(image: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(image - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("name", ["", "my stack.mrcs", "a@b.mrcs", 'a"b.mrcs', "a#b.mrcs"])
def test_refuses_stack_names_that_the_format_cannot_hold(tmp_path: Path, poses, name):
    with pytest.raises(InputError, match="stack's name"):
        write_star(tmp_path / "a.star", poses, PIXEL, SIZE, name)
    assert not list(tmp_path.iterdir())
