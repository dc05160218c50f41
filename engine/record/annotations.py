"""Annotations of a run: ``annotations.json`` in its directory, the only file there that changes afterwards.

A name, tags, a star, a note, whether it is archived. An archived run is not listed and may be deleted.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..base.errors import InputError
from .reading import UnreadableError, read_model

FILENAME = "annotations.json"
LONGEST_TAG, MOST_TAGS, LONGEST_NOTE = 40, 20, 10_000

_LONGEST_NAME = 200

log = logging.getLogger(__name__)


class Annotations(BaseModel):
    """The file's content. ``name`` None leaves the run the name that it was started with.

    ``deleting``: its deletion has begun, and some of its files may be gone. Fields that a newer PoseLab has added are
    kept when this one writes.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    name: Annotated[str, Field(max_length=1000)] | None = None
    tags: Annotated[tuple[Annotated[str, Field(max_length=1000)], ...], Field(max_length=1000)] = ()
    starred: bool = False
    note: Annotated[str, Field(max_length=1_000_000)] = ""
    archived: bool = False
    deleting: bool = False


def read_annotations(path: Path) -> Annotations:
    """The annotations in the run directory ``path``; empty where the file is missing, or damaged (logged)."""
    annotations, problem = annotations_and_problem(path)
    if problem:
        log.warning("%s: %s", path.name, problem)
    return annotations


def annotations_and_problem(path: Path) -> tuple[Annotations, str]:
    """As :func:`read_annotations`, and what is wrong with the file in a line; empty where nothing is."""
    try:
        return read_model(Annotations, path / FILENAME) or Annotations(), ""
    except UnreadableError as error:
        return Annotations(), f"{error.message}; what it noted is not shown"


def check_name(name: str | None) -> str | None:
    """A run's name on one line, without surrounding space or control characters; None for an empty one."""
    if name is None:
        return None
    tidy = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if len(tidy) > _LONGEST_NAME:
        raise InputError(f"the run's name has {len(tidy)} characters; wanted at most {_LONGEST_NAME}")
    return tidy or None
