from __future__ import annotations

from pathlib import Path

import h5py
import mrcfile
import numpy as np
import pytest
import starfile
from scipy import ndimage, stats
from scipy.io import loadmat
from scipy.spatial.transform import Rotation

from engine.base.errors import InputError
from engine.cli import generate_projections
from engine.cli.generate import main
from engine.cli.generate_arguments import Request, read_arguments, region_degrees
from tests.conftest import reference_projection

TOY_DIAGONAL = 41  # of 24 x 22 x 26 voxels: 41.66


@pytest.fixture
def toy_map(tmp_path: Path, toy_density: np.ndarray) -> Path:
    path = tmp_path / "in" / "toy.mrc"
    path.parent.mkdir()
    mrcfile.write(path, toy_density, voxel_size=2.5)
    return path


def center_of_mass(density: np.ndarray) -> np.ndarray:
    z, y, x = np.indices(density.shape)
    return np.array([(axis * density).sum(dtype=float) / density.sum(dtype=float) for axis in (x, y, z)])


def repeated(flag: str, *values: float) -> list[str]:
    return [word for value in values for word in (flag, str(value))]


def test_h5_holds_projections_that_its_angles_explain(tmp_path: Path, toy_map, toy_density, capsys):
    out = tmp_path / "toy.h5"
    assert main(["-in", str(toy_map), "-num", "7", "-out", str(out), "--seed", "3"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{out}: 7 projections of 41 x 41 pixels, 2.5 Å per pixel\n"
    assert "projections" in printed.err
    with h5py.File(out) as file:
        images, angles, about = file["Projections"][()], file["Angles"][()], dict(file.attrs)
    assert (images.shape, images.dtype, angles.shape) == ((7, TOY_DIAGONAL, TOY_DIAGONAL), np.float32, (7, 3))
    poses = Rotation.from_euler("ZYZ", angles).as_matrix()
    center = center_of_mass(toy_density)
    wanted = np.stack([reference_projection(toy_density, pose, center, TOY_DIAGONAL) for pose in poses])
    assert np.linalg.norm(images - wanted) / np.linalg.norm(wanted) < 2e-3
    assert (about["voxel_size_angstrom"], about["angle_units"], about["seed"]) == (2.5, "radian", 3)
    np.testing.assert_allclose(about["coverage_degrees"], [[0, 360], [0, 180], [0, 360]])
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["toy.h5"]


def test_mat_and_stack_hold_what_h5_holds(tmp_path: Path, toy_map):
    for name in ("a.h5", "a.mat", "a.mrcs"):
        main(["-in", str(toy_map), "-num", "5", "-out", str(tmp_path / name), "--noise-variance", "0.5"])
    with h5py.File(tmp_path / "a.h5") as file:
        images, angles, about = file["Projections"][()], file["Angles"][()], dict(file.attrs)

    mat = loadmat(tmp_path / "a.mat")
    np.testing.assert_array_equal(mat["Projections"], images)
    np.testing.assert_array_equal(mat["Angles"], angles)
    assert mat["voxel_size_angstrom"].item() == 2.5
    assert mat["convention"].item() == about["convention"]

    assert mrcfile.validate(tmp_path / "a.mrcs")
    with mrcfile.open(tmp_path / "a.mrcs") as mrc:
        assert mrc.is_image_stack()
        np.testing.assert_array_equal(mrc.data, images)
    table = starfile.read(tmp_path / "a.star")["particles"]
    degrees = table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy()
    between = Rotation.from_euler("ZYZ", degrees, degrees=True).inv() * Rotation.from_euler("ZYZ", angles)
    assert between.magnitude().max() < 1e-7
    assert list(table["rlnImageName"]) == [f"{n:06d}@a.mrcs" for n in range(1, 6)]


def test_origins_of_a_stack_are_those_of_a_map_that_turns_about_voxel_n_2(tmp_path: Path, toy_map, toy_density):
    """The images turn about the centre of mass, programs that read the table turn the map about voxel n // 2."""
    assert main(["-in", str(toy_map), "-num", "4", "-out", str(tmp_path / "a.mrcs")]) == 0
    images, table = mrcfile.read(tmp_path / "a.mrcs"), starfile.read(tmp_path / "a.star")["particles"]
    poses = Rotation.from_euler("ZYZ", table[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]], degrees=True).as_matrix()
    moves = -table[["rlnOriginYAngst", "rlnOriginXAngst"]].to_numpy() / 2.5
    middle = np.array([n // 2 for n in toy_density.shape[::-1]], dtype=float)
    assert np.abs(moves).max() > 0.3
    for image, pose, move in zip(images, poses, moves, strict=True):
        turned = ndimage.shift(reference_projection(toy_density, pose, middle, TOY_DIAGONAL), move, order=3)
        assert np.linalg.norm(image - turned) < 5e-3 * np.linalg.norm(image)


@pytest.mark.parametrize("sampling", ["euler", "so3"])
def test_angles_fill_the_region_that_was_asked_for(tmp_path: Path, toy_map, sampling):
    out = tmp_path / "a.h5"
    region = [*repeated("-shift", -0.25, 0.1, 1.5), *repeated("-cov", 2.0, 0.4, 1.0)]
    main(["-in", str(toy_map), "-num", "400", "-out", str(out), *region, "--sampling", sampling])
    with h5py.File(out) as file:
        rot, tilt, psi = file["Angles"][()].T / np.pi
    height, low, high = (tilt, 0.1, 0.5) if sampling == "euler" else (np.cos(np.pi * tilt), 0.0, np.cos(0.1 * np.pi))
    for values, start, width in ((rot, -0.25, 2.0), (height, low, high - low), (psi, 1.5, 1.0)):
        assert stats.kstest(values, stats.uniform(start, width).cdf).pvalue > 1e-3


def test_noise_has_its_variance_and_leaves_the_poses_alone(tmp_path: Path, toy_map, monkeypatch):
    monkeypatch.setattr(
        generate_projections, "_CHUNK_BYTES", 4 * TOY_DIAGONAL**2 * 8
    )  # 8 projections: the last chunk holds 4
    stacks = {}
    for variance in ("0", "4"):
        out = tmp_path / f"{variance}.h5"
        main(["-in", str(toy_map), "-num", "20", "-out", str(out), "--noise-variance", variance])
        with h5py.File(out) as file:
            stacks[variance] = file["Projections"][()], file["Angles"][()]
    np.testing.assert_array_equal(stacks["0"][1], stacks["4"][1])
    noise = stacks["4"][0] - stacks["0"][0]
    per_image = noise.var(axis=(1, 2))
    assert 4 * 0.85 < per_image.min() < per_image.max() < 4 * 1.15
    assert abs(np.corrcoef(noise.reshape(20, -1)) - np.eye(20)).max() < 0.15


def test_chunks_do_not_show(tmp_path: Path, toy_volume, monkeypatch):
    generate_projections.generate(Request("toy", tmp_path / "whole.h5", 20, noise_variance=1.0), toy_volume)
    monkeypatch.setattr(generate_projections, "_CHUNK_BYTES", 4 * TOY_DIAGONAL**2 * 8)
    heard: list[float] = []
    request = Request("toy", tmp_path / "parts.h5", 20, noise_variance=1.0)
    generate_projections.generate(request, toy_volume, lambda fraction, values: heard.append(fraction))
    with h5py.File(tmp_path / "whole.h5") as whole, h5py.File(tmp_path / "parts.h5") as parts:
        np.testing.assert_allclose(parts["Projections"][()], whole["Projections"][()], atol=1e-4)
        assert np.ptp(parts["Projections"][-1]) > 1
    np.testing.assert_allclose(heard, [0.4, 0.8, 1.0])


CONFIG = """\
[protein]
input-file: {input}
output-file = {output}

[projections]
projections-num = 6
overwrite = true

[angles]
angle-shift = [0, 0.25, 0]
angle-coverage = [2.0, 0.5, 2.0]
"""


def test_config_file_in_the_published_syntax_and_arguments_that_override_it(tmp_path: Path):
    path = tmp_path / "protein.config"
    path.write_text(CONFIG.format(input="5j0n.mrc", output="a.h5"))
    wanted = Request("5j0n.mrc", Path("a.h5"), 6, (0.0, 0.25, 0.0), (2.0, 0.5, 2.0), "euler", 0, 0.0, True)
    assert read_arguments(["-conf", str(path)]) == wanted
    assert read_arguments(["-config", str(path)]) == wanted
    given = ["--config-file", str(path), "-num", "9", *repeated("-cov", 2.0, 0.4, 2.0), "-out", "b.MAT"]
    arguments = read_arguments(given)
    assert (arguments.count, arguments.coverage, arguments.output, arguments.shift) == (
        9,
        (2.0, 0.4, 2.0),
        Path("b.MAT"),
        (0, 0.25, 0),
    )


def test_the_published_defaults():
    arguments = read_arguments(["-in", "1bd2", "-out", "a.h5"])
    assert arguments == Request("1bd2", Path("a.h5"))
    assert (arguments.count, arguments.sampling, arguments.shift, arguments.coverage) == (
        5000,
        "euler",
        (0, 0, 0),
        (2, 1, 2),
    )


def test_region_in_degrees_survives_rounding():
    assert region_degrees((0.0, 0.3, -0.5), (2.0, 0.7, 1.0)) == ((0, 360), (54, 180), (-90, 90))


GOOD = ["-in", "toy.mrc", "-out", "a.h5"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-out", "a.h5"], r"no input; wanted -in/--input-file"),
        (["-in", "toy.mrc"], r"no output; give -out/--output-file"),
        (["-in", "toy.mrc", "-out", "a.txt"], r"-out/--output-file is 'a\.txt'; wanted a name that ends in \.h5"),
        ([*GOOD, "-num", "0"], r"-num/--projections-num: found '0', wanted a whole number from 1 to 2,147,483,647"),
        ([*GOOD, "-num", "2.5"], r"found '2\.5', wanted a whole number"),
        ([*GOOD, "--seed", "-1"], r"--seed: found '-1', wanted a whole number from 0 to 9,223"),
        ([*GOOD, "--noise-variance", "-1"], r"--noise-variance: found '-1', wanted a number that is 0 or from 1e-30"),
        ([*GOOD, "--noise-variance", "nan"], r"found 'nan', wanted a number"),
        ([*GOOD, "--noise-variance", "1e300"], r"found '1e300', wanted .* to 1e24: .* single precision \(3\.4e38\)"),
        ([*GOOD, "--noise-variance", "1e-300"], r"found '1e-300', wanted a number that is 0 or from 1e-30"),
        (
            [*GOOD, "-num", "99999999999"],
            r"found '99999999999', wanted .*: the header of an image stack counts in 32 bits",
        ),
        ([*GOOD, "-num", "9" * 5000], r"found '9999.*…, wanted a whole number from 1 to"),
        (
            [*GOOD, "--seed", str(2**63)],
            r"found '9223372036854775808', wanted .* to 9,223,372,036,854,775,807: TOML, HDF5",
        ),
        (
            [*GOOD, *repeated("-shift", 1e300, 0, 0)],
            r"rot starts at 1e\+300 pi .*; wanted a number from -360000 to 360000",
        ),
        ([*GOOD, *repeated("-shift", 0, 0)], r"-shift/--angle-shift is given 2 times; wanted three"),
        ([*GOOD, *repeated("-cov", 1, 1, 1, 1)], r"-cov/--angle-coverage is given 4 times; wanted three"),
        ([*GOOD, "-cov", "wide"], r"-cov/--angle-coverage: invalid float value: 'wide'"),
        ([*GOOD, *repeated("-cov", 2, 0, 2)], r"tilt starts at 0 pi .* is 0 pi wide .*; wanted a width above 0"),
        ([*GOOD, *repeated("-cov", -1, 1, 2)], r"rot starts at 0 pi .* is -1 pi wide"),
        ([*GOOD, *repeated("-cov", 2, 1, 2.5)], r"psi starts at 0 pi .* is 2\.5 pi wide .* at most 2"),
        ([*GOOD, *repeated("-shift", "nan", 0, 0)], r"rot starts at nan pi"),
        ([*GOOD, *repeated("-cov", 2, 1.2, 2)], r"tilt goes from 0 pi to 1\.2 pi .*; wanted it within 0 and 1 pi"),
        ([*GOOD, *repeated("-shift", 0, -0.1, 0), *repeated("-cov", 2, 0.5, 2)], r"tilt goes from -0\.1 pi to 0\.4 pi"),
        ([*GOOD, "--sampling", "s2"], r"--sampling: invalid choice: 's2'"),
        ([*GOOD, "--samplign", "so3"], r"unknown argument '--samplign'; the nearest known one is '--sampling'"),
        ([*GOOD, "--projections", "5"], r"unknown argument '--projections'; .* '--projections-num'"),
        (["-conf", "none.config"], r"Unable to open config file: none\.config"),
    ],
)
def test_wrong_arguments_get_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        read_arguments(arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "angle-covrage = [1, 1, 1]",
            r"a\.config: unknown key 'angle-covrage'; the nearest known one is 'angle-coverage'",
        ),
        ("projections = 5", r"a\.config: unknown key 'projections'; the nearest known one is 'projections-num'"),
        ("angle-shift = [0, 0]", r"-shift/--angle-shift is given 2 times; wanted three"),
        ("projections-num = many", r"-num/--projections-num: found 'many'"),
    ],
)
def test_wrong_config_files_get_one_clear_line(tmp_path: Path, line, message):
    (tmp_path / "a.config").write_text(line)
    with pytest.raises(InputError, match=message):
        read_arguments(["-conf", str(tmp_path / "a.config"), *GOOD])


def test_an_output_that_exists_is_kept_unless_told_otherwise(tmp_path: Path, toy_map):
    arguments = ["-in", str(toy_map), "-num", "2", "-out", str(tmp_path / "a.mrcs")]
    (tmp_path / "a.star").write_text("mine")
    with pytest.raises(InputError, match=r"a\.star exists; give --overwrite"):
        main(arguments)
    assert (tmp_path / "a.star").read_text() == "mine"
    assert not (tmp_path / "a.mrcs").exists()
    main([*arguments, "--overwrite"])
    assert len(starfile.read(tmp_path / "a.star")["particles"]) == 2


@pytest.mark.parametrize(
    ("out", "message"),
    [("none/a.h5", r"none is no folder; make it"), ("a b.mrcs", r"'a b\.mrcs' cannot be a stack's name in a \.star")],
)
def test_impossible_outputs_are_refused_before_work_begins(tmp_path: Path, out, message):
    with pytest.raises(InputError, match=message):
        main(["-in", "/no/such/volume.mrc", "-out", str(tmp_path / out)])


@pytest.mark.parametrize(
    ("out", "count", "message"),
    [
        (
            "a.mat",
            400_000,
            r"400000 projections of 41 x 41 are 2\.5 GiB; a variable of a \.mat holds less than 2, use \.h5",
        ),
        ("a.h5", 10**13, r"GiB are free in .*, make room or use another disk"),
        ("a.mrcs", 10**13, r"GiB are free in .*, make room or use another disk"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_made(tmp_path: Path, toy_volume, out, count, message):
    with pytest.raises(InputError, match=message):
        generate_projections.generate(Request("toy", tmp_path / out, count), toy_volume)
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # mrcfile leaves open what it cannot flush
@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.mrcs"])
def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, toy_volume, name):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(InputError, match=r"cannot write .*: File too large") as caught:
            generate_projections.generate(Request("toy", tmp_path / name, 200), toy_volume)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_nothing(tmp_path: Path, toy_volume):
    def stop(fraction: float, values: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_projections.generate(Request("toy", tmp_path / "a.h5", 5), toy_volume, stop)
    assert not list(tmp_path.iterdir())


def test_a_map_without_voxel_size_that_is_called_a_stack_is_helped(tmp_path, toy_density, capsys):
    source = str(tmp_path / "x.mrc")
    with mrcfile.new(source) as mrc:
        mrc.set_data(toy_density)
        mrc.header.ispg, mrc.header.mz, mrc.header.dmax = 0, 1, 99
    asked = ["-in", source, "-num", "2", "-out", str(tmp_path / "x.h5")]
    with pytest.raises(InputError, match=r"x\.mrc is a stack of 24 images .*, turn on --stack-is-volume$"):
        main(asked)
    with pytest.raises(InputError, match=r"the header gives a voxel size of 0, 0, 0 Å; .*give it as --voxel-size$"):
        main([*asked, "--stack-is-volume"])
    assert main([*asked, "--stack-is-volume", "--voxel-size", "2.5"]) == 0
    printed = capsys.readouterr()
    assert "2.5 Å per pixel" in printed.out
    assert "x.mrc: the header's statistics (minimum" in printed.err


@pytest.mark.parametrize(
    ("text", "shift"),
    [
        ("angle-shift = 0.5\nangle-shift = 0\nangle-shift = -1.\n", (0.5, 0.0, -1.0)),
        ("angle-shift = [0.5, 0]\n--angle-shift = -1e0\n", (0.5, 0.0, -1.0)),
    ],
)
def test_a_key_of_three_values_may_stand_in_as_many_lines(tmp_path: Path, text, shift):
    (tmp_path / "a.config").write_text(text)
    assert read_arguments(["-conf", str(tmp_path / "a.config"), *GOOD]).shift == shift


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (3 * "seed = 1\n", r"a\.config: seed is given 3 times; wanted it once"),
        ("projections-num = 3\n--projections-num = 4\n", r"a\.config: projections-num is given 2 times"),
        (4 * "angle-shift = 0\n", r"-shift/--angle-shift is given 4 times; wanted three"),
        ("angle-shift = []\n", r"a\.config: angle-shift has no value here; leave it out"),
        ("config-file = b.config\n", r"a\.config: config-file has no value here"),
        ("seed = 1\n= 5\n", r"a\.config: line 2 is '= 5'; wanted key = value"),
        ("seed = 18446744073709551616\n", r"--seed: found '18446744073709551616', wanted a whole number from 0"),
        ("seed = " + 5000 * "9", r"--seed: found '9+…, wanted"),
        ("input-file =\n", r"generate: no input"),
    ],
)
def test_repeated_and_empty_keys_get_one_clear_line(tmp_path: Path, text, message):
    (tmp_path / "a.config").write_text(text)
    rest = ["-out", "a.h5"] if "input" in text else GOOD
    with pytest.raises(InputError, match=message) as refused:
        read_arguments(["-conf", str(tmp_path / "a.config"), *rest])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-in", "", "-out", "a.h5"], r"generate: no input"),
        (["-in", " ", "-out", "a.h5"], r"generate: no input"),
        (["-in", "a.mrc", "-out", ""], r"generate: no output"),
        (["-conf", "", *GOOD], r"-conf/-config/--config-file is empty; wanted a file's name"),
        ([*GOOD, "-num", "3", "-num", "4", "--projections-num=5"], r"-num/--projections-num is given 3 times"),
        ([*GOOD, "-in", "b.mrc"], r"-in/--input-file is given 2 times; wanted it once"),
        ([*GOOD, "--seed", str(2**63)], r"--seed: found '9223372036854775808', wanted .* to 9,223,372,036,854,775,807"),
        ([*GOOD, "-num", "1" + 400 * "0"], r"-num/--projections-num: found '10+…"),
        ([*GOOD, "--noise-variance", "1e300"], r"found '1e300', wanted a number that is 0 or from 1e-30 to 1e24"),
        ([*GOOD, *repeated("-shift", "1e300", 0, 0)], r"rot starts at 1e\+300 pi"),
        ([*GOOD, *repeated("-shift", "-inf", 0, 0)], r"rot starts at -inf pi"),
    ],
)
def test_what_no_generation_can_have_gets_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message) as refused:
        read_arguments(arguments)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("typed", ["-1.", "-1", "-1e0", "-.1e1"])
def test_a_start_below_zero_may_be_written_in_any_way(typed):
    assert read_arguments([*GOOD, *repeated("-shift", typed, 0, typed)]).shift == (-1.0, 0.0, -1.0)


@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.mrcs"])
def test_the_largest_seed_is_kept_to_its_last_digit(tmp_path: Path, toy_map, name):
    assert main(["-in", str(toy_map), "-num", "2", "-out", str(tmp_path / name), "--seed", str(2**63 - 1)]) == 0
    if name == "a.h5":
        with h5py.File(tmp_path / name) as file:
            assert file.attrs["seed"] == 2**63 - 1
    elif name == "a.mat":
        assert loadmat(tmp_path / name)["seed"].item() == 2**63 - 1


def test_where_a_file_came_from_is_said_whole(tmp_path: Path, toy_map, monkeypatch):
    monkeypatch.chdir(toy_map.parent)
    assert main(["-in", "toy.mrc", "-num", "2", "-out", str(tmp_path / "a.h5")]) == 0
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["source"] == str(toy_map)
