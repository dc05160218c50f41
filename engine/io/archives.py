"""Entries of the public archives, downloaded once and kept: ``emdb:3400`` and ``pdb:5j0n``."""

from __future__ import annotations

import gzip
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3

from ..base.errors import ArgumentError, InputError
from ..base.files import writing
from ..base.inputs import GZIP_DAMAGE
from ..base.paths import absolute, from_environment, make_folder
from ..base.progress import Progress, silent
from ..base.quantities import shown
from .sources import normal

ATTEMPTS = 4
FIRST_WAIT_S = 1.0  # before the second attempt; twice as long before each further one
TIMEOUT_S = 20.0  # to connect, and between two pieces of the answer
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Archive:
    """Where an archive keeps its entries. ``entry`` matches a normal source's id; ``file`` uses its group."""

    entry: re.Pattern[str]
    example: str
    base_url: str
    file: str


ARCHIVES = {
    "emdb": Archive(
        re.compile(r"(\d{4,5})", re.ASCII),
        "emdb:3400",
        "https://files.wwpdb.org/pub/emdb/structures",
        "EMD-{entry}/map/emd_{entry}.map.gz",
    ),
    "pdb": Archive(
        re.compile(r"([0-9][a-z0-9]{3}|pdb_[a-z0-9]{8})", re.ASCII),
        "pdb:5j0n or pdb:pdb_00005j0n",
        "https://files.rcsb.org/download",
        "{entry}.cif.gz",
    ),
}
"""The environment variables ``POSELAB_EMDB_URL`` and ``POSELAB_PDB_URL`` put a mirror in the place of ``base_url``."""


def fetch(source: str, progress: Progress = silent) -> Path:
    """The local file of an entry such as ``emdb:3400``, downloaded unless the cache has it.

    Files are added to the cache atomically. The folder is ``$POSELAB_CACHE``, else ``poselab`` in the user's cache
    folder. ``progress`` is called with the fraction (0 while the size is unknown) and ``megabytes``.

    Raises
    ------
    InputError
        for an id of the wrong form, an unknown entry, no connection, or an unwritable cache folder.
    """
    url, path = _place(source)
    try:
        if not path.exists():
            make_folder(path.parent)
            with writing(path) as aside:
                _download(source, url, aside, progress)
    except OSError as error:
        raise InputError(
            f"{source}: cannot keep it in {path.parent} ({error.strerror or error}); "
            "set POSELAB_CACHE to a folder that can be written"
        ) from error
    return path


def is_kept(source: str) -> bool:
    """Whether :func:`fetch` has the entry already; InputError for an id of the wrong form."""
    return _place(source)[1].exists()


def cache_folder() -> Path:
    """Where downloads are kept; InputError if the environment names no usable folder."""
    own, users = from_environment("POSELAB_CACHE"), from_environment("XDG_CACHE_HOME")
    return own or (users or absolute("~/.cache")) / "poselab"


def _place(source: str) -> tuple[str, Path]:
    """Where an entry is fetched from, and where it is kept."""
    scheme, _, typed = normal(source).partition(":")
    archive = ARCHIVES[scheme]
    match = archive.entry.fullmatch(typed)
    if match is None:
        raise ArgumentError(
            "{source} is {given}; wanted an id such as {example}", "source", given=shown(source),
            example=archive.example,
        )  # fmt: skip
    entry = match[1] if "_" in match[1] else match[1].upper()
    file = archive.file.format(entry=entry)
    base_url = os.environ.get(f"POSELAB_{scheme.upper()}_URL", archive.base_url).rstrip("/")
    return f"{base_url}/{file}", cache_folder() / file.rpartition("/")[2].lower()


def _download(source: str, url: str, path: Path, progress: Progress) -> None:
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(FIRST_WAIT_S * 2 ** (attempt - 1))
        try:
            _download_once(source, url, path, progress)
            return
        except (requests.RequestException, urllib3.exceptions.HTTPError, *GZIP_DAMAGE) as error:
            reason = _in_short(error)
    raise InputError(
        f"{source}: cannot download {url} ({reason}, {ATTEMPTS} attempts); check the network, "
        "or fetch the file elsewhere and give its path as the source"
    )


def _download_once(source: str, url: str, path: Path, progress: Progress) -> None:
    with requests.get(url, stream=True, timeout=TIMEOUT_S, headers={"Accept-Encoding": "identity"}) as response:
        if response.status_code == 404:
            raise InputError(f"{source}: no such entry at {url}; check the id")
        response.raise_for_status()
        size, done = response.raw.length_remaining or 0, 0
        with path.open("wb") as file:
            # Not iter_content: it unpacks what a server calls "Content-Encoding: gzip", and these files stay gzipped.
            for piece in response.raw.stream(_CHUNK, decode_content=False):
                file.write(piece)
                done += len(piece)
                progress(min(done / size, 1.0) if size else 0.0, {"megabytes": done / 1e6})
    with gzip.open(path) as packed:  # the answer may be a proxy's page, or cut short where no length was promised
        while packed.read(_CHUNK):
            pass


def _in_short(error: Exception) -> str:
    """One line in place of the nested message of requests."""
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code}"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the connection broke off"
    if isinstance(error, GZIP_DAMAGE):
        return "what came is no whole gzip file"
    return " ".join(str(error).split())
