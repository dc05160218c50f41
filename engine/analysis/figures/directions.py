"""Viewing directions: on spheres, and counted or with their errors on equal-area maps.

The maps are Lambert's cylindrical ones, rot against cos(tilt): no side is hidden, equal areas are equal solid angles.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...geometry.rotations import viewing_directions
from .data import Axis, Figure, Panel, Series, cells

Array = NDArray[np.floating]

_MOST_ON_A_SPHERE = 1000
_PER_CELL = 3  # projections that an even distribution would put into a cell
_FEWEST_ROWS, _MOST_ROWS = 4, 18
_ROT = Axis("rot", "°", range=(-180.0, 180.0))
_COSINE = Axis(
    "tilt",
    "°",
    range=(-1.0, 1.0),
    ticks=tuple((float(np.cos(np.radians(t))), str(t)) for t in (0, 45, 90, 135, 180)),
    quantity="cos(tilt)",
)  # at cos(tilt) what stands there is the tilt


def on_spheres(
    directions: Mapping[str, Array], errors: Mapping[str, Array] | None = None, title: str = "Viewing directions"
) -> Figure:
    """Unit vectors (n, 3) by name as rot and tilt in degrees, a panel a name: at most the first 1,000 of each.

    ``errors`` (n,) by name are angle errors in rad; with them each point has its ``error`` in degrees.
    """
    panels = []
    colour = None if errors is None else error_axis("error", np.concatenate([errors[name] for name in directions]))
    for name, vectors in directions.items():
        rot, tilt = rot_and_tilt(vectors[:_MOST_ON_A_SPHERE])
        columns = {"rot": rot, "tilt": tilt}
        if errors is not None:
            columns["error"] = np.degrees(errors[name][:_MOST_ON_A_SPHERE])
        points = Series("projections", "sphere", columns)
        panels.append(Panel(_ROT, Axis("tilt", "°", range=(0.0, 180.0)), (points,), name, colour=colour))
    most = max(len(vectors) for vectors in directions.values())
    few = "" if most <= _MOST_ON_A_SPHERE else f", the first {_MOST_ON_A_SPHERE:,} of {most:,}"
    return Figure("directions", f"{title}{few}", tuple(panels), "Viewing directions of projections on the unit sphere.")


def by_solid_angle(directions: Mapping[str, Array], title: str = "Viewing directions by solid angle") -> Figure:
    """How many of the unit vectors (n, 3) point into each cell of equal solid angle, a panel a name on one scale.

    Cells are bounded in rot (degrees) and cos(tilt); ``times_even`` is the number over that of an even distribution.
    Their size suits the name with the fewest vectors; ``solid_angle`` in sr is among the figure's values.
    """
    edges = cell_edges(min(len(vectors) for vectors in directions.values()))
    counted = {name: cell_counts(vectors, edges) for name, vectors in directions.items()}
    colour = Axis("projections in a cell", range=(0.0, float(max(1, *(int(c.max()) for c in counted.values())))))
    panels = []
    for name, counts in counted.items():
        columns = cells(*edges, projections=counts, times_even=counts / (len(directions[name]) / counts.size))
        panels.append(Panel(_ROT, _COSINE, (Series("projections", "heatmap", columns),), name, colour=colour))
    values = {"solid_angle": 4 * np.pi / next(iter(counted.values())).size}
    caption = "Projections whose viewing direction lies in a cell of equal solid angle."
    return Figure("direction-map", title, tuple(panels), caption, values)


def errors_by_direction(poses: Array, errors: Array, title: str = "Angle error over the sphere") -> Figure:
    """Median and mean in degrees of the angle errors (n,), rad, of the poses (n, 3, 3) that look into each cell.

    Cells are those of :func:`by_solid_angle`; those without projections have no error.
    """
    edges = cell_edges(len(errors))
    median, mean, counts = cell_errors(viewing_directions(poses), np.degrees(errors), edges)
    columns = cells(*edges, median=median, mean=mean, projections=counts)
    colour = error_axis("median error", np.radians(median[counts > 0]))
    errors_in_cells = Series("angle error", "heatmap", columns, units={"median": "°", "mean": "°"})
    panel = Panel(_ROT, _COSINE, (errors_in_cells,), colour=colour)
    caption = "Median angle error of the projections whose true viewing direction lies in a cell of equal solid angle."
    return Figure("error-map", title, (panel,), caption)


def error_axis(label: str, errors: Array) -> Axis:
    """The colours of errors (n,) in rad, in degrees from 0; the few largest share the brightest."""
    return Axis(label, "°", range=(0.0, float(np.quantile(np.degrees(errors), 0.98)) or 1.0))


def cell_edges(count: int) -> tuple[Array, Array]:
    """Edges in rot (degrees) and in cos(tilt) of cells of equal solid angle, of a size that suits ``count`` directions.

    On the equator the cells are about as wide as high.
    """
    rows = int(np.clip(round(np.sqrt(count / (3 * _PER_CELL))), _FEWEST_ROWS, _MOST_ROWS))
    return np.linspace(-180.0, 180.0, 3 * rows + 1), np.linspace(-1.0, 1.0, rows + 1)


def cell_counts(directions: Array, edges: tuple[Array, Array]) -> NDArray[np.int64]:
    """How many directions (n, 3) there are in each cell [cos(tilt), rot]."""
    shape = len(edges[1]) - 1, len(edges[0]) - 1
    return np.bincount(_cell_of(directions, edges), minlength=shape[0] * shape[1]).reshape(shape)


def cell_errors(directions: Array, errors: Array, edges: tuple[Array, Array]) -> tuple[Array, Array, NDArray[np.int64]]:
    """Median and mean of the errors (n,) in each cell [cos(tilt), rot], NaN where there is none; and how many."""
    counts = cell_counts(directions, edges)
    member = _cell_of(directions, edges)
    median, mean = np.full(counts.size, np.nan), np.full(counts.size, np.nan)
    for cell in np.flatnonzero(counts):
        inside = errors[member == cell]
        median[cell], mean[cell] = np.median(inside), np.mean(inside)
    return median.reshape(counts.shape), mean.reshape(counts.shape), counts


def rot_and_tilt(directions: Array) -> tuple[Array, Array]:
    """Both angles (n,) in degrees of unit vectors (n, 3)."""
    x, y, z = np.asarray(directions, dtype=float).T
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(np.hypot(x, y), z))


def _cell_of(directions: Array, edges: tuple[Array, Array]) -> NDArray[np.int64]:
    """The number of each direction's cell, counted along rot first."""
    rot, _ = rot_and_tilt(directions)
    columns, rows = len(edges[0]) - 1, len(edges[1]) - 1
    column = np.clip(((rot + 180.0) / 360.0 * columns).astype(int), 0, columns - 1)
    row = np.clip(((directions[:, 2] + 1.0) / 2.0 * rows).astype(int), 0, rows - 1)
    return row * columns + column
