"""Recorded arrays of a run as CSV. No Streamlit."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from engine.experiment.artefacts import read_arrays
from engine.geometry.rotations import to_euler


def errors_csv(path: Path) -> bytes:
    """Angle errors, poses (rot, tilt, psi) and shifts of a run's poses.npz, one row per projection."""
    poses = read_arrays(path)
    errors, before = poses["errors"], poses["errors_before"]
    columns = [np.degrees(errors), errors, np.degrees(before), to_euler(poses["true"]), to_euler(poses["aligned"])]
    header = ["projection", "error_deg", "error_rad", "error_before_alignment_deg"]
    header += [f"{kind}_{angle}_deg" for kind in ("true", "recovered") for angle in ("rot", "tilt", "psi")]
    table = np.column_stack([*columns, poses["shifts"]])
    return _csv([*header, "shift_x_px", "shift_y_px"], ([number, *row] for number, row in enumerate(table)))


def distances_csv(path: Path) -> bytes:
    """The sample of pairs in a run's distances.npz: both projections, true and estimated distance."""
    sample = read_arrays(path)
    exact, estimated = (sample[name].astype(float) for name in ("exact", "estimated"))
    table = np.column_stack([np.degrees(exact), np.degrees(estimated), exact, estimated])
    header = ["first", "second", "true_deg", "estimated_deg", "true_rad", "estimated_rad"]
    pairs = zip(sample["first"].tolist(), sample["second"].tolist(), table, strict=True)
    return _csv(header, ([first, second, *row] for first, second, row in pairs))


def _csv(header: list[str], rows: Iterable[list[float]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([value if isinstance(value, int) else f"{value:.9g}" for value in row] for row in rows)
    return text.getvalue().encode()
