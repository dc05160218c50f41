"""Adding a stack of particles to those that can be chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..io import data_folders
from .actor import Actor


def upload(actor: Actor, runs_dir: Path, files: Mapping[str, bytes], pixel_size: float | None = None) -> str:
    """Keep uploaded files, a stack or a table with its stacks, in the folder of stacks; the path of the table.

    Raises InputError as :func:`io.data_folders.add_upload` does.
    """
    actor.does("uploads", ", ".join(files))
    return data_folders.add_upload(runs_dir, files, pixel_size)
