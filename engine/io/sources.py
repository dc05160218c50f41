"""Names of random proteins: ``random:7``, and ``random:7:100`` for random:7 to random:106.

Only parses names; :mod:`io.proteins` makes the proteins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from ..base.errors import ArgumentError
from ..base.quantities import shown

MOST_VOLUMES = 10_000
DEFAULT_RESOLUTION = 8.0
"""Å, of coordinates without a given resolution."""
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
    """The normal form of a source: names in small letters, paths unchanged."""
    source = source.strip()
    is_path = "/" in source or "\\" in source or "." in source
    return source if is_path else source.lower()


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
