"""The data block of an MRC file whose header may contradict it: where it begins, and of what type its values are.

Every contradiction is told; a file is refused only where its header and its size leave no reading of it.
"""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import InputError
from ..base.inputs import require_memory_for_voxels
from .mrc_readings import FITS, Choice, Reading, Statistics, choose, set_in_header

HEADER_BYTES = 1024
_MOST_EXTENDED = 1 << 26  # bytes; thousands of sections have at most one KiB each
_MOST_SURPLUS = 1 << 22  # bytes looked at beyond the data: a gzipped file's may be endless
_CHUNK = 1 << 24  # bytes read at a time: gzip would otherwise hold a second copy of the whole
_CONTRADICTS = 1e-2  # of the range: statistics that are further off are not the data's

# IMOD, https://bio3d.colorado.edu/imod/doc/mrc_format.txt: the stamp says that the flags beside it mean something.
_IMOD_STAMP = 1146047817
_IMOD_SIGNED, _IMOD_FOUR_BITS = 1, 16
_EXTENDED_TYPES = (b"CCP4", b"MRCO", b"SERI", b"AGAR", b"FEI1", b"FEI2", b"HDF5")
_VERSION = 20140  # and 20141: MRC2014, which has bytes signed; programs before it disagreed


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
    flags = _imod_flags(header)
    if int(header["mode"]) == 0 and flags is not None and flags & _IMOD_FOUR_BITS:
        raise InputError(f"{path}: IMOD's flags say that each byte holds two 4-bit numbers; wanted one number a voxel")
    count, extended = math.prod(shape), int(header["nsymbt"])
    layout = _Layout(count * dtype.itemsize, extended)
    cut_short = (
        f"{path} is cut short: the header promises {shape[2]} x {shape[1]} x {shape[0]} voxels, {layout.needed} bytes; "
        "it holds {} of them"
    )
    size = None if isinstance(file, gzip.GzipFile) else path.stat().st_size - HEADER_BYTES
    if size is not None and size < layout.needed:
        raise InputError(cut_short.format(layout.held(size)))
    require_memory_for_voxels(shape, str(path), "bin or crop the map")
    if size is None:
        most = min(max(extended, 0), _MOST_EXTENDED) + layout.needed + _MOST_SURPLUS
    else:
        most = min(size, max(extended, 0) + layout.needed + _MOST_SURPLUS)
    block, is_whole = _rest(file, most)
    size = len(block) if size is None else size
    if len(block) < layout.needed:
        raise InputError(cut_short.format(layout.held(size)))

    told = set_in_header(*(float(header[name]) for name in ("dmin", "dmax", "dmean", "rms")))
    offsets, is_settled = layout.offsets(len(block), is_whole, bytes(header["exttyp"]) in _EXTENDED_TYPES)
    types = _types(dtype, is_first_signed=flags is None or bool(flags & _IMOD_SIGNED))
    choice = choose(block, count, [Reading(offset, kind) for offset in offsets for kind in types], told)
    if choice.amiss > FITS and not choice.is_chosen and dtype.itemsize > 1:
        swapped = choose(block, count, [Reading(offset, dtype.newbyteorder("S")) for offset in offsets], told)
        if swapped.amiss <= FITS:
            choice = swapped
            remark(f"its data are in the other byte order than its header, as the header's statistics ({told}) say")
    if not (is_settled or choice.is_chosen):
        raise InputError(cut_short.format(layout.held(size)))
    if size != extended + layout.needed:
        why = "where alone they fit" if len(offsets) == 1 else "for all that the header says"
        if choice.is_chosen:
            why = "as the header's statistics say"
        promised, found = HEADER_BYTES + extended + layout.needed, HEADER_BYTES + size
        remark(
            f"the header promises {promised:,} bytes, {extended:,} of them of an extended header, and the file has "
            f"{found:,}{'' if is_whole else ' or more'}; its data are read from byte "
            f"{HEADER_BYTES + choice.reading.offset:,}, {why}"
        )
    if choice.amiss > _CONTRADICTS:
        remark(f"the header's statistics ({told}) are not those of the data ({choice.found})")
    data = choice.reading.of(block, count)
    if dtype.kind in "iu":
        for line in _about_sign(data, header, flags, choice, told):
            remark(line)
    return data.reshape(shape)


@dataclass(frozen=True)
class _Layout:
    """What a header says of the bytes after it: how many the data need, after how many of an extended header."""

    needed: int
    extended: int

    def held(self, present: int) -> int:
        """How many of the data's bytes are there, if the extended header is as long as told."""
        return max(present - max(self.extended, 0), 0)

    def offsets(self, present: int, is_whole: bool, has_extended_type: bool) -> tuple[list[int], bool]:
        """Where data can begin in so many bytes, the likeliest place first; and whether that can be taken untested.

        ``is_whole``: there are no more bytes. ``has_extended_type``: the header names a type of extended header.
        """
        surplus = present - self.needed
        if 0 <= self.extended <= surplus:
            places = [self.extended, 0, surplus] if is_whole else [self.extended, 0]
            if has_extended_type and not self.extended:
                places.reverse()
            if is_whole and self.extended == surplus:
                places = [surplus]
        else:
            places = [surplus, 0]
        return list(dict.fromkeys(places)), self.extended <= surplus or surplus == 0


def _rest(file: io.BufferedIOBase, most: int) -> tuple[NDArray[np.uint8], bool]:
    """The bytes that follow, so many at most, and whether these are all."""
    block = np.empty(most, dtype=np.uint8)
    filled = 0
    while filled < most:
        count = file.readinto(block.data[filled : filled + _CHUNK])
        if not count:
            break
        filled += count
    return block[:filled], not file.read(
        1
    )  # gzip compares its check sum only when asked for what follows the last byte


def _types(dtype: np.dtype[Any], is_first_signed: bool) -> list[np.dtype[Any]]:
    """The types that values may have, as the header has it first."""
    if dtype.kind not in "iu":
        return [dtype]
    signed, unsigned = (np.dtype(f"{dtype.str[0]}{kind}{dtype.itemsize}") for kind in "iu")
    return [signed, unsigned] if dtype.kind == "i" and (is_first_signed or dtype.itemsize > 1) else [unsigned, signed]


def _about_sign(
    data: NDArray[Any], header: np.void, flags: int | None, choice: Choice, told: Statistics
) -> Iterator[str]:
    """What there is to say of integers being read as signed or not."""
    is_signed = data.dtype.kind == "i"
    if data.view(data.dtype.str.replace("u", "i")).min() >= 0:
        return  # no value has the highest bit: it is the same either way
    size, how = 8 * data.dtype.itemsize, "signed" if is_signed else "unsigned"
    is_byte = data.dtype.itemsize == 1
    as_told = (flags is None or bool(flags & _IMOD_SIGNED)) if is_byte else int(header["mode"]) == 1
    if is_signed != as_told:
        against = "IMOD's flags" if is_byte and flags is not None else f"mode {int(header['mode'])}"
        yield f"its {size}-bit integers are read as {how}, as the header's statistics ({told}) say against {against}"
    elif is_byte and flags is None and not choice.is_chosen and int(header["nversion"]) // 10 != _VERSION // 10:
        yield f"nothing in its header says whether its bytes are signed; they are read as {how}, as MRC2014 has them"


def _imod_flags(header: np.void) -> int | None:
    """IMOD's flags, None where there is no stamp to say that they are any."""
    order = header.dtype["mode"].byteorder
    stamp, flags = np.frombuffer(header.tobytes()[152:160], np.dtype("i4").newbyteorder(order))
    return int(flags) if stamp == _IMOD_STAMP else None
