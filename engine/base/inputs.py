"""Input files: opened and decompressed, or refused in one line; and checks of free memory before allocation."""

from __future__ import annotations

import gzip
import io
import math
import os
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from .errors import ArgumentError, InputError

GZIP_MAGIC = b"\x1f\x8b"
GZIP_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)
"""Raised on reading a gzip file that is truncated, altered, or not gzipped."""

# Of one voxel while it is projected: its density (4), complex (8), on FINUFFT's grid of twice the samples (8 * 8).
WORKING_BYTES_PER_VOXEL = 76


@contextmanager
def reading(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a file for reading bytes, decompressed if it is gzipped (detected by its content, not by its name).

    Raises
    ------
    InputError
        naming the file: missing, not a regular file, unreadable, empty, or (while being read) a damaged gzip file.
    """
    if "\0" in str(path):
        raise InputError(f"{str(path)!r}: a path holds no null character")
    require_nameable(path)
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise InputError(f"{path} is a directory; wanted a file")
        if not stat.S_ISREG(kind):  # opening a pipe would wait for whoever writes to it
            raise InputError(f"{path} is no regular file; wanted one")
        with path.open("rb") as file:
            start = file.peek(2)[:2]
            if not start:
                raise InputError(f"{path} is empty")
            if start == GZIP_MAGIC:
                with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                    yield unpacked
            elif path.suffix.lower() == ".gz":
                raise InputError(f"{path} is named .gz but is not gzipped; rename it or compress it")
            else:
                yield file
    except GZIP_DAMAGE as error:
        raise InputError(f"{path}: the gzip file is cut short or damaged ({error}); fetch it again") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def require_nameable(path: Path) -> None:
    """Raise InputError for a name outside the file system's encoding, which LC_ALL=C may make ASCII."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: the encoding of file names is {sys.getfilesystemencoding()}, which lacks a character of it; "
            "set LC_ALL=C.UTF-8"
        ) from error


def without_gz(path: Path) -> Path:
    """The path without the ending of a compressed file: its suffix shows the kind of file."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def require_memory_for_voxels(
    shape: Sequence[float], what: str, remedy: str, *arguments: str, **values: object
) -> None:
    """:func:`require_memory` for work with a volume of this shape."""
    size = " x ".join(f"{n:.0f}" for n in reversed(shape))
    needed = math.prod(float(n) for n in shape) * WORKING_BYTES_PER_VOXEL
    require_memory(needed, f"{what}: {size} voxels", remedy, *arguments, **values)


def require_memory(needed: float, what: str, remedy: str, *arguments: str, **values: object) -> None:
    """Raise ArgumentError if so many bytes are not free now; ``remedy`` is part of its template."""
    free = psutil.virtual_memory().available
    if needed > free:
        raise ArgumentError(
            "{what} need about {needed:,.1f} GiB to work with, {free:,.1f} GiB are free; " + remedy, *arguments,
            what=what, needed=needed / 2**30, free=free / 2**30, **values,
        )  # fmt: skip
