"""How proteins that nobody deposited are called: ``random:7``, and ``random:7:100`` for random:7 to random:106.

Reads names alone; :mod:`io.proteins` makes the proteins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from ..base.errors import InputError

MOST_VOLUMES = 10_000
_RANDOM = re.compile(r"random:([0-9]{1,9})(?::([0-9]{1,9}))?", re.ASCII)


def is_random(source: str) -> bool:
    """Whether a source asks for a random protein, rightly or not."""
    return source.strip().lower().startswith("random:")


def random_seed(source: str) -> int:
    """The seed of ``random:SEED``; InputError for what is not one random protein."""
    match = _RANDOM.fullmatch(source.strip().lower())
    if match is None or match[2] is not None:
        raise InputError(f"volume.source is {source!r}; wanted one random protein, such as random:7")
    return int(match[1])


def expand(sources: Iterable[str]) -> tuple[str, ...]:
    """The sources one by one, in order; archives' and random names in small letters.

    Raises InputError for a random source of another form, a source twice, or more than 10,000 of them.
    """
    found: list[str] = []
    for source in sources:
        if is_random(source):
            found += _random(source)
        else:
            found.append(normal(source))
    if len(found) > MOST_VOLUMES:
        raise InputError(f"training.volumes has {len(found):,} volumes; wanted at most {MOST_VOLUMES:,}")
    if twice := next((source for source, times in Counter(found).items() if times > 1), None):
        raise InputError(f"training.volumes has {twice!r} twice; wanted each volume once")
    return tuple(found)


def normal(source: str) -> str:
    """A source so that two ways of writing it agree: names in small letters, paths as they are."""
    source = source.strip()
    is_path = "/" in source or "\\" in source or "." in source
    return source if is_path else source.lower()


def _random(source: str) -> list[str]:
    match = _RANDOM.fullmatch(source.strip().lower())
    if match is None or match[2] == "0":
        raise InputError(
            f"training.volumes has {source!r}; wanted random:SEED or random:SEED:COUNT, such as random:1:100"
        )
    seed, count = int(match[1]), int(match[2] or 1)
    if count > MOST_VOLUMES:
        raise InputError(f"training.volumes has {source!r}; wanted at most {MOST_VOLUMES:,} volumes")
    return [f"random:{number}" for number in range(seed, seed + count)]
