"""The available proteins: those built in, and the files of one folder on this machine, where uploads go too.

The folder is ``POSELAB_VOLUMES_DIR``, else ``volumes`` beside the runs. Only the files that lie directly in it count:
it may be a link into a project with a million files.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..base.errors import InputError, naming, one_line
from ..base.files import saying_full_disk, writing
from ..base.paths import absolute, from_environment, make_folder, require_reachable
from .loading import BUILT_IN, load_volume

LARGEST_UPLOAD = 256 * 2**20
"""In bytes, as the file is sent; held in memory on the way. Larger files are put into the folder by other means."""

_LONGEST_NAME = 100
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Entry:
    """An available protein. ``source`` is its name in a configuration, ``name`` the one shown."""

    name: str
    source: str
    kind: Literal["built-in", "map", "coordinates"]


def volumes_dir(runs_dir: Path) -> Path:
    """The folder (absolute) whose files can be chosen; it need not exist."""
    return from_environment("POSELAB_VOLUMES_DIR") or absolute(Path(runs_dir) / "volumes")


def list_volumes(runs_dir: Path) -> list[Entry]:
    """The built-in proteins, then the maps and coordinates in the folder by name; their contents are not read.

    Those that cannot be used are in :func:`unusable`. Raises InputError when there is a folder but it cannot be read.
    """
    files = [(path, kind) for path, kind in _volume_files(runs_dir) if not _problem(path)]
    built_in = [Entry(name, name, "built-in") for name in BUILT_IN]
    return built_in + [Entry(path.name, str(path), kind) for path, kind in files]


def unusable(runs_dir: Path) -> list[str]:
    """A line for each file of the folder that is named like a volume and cannot be one, with the reason.

    Raises InputError as :func:`list_volumes`.
    """
    problems = ((path, _problem(path)) for path, _ in _volume_files(runs_dir))
    return [f"{_shown(path.name)} is not offered: {problem}" for path, problem in problems if problem]


def add_upload(
    runs_dir: Path, filename: str, data: bytes, voxel_size: float | None = None, stack_is_volume: bool = False
) -> str:
    """Keep an uploaded file in the folder; its name in a configuration.

    The file is loaded first, as an experiment would (with ``voxel_size`` in Å where its header has none, and
    ``stack_is_volume`` where that is wrong), and kept only if that works. The same content under the same name is kept
    once; another content gets a name of its own.

    Raises
    ------
    InputError
        for a file of unknown kind, too large, empty, truncated or not a usable density; for a folder that cannot be
        written.
    """
    shown = _tidy(re.split(r"[/\\]", filename)[-1])[-_LONGEST_NAME:]
    if _kind(shown) is None:
        raise InputError(f"{shown!r} is of no known kind; wanted a name that ends in {', '.join(endings())}")
    if len(data) > LARGEST_UPLOAD:
        raise InputError(
            f"{shown} has {len(data) / 2**20:,.0f} MiB; at most {LARGEST_UPLOAD >> 20} MiB can be uploaded, "
            f"put it into {volumes_dir(runs_dir)} on the server instead"
        )
    folder = volumes_dir(runs_dir)
    path = folder / _safe(shown)
    try:
        make_folder(folder)
        with _one_at_a_time:
            if path.exists() and path.read_bytes() != data:
                stem, ending = _split(path.name)
                path = path.with_name(f"{stem}-{hashlib.sha256(data).hexdigest()[:8]}{ending}")
            if not path.exists():
                with saying_full_disk(folder), writing(path) as aside:
                    aside.write_bytes(data)
                    _check(aside, shown, voxel_size, stack_is_volume)
    except OSError as error:
        raise InputError(f"cannot keep {shown} in {folder}: {error.strerror or error}") from error
    return str(path)


def endings() -> tuple[str, ...]:
    """The endings of files that can hold a protein, each also with ``.gz`` after it."""
    from . import coordinates, mrc  # imported here: listing built-in proteins needs no file formats

    return (*mrc.MAP_ENDINGS, *coordinates.COORDINATE_ENDINGS)


def _volume_files(runs_dir: Path) -> list[tuple[Path, Literal["map", "coordinates"]]]:
    """What is named like a volume in the folder, by name; the hidden ones are being written."""
    folder = volumes_dir(runs_dir)
    try:
        require_reachable(folder)
        names = sorted(os.listdir(folder), key=str.lower)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"the folder of volumes {folder}: {error.strerror or error}") from error
    return [(folder / name, kind) for name in names if not name.startswith(".") and (kind := _kind(name))]


def _problem(path: Path) -> str:
    """Why a file cannot be used as a volume; empty where it may be one. Its content is not read."""
    if _shown(path.name) != path.name:
        return "its name is not UTF-8; rename it"
    try:
        kind = path.stat().st_mode
    except OSError as error:
        return f"it is a link to nowhere ({error.strerror})" if path.is_symlink() else one_line(error.strerror or error)
    if not stat.S_ISREG(kind):
        return f"it is {'a folder' if stat.S_ISDIR(kind) else 'not a regular file'}"
    return "" if os.access(path, os.R_OK) else "Permission denied"


def _shown(name: str) -> str:
    """A file name in characters that can be displayed."""
    return os.fsencode(name).decode("utf-8", "replace")


def _check(path: Path, shown: str, voxel_size: float | None, stack_is_volume: bool) -> None:
    try:
        with naming(voxel_size="volume.voxel_size", stack_is_volume="volume.stack_is_volume"):
            load_volume(str(path), None, voxel_size, stack_is_volume=stack_is_volume, warn=lambda line: None)
    except InputError as error:
        raise InputError(str(error).replace(str(path), shown)) from None


def _kind(name: str) -> Literal["map", "coordinates"] | None:
    from . import coordinates

    ending = _split(name)[1].lower().removesuffix(".gz")
    if not ending:
        return None
    return "coordinates" if ending in coordinates.COORDINATE_ENDINGS else "map"


def _split(name: str) -> tuple[str, str]:
    """A name's stem, and its ending with any ``.gz``; an unknown ending is part of the stem."""
    low = name.lower()
    for ending in endings():
        for whole in (ending, f"{ending}.gz"):
            if low.endswith(whole):
                return name[: -len(whole)], name[-len(whole) :]
    return name, ""


def _tidy(name: str) -> str:
    """A name in Unicode's normal form, without invisible characters and without dots and spaces at its end."""
    seen = "".join(sign for sign in unicodedata.normalize("NFKC", name) if sign.isprintable())
    return seen.lstrip().rstrip(" .")


def _safe(name: str) -> str:
    """A name with the same ending that is not a path, a hidden file or a device of Windows and is safe in a shell.

    Accents and letters of other scripts are left out; a hash of the whole name keeps such names apart.
    """
    stem, ending = _split(name)
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    safe = _UNSAFE.sub("_", plain).lstrip("._-")
    if not safe or _DEVICE.match(safe):
        safe = f"upload-{safe}".rstrip("-")
    mark = "" if stem.isascii() else f"-{hashlib.sha256(stem.encode()).hexdigest()[:6]}"
    return safe + mark + ending
