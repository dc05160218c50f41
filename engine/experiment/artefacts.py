"""What runs leave, read for those who show it: arrays are what the stage that left them says of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from ..record import arrays
from ..record.arrays import Shape
from .stages import stages


def read_arrays(path: Path, only: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a file in a run's directory, read-only: all, or those of the names in ``only`` that it has.

    Raises FileNotFoundError, and InputError for a damaged file, or one with other arrays than a stage leaves.
    """
    return arrays.read_arrays(path, shapes_of(path.name), only)


def left(path: Path) -> tuple[tuple[str, int], ...]:
    """Name and time (ns) of the files in a run's directory that stages leave, and of its configuration and result."""
    names = [one.filename for stage in stages() for one in stage.artefacts]
    times = ((name, modified_ns(path / name)) for name in (*names, "config.toml", "result.json"))
    return tuple((name, time) for name, time in times if time is not None)


def modified_ns(path: Path) -> int | None:
    """When a file was written; None where there is none, or it cannot be reached."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def shapes_of(filename: str) -> Mapping[str, Shape]:
    """What the arrays of a file look like, by name; nothing where no stage says."""
    known = (one for stage in stages() for one in stage.artefacts if one.filename == filename)
    return next((one.arrays for one in known), {})
