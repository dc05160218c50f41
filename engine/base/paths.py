"""Paths from users and the environment: expanded, made absolute, and checked to be reachable."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from .errors import InputError

_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})", re.ASCII)


def expanded(path: str | Path) -> Path:
    """The path with ``~`` at its beginning expanded; InputError if there is no home folder."""
    whole = os.path.expanduser(path)
    if whole == "~" or whole.startswith("~/"):
        raise InputError(f"{path}: no home folder is known; set HOME, or give the whole path")
    return Path(whole)


def absolute(path: str | Path) -> Path:
    """The absolute path, with ``~`` expanded, relative to the current folder; ``..`` is kept.

    Raises InputError if there is no home folder, or the current folder has been deleted.
    """
    whole = expanded(path)
    if whole.is_absolute():
        return whole
    try:
        return Path(os.getcwd(), whole)
    except OSError as error:
        raise InputError(f"{path}: the current folder has been deleted; change to another one") from error


def from_environment(variable: str) -> Path | None:
    """The absolute path in an environment variable, with ``~`` and ``$VARIABLES`` expanded; None if unset or blank.

    Raises InputError, naming the variable, for an unknown user or an unset variable in it.
    """
    given = os.environ.get(variable, "").strip()
    return None if not given else _expanded(variable, given)


def paths_from_environment(variable: str) -> list[Path]:
    """The absolute paths in an environment variable, separated by colons; expanded and refused as one of them is."""
    parts = os.environ.get(variable, "").split(os.pathsep)
    return [_expanded(variable, part.strip()) for part in parts if part.strip()]


def _expanded(variable: str, given: str) -> Path:
    for match in _VARIABLE.finditer(given):
        if match[1].strip("{}") not in os.environ:
            raise InputError(f"{variable} is {given!r} and {match[1].strip('{}')} is not set; set it too")
    path = os.path.expanduser(os.path.expandvars(given))
    if path.startswith("~"):
        raise InputError(
            f"{variable} is {given!r} and there is no home folder {path.partition('/')[0]}; give the whole path"
        )
    return absolute(path)


def require_reachable(folder: Path) -> None:
    """Raise OSError, with the reason as ``strerror``, if the folder or a parent of it is a dangling link.

    A missing folder can be created; one behind a dangling link is on a disk that is not mounted.
    """
    for path in (folder, *folder.parents):
        if path.is_symlink() and not os.path.exists(path):
            reason = f"not reachable: {path} is a link to {os.readlink(path)}, which does not exist"
            raise OSError(errno.ENOLINK, reason, str(path))


def make_folder(folder: Path) -> None:
    """Create a folder and its parents where missing; OSError as for :func:`require_reachable`."""
    require_reachable(folder)
    folder.mkdir(parents=True, exist_ok=True)
