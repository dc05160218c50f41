"""TOML as people write it: whatever is wrong with it is one kind of error."""

from __future__ import annotations

import tomllib
from typing import Any


class TomlError(ValueError):
    """A text is not TOML; the message is one line."""


def parse(text: str) -> dict[str, Any]:
    """The tables of a TOML text. Raises TomlError.

    Integers have any number of digits up to 4,300, where Python ends.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(" ".join(str(error).split())) from None
    except RecursionError:
        raise TomlError("lists or tables are nested too deeply") from None
    except ValueError:  # of int(), which reads no more digits
        raise TomlError("a number has more than 4,300 digits") from None


def parse_value(text: str) -> Any:
    """The value that a TOML text stands for: ``5``, ``true``, ``[0, 90]``. Raises TomlError, for several lines too."""
    table = parse(f"value = {text}")
    if table.keys() != {"value"}:
        raise TomlError("it is more than one value")
    return table["value"]
