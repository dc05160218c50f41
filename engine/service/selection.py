"""Some of the particles of a finished run, by confidence and viewing direction, as a table for other programs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..base.errors import InputError
from ..experiment.artefacts import read_arrays
from ..geometry.rotations import to_euler

if TYPE_CHECKING:
    from ..record.runrecord import RunRecord

STEPS = {"frame.npz": "poses", "refined_frame.npz": "refined"}
"""What a run keeps of its particles after each step, and the stem of the table with the same particles."""


@dataclass(frozen=True)
class Selection:
    """Ranges that include their ends: of confidence, and of the viewing direction's rot (-180 to 180) and tilt (0 to
    180) in degrees. With ``rot`` from the larger to the smaller number, it goes through 180.
    """

    confidence: tuple[float, float] = (0.0, 1.0)
    rot: tuple[float, float] = (-180.0, 180.0)
    tilt: tuple[float, float] = (0.0, 180.0)

    def chosen(self, confidence: NDArray[np.floating], poses: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which particles are in the ranges, (n,): ``confidence`` (n,), ``poses`` (n, 3, 3)."""
        rot, tilt, _ = to_euler(poses).T
        rot = (rot + 180) % 360 - 180
        low, high = self.rot
        inside = (rot >= low) & (rot <= high) if low <= high else (rot >= low) | (rot <= high)
        if high == 180:
            inside |= rot == -180  # the same direction
        for values, (least, most) in ((confidence, self.confidence), (tilt, self.tilt)):
            inside &= (values >= least) & (values <= most)
        return inside


def steps(record: RunRecord) -> list[str]:
    """Those of :data:`STEPS` that the run has finished."""
    return [name for name in STEPS if (record.path / name).is_file() and _table(record, name) is not None]


def selected(record: RunRecord, step: str, selection: Selection) -> NDArray[np.int64]:
    """Which of the run's particles are selected by their poses after a step, ascending."""
    kept = read_arrays(record.path / step)
    return np.flatnonzero(selection.chosen(kept["confidence"], kept["poses"]))


def selected_table(record: RunRecord, step: str, selection: Selection) -> tuple[str, bytes]:
    """The run's table after a step with the selected particles alone: a file's name, ``.star`` or ``.cs``, and it.

    Raises InputError where none is selected, or the run's files are gone or damaged.
    """
    from ..io.particles import read_particles, write_poses

    source = _table(record, step)
    if source is None:
        raise InputError(f"run {record.run_id} has no table {STEPS[step]}.star or {STEPS[step]}.cs any longer")
    rows = selected(record, step, selection)
    if not len(rows):
        raise InputError("no particle is in these ranges; widen them")
    kept = read_arrays(record.path / step)
    with tempfile.TemporaryDirectory() as folder:
        table = read_particles(source, warn=lambda line: None)
        if len(table) != len(kept["poses"]):
            raise InputError(
                f"{source} has {len(table):,} particles and {step} {len(kept['poses']):,}; wanted those of one run"
            )
        path = Path(folder) / f"selected{source.suffix}"
        assert table.shifts_px is not None, "a run writes them"
        write_poses(
            path, table, rows, kept["poses"][rows], table.shifts_px[rows], kept["confidence"][rows],
            None if table.halves is None else table.halves[rows],
        )  # fmt: skip
        return f"{record.run_id}-{STEPS[step]}-selected{source.suffix}", path.read_bytes()


def _table(record: RunRecord, step: str) -> Path | None:
    paths = (record.path / f"{STEPS[step]}{ending}" for ending in (".star", ".cs"))
    return next((path for path in paths if path.is_file()), None)
