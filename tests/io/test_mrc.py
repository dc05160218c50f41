"""Maps against mrcfile's own reader and validator and against gemmi's, an independent implementation of the format."""

from __future__ import annotations

import errno
import gzip
import io
import os
import resource
from pathlib import Path
from types import SimpleNamespace

import gemmi
import mrcfile
import numpy as np
import pytest

from engine.base.errors import InputError
from engine.io.mrc import read_map, read_undoubted_map, write_map, write_stack

SHAPE = (4, 5, 6)


@pytest.fixture
def density() -> np.ndarray:
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def make(path: Path, data: np.ndarray, **fields) -> Path:
    """A map written by mrcfile itself with 2 Å voxels, its header then set as told."""
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(data)
        mrc.voxel_size = 2.0
        for key, value in fields.items():
            mrc.header[key] = value
    return path


def test_a_written_map_is_valid_and_means_the_same_to_mrcfile_and_gemmi(tmp_path, density):
    path = tmp_path / "map.mrc"
    write_map(path, density, 1.5, np.array([10.0, -20.0, 30.5]))
    report = io.StringIO()
    assert mrcfile.validate(path, print_file=report), report.getvalue()
    with mrcfile.open(path) as mrc:
        assert mrc.is_volume()
        np.testing.assert_array_equal(mrc.data, density)
        assert mrc.voxel_size.x == mrc.voxel_size.y == mrc.voxel_size.z == np.float32(1.5)
        assert tuple(mrc.header.origin.item()) == (10.0, -20.0, 30.5)
    grid = gemmi.read_ccp4_map(str(path)).grid
    np.testing.assert_array_equal(np.array(grid), density.T)
    np.testing.assert_allclose(grid.unit_cell.parameters[:3], [1.5 * n for n in SHAPE[::-1]])
    back, voxel_size, origin = read_map(path)
    np.testing.assert_array_equal(back, density)
    assert back.dtype == np.float32
    assert voxel_size == pytest.approx(1.5)
    np.testing.assert_allclose(origin, [10.0, -20.0, 30.5])
    assert os.listdir(tmp_path) == ["map.mrc"]


def test_a_written_stack_is_valid_and_a_stack(tmp_path):
    images = np.random.default_rng(1).normal(size=(3, 8, 8)).astype(np.float32)
    path = tmp_path / "images.mrcs"
    write_stack(path, images, 1.25)
    report = io.StringIO()
    assert mrcfile.validate(path, print_file=report), report.getvalue()
    with mrcfile.open(path) as mrc:
        assert mrc.is_image_stack()
        np.testing.assert_array_equal(mrc.data, images)
        assert mrc.voxel_size.x == mrc.voxel_size.y == 1.25


def test_gzipped_by_content_whatever_the_name(tmp_path, density):
    plain = make(tmp_path / "map.mrc", density)
    packed = tmp_path / "map.mrc.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    misnamed = tmp_path / "packed.mrc"
    misnamed.write_bytes(packed.read_bytes())
    for path in (packed, misnamed):
        np.testing.assert_array_equal(read_map(path)[0], density)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16, np.float16, np.float32])
def test_every_real_mode_becomes_float32(tmp_path, dtype):
    data = np.arange(24).reshape(2, 3, 4).astype(dtype)
    read, _, _ = read_map(make(tmp_path / "map.mrc", data))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.arange(24).reshape(2, 3, 4))


def test_big_endian(tmp_path, density):
    path = tmp_path / "map.mrc"
    with mrcfile.new(path) as mrc:
        mrc.set_data(density)
        mrc.voxel_size = 2.0
    with mrcfile.open(path) as mrc:
        header, data = mrc.header.copy(), mrc.data.copy()
    swapped = header.astype(header.dtype.newbyteorder(">"))
    swapped["machst"] = [0x11, 0x11, 0, 0]
    path.write_bytes(swapped.tobytes() + data.astype(">f4").tobytes())
    read, voxel_size, _ = read_map(path)
    np.testing.assert_array_equal(read, density)
    assert voxel_size == 2.0

    swapped["machst"] = [0x44, 0x44, 0, 0]  # claims little-endian
    path.write_bytes(swapped.tobytes() + data.astype(">f4").tobytes())
    with pytest.warns(RuntimeWarning, match=r"map\.mrc: the machine stamp is wrong"):
        np.testing.assert_array_equal(read_map(path)[0], density)


def test_wrong_map_id_is_read_with_a_warning_that_names_the_file(tmp_path, density):
    path = make(tmp_path / "sister.mrc", density, map=b"\0\0\0\0")
    with pytest.warns(RuntimeWarning, match=r"sister\.mrc: the header lacks the MAP id") as caught:
        read, _, _ = read_map(path)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(read, density)


@pytest.mark.parametrize("axes", [(1, 2, 3), (3, 2, 1), (2, 1, 3), (2, 3, 1), (3, 1, 2)])
def test_axis_order_and_start_agree_with_gemmi(tmp_path, axes):
    """``axes`` = mapc, mapr, maps. The start is given per column, row, section; the cell per x, y, z."""
    sizes = dict(zip((1, 2, 3), (6, 5, 4), strict=True))  # of x, y, z
    starts = {1: 10, 2: 20, 3: -30}
    mapc, mapr, maps = axes
    data = np.random.default_rng(2).normal(size=[sizes[a] for a in (maps, mapr, mapc)]).astype(np.float32)
    cell_intervals = {"mx": 60, "my": 50, "mz": 40}
    path = make(
        tmp_path / "map.ccp4", data, mapc=mapc, mapr=mapr, maps=maps, cella=(120.0, 100.0, 80.0),
        nxstart=starts[mapc], nystart=starts[mapr], nzstart=starts[maps], **cell_intervals,
    )  # fmt: skip
    density, voxel_size, origin = read_map(path)
    assert density.shape == (4, 5, 6)
    assert voxel_size == 2.0
    np.testing.assert_array_equal(origin, [20.0, 40.0, -60.0])
    whole = gemmi.read_ccp4_map(str(path))
    whole.setup(0.0)
    cell = np.array(whole.grid)
    indices = [np.arange(starts[a], starts[a] + sizes[a]) % n for a, n in zip((1, 2, 3), cell.shape, strict=True)]
    np.testing.assert_array_equal(density, cell[np.ix_(*indices)].T)


def test_unusable_axis_order_is_taken_as_xyz_with_a_warning(tmp_path, density):
    with pytest.warns(RuntimeWarning, match=r"mapc, mapr, maps = \[0, 0, 0\]"):
        read, _, _ = read_map(make(tmp_path / "map.mrc", density, mapc=0, mapr=0, maps=0))
    np.testing.assert_array_equal(read, density)


def test_origin_wins_over_start_and_they_are_never_added(tmp_path, density):
    path = make(tmp_path / "map.mrc", density, nxstart=7, nystart=8, nzstart=9, origin=(1.0, 0.0, 3.0))
    np.testing.assert_array_equal(read_map(path)[2], [1.0, 0.0, 3.0])
    make(path, density, nxstart=7, nystart=8, nzstart=9)
    np.testing.assert_array_equal(read_map(path)[2], [14.0, 16.0, 18.0])
    np.testing.assert_array_equal(read_map(path, voxel_size=3.0)[2], [21.0, 24.0, 27.0])


def test_extended_header_is_passed_over(tmp_path, density):
    path = tmp_path / "map.mrc"
    with mrcfile.new(path) as mrc:
        mrc.set_data(density)
        mrc.voxel_size = 2.0
        mrc.set_extended_header(np.full(320, 7, dtype=np.uint8).view("V1"))
    packed = tmp_path / "map.mrc.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for name in (path, packed):
        np.testing.assert_array_equal(read_map(name)[0], density)


def test_space_group_0_as_relion_and_chimera_write_it_is_a_volume(tmp_path, density):
    np.testing.assert_array_equal(read_map(make(tmp_path / "relion.mrc", density, ispg=0))[0], density)


def test_given_voxel_size_replaces_a_useless_cell(tmp_path, density):
    path = make(tmp_path / "map.mrc", density, cella=(0.0, 0.0, 0.0))
    assert read_map(path, voxel_size=3.5)[1] == 3.5


def stack(path: Path) -> Path:
    write_stack(path, np.ones((3, 4, 5)), 1.0)
    return path


def packed(path: Path) -> Path:
    compressed = path.with_name(path.name + ".gz")
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    return compressed


REFUSED = {
    "stack by name": (lambda p, d: stack(p / "x.mrcs"), r"x\.mrcs is a stack of 3 images of 5 x 4; wanted a volume"),
    "gzipped stack by name": (lambda p, d: packed(stack(p / "x.mrcs")), r"x\.mrcs\.gz is a stack of 3 images"),
    "stack by header": (lambda p, d: stack(p / "x.mrc"), r"x\.mrc is a stack of 3 images"),
    "single image": (lambda p, d: make(p / "x.mrc", d[0]), r"x\.mrc is a single image \(6 x 5 x 1\)"),
    "one voxel thin": (lambda p, d: make(p / "x.mrc", d[:, :1]), r"x\.mrc is one voxel thin \(6 x 1 x 4\)"),
    "stack of one volume": (
        lambda p, d: make(p / "x.mrc", d[None]),
        r"x\.mrc is a stack of volumes; .*space group 401 and mz = 4, turn on stack_is_volume",
    ),
    "stack of volumes": (lambda p, d: make(p / "x.mrc", np.stack([d, d])), r"x\.mrc is a stack of volumes \(space"),
    "complex": (
        lambda p, d: make(p / "x.mrc", d.astype(np.complex64)),
        r"data mode 4 \(complex, a Fourier transform\)",
    ),
    "4-bit": (lambda p, d: make(p / "x.mrc", d, mode=101), r"data mode 101 \(packed 4-bit numbers\)"),
    "unknown mode": (lambda p, d: make(p / "x.mrc", d, mode=77), r"x\.mrc: data mode 77 \(unknown\)"),
    "no voxels": (lambda p, d: make(p / "x.mrc", d, nz=0), r"x\.mrc: the header gives 6 x 5 x 0 voxels"),
    "negative size": (lambda p, d: make(p / "x.mrc", d, nx=-6), r"the header gives -6 x 5 x 4 voxels"),
    "zero voxel size": (
        lambda p, d: make(p / "x.mrc", d, cella=(0.0, 0.0, 0.0)),
        r"x\.mrc: the header gives a voxel size of 0, 0, 0 Å; .*give it as voxel_size",
    ),
    "huge voxel size": (
        lambda p, d: make(p / "x.mrc", d, cella=(6e9, 5e9, 4e9)),
        r"a voxel size of 1e\+09, 1e\+09, 1e\+09 Å; wanted a number from 0\.01 to 500",
    ),
    "negative voxel size": (lambda p, d: make(p / "x.mrc", d, cella=(-6.0, 5.0, 4.0)), r"voxel size of -1, 1, 1 Å"),
    "NaN voxel size": (lambda p, d: make(p / "x.mrc", d, cella=(np.nan, 5.0, 4.0)), r"voxel size of nan, 1, 1 Å"),
    "no intervals": (
        lambda p, d: make(p / "x.mrc", d, mx=0),
        r"mx, my, mz = 0, 5, 4; .*give the voxel size as voxel_size",
    ),
    "anisotropic": (
        lambda p, d: make(p / "x.mrc", d, cella=(6.0, 5.0, 4.0 * 1.002)),
        r"x\.mrc: voxels of 1, 1, 1\.002 Å are not cubes; resample",
    ),
    "oblique": (lambda p, d: make(p / "x.mrc", d, cellb=(90.0, 90.0, 120.0)), r"angles are 90, 90, 120 degrees"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_volume_is_refused_in_one_line(case, tmp_path, density):
    build, message = REFUSED[case]
    path = build(tmp_path, density)
    with pytest.raises(InputError, match=message) as caught:
        read_map(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "build",
    [
        lambda p, d: make(p / "x.mrc", d, ispg=0, mz=1, cella=(6.0, 5.0, 1.0)),
        lambda p, d: make(p / "x.mrcs", d),
        lambda p, d: make(p / "x.mrc", d[None]),
    ],
)
def test_what_is_called_a_stack_is_a_volume_to_whoever_says_so(build, tmp_path, density):
    path = build(tmp_path, density)
    with pytest.raises(
        InputError, match=r"is a stack of .*; wanted a volume: if it is one, .* turn on stack_is_volume"
    ):
        read_map(path)
    read, voxel_size, _ = read_map(path, stack_is_volume=True)
    np.testing.assert_array_equal(read, density)
    assert voxel_size in (1.0, 2.0)


@pytest.mark.parametrize("voxel_size", [0.0, -1.0, 1e9, 1e-9, np.nan, np.inf])
def test_a_given_voxel_size_has_to_be_one(voxel_size, tmp_path, density):
    with pytest.raises(InputError, match=r"^voxel_size is .*; wanted a number from 0\.01 to 500"):
        read_map(make(tmp_path / "x.mrc", density), voxel_size=voxel_size)


def test_nearly_isotropic_is_rounding(tmp_path, density):
    path = make(tmp_path / "map.mrc", density, cella=(6.0, 5.0, 4.0 * 1.0005))
    assert read_map(path)[1] == pytest.approx(1.0, abs=3e-4)


def test_text_named_mrc(tmp_path):
    long, short = tmp_path / "long.mrc", tmp_path / "short.mrc"
    long.write_text("not a map at all\n" * 200)
    short.write_text("not a map\n")
    with pytest.raises(
        InputError, match=r"long\.mrc is no MRC map: its header has neither the MAP id nor a known data"
    ):
        read_map(long)
    with pytest.raises(InputError, match=r"short\.mrc is no MRC map: it holds 10 bytes, a header has 1024"):
        read_map(short)


def test_truncated(tmp_path, density):
    whole = make(tmp_path / "whole.mrc", density).read_bytes()
    path = tmp_path / "x.mrc"
    path.write_bytes(whole[:-100])
    promise = r"the header promises 6 x 5 x 4 voxels, 480 bytes; it holds 380 of them"
    with pytest.raises(InputError, match=rf"x\.mrc is cut short: {promise}"):
        read_map(path)
    packed = tmp_path / "x.mrc.gz"
    packed.write_bytes(gzip.compress(whole[:-100]))
    with pytest.raises(InputError, match=rf"x\.mrc\.gz is cut short: {promise}"):
        read_map(packed)


def test_damaged_gzip(tmp_path, density):
    packed = gzip.compress(make(tmp_path / "whole.mrc", density).read_bytes())
    path = tmp_path / "x.mrc.gz"
    wrong_sum = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    for content in (packed[: len(packed) // 2], packed[:5], wrong_sum):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.mrc\.gz: the gzip file is cut short or damaged"):
            read_map(path)
    path.write_bytes(b"plain")
    with pytest.raises(InputError, match=r"x\.mrc\.gz is named \.gz but is not gzipped"):
        read_map(path)


def test_files_that_cannot_be_read(tmp_path):
    directory, empty, loop, pipe = (tmp_path / name for name in ("d.mrc", "e.mrc", "l.mrc", "p.mrc"))
    directory.mkdir()
    empty.touch()
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    for path, message in {
        tmp_path / "none.mrc": r"none\.mrc: No such file or directory",
        directory: r"d\.mrc is a directory; wanted a file",
        empty: r"e\.mrc is empty",
        loop: r"l\.mrc: Too many levels of symbolic links",
        pipe: r"p\.mrc is no regular file",
        tmp_path / ("long" * 100 + ".mrc"): r"File name too long",
        Path("null\0.mrc"): r"holds no null character",
    }.items():
        with pytest.raises(InputError, match=message):
            read_map(path)


def test_file_without_permission(tmp_path, density, monkeypatch):
    path = make(tmp_path / "x.mrc", density)

    def denied(self, *_):  # root, as whom tests may run, is denied nothing
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match=r"x\.mrc: Permission denied"):
        read_map(path)


def test_too_large_for_memory_is_refused_from_the_header_alone(tmp_path, density, monkeypatch):
    monkeypatch.setattr("engine.base.inputs.psutil.virtual_memory", lambda: SimpleNamespace(available=2**30))
    path = make(tmp_path / "x.mrc", density, nx=300, ny=300, nz=300, mx=300, my=300, mz=300, cella=(600, 600, 600))
    monkeypatch.setattr("engine.io.mrc.np.empty", lambda *_, **__: pytest.fail("allocated"))
    header = path.read_bytes()[:1024]
    os.truncate(path, 1024 + 4 * 300**3)  # a hole: takes no disk
    with pytest.raises(
        InputError, match=r"x\.mrc: 300 x 300 x 300 voxels need about 1\.9 GiB .*1\.0 GiB are free; bin"
    ):
        read_map(path)
    bomb = tmp_path / "bomb.mrc.gz"
    bomb.write_bytes(gzip.compress(header + bytes(10**7)))
    with pytest.raises(InputError, match=r"bomb\.mrc\.gz: 300 x 300 x 300 voxels need about"):
        read_map(bomb)


def test_absurd_size_in_a_damaged_header(tmp_path, density):
    path = make(tmp_path / "x.mrc", density, nx=2**31 - 1, ny=2**31 - 1, nz=2**31 - 1)
    with pytest.raises(InputError, match=r"x\.mrc is cut short: the header promises 2147483647 x "):
        read_map(path, voxel_size=1.0)


def test_gzip_bomb_behind_the_data_is_not_unpacked(tmp_path, density):
    path = tmp_path / "x.mrc.gz"
    path.write_bytes(gzip.compress(make(tmp_path / "x.mrc", density).read_bytes() + bytes(2 * 10**7)))
    read_at_most = []
    original = gzip.GzipFile.read

    def counting(self, size=-1):
        read_at_most.append(size)
        return original(self, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip.GzipFile, "read", counting)
        np.testing.assert_array_equal(read_map(path)[0], density)
    assert read_at_most
    assert all(0 <= size <= 2048 for size in read_at_most)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # mrcfile leaves it to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_failing_writes_say_so_and_leave_nothing(tmp_path, density):
    with pytest.raises(InputError, match=r"cannot write .*gone/x\.mrc: No such file or directory"):
        write_map(tmp_path / "gone" / "x.mrc", density, 1.0, np.zeros(3))
    path = tmp_path / "x.mrc"
    write_map(path, density, 1.0, np.zeros(3))
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1200, hard))
    try:
        with pytest.raises(InputError, match=r"cannot write .*x\.mrc: File too large"):
            write_map(path, density + 1, 1.0, np.zeros(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.mrc"]


def test_a_stack_written_in_parts_is_the_stack_written_whole(tmp_path: Path) -> None:
    images = np.random.default_rng(5).normal(3, 2, (11, 6, 8)).astype(np.float32)
    write_stack(tmp_path / "whole.mrcs", images, 1.25)
    write_stack(tmp_path / "parts.mrcs", iter([images[:4], images[4:5], images[5:]]), 1.25)
    assert mrcfile.validate(tmp_path / "parts.mrcs")
    for name in ("whole.mrcs", "parts.mrcs"):
        with mrcfile.open(tmp_path / name) as mrc:
            assert mrc.is_image_stack()
            assert mrc.voxel_size.x == pytest.approx(1.25)
            np.testing.assert_array_equal(mrc.data, images)
            header = [float(mrc.header[key]) for key in ("dmin", "dmax", "dmean", "rms")]
        np.testing.assert_allclose(header, [images.min(), images.max(), images.mean(), images.std()], rtol=1e-5)


def test_a_map_of_ours_fits_its_header_to_the_byte(tmp_path, density):
    path = tmp_path / "ours.mrc"
    write_map(path, density, 2.0, np.zeros(3))
    back, voxel_size = read_undoubted_map(path)
    np.testing.assert_array_equal(back, density)
    assert voxel_size == 2
    with path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InputError, match="is damaged: its header promises"):
        read_undoubted_map(path)
    make(path, density, dmin=1e6, dmax=3e6, dmean=2e6, rms=1e5)
    with pytest.raises(InputError, match="are not those of the data"):
        read_undoubted_map(path)
