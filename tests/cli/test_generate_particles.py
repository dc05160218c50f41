"""Stacks of particles against ASPIRE, which reads them and projects the same map; their statistics; bad arguments."""

from __future__ import annotations

import subprocess
import sys

import mrcfile
import numpy as np
import pytest
import starfile
from scipy import ndimage, stats

from engine.base.errors import InputError
from engine.cli.generate import main
from engine.cli.generate_arguments import Recording, read_arguments
from engine.imaging import stack_simulation
from engine.io.particles import read_particles
from tests.imaging_testing import relative_error
from tests.test_architecture import ROOT

SIZE, PIXEL = 32, 2.5
POSES = {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"}


@pytest.fixture
def aside(toy_density) -> np.ndarray:
    """A map (32, 32, 32) whose centre of mass is 5 voxels off voxel n // 2."""
    cut = toy_density[3:21, 2:20, 4:22]
    box = np.zeros((SIZE,) * 3, np.float32)
    box[7:25, 10:28, 7:25] = cut
    moved = np.array(ndimage.center_of_mass(box)) - SIZE // 2
    return np.roll(box, tuple(np.rint(np.array([0.0, 4.0, -3.0]) - moved).astype(int)), axis=(0, 1, 2))


@pytest.fixture
def made(tmp_path, aside):
    """A function that makes ``a.mrcs`` of the map by some arguments; the images."""
    mrcfile.write(tmp_path / "map.mrc", aside, voxel_size=PIXEL)

    def make(*arguments: str, name: str = "a.mrcs", count: int = 12) -> np.ndarray:
        out = str(tmp_path / name)
        given = ["-in", str(tmp_path / "map.mrc"), "-num", str(count), "--size", str(SIZE), "-out", out]
        assert main([*given, *arguments]) == 0
        return mrcfile.read(out)

    return make


@pytest.mark.slow
def test_aspires_own_projections_agree_and_it_reads_the_table(made, aside, tmp_path, aspire):
    """Of the same map with the truth's poses, CTF and offsets, without noise: they differ by 1.3e-4."""
    images = made("--defocus", "8000", "20000", "--defocus-groups", "3", "--max-shift", "2")
    table = aspire.source.RelionSource(tmp_path / "a.star")
    truth = aspire.source.RelionSource(tmp_path / "a_truth.star")
    assert (table.n, table.L, table.pixel_size) == (12, SIZE, PIXEL)
    np.testing.assert_array_equal(table.images[:].asnumpy(), images)
    assert not table.offsets.any()
    assert np.abs(truth.offsets).max() > 1
    peer = aspire.source.Simulation(
        n=12, vols=aspire.volume.Volume(aside, pixel_size=PIXEL), offsets=truth.offsets, angles=truth.angles,
        unique_filters=truth.unique_filters, filter_indices=truth.filter_indices, amplitudes=np.ones(12),
        dtype=np.float32,
    )  # fmt: skip
    theirs = SIZE * peer.images[:].asnumpy()  # theirs are sums over voxels divided by the box's side
    assert relative_error(images, theirs) < 1e-3
    assert relative_error(images, np.roll(theirs, 1, axis=2)) > 0.3


def test_the_table_holds_all_but_the_truth(made, tmp_path):
    made("--defocus", "8000", "20000", "--max-shift", "2", "--voltage", "200", "--amplitude-contrast", "0.07", count=31)
    table, truth = (starfile.read(tmp_path / name) for name in ("a.star", "a_truth.star"))
    assert set(truth["particles"]) - set(table["particles"]) == POSES
    assert not POSES & set(table["particles"])
    shared = list(table["particles"])
    assert table["particles"].equals(truth["particles"][shared])
    optics = table["optics"].iloc[0]
    assert (optics["rlnVoltage"], optics["rlnAmplitudeContrast"], optics["rlnImageSize"]) == (200, 0.07, SIZE)
    assert sorted(np.bincount(table["particles"]["rlnRandomSubset"])) == [0, 15, 16]
    read = read_particles(tmp_path / "a.star", warn=pytest.fail)
    assert read.summary() == (
        f"31 particles in 1 stack (RELION 3.1): {SIZE} px of {PIXEL} Å, defocus "
        f"{read.ctf.defocus_angstrom.min():,.0f} to {read.ctf.defocus_angstrom.max():,.0f} Å, no poses, half sets of "
        f"{np.sum(read.halves == 1)} and {np.sum(read.halves == 2)}"
    )


def test_defoci_and_shifts_have_their_distributions(made, tmp_path):
    made("--defocus", "8000", "20000", "--max-shift", "2", count=400)
    made("--defocus", "8000", "20000", "--defocus-groups", "4", "--max-shift", "2", "--shift-distribution",
         "triangular", name="b.mrcs", count=400)  # fmt: skip
    made("--defocus", "9000", name="c.mrcs")
    one, two, three = (read_particles(tmp_path / f"{name}_truth.star") for name in "abc")
    assert stats.kstest(one.ctf.defocus_angstrom[:, 0], stats.uniform(8000, 12000).cdf).pvalue > 1e-3
    assert stats.kstest(one.shifts_px.ravel(), stats.uniform(-2, 4).cdf).pvalue > 1e-3
    assert stats.kstest(two.shifts_px.ravel(), stats.triang(0.5, -2, 4).cdf).pvalue > 1e-3
    defoci, counts = np.unique(two.ctf.defocus_angstrom[:, 0], return_counts=True)
    np.testing.assert_allclose(defoci, [8000, 12000, 16000, 20000])
    assert counts.min() > 60
    np.testing.assert_array_equal(one.poses, two.poses)
    assert set(three.ctf.defocus_angstrom.ravel()) == {9000.0}
    assert not three.shifts_px.any()
    cosines = one.poses[:, 2, 2]  # uniform over rotations, not in the angles
    assert stats.kstest(cosines, stats.uniform(-1, 2).cdf).pvalue > 1e-3


@pytest.mark.parametrize("spectrum", ["white", "coloured"])
def test_noise_has_its_variance_or_snr_and_its_spectrum(made, spectrum):
    common = ("--defocus", "12000", "--noise-spectrum", spectrum)
    clean = made("--defocus", "12000", count=100)
    by_snr = made(*common, "--snr", "0.25", name="b.mrcs", count=100) - clean
    assert by_snr.var() == pytest.approx(4 * clean.var(), rel=0.02)
    by_variance = made(*common, "--noise-variance", "3", name="c.mrcs", count=100) - clean
    assert by_variance.var() == pytest.approx(3, rel=0.02)
    power = (np.abs(np.fft.fft2(by_variance)) ** 2).mean(axis=0) / SIZE**2
    frequency = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(SIZE)]))
    ratio = power[(frequency > 0.02) & (frequency < 0.08)].mean() / power[frequency > 0.4].mean()
    k = np.array([0.05, 0.5]) / PIXEL
    low, high = 0.2 + 0.8 / (1 + (30 * k) ** 2)
    assert ratio == pytest.approx(1 if spectrum == "white" else low / high, rel=0.15)


def test_parts_do_not_show_and_only_one_of_them_is_held(made, monkeypatch):
    common = ("--defocus", "8000", "20000", "--snr", "0.5", "--max-shift", "2")
    whole = made(*common, count=20)
    monkeypatch.setattr(stack_simulation, "_PART_BYTES", 4 * SIZE**2 * 8)
    np.testing.assert_allclose(made(*common, name="b.mrcs", count=20), whole, atol=1e-4 * np.abs(whole).max())
    np.testing.assert_array_equal(made(*common, name="c.mrcs", count=20), made(*common, name="d.mrcs", count=20))


def test_an_oligomer_looks_the_same_from_equivalent_poses(tmp_path, aside):
    mrcfile.write(tmp_path / "map.mrc", aside, voxel_size=PIXEL)
    common = ["-in", str(tmp_path / "map.mrc"), "-num", "1", "--symmetry", "c2", "--sampling", "euler"]
    for name, rot in (("a", 0.1), ("b", 1.1)):
        region = [word for pair in ((rot, 1e-9), (0.3, 1e-9), (0.2, 1e-9)) for word in pair]
        angles = [w for start, width in zip(region[::2], region[1::2], strict=True)
                  for w in ("-shift", str(start), "-cov", str(width))]  # fmt: skip
        assert main([*common, *angles, "-out", str(tmp_path / f"{name}.mrcs")]) == 0
    one, two = (mrcfile.read(tmp_path / f"{name}.mrcs") for name in "ab")
    assert relative_error(one, two) < 2e-2
    assert relative_error(one, one[..., ::-1, ::-1]) > 0.2


def test_settings_may_stand_in_the_config_file(tmp_path):
    (tmp_path / "a.config").write_text(
        "input-file = 1bd2\noutput-file = a.mrcs\ndefocus = [8000, 30000]\nsnr = 0.1\nmax-shift = 1.5\n"
    )
    request = read_arguments(["-conf", str(tmp_path / "a.config"), "--noise-spectrum", "coloured"])
    assert request.particles == Recording(defocus=(8000.0, 30000.0), snr=0.1, max_shift=1.5, noise_spectrum="coloured")
    assert request.sampling == "so3"
    assert [path.name for path in request.paths] == ["a.mrcs", "a.star", "a_truth.star"]
    assert read_arguments(["-in", "1bd2", "-out", "a.mrcs"]).particles is None


GOOD = ["-in", "1bd2", "-out", "a.mrcs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-in", "1bd2", "-out", "a.h5", "--snr", "1"], r"'a\.h5' and --snr is given, which makes particles; wanted"),
        ([*GOOD, "--defocus", "0.8", "3"], r"--defocus is 0\.8 3, which would be um; wanted Å, multiply by 10,000"),
        ([*GOOD, "--defocus", "30000", "8000"], r"--defocus is 30000 8000; wanted one value or two, the lower first"),
        ([*GOOD, "--defocus", "1e4", "2e4", "3e4"], r"wanted one value or two"),
        ([*GOOD, "--defocus", "1e9"], r"--defocus: found '1e9', wanted a number from -100000 to 100000"),
        ([*GOOD, "--defocus", "9000", "--defocus-groups", "3"], r"--defocus-groups is given and --defocus is one"),
        ([*GOOD, "--defocus", "8e3", "9e3", "--defocus-groups", "0"], r"--defocus-groups: found '0', wanted a whole"),
        ([*GOOD, "--voltage", "200"], r"--voltage is given without --defocus; give both, or neither"),
        ([*GOOD, "--defocus", "9000", "--voltage", "2e5"], r"--voltage: found '2e5', wanted a number from 10 to 3000"),
        ([*GOOD, "--defocus", "9000", "--amplitude-contrast", "7"], r"--amplitude-contrast: found '7', wanted"),
        ([*GOOD, "--snr", "0"], r"--snr: found '0', wanted a number from 1e-14"),
        ([*GOOD, "--snr", "1", "--noise-variance", "2"], r"--snr and --noise-variance are both given"),
        ([*GOOD, "--noise-spectrum", "coloured"], r"--noise-spectrum is given without noise; give --snr or"),
        ([*GOOD, "--snr", "1", "--noise-spectrum", "pink"], r"--noise-spectrum: invalid choice: 'pink'"),
        ([*GOOD, "--shift-distribution", "uniform"], r"--shift-distribution is given without --max-shift"),
        ([*GOOD, "--max-shift", "-1"], r"--max-shift: found '-1', wanted a number from 0"),
        ([*GOOD, "--size", "7"], r"--size: found '7', wanted a whole number from 8"),
        ([*GOOD, "--symmetry", "X2"], r"generate: --symmetry is 'X2'; wanted C1, Cn or Dn"),
        ([*GOOD, "--defocuss", "9000"], r"unknown argument '--defocuss'; the nearest known one is '--defocus'"),
    ],
)  # fmt: skip
def test_wrong_arguments_get_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        read_arguments(arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-shift", "17"], r"generate: --max-shift is 17 pixels and the images are 32 wide; wanted at most 16"),
        (
            ["--defocus", "0", "--spherical-aberration", "0", "--amplitude-contrast", "0"],
            r"--defocus, generate: --spherical-aberration and .* are all 0, with which there is no contrast",
        ),
    ],
)
def test_impossible_settings_leave_nothing(made, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        made(*arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["map.mrc"]


def test_an_existing_truth_is_kept(made, tmp_path):
    (tmp_path / "a_truth.star").write_text("mine")
    with pytest.raises(InputError, match=r"a_truth\.star exists; give --overwrite"):
        made("--snr", "1")
    assert (tmp_path / "a_truth.star").read_text() == "mine"


def test_help_loads_no_numeric_library():
    program = (
        "import sys\nfrom runpy import run_module\nsys.argv = ['engine', 'generate', '--help']\n"
        "try:\n    run_module('engine', run_name='__main__')\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(sorted({'numpy', 'scipy', 'pandas', 'tensorflow', 'keras', 'finufft'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--defocus-groups" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
