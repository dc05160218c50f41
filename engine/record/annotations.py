"""What people note about a run: ``annotations.json`` in its directory, the only file there that changes afterwards.

A name of their own, tags, a star, a note, whether it is archived. An archived run is out of sight and may be deleted.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ..base.errors import InputError
from ..base.files import ASIDE, plain, writing

FILENAME = "annotations.json"
LONGEST_TAG, MOST_TAGS, LONGEST_NOTE = 40, 20, 10_000

_LONGEST_NAME = 200

log = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()


class Annotations(BaseModel):
    """The file's content. ``name`` None leaves the run the name that it was started with.

    What a newer PoseLab may have added is kept when this one writes.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    name: str | None = None
    tags: tuple[str, ...] = ()
    starred: bool = False
    note: str = ""
    archived: bool = False


def read_annotations(path: Path) -> Annotations:
    """What is noted in the run directory ``path``; nothing where there is no such file, or a damaged one (logged)."""
    try:
        return Annotations.model_validate_json((path / FILENAME).read_bytes())
    except FileNotFoundError:
        return Annotations()
    except (OSError, ValidationError) as error:
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


def annotate(runs_dir: Path, run_id: str, **changes: Any) -> Annotations:
    """Change some of a run's annotations, whatever its state; the new ones.

    Tags and names lose control characters and surrounding space, tags also what repeats another one.

    Raises InputError for an unknown run, a name, tag or note that is too long, and where nothing can be written.
    """
    from .runrecord import run_path  # which reads annotations: at the top, each would wait for the other

    path = run_path(Path(runs_dir), run_id)
    checked = _checked(changes)
    with _one_at_a_time:
        noted = Annotations.model_validate(read_annotations(path).model_dump() | checked)
        try:
            with writing(path / FILENAME) as aside:
                aside.write_text(json.dumps(noted.model_dump(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write {FILENAME} of run {run_id}: {error.strerror or error}") from error
    return noted


def delete_run(runs_dir: Path, run_id: str) -> None:
    """Delete an archived run for good; it is gone from the list before its files are removed.

    Raises InputError for a run that is unknown, not archived or running, and where it cannot be removed.
    """
    from ..dispatch import local
    from .runrecord import read_run, run_path

    path = run_path(Path(runs_dir), run_id)
    if not read_annotations(path).archived:
        raise InputError(f"run {run_id} is not archived; archive it first, then delete it")
    if read_run(path).status == "running":
        raise InputError(f"run {run_id} is running; cancel it first, then delete it")
    aside = path.with_name(f"{ASIDE}{secrets.token_hex(4)}-{run_id}")
    try:
        os.rename(path, aside)
        if aside.is_symlink():
            aside.unlink()
        else:
            shutil.rmtree(aside)
    except OSError as error:
        raise InputError(f"cannot delete {error.filename or path}: {error.strerror or error}") from error
    shutil.rmtree(Path(runs_dir) / local.FOLDER / run_id, ignore_errors=True)


def _checked(changes: dict[str, Any]) -> dict[str, Any]:
    from .annotations import check_name

    checked = dict(changes)
    if unknown := checked.keys() - Annotations.model_fields.keys():
        raise TypeError(f"no such annotation: {', '.join(sorted(unknown))}")
    if "name" in checked:
        checked["name"] = check_name(checked["name"])
    if "tags" in checked:
        checked["tags"] = _tidy_tags(checked["tags"])
    if "note" in checked:
        note = "".join(c if c.isprintable() or c == "\n" else " " for c in checked["note"]).strip()
        if len(note) > LONGEST_NOTE:
            raise InputError(f"the note has {len(note):,} characters; wanted at most {LONGEST_NOTE:,}")
        checked["note"] = note
    return plain(checked)


def _tidy_tags(tags: Iterable[str]) -> list[str]:
    tidy = (" ".join("".join(c if c.isprintable() else " " for c in tag).split()) for tag in tags)
    kept = list(dict.fromkeys(tag for tag in tidy if tag))
    for tag in kept:
        if len(tag) > LONGEST_TAG:
            raise InputError(f"the tag {tag[:LONGEST_TAG]!r}… has {len(tag)} characters; wanted at most {LONGEST_TAG}")
    if len(kept) > MOST_TAGS:
        raise InputError(f"{len(kept)} tags are given; wanted at most {MOST_TAGS}")
    return kept
