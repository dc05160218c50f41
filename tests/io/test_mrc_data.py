"""Headers that contradict the data: the truth is what mrcfile wrote, before the header or the file was changed.

Where bytes are unsigned: IMOD, https://bio3d.colorado.edu/imod/doc/mrc_format.txt, imodStamp and imodFlags.
"""

from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from engine.base.errors import InputError
from engine.io.mrc import read_map
from engine.io.mrc_readings import Reading, Statistics, choose, set_in_header

SHAPE = (6, 7, 8)
STAMP = 1146047817
NOT_SET = {"dmin": 0.0, "dmax": -1.0, "dmean": -2.0, "rms": -1.0}


def made(path: Path, data: np.ndarray, **fields: object) -> tuple[bytes, bytes]:
    """Header and data of a map that mrcfile wrote; IMOD's stamp goes with ``flags``."""
    flags = fields.pop("flags", None)
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(data)
        mrc.voxel_size = 3.0
        for key, value in fields.items():
            mrc.header[key] = value
    whole = path.read_bytes()
    header = whole[:1024]
    if flags is not None:
        header = header[:152] + struct.pack("<ii", STAMP, flags) + header[160:]
    return header, whole[1024:]


def read(path: Path, *parts: bytes, packed: bool = False) -> tuple[np.ndarray, list[str]]:
    """The density of a file of these parts, and the warnings of it."""
    content = b"".join(parts)
    path.write_bytes(gzip.compress(content) if packed else content)
    remarks: list[str] = []
    density = read_map(path, warn=remarks.append)[0]
    assert density.flags.aligned
    assert density.flags.c_contiguous
    assert all(line.startswith(f"{path}: ") for line in remarks)
    return density, [line.removeprefix(f"{path}: ") for line in remarks]


def statistics(values: np.ndarray) -> dict[str, float]:
    return {"dmin": values.min(), "dmax": values.max(), "dmean": values.mean(), "rms": values.std()}


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


@pytest.fixture
def levels() -> np.ndarray:
    """Bytes from 0 to 255."""
    values = np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.uint8)
    values[0, 0, :2] = 0, 255
    return values


BYTES = {  # fields, whether the values are unsigned, what is reported
    "IMOD unsigned, and so the statistics": (lambda u: {"flags": 0, **statistics(u)}, True, ""),
    "IMOD unsigned alone": (lambda u: {"flags": 0, **NOT_SET}, True, ""),
    "IMOD signed alone": (lambda u: {"flags": 1, **NOT_SET}, False, ""),
    "IMOD signed, the statistics unsigned": (
        lambda u: {"flags": 1, **statistics(u)},
        True,
        "unsigned.* against IMOD's flags",
    ),
    "IMOD unsigned, the statistics signed": (lambda u: {"flags": 0}, False, "read as signed.* against IMOD's flags"),
    "no stamp, the statistics unsigned": (statistics, True, r"minimum 0, maximum 255, mean .* against mode 0"),
    "the whole range of bytes": (lambda u: {"dmin": 0, "dmax": 255, "dmean": 0}, True, "read as unsigned"),
    "the statistics signed": (lambda u: {}, False, ""),
    "nothing set, MRC2014": (lambda u: NOT_SET, False, ""),
    "nothing set, before": (
        lambda u: {**NOT_SET, "nversion": 0},
        False,
        "nothing .* says whether its bytes are signed",
    ),
    "zeros, before": (lambda u: {**dict.fromkeys(NOT_SET, 0.0), "nversion": 0}, False, "nothing in the header says"),
    "NaN, before": (lambda u: {**dict.fromkeys(NOT_SET, np.nan), "nversion": 0}, False, "nothing in the header says"),
    "of other data": (lambda u: {"dmin": -7, "dmax": 2, "dmean": 1}, False, "are not those of the data"),
}


@pytest.mark.parametrize("case", BYTES)
def test_bytes_are_signed_or_not_as_statistics_then_flags_then_the_format_say(case, levels, tmp_path):
    fields, is_unsigned, message = BYTES[case]
    if case == "the whole range of bytes":
        levels = np.clip(levels, 9, 240)
    header, data = made(tmp_path / "x.mrc", levels.view(np.int8), **fields(levels))
    density, remarks = read(tmp_path / "x.mrc", header, data)
    np.testing.assert_array_equal(density, levels if is_unsigned else levels.view(np.int8))
    assert bool(remarks) == bool(message)
    assert not message or any(re.search(message, line) for line in remarks)


def test_bytes_that_are_the_same_either_way_are_nothing_to_speak_of(levels, tmp_path):
    header, data = made(tmp_path / "x.mrc", (levels // 2).view(np.int8), nversion=0, **NOT_SET)
    density, remarks = read(tmp_path / "x.mrc", header, data)
    np.testing.assert_array_equal(density, levels // 2)
    assert remarks == []


@pytest.mark.parametrize(("stored", "meant"), [(np.int16, np.uint16), (np.uint16, np.int16)])
def test_statistics_tell_the_sign_of_longer_integers_too(stored, meant, tmp_path):
    values = np.random.default_rng(2).integers(0, 2**16, SHAPE).astype(np.uint16).view(meant)
    header, data = made(tmp_path / "x.mrc", values.view(stored), **statistics(values))
    density, (line,) = read(tmp_path / "x.mrc", header, data)
    np.testing.assert_array_equal(density, values)
    assert line.startswith("its 16-bit integers are read as")


def test_packed_numbers_under_mode_0_are_refused(levels, tmp_path):
    header, data = made(tmp_path / "x.mrc", levels.view(np.int8), flags=16)
    with pytest.raises(InputError, match=r"x\.mrc: IMOD's flags say that each byte holds two 4-bit numbers"):
        read(tmp_path / "x.mrc", header, data)


EXTRA = np.random.default_rng(3).bytes(1024)
PLACES = {  # nsymbt, what precedes the data, what follows them, whether that is reported
    "as promised": (1024, EXTRA, b"", False),
    "of odd length": (1023, EXTRA[:-1], b"", False),
    "something follows": (0, b"", EXTRA[:100], False),
    "much follows": (0, b"", bytes(10**7), False),
    "an extended header not told of": (0, EXTRA, b"", True),
    "an empty extended header not told of": (0, bytes(1024), b"", True),
    "one longer than told": (1024, EXTRA + EXTRA, b"", True),
    "one shorter than told": (2048, EXTRA, b"", True),
    "told of and not there": (1024, b"", b"", True),
    "a negative one": (-8, b"", b"", True),
    "an absurd one": (2**31 - 1, b"", b"", True),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", PLACES)
def test_the_statistics_say_where_the_data_begin(case, packed, noise, tmp_path):
    nsymbt, before, after, is_reported = PLACES[case]
    header, data = made(tmp_path / "x.mrc", noise, nsymbt=nsymbt)
    density, remarks = read(tmp_path / "x.mrc", header, before, data, after, packed=packed)
    np.testing.assert_array_equal(density, noise)
    size = 1024 + len(before) + len(data) + len(after)
    assert len(remarks) == is_reported
    if remarks:
        assert f"promises {1024 + nsymbt + len(data):,} bytes" in remarks[0]
        assert f"the file has {size:,}, and its data are read from byte {1024 + len(before):,}" in remarks[0]


def test_without_statistics_the_header_is_followed_and_the_contradiction_told(noise, tmp_path):
    header, data = made(tmp_path / "x.mrc", noise, **NOT_SET)
    density, (line,) = read(tmp_path / "x.mrc", header, data, bytes(100))
    np.testing.assert_array_equal(density, noise)
    assert line.endswith("read from byte 1,024, which nothing in the header confirms")
    header, data = made(tmp_path / "x.mrc", noise, exttyp=b"FEI1", **NOT_SET)  # so there is an extended header
    np.testing.assert_array_equal(read(tmp_path / "x.mrc", header, EXTRA, data)[0], noise)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("extended", [0, 2048])
@pytest.mark.parametrize("fields", [{}, NOT_SET])
def test_data_that_are_cut_short_are_refused_with_both_sizes(fields, extended, packed, noise, tmp_path):
    header, data = made(tmp_path / "x.mrc", noise, nsymbt=extended, **fields)
    promise = rf"8 x 7 x 6 voxels, {noise.nbytes} bytes; it holds {noise.nbytes - 100} of them"
    with pytest.raises(InputError, match=rf"x\.mrc is cut short: the header promises {promise}"):
        read(tmp_path / "x.mrc", header, EXTRA[:extended] + EXTRA[: extended - 1024], data[:-100], packed=packed)


@pytest.mark.parametrize(
    ("mode", "stored"), [(1, np.float32), (0, np.float32), (2, np.int16), (2, np.int8), (6, np.float32)]
)
def test_numbers_of_another_type_that_fill_the_file_are_read_if_the_statistics_are_theirs(
    mode, stored, noise, tmp_path
):
    values = (30 * noise).astype(stored)
    header, data = made(tmp_path / "x.mrc", values, mode=mode)
    density, remarks = read(tmp_path / "x.mrc", header, data)
    np.testing.assert_array_equal(density, values)
    assert any(f"against mode {mode}" in line for line in remarks)


def test_data_in_the_other_byte_order_than_the_header(noise, tmp_path):
    header, _ = made(tmp_path / "x.mrc", noise)
    density, (line,) = read(tmp_path / "x.mrc", header, noise.astype(">f4").tobytes())
    np.testing.assert_array_equal(density, noise)
    assert "big-endian" in line


@pytest.mark.parametrize("stamp", [[0x11, 0x11, 0, 0], [0x44, 0x44, 0, 0], [0, 0, 0, 0]])
def test_the_byte_order_of_mode_0_is_told_from_the_size(stamp, levels, tmp_path):
    made(tmp_path / "x.mrc", levels.view(np.int8))
    with mrcfile.open(tmp_path / "x.mrc") as mrc:
        header = mrc.header.copy()
    swapped = header.astype(header.dtype.newbyteorder(">"))
    swapped["machst"] = stamp
    density, remarks = read(tmp_path / "x.mrc", swapped.tobytes(), levels.tobytes())
    np.testing.assert_array_equal(density, levels.view(np.int8))
    assert len(remarks) == (stamp[0] != 0x11)


def test_statistics_of_other_data_are_told_and_rounded_ones_are_not(noise, tmp_path):
    header, data = made(tmp_path / "x.mrc", noise, dmin=-9, dmax=9)
    density, (line,) = read(tmp_path / "x.mrc", header, data)
    np.testing.assert_array_equal(density, noise)
    assert line.startswith("the header's statistics (minimum -9, maximum 9, mean")
    header, data = made(tmp_path / "x.mrc", noise, dmin=round(float(noise.min()), 3), dmean=0.001 + noise.mean())
    assert read(tmp_path / "x.mrc", header, data)[1] == []


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ((0, 255, 12, 3), ("low", "high", "mean")),
        ((0, -1, -2, -1), ()),
        ((0, -1, -2, 4), ("rms",)),
        ((0, -1, 5, -1), ("mean",)),
        ((0, 0, 0, 0), ()),
        ((np.nan, np.nan, np.nan, np.nan), ()),
        ((-np.inf, np.inf, np.nan, 0), ()),
        ((1, 3, 9, 0), ("low", "high")),
    ],
)
def test_what_of_the_statistics_is_set(header, expected):
    """MRC2014's note 7: dmax < dmin, dmean < both, rms < 0 where they are not determined."""
    assert set_in_header(*map(float, header)).compared == expected


def test_readings_that_fit_alike_leave_the_first():
    block = np.array([0, 0, 1, 2, 3, 0, 0], np.uint8)
    readings = [Reading(offset, np.dtype("u1")) for offset in (1, 0, 2)]
    alike = choose(block, 5, readings, Statistics(0, 3, 6 / 5))
    assert (alike.reading, alike.is_chosen) == (readings[0], False)
    settled = choose(np.array([9, 0, 1, 2, 3, 0, 0], np.uint8), 5, readings[::-1], Statistics(0, 3, 6 / 5))
    assert not settled.is_chosen  # offsets 1 and 2 fit
    settled = choose(np.array([9, 0, 1, 2, 3, 4, 7], np.uint8), 5, readings[::-1], Statistics(0, 4, 2.0))
    assert (settled.reading, settled.is_chosen) == (readings[0], True)
