"""The images of a table: where they are looked for, in which modes they are read, and what is wrong with them."""

from __future__ import annotations

import gzip
import shutil
import tracemalloc
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from engine.base.errors import ArgumentError, InputError
from engine.io import stacks
from engine.io.particles import read_particles
from engine.io.stacks import left_out, open_images, scan
from tests.io.particle_files import RELION_30, RELION_31, write_images, write_star_text

SIZE = 9


def table_of(folder: Path, *names: str, pixel_size: float | None = 2.0, data_dir: Path | None = None):
    """A table in ``folder`` with these images."""
    rows = "\n".join(f"{name} 10000 300 2.7 0.1" for name in names)
    columns = ("rlnImageName", "rlnDefocusU", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
    head = "\n".join(f"_{name} #{number}" for number, name in enumerate(columns, 1))
    path = write_star_text(folder / "p.star", f"data_particles\n\nloop_\n{head}\n{rows}\n")
    return read_particles(path, data_dir, pixel_size, warn=lambda line: None)


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 100, (6, SIZE, SIZE))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("mode", "kind"), [(0, "i1"), (1, "i2"), (2, "f4"), (6, "u2"), (12, "f2")])
def test_every_mode_in_either_byte_order_is_what_mrcfile_reads(tmp_path: Path, images, order, mode, kind):
    path = write_images(tmp_path / "a.mrcs", images.astype(order + kind))
    with mrcfile.open(path) as mrc:
        assert mrc.header.mode == mode
        wanted = mrc.data.astype(np.float32)
    source = open_images(table_of(tmp_path, *(f"{n}@a.mrcs" for n in (1, 2, 3, 4, 5, 6))))
    read = source.read([4, 0, 5, 0])
    assert (read.dtype, read.shape) == (np.float32, (4, SIZE, SIZE))
    np.testing.assert_array_equal(read, wanted[[4, 0, 5, 0]])


def test_an_extended_header_and_unsigned_bytes_of_imod(tmp_path: Path, images):
    path = write_images(tmp_path / "a.mrcs", images.astype("i1"))
    with mrcfile.open(path, mode="r+") as mrc:
        mrc.set_extended_header(np.zeros(256, "u1"))
    data = bytearray(path.read_bytes())
    data[152:160] = np.array([1146047817, 0], "<i4").tobytes()  # IMOD's stamp, and flags: bytes are not signed
    data[1024 + 256] = 200
    path.write_bytes(data)
    image = open_images(table_of(tmp_path, "1@a.mrcs")).read([0])[0]
    assert image[0, 0] == 200
    np.testing.assert_array_equal(image.ravel()[1:], images[0].ravel()[1:])


def test_images_of_several_stacks_come_in_the_order_asked_for(tmp_path: Path, images, rng, monkeypatch):
    for name, part in (("a.mrcs", images[:4]), ("b.mrcs", images[4:])):
        write_images(tmp_path / name, part.astype(np.float32))
    names = ["2@b.mrcs", "1@a.mrcs", "4@a.mrcs", "1@b.mrcs", "2@a.mrcs", "3@a.mrcs"]
    wanted = images[[5, 0, 3, 4, 1, 2]].astype(np.float32)
    source = open_images(table_of(tmp_path, *names))
    opens: list[Path] = []
    opened = stacks.opened
    monkeypatch.setattr(stacks, "opened", lambda path: opens.append(path) or opened(path))
    order = rng.permutation(6)
    np.testing.assert_array_equal(source.read(order), wanted[order])
    assert len(opens) == 2  # each stack once
    assert source.read([]).shape[0] == 0
    monkeypatch.setattr(stacks, "CHUNK_BYTES", 1)  # runs of a single image
    np.testing.assert_array_equal(source.read(order), wanted[order])


def test_chunks_are_bounded_and_go_through_each_stack_in_its_order(tmp_path: Path, images):
    write_images(tmp_path / "a.mrcs", images.astype(np.float32))
    write_images(tmp_path / "b.mrcs", np.ones((2, 12, 12), np.float32))
    source = open_images(table_of(tmp_path, "5@a.mrcs", "2@b.mrcs", "3@a.mrcs", "1@a.mrcs", "1@b.mrcs"))
    parts = list(source.chunks(most_bytes=2 * 4 * SIZE**2))
    assert [rows.tolist() for rows, _ in parts] == [[3, 2], [0], [4], [1]]
    assert [part.shape[1] for _, part in parts] == [SIZE, SIZE, 12, 12]
    np.testing.assert_array_equal(parts[0][1], images[[0, 2]])
    assert [rows.tolist() for rows, _ in source.chunks([1, 2])] == [[2], [1]]


def test_going_through_many_images_takes_the_memory_of_two_chunks(tmp_path: Path, rng):
    count, most = 3000, 1 << 18
    write_images(tmp_path / "a.mrcs", rng.integers(0, 9, (count, 32, 32)).astype("i2"))  # 12 MB, as they are read
    source = open_images(table_of(tmp_path, *(f"{n}@a.mrcs" for n in range(1, count + 1))))
    tracemalloc.start()
    try:
        total = sum(part.sum(dtype=np.float64) for _, part in source.chunks(most_bytes=most))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total > 0
    assert peak < 4 * most  # two chunks, what is read from the file, and the order


def test_images_of_different_sizes_are_not_read_together(tmp_path: Path):
    for name, size in (("a.mrcs", 10), ("b.mrcs", 12)):
        write_images(tmp_path / name, np.zeros((1, size, size), np.float32))
    source = open_images(table_of(tmp_path, "1@a.mrcs", "1@b.mrcs"))
    with pytest.raises(ArgumentError, match=r"indices have images of 10 and 12 pixels; wanted one size at a time"):
        source.read([0, 1])
    with pytest.raises(ArgumentError, match=r"indices reach from 0 to 2; wanted 0 to 1"):
        source.read([0, 2])


# Where stacks are -----------------------------------------------------------------------------------------------------


def put(path: Path, value: float = 1.0) -> Path:
    return write_images(path, np.full((1, SIZE, SIZE), value, np.float32))


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("stacks/a.mrcs", "project/Refine/job1/stacks/a.mrcs"),  # in the table's folder
        ("stacks/a.mrcs", "project/stacks/a.mrcs"),  # in the project's
        ("../other/a.mrcs", "project/Refine/other/a.mrcs"),
        ("stacks/a.mrcs", "data/stacks/a.mrcs"),  # in data_dir
        ("Extract/job9/a.mrcs", "data/a.mrcs"),  # there by its name
        ("/elsewhere/a.mrcs", "data/a.mrcs"),
        ("/elsewhere/a.mrcs", "data/elsewhere/a.mrcs"),
        ("Extract/job9/a.mrcs", "project/Refine/job1/a.mrcs"),  # beside the table by its name
        ("stacks/a.mrcs", "project/stacks/a.mrc"),  # with the other ending
        ("stacks/a.mrc", "project/stacks/a.mrcs"),
        ("~/a.mrcs", "home/a.mrcs"),
    ],
)
def test_stacks_are_found_where_programs_mean_them(tmp_path: Path, monkeypatch, written, place):
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    wanted = put(tmp_path / place)
    data_dir = tmp_path / "data" if place.startswith("data") else None
    source = open_images(table_of(tmp_path / "project" / "Refine" / "job1", f"1@{written}", data_dir=data_dir))
    assert source.paths[0].resolve() == wanted
    is_told = place in ("project/Refine/job1/a.mrcs", "project/stacks/a.mrc") or written.endswith("a.mrc")
    assert [remark.endswith(f"is not there; {source.paths[0]} is read instead") for remark in source.remarks] == (
        [True] * is_told
    )


def test_the_folder_that_is_given_comes_first_and_then_the_nearest(tmp_path: Path):
    for place in ("project/s/a.mrcs", "project/job/s/a.mrcs", "data/s/a.mrcs"):
        put(tmp_path / place)
    folder = tmp_path / "project" / "job"
    assert open_images(table_of(folder, "1@s/a.mrcs")).paths[0] == folder / "s" / "a.mrcs"
    given = open_images(table_of(folder, "1@s/a.mrcs", data_dir=tmp_path / "data"))
    assert given.paths[0] == tmp_path / "data" / "s" / "a.mrcs"


def test_stacks_that_are_not_there_are_named_with_a_remedy(tmp_path: Path):
    table = table_of(tmp_path, *(f"1@s/{name}.mrcs" for name in "abcde"))
    put(tmp_path / "s" / "b.mrcs")
    with pytest.raises(
        ArgumentError, match=r"4 of its 5 stacks are not found: s/a.mrcs, s/c.mrcs, s/d.mrcs…; looked"
    ) as e:
        open_images(table)
    assert e.value.arguments == ("data_dir",)


def test_two_names_that_lead_to_one_file_are_refused(tmp_path: Path):
    put(tmp_path / "data" / "a.mrcs")
    table = table_of(tmp_path / "p", "1@s/a.mrcs", "1@t/a.mrcs", data_dir=tmp_path / "data")
    with pytest.raises(ArgumentError, match=r"s/a.mrcs and t/a.mrcs of .* both lead to .*a.mrcs; give the folder"):
        open_images(table)


# What is wrong with them ----------------------------------------------------------------------------------------------


def test_images_beyond_the_stacks_end_are_named(tmp_path: Path, images):
    write_images(tmp_path / "a.mrcs", images.astype(np.float32))
    table = table_of(tmp_path, "1@a.mrcs", "7@a.mrcs", "9@a.mrcs")
    with pytest.raises(
        InputError, match=r"names 2 images beyond their stack's end, first 000007@a.mrcs: .* has 6 images"
    ):
        open_images(table)


def test_a_truncated_stack_is_refused_even_where_its_end_is_not_needed(tmp_path: Path, images):
    path = write_images(tmp_path / "a.mrcs", images.astype(np.float32))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"a.mrcs is cut short: the header promises 6 images of 9 x 9 pixels, 5 are"):
        open_images(table_of(tmp_path, "1@a.mrcs"))


def test_a_stack_that_shrinks_while_it_is_read_is_told(tmp_path: Path, images):
    path = write_images(tmp_path / "a.mrcs", images.astype(np.float32))
    source = open_images(table_of(tmp_path, "6@a.mrcs"))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"a.mrcs has become shorter"):
        source.read([0])
    path.unlink()
    with pytest.raises(InputError, match=r"a.mrcs: No such file"):
        source.read([0])


def oblong(path: Path) -> None:
    write_images(path, np.zeros((2, 9, 10), np.float32))


def tiny(path: Path) -> None:
    write_images(path, np.zeros((2, 4, 4), np.float32))


def complex_numbers(path: Path) -> None:
    write_images(path, np.zeros((2, 9, 9), np.complex64))


def gzipped(path: Path) -> None:
    put(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def turned(path: Path) -> None:
    put(path)
    with mrcfile.open(path, mode="r+") as mrc:
        mrc.header.mapc, mrc.header.maps = 3, 1


def no_mrc(path: Path) -> None:
    path.write_bytes(b"\xff" * 2000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (oblong, r"a.mrcs has images of 10 x 9 pixels; wanted square ones"),
        (tiny, r"a.mrcs has images of 4 pixels; wanted a whole number from 8"),
        (complex_numbers, r"a.mrcs: data mode 4 \(complex"),
        (gzipped, r"a.mrcs is gzipped, and images are read where they lie in the file; unpack it"),
        (turned, r"a.mrcs has the axis order \[3, 2, 1\]; wanted"),
        (no_mrc, r"a.mrcs is no MRC map"),
    ],
)
def test_stacks_that_cannot_be_read_get_one_line(tmp_path: Path, make, message):
    make(tmp_path / "a.mrcs")
    with pytest.raises(InputError, match=message) as caught:
        open_images(table_of(tmp_path, "1@a.mrcs"))
    assert "\n" not in str(caught.value)


def test_a_box_that_contradicts_the_table_is_refused(tmp_path: Path):
    path = write_star_text(tmp_path / "p.star", RELION_31)
    write_images(tmp_path / "a.mrcs", np.zeros((3, 8, 8), np.float32))
    write_images(tmp_path / "b.mrcs", np.zeros((1, 12, 12), np.float32))
    with pytest.raises(InputError, match=r"says that images are 16 pixels wide, and those of .*a.mrcs are 8; if they"):
        open_images(read_particles(path))


def test_a_pixel_size_that_contradicts_the_table_is_told_and_the_table_wins(tmp_path: Path):
    path = write_star_text(tmp_path / "p.star", RELION_30)
    for name in ("a.mrcs", "b.mrcs"):
        write_images(tmp_path / name, np.zeros((2, SIZE, SIZE), np.float32), 3.1)
    source = open_images(read_particles(path))
    (remark,) = source.remarks
    assert "the table has 2 Å per pixel and the header of a.mrcs 3.1; the table's is taken, and 1 more" in remark
    np.testing.assert_array_equal(source.pixel_size, [2.0, 2.0])


def test_no_pixel_size_anywhere_is_an_error_that_names_the_argument(tmp_path: Path):
    put(tmp_path / "a.mrcs")
    table = table_of(tmp_path, "1@a.mrcs", pixel_size=None)
    with pytest.raises(
        ArgumentError, match=r"p.star has no pixel size, nor have the headers of its stacks; give it as"
    ):
        open_images(table)
    assert open_images(table_of(tmp_path, "1@a.mrcs", pixel_size=1.5)).pixel_size[0] == 1.5


def test_nan_and_constant_images_are_found_named_and_counted(tmp_path: Path, rng):
    images = rng.normal(5.0, 2.0, (40, 16, 16)).astype(np.float32)
    write_images(tmp_path / "a.mrcs", np.zeros((1, 16, 16), np.float32))
    path = write_images(tmp_path / "b.mrcs", images)
    stored = np.memmap(path, np.float32, "r+", offset=1024, shape=images.shape)
    stored[3, 0, 0], stored[5, 2, 2], stored[7] = np.nan, np.inf, 4.0
    del stored
    table = table_of(tmp_path, *(f"{n}@b.mrcs" for n in range(1, 41)), "1@a.mrcs")
    steps: list[float] = []
    result = scan(open_images(table), progress=lambda fraction, values: steps.append(fraction))
    rows, remarks = left_out(table, result)
    assert rows.tolist() == [3, 5, 7, 40]
    assert remarks == [
        "2 images have NaN or infinite values, first 000004@b.mrcs; left out",
        "2 images have the same value everywhere, first 000008@b.mrcs; left out",
    ]
    fine = np.setdiff1d(np.arange(40), rows)
    np.testing.assert_allclose(result.mean[fine], images[fine].mean(axis=(1, 2), dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(result.standard_deviation[fine], images[fine].std(axis=(1, 2), dtype=np.float64))
    np.testing.assert_array_equal(result.is_usable, ~np.isin(np.arange(41), rows))
    assert steps[-1] == 1.0


def test_what_is_not_scanned_is_neither_usable_nor_left_out(tmp_path: Path, rng):
    write_images(tmp_path / "a.mrcs", rng.normal(size=(3, 16, 16)).astype(np.float32))
    table = table_of(tmp_path, "1@a.mrcs", "2@a.mrcs", "3@a.mrcs")
    result = scan(open_images(table), [1])
    np.testing.assert_array_equal(np.isnan(result.mean), [True, False, True])
    np.testing.assert_array_equal(result.is_usable, [False, True, False])
    assert not any(map(len, left_out(table, result)))


def test_a_stack_alone(tmp_path: Path, images):
    path = write_images(tmp_path / "a.mrcs", images.astype(np.float32), 1.7)
    lines: list[str] = []
    table = read_particles(path, warn=lines.append)
    assert [line.partition(": ")[2] for line in lines] == [
        "these are images without a table: there is no CTF, and phases cannot be flipped"
    ]
    assert (len(table), table.program, table.ctf, table.poses) == (6, "stack", None, None)
    np.testing.assert_allclose(table.pixel_size, 1.7, rtol=1e-6)
    np.testing.assert_array_equal(open_images(table).read([2, 1]), images[[2, 1]])
    given = read_particles(path, pixel_size=2.5, warn=lines.append)
    np.testing.assert_array_equal(given.pixel_size, 2.5)
    shutil.copy(path, tmp_path / "a.mrc")
    assert len(read_particles(tmp_path / "a.mrc", warn=lines.append)) == 6
    cube = write_images(tmp_path / "cube.mrc", np.zeros((9, 9, 9), np.float32), 1.0)
    assert "as a map would" in read_particles(cube, warn=lines.append).remarks[1]
