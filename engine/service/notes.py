"""Annotations of runs: rename, tag, star, note, archive and restore; and deletion of archived runs for good."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..base import access
from ..base.errors import InputError
from ..base.files import FULL_DISK, plain, writing
from ..dispatch import backends
from ..record import life
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

_RUN = "run.json"
_one_at_a_time = threading.Lock()


def annotate(actor: Actor, runs_dir: Path, run_id: str, **changes: Any) -> Annotations:
    """Change some of a run's annotations, in any state; the new ones.

    Tags and names lose control characters and surrounding space, and repeated tags are dropped.

    Raises InputError for an unknown run, a name, tag or note that is too long, a run that is to be archived while it
    lives, and where nothing can be written.
    """
    path = run_path(Path(runs_dir), run_id)
    checked = _checked(changes)
    if checked.get("archived") and not read_annotations(path).archived:
        _require_ended(path, "archive")
    actor.does(f"changes {', '.join(checked)} of", run_id)
    try:
        return _note(path, checked)
    except OSError as error:
        reason = access.reason(error, path)
        raise InputError(f"cannot write {FILENAME} of run {run_id}: {reason}") from error


def archive(actor: Actor, runs_dir: Path, run_id: str) -> None:
    """Put a run that has ended out of sight; :func:`restore` brings it back."""
    annotate(actor, runs_dir, run_id, archived=True)


def restore(actor: Actor, runs_dir: Path, run_id: str) -> None:
    """Restore an archived run."""
    annotate(actor, runs_dir, run_id, archived=False)


def delete(actor: Actor, runs_dir: Path, run_id: str) -> None:
    """Delete an archived run for good.

    It stays in the list until all of it is gone. What cannot be finished is undone where nothing is gone yet; else the
    record says so, and deleting it again goes on.

    Raises InputError for a run that is unknown, not archived or alive, and where it cannot be removed, and why.
    """
    path = run_path(Path(runs_dir), run_id)
    if os.path.isdir(path):
        if not read_annotations(path).archived:
            raise InputError(f"run {run_id} is not archived; archive it first, then delete it")
        _require_ended(path, "delete")
    actor.does("deletes", run_id)
    linked = path.is_symlink()
    try:
        if not linked:
            _mark(path, deleting=True)
        access.remove_folder(path, (_RUN, FILENAME))
    except OSError as error:
        removed = error.removed if isinstance(error, access.RemovalError) else 0
        if not removed and not linked:
            with suppress(OSError):
                _mark(path, deleting=False)
        rest = f"{removed} of its files are gone; delete it again" if removed else "nothing of it is gone"
        raise InputError(f"cannot delete run {run_id}: {access.reason(error, path)}; {rest}") from error
    backends.forget(runs_dir, run_id)


def _note(path: Path, changes: dict[str, Any]) -> Annotations:
    with _one_at_a_time:
        noted = Annotations.model_validate(read_annotations(path).model_dump() | changes)
        with writing(path / FILENAME) as aside:
            aside.write_text(json.dumps(noted.model_dump(), indent=1) + "\n", encoding="utf-8")
    return noted


def _mark(path: Path, deleting: bool) -> None:
    try:
        _note(path, {"deleting": deleting})
    except OSError as error:
        if error.errno not in FULL_DISK:  # deleting is what helps against a full disk
            raise


def _require_ended(path: Path, action: str) -> None:
    """InputError while the run's process lives, whatever its record says, and wherever it is."""
    if os.path.exists(path / "result.json"):
        return
    kept = life.pulse(path) is not None
    if not life.silent(path) if kept else read_run(path).status == "running":
        raise InputError(f"run {path.name} is running; cancel it first, then {action} it")


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
