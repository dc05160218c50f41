"""Annotations of runs: rename, tag, star, note, archive and restore; and deletion of archived runs for good."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..base.errors import InputError
from ..base.files import ASIDE, plain, writing
from ..dispatch import backends
from ..record.annotations import (
    FILENAME,
    LONGEST_NOTE,
    LONGEST_TAG,
    MOST_TAGS,
    Annotations,
    check_name,
    read_annotations,
)
from ..record.runrecord import read_run, run_path
from .actor import Actor

_one_at_a_time = threading.Lock()


def annotate(actor: Actor, runs_dir: Path, run_id: str, **changes: Any) -> Annotations:
    """Change some of a run's annotations, in any state; the new ones.

    Tags and names lose control characters and surrounding space, and repeated tags are dropped.

    Raises InputError for an unknown run, a name, tag or note that is too long, and where nothing can be written.
    """
    path = run_path(Path(runs_dir), run_id)
    checked = _checked(changes)
    actor.does(f"changes {', '.join(checked)} of", run_id)
    with _one_at_a_time:
        noted = Annotations.model_validate(read_annotations(path).model_dump() | checked)
        try:
            with writing(path / FILENAME) as aside:
                aside.write_text(json.dumps(noted.model_dump(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write {FILENAME} of run {run_id}: {error.strerror or error}") from error
    return noted


def archive(actor: Actor, runs_dir: Path, run_id: str) -> None:
    """Archive a run: lists no longer show it, until :func:`restore`."""
    annotate(actor, runs_dir, run_id, archived=True)


def restore(actor: Actor, runs_dir: Path, run_id: str) -> None:
    """Restore an archived run."""
    annotate(actor, runs_dir, run_id, archived=False)


def delete(actor: Actor, runs_dir: Path, run_id: str) -> None:
    """Delete an archived run for good; it is gone from the list before its files are removed.

    Raises InputError for a run that is unknown, not archived or running, and where it cannot be removed.
    """
    path = run_path(Path(runs_dir), run_id)
    if not read_annotations(path).archived:
        raise InputError(f"run {run_id} is not archived; archive it first, then delete it")
    if read_run(path).status == "running":
        raise InputError(f"run {run_id} is running; cancel it first, then delete it")
    actor.does("deletes", run_id)
    aside = path.with_name(f"{ASIDE}{secrets.token_hex(4)}-{run_id}")
    try:
        os.rename(path, aside)
        if aside.is_symlink():
            aside.unlink()
        else:
            shutil.rmtree(aside)
    except OSError as error:
        raise InputError(f"cannot delete {error.filename or path}: {error.strerror or error}") from error
    backends.forget(runs_dir, run_id)


def _checked(changes: dict[str, Any]) -> dict[str, Any]:
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
