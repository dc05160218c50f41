"""Loading a volume from each kind of source, and the figures that later stages take from it."""

from __future__ import annotations

import gzip
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from engine.base.errors import InputError
from engine.geometry import symmetry
from engine.imaging import symmetric_density
from engine.imaging.resampling import resampled
from engine.imaging.volume import Volume
from engine.io import archives, mrc
from engine.io.loading import BUILT_IN, load_volume

ROOT = Path(__file__).parents[2]
DATA = ROOT / "engine" / "data"
PUBLISHED_MAP = ROOT.parent / "shared" / "data" / "5j0n.mrc"


def load(source: object, **keys) -> Volume:
    return load_volume(str(source), **keys)


def blob(shape=(12, 10, 8), at=(4.0, 5.0, 6.0)) -> np.ndarray:
    """A Gaussian about ``at`` (x, y, z)."""
    z, y, x = np.indices(shape)
    return np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2) / 2).astype(np.float32)


@pytest.fixture
def map_path(tmp_path) -> Path:
    path = tmp_path / "blob.v2.mrc"
    mrc.write_map(path, blob(), 2.5, np.array([10.0, 20.0, 30.0]))
    return path


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_protein(name):
    volume = load(name)
    assert volume.name == name
    assert volume.voxel_size == pytest.approx(8 / 3)
    assert load(name.upper()).fingerprint == volume.fingerprint


def test_box_of_the_default_protein():
    """Its atoms span 100 x 56 x 113 Å; about one resolution (8 Å) is added on each side."""
    volume = load("1bd2")
    box = volume.voxel_size * np.array(volume.density.shape[::-1])
    np.testing.assert_allclose(box, np.array([100.0, 56.0, 113.0]) + 2 * 8.0, atol=6.0)


def test_resolution_and_voxel_size_of_coordinates():
    volume = load("1tii", resolution=12.0, voxel_size=5.0)
    assert volume.voxel_size == 5.0
    assert load("1tii", resolution=15.0).voxel_size == 5.0
    fine = load("1tii", resolution=12.0, voxel_size=3.0)
    # One quantity on two grids: what the voxels sum to, and where it lies.
    assert volume.density.sum() * 5.0**3 == pytest.approx(fine.density.sum() * 3.0**3, rel=1e-3)
    np.testing.assert_allclose(volume.center_of_mass, fine.center_of_mass, atol=0.05)


@pytest.mark.skipif(not PUBLISHED_MAP.exists(), reason="the published map is not distributed")
def test_published_map():
    volume = load(PUBLISHED_MAP)
    assert volume.name == "5j0n"
    assert volume.density.shape == (69, 57, 75)
    assert volume.voxel_size == pytest.approx(3.667, abs=5e-4)
    assert volume.diagonal == 116  # the frame of the published projections
    np.testing.assert_allclose(volume.origin, [69.753, 63.1, 26.546], rtol=1e-6)
    np.testing.assert_allclose(volume.center_index, center_of_mass(volume.density)[::-1], rtol=1e-5)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", [".mrc", ".map", ".ccp4", ".MRC"])
def test_map_by_path(map_path, tmp_path, suffix, packed):
    path = tmp_path / f"other{suffix}{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(map_path.read_bytes()) if packed else map_path.read_bytes())
    volume = load(path)
    assert volume.name == "other"
    np.testing.assert_array_equal(volume.density, blob())
    assert volume.voxel_size == 2.5
    np.testing.assert_array_equal(volume.origin, [10.0, 20.0, 30.0])


def test_label_is_the_file_name_without_its_endings(map_path):
    assert load(map_path).name == "blob.v2"


def test_home_directory_in_a_path(map_path, monkeypatch):
    monkeypatch.setenv("HOME", str(map_path.parent))
    np.testing.assert_array_equal(load(f"~/{map_path.name}").density, blob())


def test_archives_end_in_a_volume(map_path, tmp_path, monkeypatch):
    """The download itself is tested with the archives; here only that its file is read as what it is."""
    fetched = tmp_path / "emd_3400.map.gz"
    fetched.write_bytes(gzip.compress(map_path.read_bytes()))
    entry = tmp_path / "1bd2.cif.gz"
    shutil.copy(DATA / "1bd2.cif.gz", entry)
    monkeypatch.setattr(archives, "fetch", lambda source, progress: {"emdb:3400": fetched, "pdb:1bd2": entry}[source])
    volume = load("emdb:3400")
    assert volume.name == "emd_3400"
    np.testing.assert_array_equal(volume.density, blob())
    volume = load("pdb:1bd2", resolution=10.0)
    assert volume.name == "1bd2"
    assert volume.fingerprint == load("1bd2", resolution=10.0).fingerprint


def test_given_voxel_size_overrides_the_header(map_path):
    volume = load(map_path, voxel_size=3.0)
    assert volume.voxel_size == 3.0
    np.testing.assert_array_equal(volume.density, blob())


def test_resolution_of_a_map_is_refused(map_path):
    with pytest.raises(InputError, match=r"^resolution is 8 but .*blob\.v2\.mrc is a map.*leave it out"):
        load(map_path, resolution=8.0)


@pytest.mark.parametrize("name", ["1bd3", "1BD", "2bd2"])
def test_unknown_name_suggests_the_nearest(name):
    with pytest.raises(
        InputError, match=rf"'{name}', neither a built-in protein nor a file; the nearest .* '1bd2'; wanted"
    ):
        load(name)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.mrc", r"none\.mrc: No such file or directory"),
        ("none.cif.gz", r"none\.cif\.gz: No such file or directory"),
        ("none.xyz", r"none\.xyz: No such file or directory"),
        ("some/folder/", r"some/folder: No such file or directory"),
        ("n" * 300, r"neither a built-in protein nor a file"),
        ("null\0", r"neither a built-in protein nor a file"),
        ("emd:3400", r"'emd:3400', neither a built-in .* wanted a name, a path, emdb:ID, pdb:ID or random:SEED"),
        ("..", r"\.\. is a directory; wanted a file"),
        ("/", r"/ is a directory; wanted a file"),
        ("emdb:../3400", r"source is 'emdb:\.\./3400'; wanted an id such as emdb:3400"),
    ],
)
def test_sources_that_lead_nowhere(source, message):
    with pytest.raises(InputError, match=message) as caught:
        load(source)
    assert "\n" not in str(caught.value)


def test_unknown_ending(tmp_path):
    for name in ("notes.txt", "archive.tar.gz", "bare"):
        (tmp_path / name).write_text("hello")
    with pytest.raises(InputError, match=r"notes\.txt is of no known kind; wanted a name that ends in \.mrc, .*\.cif"):
        load(tmp_path / "notes.txt")
    with pytest.raises(InputError, match=r"bare is of no known kind"):
        load(tmp_path / "bare")
    with pytest.raises(InputError, match=r"archive\.tar\.gz is named \.gz but is not gzipped"):
        load(tmp_path / "archive.tar.gz")


def test_stack_is_refused(tmp_path):
    path = tmp_path / "images.mrcs"
    mrc.write_stack(path, np.ones((3, 8, 8)), 1.0)
    with pytest.raises(InputError, match=r"images\.mrcs is a stack of 3 images of 8 x 8; wanted a volume"):
        load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d * 0, r"the density is 0 everywhere"),
        (lambda d: d * 0 + 3, r"the density is 3 everywhere"),
        (lambda d: np.where(d > 0.5, np.nan, d), r"7 of the density's values are NaN or infinite"),
        (lambda d: np.where(d == d.max(), np.inf, d), r"1 of the density's values are NaN or infinite"),
        (lambda d: np.where(d == d.max(), -np.inf, d), r"1 of the density's values are NaN or infinite"),
        (lambda d: d * 1e12, r"the density reaches 1e\+12; wanted a number from 1e-6 to 1e9: .*; scale its values"),
        (lambda d: d * 1e-9, r"the density reaches 1e-09; wanted a number from 1e-6 to 1e9: squares of smaller values"),
        (lambda d: -d - 1, r"the density is nowhere positive \(at most -1\); invert the map's contrast"),
    ],
)
def test_unusable_density(tmp_path, change, message):
    path = tmp_path / "x.mrc"
    with mrcfile.new(path) as mrc:
        mrc.set_data(blob())
        mrc.data[...] = change(blob())  # past mrcfile's statistics, which warn of NaN
        mrc.voxel_size = 2.0
    with pytest.raises(InputError, match=rf"x\.mrc: {message}"):
        load(path)


@pytest.mark.parametrize("side", [1e-5, 1e9])
def test_a_header_with_voxels_of_no_particle_is_refused(tmp_path, side):
    path = tmp_path / "x.mrc"
    mrc.write_map(path, blob(), side, np.zeros(3))
    with pytest.raises(
        InputError, match=r"x\.mrc: the header gives a voxel size of 1e.* wanted a number from 0\.01 to 500"
    ):
        load(path)
    assert load(path, voxel_size=2.0).voxel_size == 2.0


def test_coordinates_without_occupancy(tmp_path):
    path = tmp_path / "x.pdb"
    path.write_text("ATOM      1  CA  ALA A   1      10.000  24.000  27.000  0.00  0.00           C\n")
    with pytest.raises(InputError, match=r"x\.pdb: the density is 0 everywhere, for every atom has occupancy 0"):
        load(path)


def test_loading_is_told():
    news = []
    volume = load_volume("1tii", progress=lambda *arguments: news.append(arguments))
    assert news == [(1.0, {"voxels": volume.density.size})]


def test_a_volume_can_be_made_symmetric():
    settings = {"resolution": 20.0, "symmetry": "D2"}
    whole, averaged = (load_volume("1bd2", symmetrize=how, **settings) for how in ("oligomer", "average"))
    plain = load_volume("1bd2", **settings)
    elements = symmetry.group("D2")
    assert symmetric_density.symmetry_correlation(plain.density, plain.center_index, elements) < 0.9
    assert symmetric_density.symmetry_correlation(whole.density, whole.center_index, elements) > 0.99
    assert averaged.density.shape == plain.density.shape
    assert whole.name == "1bd2, D2"


def test_what_is_doubtful_in_a_file_stays_with_the_volume_and_is_told(map_path):
    map_path.write_bytes(map_path.read_bytes()[:76] + struct.pack("<3f", -5, 5, 0) + map_path.read_bytes()[88:])
    with pytest.warns(RuntimeWarning, match=r"blob\.v2\.mrc: the header's statistics .* are not those") as caught:
        volume = load(map_path)
    assert volume.warnings == (str(caught[0].message),)
    messages: list[str] = []
    turned = load_volume(str(map_path), symmetry="C2", symmetrize="average", warn=messages.append)
    assert tuple(messages) == turned.warnings == volume.warnings
    assert resampled(volume, 5.0).warnings == volume.warnings
    assert load("1bd2", resolution=20.0).warnings == ()
    assert replace(volume, warnings=()).fingerprint == volume.fingerprint


def test_atoms_that_were_left_out_stay_with_the_volume(tmp_path):
    path = tmp_path / "x.pdb"
    line = "ATOM      1  CA  ALA A   1      10.000  24.000  27.000  1.00  0.00           C\n"
    path.write_text(line + line.replace(" CA  ALA", " X   LIG").replace("C\n", " \n"))
    messages: list[str] = []
    assert load_volume(str(path), warn=messages.append).warnings == tuple(messages)
    assert messages == [f"{path}: 1 of its 2 atoms are left out, their elements are unknown: 1 X of LIG"]
