"""Names of random proteins: ``random:7``, and ``random:7:100`` for random:7 to random:106.

Only parses names; :mod:`io.proteins` makes the proteins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from ..base.errors import ArgumentError
from ..base.paths import absolute
from ..base.quantities import shown

MOST_VOLUMES = 10_000
DEFAULT_RESOLUTION = 8.0
"""Å, of coordinates without a given resolution."""
_LONG_IDS = {
    "emdb": re.compile(r"^emd[-_](?=[0-9])"),
    "pdb": re.compile(r"^pdb_0000(?=[0-9][0-9a-z]{3}$)"),  # wwPDB's extended ids of entries with four characters
}
"""The public archives, each with the redundant beginning that an id may have."""
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.ASCII | re.IGNORECASE)
_RANDOM = re.compile(r"random:([0-9]{1,9})(?::([0-9]{1,9}))?", re.ASCII)


def is_random(source: str) -> bool:
    """Whether a source names a random protein, valid or not."""
    return source.strip().lower().startswith("random:")


def random_seed(source: str) -> int:
    """The seed of ``random:SEED``; ArgumentError unless it is one random protein."""
    match = _RANDOM.fullmatch(source.strip().lower())
    if match is None or match[2] is not None:
        raise ArgumentError(
            "{source} is {given}; wanted one random protein, such as random:7", "source", given=shown(source)
        )
    return int(match[1])


def expand(sources: Iterable[str]) -> tuple[str, ...]:
    """The sources one by one, in order; archives' and random names in small letters.

    Raises ArgumentError for a random source of another form, a source twice, or more than 10,000 of them.
    """
    names: list[str] = []
    for source in sources:
        if not source.strip():
            raise ArgumentError("{sources} has {given!r}; wanted a protein's name or path", "sources", given=source)
        if is_random(source):
            names += _random(source)
        else:
            names.append(normal(source))
    if len(names) > MOST_VOLUMES:
        raise ArgumentError(
            "{sources} has {given:,} volumes; wanted at most {most:,}", "sources", given=len(names), most=MOST_VOLUMES
        )
    if twice := next((source for source, times in Counter(names).items() if times > 1), None):
        raise ArgumentError("{sources} has {twice} twice; wanted each volume once", "sources", twice=shown(twice))
    return tuple(names)


def normal(source: str) -> str:
    """The normal form of a source: names in small letters, an archive's ids in their short form, paths unchanged.

    ``EMDB:EMD-3400`` is ``emdb:3400``, and ``pdb:pdb_00005j0n`` is ``pdb:5j0n``.
    """
    source = source.strip()
    if is_path(source) or is_address(source):
        return source
    scheme, colon, entry = source.lower().partition(":")
    return scheme + colon + (_LONG_IDS[scheme].sub("", entry.strip()) if scheme in _LONG_IDS else entry)


def whole(source: str) -> str:
    """A source that means the same in every folder: paths absolute, names unchanged.

    Raises InputError as :func:`base.paths.absolute` does.
    """
    return str(absolute(source)) if is_path(source) else source


def is_path(source: str) -> bool:
    """Whether a source is the path of a file, rather than a name, an archive's entry or an address."""
    if is_random(source) or is_archived(source) or is_address(source):
        return False
    return any(sign in source for sign in "/\\.")


def is_archived(source: str) -> bool:
    """Whether a source names an archive: ``emdb:...`` or ``pdb:...``."""
    scheme, colon, _ = source.strip().partition(":")
    return bool(colon) and scheme.lower() in _LONG_IDS


def is_address(source: str) -> bool:
    """Whether a source is a web address, which cannot be read."""
    return _ADDRESS.match(source.strip()) is not None


def _random(source: str) -> list[str]:
    match = _RANDOM.fullmatch(source.strip().lower())
    if match is None or match[2] == "0":
        raise ArgumentError(
            "{sources} has {given}; wanted random:SEED or random:SEED:COUNT, such as random:1:100", "sources",
            given=shown(source),
        )  # fmt: skip
    seed, count = int(match[1]), int(match[2] or 1)
    if count > MOST_VOLUMES:
        raise ArgumentError(
            "{sources} has {given}; wanted at most {most:,} volumes", "sources", given=shown(source), most=MOST_VOLUMES
        )
    return [f"random:{number}" for number in range(seed, seed + count)]
