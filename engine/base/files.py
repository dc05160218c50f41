"""Atomic writing of files and directories: they are built under another name beside their place, then renamed.

The temporary name starts with :data:`ASIDE`; readers ignore it, and a killed process may leave it.
"""

from __future__ import annotations

import errno
import math
import os
import secrets
import shutil
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError

ASIDE = ".part-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a path to write to (same folder, same ending); on success it is flushed to disk and becomes ``path``."""
    aside = _aside(path)
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def building(path: Path) -> Iterator[Path]:
    """Yield a fresh directory to fill; on success it becomes ``path``, which must not exist or be an empty directory.

    Raises FileExistsError when ``path`` is taken, by the time of the renaming.
    """
    aside = _aside(path)
    aside.mkdir()
    try:
        yield aside
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
        if error.errno not in _FULL:
            raise
        raise InputError(f"cannot write to {folder}: {error.strerror}; free some space there and run again") from error


def read_arrays(path: Path, only: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz``, read-only: all, or those of the names in ``only`` that it has.

    Raises FileNotFoundError, and InputError for a damaged file.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if only is None or name in only}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path.name} of this run is damaged or cannot be read ({error})") from error
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


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


def _aside(path: Path) -> Path:
    return path.with_name(f"{ASIDE}{secrets.token_hex(4)}-{path.name}")
