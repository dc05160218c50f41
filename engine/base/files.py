"""Atomic writing of files and directories: they are built under another name beside their place, then renamed.

The temporary name starts with :data:`ASIDE`; readers ignore it, and a killed process may leave it.
"""

from __future__ import annotations

import errno
import math
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .errors import InputError

ASIDE = ".part-"
LARGEST_TEXT = 16 * 2**20
"""In bytes: no file of ours that is read as a whole is larger."""
FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_SYNCED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}  # of file systems that do not know what fsync is


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a path to write to (same folder, same ending); on success it is flushed to disk and becomes ``path``."""
    aside = aside_of(path)
    try:
        yield aside
        _flush(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def building(path: Path, flush: bool = True) -> Iterator[Path]:
    """Yield a fresh directory to fill; on success it becomes ``path``, which must not exist or be an empty directory.

    Its files are flushed to disk first, or a power failure could leave them empty under their names; ``flush`` is
    False for files that are compared with a checksum when they are read. Raises FileExistsError when ``path`` is taken,
    by the time of the renaming.
    """
    aside = aside_of(path)
    aside.mkdir()
    try:
        yield aside
        if flush:
            for file in aside.iterdir():
                if file.is_file():
                    _flush(file)
        try:
            os.rename(aside, path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def saying_full_disk(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk, quota or size limit into an InputError that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise InputError(f"cannot write to {folder}: {error.strerror}; free some space there and run again") from error


def opened(path: Path) -> BinaryIO:
    """A regular file, open for reading; OSError for anything else: a pipe or a device would hold the reader up."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "It is no regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_small(path: Path, most: int = LARGEST_TEXT) -> bytes:
    """The content of a regular file of at most so many bytes; OSError for any other."""
    with opened(path) as file:
        content = file.read(most + 1)
        if len(content) > most:
            size = os.fstat(file.fileno()).st_size
            problem = f"It has {size / 2**20:,.0f} MB, wanted at most {most / 2**20:,.0f} MB"
            raise OSError(errno.EFBIG, problem, str(path))
    return content


def plain(value: Any) -> Any:
    """The same tree in types of strict JSON.

    NumPy's scalars and arrays become Python's own, NaN and infinity None, and invalid Unicode in a text (from file
    names in other encodings) a question mark.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return value


def aside_of(path: Path) -> Path:
    """Another name beside ``path``, which readers pass over."""
    return path.with_name(f"{ASIDE}{secrets.token_hex(4)}-{path.name}")


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _NOT_SYNCED:
                raise
