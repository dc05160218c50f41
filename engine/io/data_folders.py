"""Stacks of particles on this machine that may be chosen from elsewhere: inside named folders, and uploads.

The folders are those of ``POSELAB_DATA_DIRS``, which whoever starts the app names, and the one where uploads go. What
is outside of them is refused, whichever way leads there: ``..``, an absolute path, a link, or the name of a stack in a
table. Every path is resolved before it is compared.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..base.errors import InputError, naming
from ..base.files import saying_full_disk, writing
from ..base.paths import absolute, make_folder, paths_from_environment
from .particle_table import ParticleTable
from .particles import ENDINGS, read_particles
from .stacks import open_images, stack_paths

VARIABLE = "POSELAB_DATA_DIRS"
LARGEST_UPLOAD = 256 * 2**20
"""In bytes, of all its files; held in memory on the way."""
_MOST_ENTRIES = 2000
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_STACKS = (".mrcs", ".mrc")


@dataclass(frozen=True)
class Listing:
    """What can be chosen in a folder: names of folders and of tables and stacks; ``refused`` are links that lead out.

    ``more`` is the number of entries that were not looked at.
    """

    folders: tuple[str, ...]
    files: tuple[str, ...]
    refused: tuple[str, ...] = ()
    more: int = 0


def uploads_dir(runs_dir: Path) -> Path:
    """The folder (absolute) where uploaded stacks go; it need not exist."""
    return absolute(Path(runs_dir) / "particles")


def roots(runs_dir: Path) -> tuple[Path, ...]:
    """The folders inside which stacks may be chosen, resolved: those that are named and exist, then that of uploads.

    Raises InputError, naming the variable, for an entry of it that cannot be a path.
    """
    named = [*paths_from_environment(VARIABLE), uploads_dir(runs_dir)]
    return tuple(dict.fromkeys(Path(os.path.realpath(folder)) for folder in named if os.path.isdir(folder)))


def inside(path: str | Path, runs_dir: Path) -> Path:
    """The path, resolved; InputError unless it is inside one of :func:`roots`, or is one."""
    resolved = Path(os.path.realpath(absolute(path)))
    if any(resolved.is_relative_to(root) for root in roots(runs_dir)):
        return resolved
    raise InputError(
        f"{path} is in none of the folders of which this app may read particles; choose one inside, or have its folder "
        f"named in {VARIABLE} when the app is started"
    )


def list_folder(folder: str | Path, runs_dir: Path) -> Listing:
    """What can be chosen in a folder inside :func:`roots`, by name; hidden entries are left out.

    Raises InputError for one outside, and one that cannot be read.
    """
    resolved = inside(folder, runs_dir)
    allowed = roots(runs_dir)
    try:
        names = sorted((name for name in os.listdir(resolved) if not name.startswith(".")), key=str.lower)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}") from error
    folders, files, refused = [], [], []
    for name in names[:_MOST_ENTRIES]:
        target = Path(os.path.realpath(resolved / name))
        is_folder = target.is_dir()
        if not is_folder and not name.lower().endswith(ENDINGS):
            continue
        if not any(target.is_relative_to(root) for root in allowed):
            refused.append(name)
        elif is_folder:
            folders.append(name)
        elif target.is_file():
            files.append(name)
    return Listing(tuple(folders), tuple(files), tuple(refused), max(0, len(names) - _MOST_ENTRIES))


def require_inside(
    source: str | Path, data_dir: str | Path | None, runs_dir: Path, table: ParticleTable | None = None
) -> None:
    """InputError where a table, the folder of its stacks, or, of a ``table`` that was read, one of its stacks is
    outside of :func:`roots`.
    """
    inside(source, runs_dir)
    if data_dir is not None:
        inside(data_dir, runs_dir)
    if table is not None:
        allowed = roots(runs_dir)
        for path in stack_paths(table):
            resolved = Path(os.path.realpath(path))
            if not any(resolved.is_relative_to(root) for root in allowed):
                raise InputError(
                    f"{source} names the stack {path}, which is in none of the folders of which this app may read "
                    f"particles; have its folder named in {VARIABLE} when the app is started"
                )


def add_upload(runs_dir: Path, files: Mapping[str, bytes], pixel_size: float | None = None) -> str:
    """Keep an uploaded stack, alone or as a table with its stacks, in a folder of its own; the path of the table.

    The same files are kept once. They are read first, as an experiment would, with ``pixel_size`` in Å where they have
    none, and kept only if that works.

    Raises
    ------
    InputError
        for names and kinds that cannot be kept, files that are too large together, none or several tables, a table
        whose stacks are not among the files, and whatever :func:`io.particles.read_particles` refuses.
    """
    contents = {PurePosixPath(name.replace("\\", "/")).name: content for name, content in files.items()}
    main = _main(contents)
    if len(contents) != len(files):
        raise InputError("two of the files have one name; wanted different names")
    for name in contents:
        if not _SAFE.fullmatch(name) or not name.lower().endswith((".star", *_STACKS)):
            raise InputError(
                f"{name!r} cannot be kept; wanted names of letters, digits, dots, - and _ that end in .star, .mrcs or "
                ".mrc"
            )
    if (size := sum(map(len, contents.values()))) > LARGEST_UPLOAD:
        raise InputError(
            f"the files have {size / 2**20:,.0f} MiB; at most {LARGEST_UPLOAD >> 20} MiB can be uploaded, put them "
            f"into a folder of {VARIABLE} on the server instead"
        )
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    folder = uploads_dir(runs_dir) / f"{Path(main).stem}-{digest.hexdigest()[:8]}"
    try:
        make_folder(folder)
        for name, content in contents.items():
            if not (folder / name).exists():
                with saying_full_disk(folder), writing(folder / name) as aside:
                    aside.write_bytes(content)
        try:
            _check(folder, main, pixel_size)
        except InputError:
            for name in contents:
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
            raise
    except OSError as error:
        raise InputError(f"cannot keep {main} in {folder}: {error.strerror or error}") from error
    return str(folder / main)


def _main(contents: Mapping[str, bytes]) -> str:
    tables = [name for name in contents if name.lower().endswith(".star")]
    if len(tables) > 1 or (not tables and len(contents) != 1):
        raise InputError(
            f"{len(tables)} tables and {len(contents) - len(tables)} stacks; wanted a stack, or a .star and its stacks"
        )
    return tables[0] if tables else next(iter(contents))


def _check(folder: Path, main: str, pixel_size: float | None) -> None:
    with naming(pixel_size="particles.pixel_size", data_dir="particles.data_dir"):
        _check_files(folder, main, pixel_size)


def _check_files(folder: Path, main: str, pixel_size: float | None) -> None:
    table = read_particles(folder / main, None, pixel_size, warn=lambda line: None)
    for path in stack_paths(table):
        if Path(os.path.realpath(path)).parent != Path(os.path.realpath(folder)):
            raise InputError(f"{main} names {path.name}, which is not among the files; upload it with the table")
    open_images(table)
