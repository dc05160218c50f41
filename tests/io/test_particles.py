"""What tables of particles say: RELION's versions, against starfile's reading, RELION's definitions and ASPIRE's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import starfile

from engine.base.errors import InputError
from engine.io.particles import read_particles
from engine.io.stacks import open_images
from tests.io.particle_files import RELION_5, RELION_30, RELION_31, VERSIONS, write_images, write_star_text
from tests.io.test_star import relion_matrix


def read(path: Path, *remarks: str, **arguments):
    """The table, which has these remarks and no others."""
    lines: list[str] = []
    table = read_particles(path, warn=lines.append, **arguments)
    assert len(lines) == len(remarks) == len(table.remarks), lines
    for line, words in zip(lines, remarks, strict=True):
        assert words in line
        assert line.startswith(f"{path}: ")
        assert "\n" not in line
    return table


def test_relion_30_has_pixels_of_detector_and_magnification_and_origins_in_pixels(tmp_path: Path):
    table = read(write_star_text(tmp_path / "p.star", RELION_30))
    assert (len(table), table.program, table.stacks) == (2, "RELION 3.0", ("a.mrcs", "b.mrcs"))
    np.testing.assert_array_equal(table.pixel_size, [2.0, 2.0])
    np.testing.assert_array_equal(table.shifts_px, [[-1.5, 0.25], [0.0, -2.0]])
    np.testing.assert_array_equal(table.stack_index, [0, 1])
    np.testing.assert_array_equal(table.image_index, [1, 0])
    np.testing.assert_array_equal(table.halves, [1, 2])
    np.testing.assert_array_equal(table.image_size, [0, 0])
    assert table.image_name(0) == "000002@a.mrcs"


@pytest.mark.parametrize(("text", "program"), [(RELION_31, "RELION 3.1"), (RELION_5, "RELION 5")])
def test_later_versions_have_a_pixel_size_an_image_size_and_optics_of_each_group(tmp_path: Path, text, program):
    table = read(write_star_text(tmp_path / "p.star", text))
    assert table.program == program
    np.testing.assert_array_equal(table.optics_group, [1, 1, 3])
    np.testing.assert_array_equal(table.pixel_size, [2.0, 2.0, 2.5])
    np.testing.assert_array_equal(table.image_size, [16, 16, 12])
    np.testing.assert_array_equal(table.shifts_px, [[-1.5, 2.5], [0.0, 0.0], [-1.0, -2.0]])
    np.testing.assert_array_equal(table.ctf_premultiplied, [False, False, True])
    np.testing.assert_array_equal(table.phase_flipped, [False] * 3)
    ctf = table.ctf
    np.testing.assert_array_equal(ctf.defocus_angstrom[:2], [[13108.082418, 12845.582418], [20000.0, 19000.5]])
    np.testing.assert_array_equal(ctf.astigmatism_degrees, [-160.39, 10.0, 0.0])
    np.testing.assert_array_equal(ctf.voltage_kv, [300.0, 300.0, 200.0])
    np.testing.assert_array_equal(ctf.spherical_aberration_mm, [0.01, 0.01, 2.7])
    np.testing.assert_array_equal(ctf.amplitude_contrast, [0.1, 0.1, 0.07])
    np.testing.assert_array_equal(ctf.phase_shift_degrees, [90.0, 0.0, 0.0])
    np.testing.assert_array_equal(ctf.b_factor, [5.0, 0.0, 0.0])
    assert ctf.magnification is None
    assert "12 to 16 px of 2 to 2.5 Å" in table.summary()
    assert "half sets of 1 and 2" in repr(table)


@pytest.mark.parametrize("text", VERSIONS.values(), ids=VERSIONS)
def test_values_are_those_that_starfile_reads(tmp_path: Path, text):
    path = write_star_text(tmp_path / "p.star", text)
    table, blocks = read(path), starfile.read(path, always_dict=True)
    rows = blocks.get("particles", blocks.get(""))
    angles = rows[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy()
    np.testing.assert_allclose(table.poses, [relion_matrix(*row).T for row in angles], atol=1e-12)
    np.testing.assert_array_equal(table.ctf.defocus_angstrom, rows[["rlnDefocusU", "rlnDefocusV"]])
    assert [table.image_name(i) for i in range(len(table))] == list(rows["rlnImageName"])
    np.testing.assert_array_equal(table.halves, rows["rlnRandomSubset"])


def test_an_origin_points_to_the_centre_as_relion_shifts_it(tmp_path: Path):
    """RELION puts a projection's centre at n / 2 - origin: ``ObservationModel::predictObservation``, a phase ramp."""
    table = read(write_star_text(tmp_path / "p.star", RELION_31))
    size, origin_px = 32, np.array([3.0, -5.0]) / 2.0
    k = np.fft.fftfreq(size)
    ramp = np.exp(-2j * np.pi * (k[None, :] * (size // 2 - origin_px[0]) + k[:, None] * (size // 2 - origin_px[1])))
    blob = np.exp(-16 * np.pi**2 * (k[None, :] ** 2 + k[:, None] ** 2) / 2)
    image = np.fft.ifft2(blob * ramp).real
    y, x = np.mgrid[:size, :size] - size // 2
    centre = np.array([(image * x).sum(), (image * y).sum()]) / image.sum()
    np.testing.assert_allclose(table.shifts_px[0], centre, atol=1e-6)


@pytest.mark.parametrize("version", VERSIONS)
def test_aspire_reads_the_same(tmp_path: Path, version, aspire):
    """ASPIRE's offsets are origins in pixels, see ``test_star``. It knows one optics group, and ASCII alone."""
    text = "\n".join(line for line in VERSIONS[version].replace("é", "e").splitlines() if "night2" not in line)
    if version != "3.0":
        text = "\n".join(line for line in text.splitlines() if "@b.mrcs" not in line)
    path = write_star_text(tmp_path / "p.star", text + "\n")
    for name in ("a.mrcs", "b.mrcs"):
        write_images(tmp_path / name, np.zeros((3, 16, 16), np.float32), 2.0)
    table, source = read(path), aspire.source.RelionSource(str(path), pixel_size=2.0)
    np.testing.assert_allclose(source.rotations, table.poses, atol=1e-6)
    np.testing.assert_allclose(np.asarray(source.offsets), -table.shifts_px, atol=1e-6)
    np.testing.assert_allclose(source.get_metadata(["_rlnDefocusU", "_rlnDefocusV"]), table.ctf.defocus_angstrom)


def without(text: str, column: str) -> str:
    """RELION 3.1's table without a column of data_particles or data_optics."""
    return text.replace(f"_{column} ", f"_dropped{column} ")


@pytest.mark.parametrize(
    ("column", "named"),
    [("rlnDefocusU", "rlnDefocusU is"), ("rlnVoltage", "rlnVoltage is"), ("rlnSphericalAberration", "Aberration is")],
)
def test_a_missing_ctf_is_told_by_the_name_of_its_column(tmp_path: Path, column, named):
    table = read(write_star_text(tmp_path / "p.star", without(RELION_31, column)), f"{named} missing: there is no CTF")
    assert table.ctf is None
    assert table.missing_ctf == (column,)
    assert "no CTF" in table.summary()
    assert table.poses is not None


def test_what_relion_takes_for_missing_columns_of_the_ctf(tmp_path: Path):
    text = without(without(RELION_31, "rlnDefocusV"), "rlnAmplitudeContrast")
    table = read(write_star_text(tmp_path / "p.star", text), "rlnAmplitudeContrast is missing; taken as 0")
    np.testing.assert_array_equal(table.ctf.defocus_angstrom[:, 0], table.ctf.defocus_angstrom[:, 1])
    np.testing.assert_array_equal(table.ctf.amplitude_contrast, [0.0] * 3)


def test_what_is_not_there_is_none(tmp_path: Path):
    text = RELION_31
    for column in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnRandomSubset"):
        text = without(text, column)
    table = read(write_star_text(tmp_path / "p.star", text))
    assert table.poses is None
    assert table.shifts_px is None
    assert table.halves is None
    assert "no poses, no half sets" in table.summary()


@pytest.mark.parametrize(
    ("old", "new", "remark"),
    [
        ("_rlnAngleTilt ", "_otherTilt ", "there is only rlnAngleRot, rlnAnglePsi; taken as no poses"),
        ("_rlnRandomSubset", "_rlnGroupNumber", None),
        ("            2 \n", "            7 \n", "rlnRandomSubset has 1, 7; wanted 1 and 2: taken as no half sets"),
        ("_rlnPhaseShift", "_rlnBeamTiltX", "rlnBeamTiltX is not taken into account"),
        ("_rlnPhaseShift", "_rlnCtfScalefactor", "rlnCtfScalefactor is not taken into account"),
        ("_rlnPhaseShift", "_rlnCtfDataAreCtfCorrected", "rlnCtfDataAreCtfCorrected is set"),
        ("000003@a.mrcs", "000001@a.mrcs", "1 particle has an image that an earlier one has, first 000001@a.mrcs; 1 "),
        ("000003@a.mrcs 2.0e", "\n000003@a.mrcs 2.0e", "2 rows of data_particles come after an empty line"),
        ("_rlnImagePixelSize ", "_otherPixelSize ", "rlnMicrographOriginalPixelSize (1 Å) is taken, as RELION does"),
    ],
)  # fmt: skip
def test_doubts_are_told(tmp_path: Path, old, new, remark):
    assert old in RELION_31
    read(write_star_text(tmp_path / "p.star", RELION_31.replace(old, new)), *([remark] if remark else []))


def test_angles_that_are_all_zero_are_no_poses(tmp_path: Path):
    text = RELION_30
    for value in ("10.000000    20.000000    30.000000", "-60.000000   120.000000   -90.000000"):
        text = text.replace(value, "0 0 0")
    assert read(write_star_text(tmp_path / "p.star", text), "taken as no poses yet").poses is None
    turned = text.replace("0 0 0", "0 0 7.5")
    assert read(write_star_text(tmp_path / "p.star", turned), "turned in their plane alone").poses is None


def test_the_stray_line_of_a_published_table_is_left_out(tmp_path: Path):
    """EMPIAR-10028's table has a 9 alone on line 5476."""
    first, second = RELION_30.rstrip("\n").rsplit("\n", 1)
    path = write_star_text(tmp_path / "p.star", f"{first}\n9\n{second}\n")
    table = read(path, "line 24 of data_ has only '9'; left out")
    assert path.read_text().splitlines()[23] == "9"
    assert len(table) == 2


def test_pixel_sizes_that_contradict_each_other_and_one_that_is_given(tmp_path: Path):
    text = RELION_30.replace("_rlnCtfFigureOfMerit", "_rlnImagePixelSize").replace("-nan", "0.25")
    path = write_star_text(tmp_path / "p.star", text)
    table = read(
        path, "rlnImagePixelSize says 0.25 Å per pixel and rlnDetectorPixelSize x 10,000 / rlnMagnification 2;"
    )
    np.testing.assert_array_equal(table.pixel_size, [0.25, 0.25])
    path = write_star_text(tmp_path / "p.star", RELION_31)
    table = read(path, "the table says 2 Å per pixel; the 4 Å given are taken", pixel_size=4.0)
    np.testing.assert_array_equal(table.pixel_size, [4.0] * 3)
    np.testing.assert_array_equal(table.shifts_px[0], [-1.5, 2.5])  # the pixels that RELION means, by its 2 Å


def test_a_table_without_pixel_size_takes_the_stacks(tmp_path: Path):
    text = without(RELION_31, "rlnImagePixelSize").replace("_rlnMicrographOriginalPixelSize", "_dropped")
    path = write_star_text(tmp_path / "p.star", text)
    no_shifts = "rlnOriginXAngst is in Å, and there is no pixel size: left out"
    table = read(path, no_shifts, "there is no pixel size in the table")
    assert np.isnan(table.pixel_size).all()
    assert table.shifts_px is None
    write_images(tmp_path / "a.mrcs", np.zeros((3, 16, 16), np.float32), 1.5)
    write_images(tmp_path / "b.mrcs", np.zeros((1, 12, 12), np.float32), 1.5)
    table = read(path, "no pixel size in the table: 1.5 Å is taken from the stack's header")
    np.testing.assert_allclose(table.shifts_px[0], [-2.0, 5 / 1.5])
    assert open_images(table).remarks == ()


def test_a_table_without_image_size_takes_the_stacks(tmp_path: Path):
    path = write_star_text(tmp_path / "p.star", RELION_30)
    write_images(tmp_path / "a.mrcs", np.zeros((3, 10, 10), np.float32))
    np.testing.assert_array_equal(read(path).image_size, [10, 0])


def test_one_row_without_a_loop(tmp_path: Path):
    pairs = "\n".join(f"_{name} {value}" for name, value in
                      [("rlnImageName", "000004@a.mrcs"), ("rlnImagePixelSize", "1.5"), ("rlnAngleRot", "10"),
                       ("rlnAngleTilt", "20"), ("rlnAnglePsi", "30"), ("rlnOriginXAngst", "3"),
                       ("rlnOriginYAngst", "-6"), ("rlnDefocusU", "10000"), ("rlnVoltage", "300"),
                       ("rlnSphericalAberration", "2.7"), ("rlnAmplitudeContrast", "0.1")])  # fmt: skip
    table = read(write_star_text(tmp_path / "p.star", f"data_particles\n\n{pairs}\n\n"))
    assert (len(table), table.image_name(0)) == (1, "000004@a.mrcs")
    np.testing.assert_allclose(table.poses[0].T, relion_matrix(10, 20, 30), atol=1e-12)
    np.testing.assert_array_equal(table.shifts_px, [[-2.0, 4.0]])


def test_phases_that_have_been_flipped(tmp_path: Path):
    text = RELION_31.replace("_rlnPhaseShift", "_rlnCtfDataArePhaseFlipped")
    np.testing.assert_array_equal(read(write_star_text(tmp_path / "p.star", text)).phase_flipped, [True, False, False])


def test_anisotropic_magnification_is_relions_matrix(tmp_path: Path):
    text = RELION_31
    for old, new in zip(("rlnPhaseShift", "rlnCtfBfactor", "rlnAngleTilt", "rlnAngleRot"), ("00", "01", "10", "11"),
                        strict=True):  # fmt: skip
        text = text.replace(f"_{old} ", f"_rlnMagMat{new} ")
    table = read(write_star_text(tmp_path / "p.star", text), "there is only rlnAnglePsi")
    np.testing.assert_array_equal(table.ctf.magnification[0], [[90.0, 5.0], [82.318041, -102.30296]])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("_rlnImageName ", "_otherName ", r"has data_optics, data_particles and in none of them rlnImageName; wanted"),
        ("000003@a.mrcs", "000000@a.mrcs", r"p\.star, line 41: rlnImageName is '000000@a.mrcs'; wanted 000001"),
        ("000003@a.mrcs", "000003@", r"rlnImageName is '000003@'; wanted"),
        ("13108.082418", "1.3u", r"line 40: rlnDefocusU is '1.3u'; wanted a number"),
        ("13108.082418", "nan", r"line 40: rlnDefocusU is 'nan'; wanted a number"),
        ("   200.000000", "       inf", r"line 17: rlnVoltage is 'inf'; wanted a number"),
        ("   200.000000", " 200000.00", r"rlnVoltage is 200000; wanted a number from 10 to 3000: the unit is kV"),
        ("     2.700000", "  2.7e+7", r"rlnSphericalAberration is 2.7e\+07; wanted .*: the unit is mm"),
        ("     0.070000", "     7.0", r"rlnAmplitudeContrast is 7; wanted .*: it is a share of the contrast"),
        ("     2.500000     1.250000", " 0 1.25", r"rlnImagePixelSize gives 0 Å per pixel; wanted a number from 0.01"),
        ("            3     0.000000", " 4 0.0", r"rlnOpticsGroup 4 of a particle is not in data_optics; add its row"),
        ("_rlnOpticsGroup #7", "_otherGroup #7", r"data_particles has no rlnOpticsGroup, and there are 2 groups"),
        ("_rlnOriginYAngst", "_rlnOriginXAngst", r"data_particles has the column rlnOriginXAngst twice"),
        ("mic/c_3.mrc            2 ", "mic/c_3.mrc", r"line 42: 13 values, and data_particles has 14 columns; the"),
        ("mic/c_3.mrc ", "mic/c 3.mrc ", r"line 42: 15 values, and data_particles has 14 columns"),
        ("_rlnMicrographName", "_rlnTomoName", r"is a table of subtomograms \(it has rlnTomoName\); wanted one"),
        ("_rlnMicrographName", "_rlnCtfImage", r"is a table of subtomograms \(it has rlnCtfImage\)"),
        ("           16            2 ", " 16 3 ", r"is a table of subtomograms \(it has rlnImageDimensionality 3\)"),
    ],
)  # fmt: skip
def test_faults_get_one_line_that_names_them(tmp_path: Path, old, new, message):
    assert old in RELION_31
    path = write_star_text(tmp_path / "p.star", RELION_31.replace(old, new))
    with pytest.raises(InputError, match=message) as caught:
        read_particles(path, warn=lambda line: None)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_defocus_in_um_is_refused(tmp_path: Path):
    lines = RELION_30.replace("15686.000000 15500.000000", "1.5686 1.55").replace(
        "16061.000000 16000.000000", "1.6 1.6"
    )
    with pytest.raises(InputError, match=r"rlnDefocusU has a median of 1.58, which would be um; wanted Å, multiply by"):
        read_particles(write_star_text(tmp_path / "p.star", lines))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.star", "", r"p\.star has no data block; wanted a \.star table"),
        ("p.star", "hello\nworld\n", r"has no data block"),
        ("p.star", "data_particles\n\nloop_\n_rlnImageName #1\n\n", r"data_particles has no rows; wanted one"),
        ("p.star", "data_optics\n_rlnTomoName a\n", r"is a table of tomograms; wanted one of single particles"),
        ("p.star", "data_\n\nloop_\n_rlnImageName #1\n_rlnDetectorPixelSize #2\n_rlnMagnification #3\n1@a 5 0\n",
         r"rlnMagnification is 0; wanted one above 0"),
        ("p.txt", "a", r"p\.txt has no known ending; wanted a table or stack of particles: \.star, \.cs, \.mrcs"),
        ("p.star.gz", "a", r"p\.star\.gz is compressed; unpack it"),
    ],
)  # fmt: skip
def test_other_files_get_one_line(tmp_path: Path, name, content, message):
    with pytest.raises(InputError, match=message):
        read_particles(write_star_text(tmp_path / name, content))


def test_files_that_are_not_there_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"none\.star: No such file"):
        read_particles(tmp_path / "none.star")
    path = write_star_text(tmp_path / "p.star", RELION_31)
    with pytest.raises(InputError, match=r"data_dir is .*none, which is no folder"):
        read_particles(path, data_dir=tmp_path / "none")
    with pytest.raises(InputError, match=r"pixel_size is -1; wanted"):
        read_particles(path, pixel_size=-1)


def test_doubts_are_warnings_where_nobody_listens(tmp_path: Path):
    path = write_star_text(tmp_path / "p.star", without(RELION_31, "rlnVoltage"))
    with pytest.warns(RuntimeWarning, match="rlnVoltage is missing"):
        read_particles(path)


def test_windows_line_ends_are_no_part_of_values(tmp_path: Path):
    table = read(write_star_text(tmp_path / "p.star", RELION_31.replace("\n", "\r\n")))
    np.testing.assert_array_equal(table.halves, [1, 2, 2])
    assert table.stacks == ("a.mrcs", "b.mrcs")


@pytest.mark.parametrize(("name", "count"), [("5j0n-small", 200), ("5j0n-noisy", 1500)])
def test_stacks_that_aspire_wrote(shared_data: Path, name, count):
    path = shared_data / "particles" / name / "particles.star"
    if not path.exists():
        pytest.skip("the stacks are not there")
    table = read(path)
    truth = np.load(path.with_name("truth.npz"))
    assert (len(table), table.ctf.voltage_kv[0], table.halves) == (count, 300.0, None)
    np.testing.assert_allclose(table.pixel_size, 6.555561515151515)
    np.testing.assert_allclose(table.poses, truth["rotations"], atol=1e-5)
    np.testing.assert_allclose(table.shifts_px, -truth["offsets"], atol=1e-5)
    np.testing.assert_allclose(table.ctf.defocus_angstrom[:, 0], truth["defocus"])
    assert open_images(table).read([0, count - 1]).shape == (2, 64, 64)
