"""Annotations of a run: ``annotations.json`` in its directory, the only file there that changes afterwards.

A name, tags, a star, a note, whether it is archived. An archived run is not listed and may be deleted.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ..base.errors import InputError
from ..base.texts import without_mark

FILENAME = "annotations.json"
LONGEST_TAG, MOST_TAGS, LONGEST_NOTE = 40, 20, 10_000

_LONGEST_NAME = 200

log = logging.getLogger(__name__)


class Annotations(BaseModel):
    """The file's content. ``name`` None leaves the run the name that it was started with.

    Fields that a newer PoseLab has added are kept when this one writes.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    name: str | None = None
    tags: tuple[str, ...] = ()
    starred: bool = False
    note: str = ""
    archived: bool = False


def read_annotations(path: Path) -> Annotations:
    """The annotations in the run directory ``path``; empty where the file is missing, or damaged (logged)."""
    try:
        return Annotations.model_validate_json(without_mark((path / FILENAME).read_bytes(), FILENAME))
    except FileNotFoundError:
        return Annotations()
    except (OSError, InputError, ValidationError) as error:
        log.warning("%s: %s is damaged and left out: %s", path.name, FILENAME, str(error).splitlines()[0])
        return Annotations()


def check_name(name: str | None) -> str | None:
    """A run's name on one line, without surrounding space or control characters; None for an empty one."""
    if name is None:
        return None
    tidy = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if len(tidy) > _LONGEST_NAME:
        raise InputError(f"the run's name has {len(tidy)} characters; wanted at most {_LONGEST_NAME}")
    return tidy or None
