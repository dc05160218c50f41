"""Adding a protein to the available ones."""

from __future__ import annotations

from pathlib import Path

from ..io import library
from .actor import Actor


def upload(
    actor: Actor,
    runs_dir: Path,
    filename: str,
    data: bytes,
    voxel_size: float | None = None,
    stack_is_volume: bool = False,
) -> str:
    """Keep an uploaded file in the folder of volumes; its name in a configuration.

    Raises InputError as :func:`io.library.add_upload` does, for a file that is not a usable density.
    """
    actor.does("uploads", filename)
    return library.add_upload(runs_dir, filename, data, voxel_size, stack_is_volume)
