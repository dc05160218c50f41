"""Results of stages, stored under keys of what they depend on: ``runs/.cache/<stage>/<key>/``.

An entry holds ``arrays.npz``, other files, and a manifest with the size and SHA-256 of each. It is put in
place whole, by renaming, so several processes may store the same one; an entry that does not match its manifest counts
as absent. The cache only saves time: if a result cannot be stored, this is logged and the run continues.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..base import access
from ..base.errors import InputError
from ..base.files import ASIDE, aside_of, building, plain

FOLDER = ".cache"
_ARRAYS = "arrays.npz"
_MANIFEST = "manifest.json"
_DEFAULT_GB = 20.0
_IN_USE_S = 3600.0
_ABANDONED_S = 24 * 3600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cached:
    """A stage's result: arrays by name, plain values, and paths of other files by name, to be read within the hour."""

    arrays: dict[str, np.ndarray]
    values: dict[str, Any]
    files: dict[str, Path]


def stage_key(stage: str, version: int, *parts: object) -> str:
    """What a stage's result depends on, as 32 hexadecimal digits.

    ``version`` is raised when the stage's code gives other results; ``parts`` are dicts, lists, strings and numbers (an
    array goes in as its :func:`digest`, an earlier stage as its key). The order of a dict does not matter; 1 and 1.0
    are not the same.
    """
    text = json.dumps(plain([stage, version, *parts]), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's type, shape and values."""
    sha256 = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    sha256.update(np.ascontiguousarray(array).data)
    return sha256.hexdigest()


def load(runs_dir: Path, stage: str, key: str) -> Cached | None:
    """The result stored under this key; None when there is none or it is damaged (it is then removed)."""
    path = _entry(runs_dir, stage, key)
    try:
        manifest = json.loads((path / _MANIFEST).read_bytes())
        for name, (size, checksum) in manifest["files"].items():
            if (path / name).stat().st_size != size or _checksum(path / name) != checksum:
                raise ValueError(f"{name} is not as it was written")
        with np.load(path / _ARRAYS, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        with contextlib.suppress(PermissionError):  # an entry of another user keeps its time
            os.utime(path / _MANIFEST)  # its time is that of the last use
        files = {name: path / name for name in manifest["files"] if name != _ARRAYS}
        return Cached(arrays, manifest["values"], files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        if path.exists():
            log.warning("the cached result of %s is damaged and made anew: %s", stage, error)
            _remove(path)
        return None


def store(
    runs_dir: Path,
    stage: str,
    key: str,
    arrays: Mapping[str, np.ndarray],
    values: Mapping[str, Any] | None = None,
    files: Mapping[str, Path] | None = None,
) -> None:
    """Keep a result: arrays, values that JSON can hold, and copies of files under their names here.

    Entries that were not used for the longest time are removed while the cache is larger than POSELAB_CACHE_GB (10^9
    bytes; 20 when not set; 0 keeps nothing), except for those used within the last hour.
    """
    limit = _limit_bytes()
    files = files or {}
    needed = sum(array.nbytes for array in arrays.values()) + sum(file.stat().st_size for file in files.values())
    if needed > limit:
        return
    path = _entry(runs_dir, stage, key)
    try:
        access.make_shared(path.parent.parent)
        access.make_shared(path.parent)
        with building(path, flush=False) as aside:
            with (aside / _ARRAYS).open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            for name, source in files.items():
                shutil.copyfile(source, aside / name)
            listed = {item.name: [item.stat().st_size, _checksum(item)] for item in aside.iterdir()}
            manifest = {"files": listed, "values": plain(values or {})}
            (aside / _MANIFEST).write_text(json.dumps(manifest, allow_nan=False), encoding="utf-8")
        access.share(path)
        _evict(Path(runs_dir) / FOLDER, limit)
    except OSError as error:
        if isinstance(error, FileExistsError) and path.is_dir():
            return  # another process stored the same
        log.warning("the result of %s is not kept for later runs: %s", stage, error)


def keeps_anything() -> bool:
    """Whether anything is kept at all: POSELAB_CACHE_GB is not 0."""
    return _limit_bytes() > 0


def _entry(runs_dir: Path, stage: str, key: str) -> Path:
    return Path(runs_dir) / FOLDER / stage / key


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _limit_bytes() -> float:
    text = os.environ.get("POSELAB_CACHE_GB", "").strip()
    if text and not re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        raise InputError(f"POSELAB_CACHE_GB is {text!r}; wanted a number of gigabytes, 0 to keep nothing")
    return float(text or _DEFAULT_GB) * 1e9


def _evict(cache: Path, limit: float) -> None:
    now, total, entries = time.time(), 0, []
    for path in cache.glob("*/*"):
        try:
            abandoned = path.name.startswith(ASIDE)
            if abandoned and now - path.stat().st_mtime > _ABANDONED_S and _remove(path):
                continue
            size = sum(file.stat().st_size for file in path.iterdir())
            total += size
            if not abandoned:
                entries.append(((path / _MANIFEST).stat().st_mtime, size, path))
        except OSError:
            continue  # another process removes it, or another user has closed it
    for used, size, path in sorted(entries):
        if total <= limit or now - used < _IN_USE_S:
            return
        if _remove(path):
            total -= size


def _remove(path: Path) -> bool:
    """Remove an entry, by renaming it first, so that no reader sees an incomplete one; whether it is gone.

    An entry of which nothing can be deleted is put back; the rest of one that is partly deleted is tried again later.
    """
    aside = aside_of(path)
    try:
        os.rename(path, aside)
    except OSError as error:
        log.info("%s stays: %s", path, access.reason(error, path))
        return False
    try:
        access.remove_folder(aside, (_MANIFEST,))
    except access.RemovalError as error:
        log.info("%s stays: %s", path, access.reason(error, aside))
        if not error.removed:
            with contextlib.suppress(OSError):
                os.rename(aside, path)
        return False
    return True
