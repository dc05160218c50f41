"""The data block of an MRC file whose header may contradict it: where it begins, and of what type its values are.

Every contradiction is reported; a file is refused only where its header and its size leave no reading of it.
"""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..base.errors import InputError
from ..base.inputs import require_memory_for_voxels
from .mrc_readings import FITS, Choice, Reading, Statistics, choose, set_in_header

HEADER_BYTES = 1024
_MOST_EXTENDED = 1 << 26  # bytes; thousands of sections have at most one KiB each
_MOST_SURPLUS = 1 << 22  # bytes looked at beyond what is promised, in small pieces: a gzipped file's may be endless
_PIECE = 1 << 11
_CHUNK = 1 << 24  # bytes read at a time: gzip would otherwise hold a second copy of the whole
_CONTRADICTS = 1e-2  # of the range: statistics that are further off are not the data's

# IMOD, https://bio3d.colorado.edu/imod/doc/mrc_format.txt: the stamp says that the flags beside it mean something.
_IMOD_STAMP = 1146047817
_IMOD_SIGNED, _IMOD_FOUR_BITS = 1, 16
_EXTENDED_TYPES = (b"CCP4", b"MRCO", b"SERI", b"AGAR", b"FEI1", b"FEI2", b"HDF5")
_MRC2014 = (20140, 20141)  # versions, in which bytes are signed; before, programs disagreed
_NUMBERS = {"i": "signed integers", "u": "unsigned integers", "f": "floating-point numbers"}


def read_data(
    file: io.BufferedIOBase, header: np.void, dtype: np.dtype[Any], shape: tuple[int, int, int], path: Path,
    remark: Callable[[str], None],
) -> NDArray[Any]:  # fmt: skip
    """The values [section, row, column] that follow the header.

    Parameters
    ----------
    file
        read up to the end of the header.
    dtype
        what the header's mode and byte order say.
    remark
        is called with a line about each contradiction, without the file's name.

    Raises
    ------
    InputError
        naming the file, for one that is too short or too large for memory, and for packed 4-bit values.
    """
    claims = _Claims.of(header, dtype, math.prod(shape))
    if claims.mode == 0 and (claims.flags or 0) & _IMOD_FOUR_BITS:
        raise InputError(f"{path}: IMOD's flags say that each byte holds two 4-bit numbers; wanted one number a voxel")
    is_gzip = isinstance(file, gzip.GzipFile)
    size = math.inf if is_gzip else path.stat().st_size - HEADER_BYTES
    if size >= claims.least:
        require_memory_for_voxels(shape, str(path), "bin or crop the map")
        block, is_whole = _rest(file, claims.most(size), _MOST_SURPLUS)
        size = len(block) if is_gzip else size
    choice = claims.choice(block, is_whole) if size >= claims.least else None
    if choice is None:
        held = max(size - max(claims.extended, 0), 0)
        raise InputError(
            f"{path} is cut short: the header promises {shape[2]} x {shape[1]} x {shape[0]} voxels, {claims.needed} "
            f"bytes; it holds {held} of them"
        )
    data = choice.reading.of(block, claims.count)
    for line in (*claims.against(choice, int(size), is_whole), *claims.about_sign(choice, data)):
        remark(line)
    return data.reshape(shape)


def stored_type(header: np.void, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type that a header gives its values: ``dtype`` of its mode, bytes unsigned where IMOD's flags say so."""
    claims = _Claims.of(header, dtype, 0)
    return dtype if claims.mode != 0 or claims.bytes_are_signed else np.dtype("u1")


@dataclass(frozen=True)
class _Claims:
    """What a header says of the data: ``count`` values of ``dtype`` after ``extended`` bytes of an extended header.

    ``flags`` are IMOD's, None without its stamp.
    """

    count: int
    dtype: np.dtype[Any]
    extended: int
    mode: int
    flags: int | None
    statistics: Statistics
    has_extended_type: bool
    is_mrc2014: bool

    @classmethod
    def of(cls, header: np.void, dtype: np.dtype[Any], count: int) -> Self:
        order = header.dtype["mode"].byteorder
        stamp, flags = np.frombuffer(header.tobytes()[152:160], np.dtype("i4").newbyteorder(order))
        return cls(
            count, dtype, int(header["nsymbt"]), int(header["mode"]), int(flags) if stamp == _IMOD_STAMP else None,
            set_in_header(*(float(header[name]) for name in ("dmin", "dmax", "dmean", "rms"))),
            bytes(header["exttyp"]) in _EXTENDED_TYPES, int(header["nversion"]) in _MRC2014,
        )  # fmt: skip

    @property
    def needed(self) -> int:
        """Bytes of the data."""
        return self.count * self.dtype.itemsize

    @property
    def least(self) -> int:
        """Bytes after the header without which there is no reading: in smaller types, if those fill the file."""
        return self.needed if not self.statistics.compared else self.count

    @property
    def bytes_are_signed(self) -> bool:
        """As IMOD's flags say, if they do; MRC2014 has them signed."""
        return self.flags is None or bool(self.flags & _IMOD_SIGNED)

    def most(self, size: float) -> int:
        """Bytes after the header that it promises, in a file of that size; infinite where nobody knows it."""
        extended = max(self.extended, 0) if math.isfinite(size) else min(max(self.extended, 0), _MOST_EXTENDED)
        return int(min(size, extended + self.needed))

    def choice(self, block: NDArray[np.uint8], is_whole: bool) -> Choice | None:
        """How the bytes after the header are read; None where there is no reading, or no telling which.

        ``is_whole``: there are no more of them.
        """
        surplus = len(block) - self.needed
        offsets = self._offsets(surplus, is_whole) if surplus >= 0 else []
        readings = [Reading(offset, kind) for offset in offsets for kind in self._types()]
        choice = choose(block, self.count, readings, self.statistics) if readings else None
        if choice is None or (choice.mismatch > FITS and not choice.is_chosen):
            others = [Reading(offset, self.dtype.newbyteorder("S")) for offset in offsets if self.dtype.itemsize > 1]
            others += self._of_other_types(len(block)) if is_whole else []
            other = choose(block, self.count, others, self.statistics) if others else None
            if other is not None and other.is_chosen:
                return other
        is_settled = self.extended <= surplus or surplus == 0
        return choice if choice is not None and (is_settled or choice.is_chosen) else None

    def against(self, choice: Choice, size: int, is_whole: bool) -> Iterator[str]:
        """Where a reading, of a file with so many bytes after its header, is against that header."""
        reading, promised = choice.reading, HEADER_BYTES + self.extended + self.needed
        is_as_promised = reading.offset == self.extended and choice.is_chosen  # what follows the data does not matter
        if HEADER_BYTES + size != promised and not is_as_promised:
            why = "as the header's statistics say" if choice.is_chosen else "which nothing in the header confirms"
            yield (
                f"the header promises {promised:,} bytes, {self.extended:,} of them in an extended header; the file "
                f"has {HEADER_BYTES + size:,}{'' if is_whole else ' or more'}, and its data are read from byte "
                f"{HEADER_BYTES + reading.offset:,}, {why}"
            )
        if choice.mismatch > _CONTRADICTS:
            yield f"the header's statistics ({self.statistics}) are not those of the data ({choice.computed})"
        if reading.dtype not in self._types():
            numbers = f"{_NUMBERS[reading.dtype.kind]} of {8 * reading.dtype.itemsize} bits"
            order = "big" if reading.dtype.str[0] == ">" else "little"
            yield (
                f"its data are {numbers}, {order}-endian, against mode {self.mode} and the header's byte order: its "
                f"statistics ({self.statistics}) say so"
            )

    def about_sign(self, choice: Choice, data: NDArray[Any]) -> Iterator[str]:
        """What there is to say of integers being read as signed or not."""
        kind = choice.reading.dtype
        if kind not in self._types() or kind.kind == "f" or data.view(kind.str.replace("u", "i")).min() >= 0:
            return  # no value has the highest bit: it is the same either way
        how = "signed" if kind.kind == "i" else "unsigned"
        has_flags = kind.itemsize == 1 and self.flags is not None
        if kind != self._types()[0]:
            against = "IMOD's flags" if has_flags else f"mode {self.mode}"
            yield (
                f"its {8 * kind.itemsize}-bit integers are read as {how}, as the header's statistics "
                f"({self.statistics}) say against {against}"
            )
        elif kind.itemsize == 1 and not (has_flags or choice.is_chosen or self.is_mrc2014):
            yield f"nothing in the header says whether its bytes are signed; read as {how}, as MRC2014 has them"

    def _offsets(self, surplus: int, is_whole: bool) -> list[int]:
        """Where data can begin if there are so many bytes more than they need, the likeliest place first."""
        if not 0 <= self.extended <= surplus:
            places = [surplus, 0]
        elif is_whole and self.extended == surplus:
            places = [surplus]
        else:
            places = [self.extended, 0, *([surplus] if is_whole else [])]
            if self.has_extended_type and not self.extended:
                places.reverse()
        return list(dict.fromkeys(places))

    def _types(self) -> list[np.dtype[Any]]:
        """The types that values may have, as the header has it first."""
        if self.dtype.kind == "f":
            return [self.dtype]
        both = [np.dtype(f"{self.dtype.str[0]}{kind}{self.dtype.itemsize}") for kind in "iu"]
        is_signed = self.bytes_are_signed if self.dtype.itemsize == 1 else self.dtype.kind == "i"
        return both if is_signed else both[::-1]

    def _of_other_types(self, present: int) -> list[Reading]:
        """Readings as numbers of other types that fill the file to its end."""
        offset = max(self.extended, 0)
        kinds = [np.dtype(order + kind) for order in "<>" for kind in ("i1", "u1", "i2", "u2", "f2", "f4")]
        fitting = dict.fromkeys(kind for kind in kinds if offset + self.count * kind.itemsize == present)
        return [Reading(offset, kind) for kind in fitting if kind.itemsize != self.dtype.itemsize]


def _rest(file: io.BufferedIOBase, most: int, surplus: int) -> tuple[NDArray[np.uint8], bool]:
    """The bytes that follow, ``most`` and then at most ``surplus`` more; and whether these are all."""
    block = np.empty(most, dtype=np.uint8)
    filled = 0
    while filled < most:
        count = file.readinto(block.data[filled : filled + _CHUNK])
        if not count:
            return block[:filled], True
        filled += count
    pieces = []
    while surplus > 0 and (piece := file.read(_PIECE)):  # gzip compares its check sum only when asked for what follows
        pieces.append(np.frombuffer(piece, np.uint8))
        surplus -= len(piece)
    return np.concatenate([block, *pieces]) if pieces else block, surplus > 0
