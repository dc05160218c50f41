"""Folders that several people share: who may write what, whose it is where somebody may not, locks where there are any.

A file is made with the rights that its maker's umask leaves, often for the maker alone. What everybody who works in a
folder has to write (locks, the queue, the catalogue) gets the folder's own rights instead: :func:`share`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from .errors import one_line
from .files import ASIDE
from .paths import require_reachable

_DENIED = {errno.EACCES, errno.EPERM}
_IN_USE = {errno.EBUSY, errno.ETXTBSY}
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class RemovalError(OSError):
    """A folder could not be removed. ``removed`` files are gone already."""

    def __init__(self, error: OSError, removed: int) -> None:
        super().__init__(error.errno, error.strerror or str(error), error.filename)
        self.removed = removed


def share(path: Path) -> None:
    """Let everybody who may write in the folder of this file or folder write it too, as far as that is ours to say."""
    with suppress(OSError):  # somebody else's, or a file system without rights: then it stays as it is
        own, around = path.stat(), path.parent.stat()
        granted = 0
        if around.st_mode & stat.S_IWGRP:
            granted |= 0o070
            if own.st_gid != around.st_gid:
                os.chown(path, -1, around.st_gid)
        if around.st_mode & stat.S_IWOTH:
            granted |= 0o007
        granted &= 0o077 if stat.S_ISDIR(own.st_mode) else 0o066
        if own.st_mode | granted != own.st_mode:
            path.chmod(stat.S_IMODE(own.st_mode | granted))


def make_shared(folder: Path) -> None:
    """Make a folder, shared as the one that it lies in, where there is none; as
    :func:`base.paths.make_folder`.
    """
    require_reachable(folder)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        share(folder)


def owner(path: Path) -> str:
    """Who a file or folder belongs to: a name, the number where the system knows none."""
    number = path.lstat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def reason(error: OSError, path: Path) -> str:
    """Why something could not be done with ``path``, in a phrase: the system's own, and whose it is if that matters."""
    message = one_line(error.strerror or error)
    if error.errno in _IN_USE:
        return f"{message}; it is open in some process"
    if error.errno not in _DENIED:
        return message
    place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
    for candidate in (place, place.parent):
        with suppress(OSError):
            if candidate.lstat().st_uid != os.geteuid():
                return f"{message}; {candidate} belongs to {owner(candidate)}"
    return f"{message}; {place} is protected"


def remove_folder(path: Path, last: Collection[str] = ()) -> None:
    """Remove a folder with everything in it, the files named in ``last`` after all others and in their order.

    It ends at the first thing that cannot be removed: so what ``last`` names is there as long as anything else is, and
    the folder is still known for what it was. A link is removed, not what it leads to.

    Raises
    ------
    RemovalError
        naming what could not be removed, also a file that is gone for us but held open by others (``.nfs…``).
    """
    removed = 0
    try:
        if path.is_symlink():
            path.unlink()
            return
        for name in sorted(set(os.listdir(path)).difference(last)):
            entry = path / name
            if entry.is_dir() and not entry.is_symlink():
                removed += 1
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
                removed += 1
        for name in last:
            _require_nothing_but(path, last)
            (path / name).unlink(missing_ok=True)
        path.rmdir()
    except FileNotFoundError:
        return  # somebody else removes it too
    except OSError as error:
        raise RemovalError(error, removed) from error


def _require_nothing_but(path: Path, names: Collection[str]) -> None:
    """OSError where a folder has anything else left: a file server keeps files that are open under another name."""
    for name in os.listdir(path):
        if name not in names:
            raise OSError(errno.EBUSY, "It is still open in some process", str(path / name))


def lock(descriptor: int, shared: bool = False) -> bool | None:
    """Whether the lock of an open file could be had, at once; None where the file system has no locks.

    The system takes it back when the process ends, however that happens, or closes the file.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES) else None
    return True


def has_locks(folder: Path) -> bool:
    """Whether files in a folder can be locked in the way that databases do it; True also where nobody can tell."""
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=ASIDE) as probe:
            fcntl.lockf(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _NO_LOCKS
    return True
