"""A figure as data: panels of series in named columns, with axes, units and a caption. Renderers add no numbers.

The pages draw it with Plotly and offer it as CSV; another library may draw it for a paper.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...base.files import plain
from ..spreadsheet import no_formula

Kind = Literal["line", "points", "bars", "steps", "band", "heatmap", "image", "sphere", "mesh", "reference"]
"""How a series is meant to be drawn: ``band`` has columns of lower and upper ends, ``heatmap`` and ``image`` one row a
cell, ``mesh`` vertices or faces, ``reference`` is a line for comparison."""


@dataclass(frozen=True)
class Axis:
    """What an axis shows: ``range`` where it is fixed, ``categories`` where its values are words, in their order."""

    label: str
    unit: str = ""
    log: bool = False
    range: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()
    ticks: tuple[tuple[float, str], ...] = ()
    """Positions of ticks and their labels, where these are not the positions themselves."""
    quantity: str = ""
    """The quantity of the numbers along the axis, if the tick labels show another one: ``cos(tilt)``."""

    @property
    def title(self) -> str:
        """Label and unit: ``distance (rad)``."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True, eq=False)
class Series:
    """A table of equally long columns, one-dimensional arrays of numbers or texts, drawn in one way.

    ``role`` is the meaning of the series (a run's letter, ``published``, ``validation``), by which the renderer chooses
    colour and legend.
    """

    name: str
    kind: Kind
    columns: Mapping[str, NDArray[Any]]
    role: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    """Units of columns that are not along an axis; a column named like an axis has the unit of that axis."""

    def __post_init__(self) -> None:
        lengths = {name: np.shape(values) for name, values in self.columns.items()}
        if any(len(shape) != 1 for shape in lengths.values()) or len(set(lengths.values())) > 1:
            raise ValueError(f"series {self.name!r}: columns have the shapes {lengths}; wanted equally long ones, 1-D")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def grid(self, column: str) -> NDArray[Any]:
        """A column of a heatmap or image as a matrix (cells along y, cells along x); see :func:`cells`."""
        across = np.unique(self.columns["x" if "x" in self.columns else "x_low"])
        return self.columns[column].reshape(-1, len(across))

    def positions(self, axis: Literal["x", "y"]) -> NDArray[Any]:
        """Along one axis, where the cells of a heatmap or image stand: centres (n,), or the edges (n + 1,) if it has
        those.
        """
        if axis in self.columns:
            return np.unique(self.columns[axis])
        return np.append(np.unique(self.columns[f"{axis}_low"]), self.columns[f"{axis}_high"].max())

    def __repr__(self) -> str:
        return f"Series({self.name!r}, {self.kind}, {len(self)} rows of {', '.join(self.columns)})"


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair (or triple) of axes and its series."""

    x: Axis
    y: Axis
    series: tuple[Series, ...]
    title: str = ""
    z: Axis | None = None
    colour: Axis | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    """Single numbers that the panel states, such as the median of its level."""

    def __getitem__(self, name: str) -> Series:
        """The series of this name; KeyError where there is none."""
        for series in self.series:
            if series.name == name:
                return series
        raise KeyError(name)

    def along(self, column: str) -> Axis | None:
        """The axis of a column, by its name: ``x``, ``x_low``, ``x_high``, and so on; None if it is not along one."""
        return {"x": self.x, "y": self.y, "z": self.z}.get(column.removesuffix("_low").removesuffix("_high"))

    def unit_of(self, series: Series, column: str) -> str:
        """The unit of a column that is not along an axis; empty if it has none."""
        named = {axis.label: axis.unit for axis in (self.x, self.y, self.z, self.colour) if axis is not None}
        return series.units.get(column, named.get(column, ""))


@dataclass(frozen=True, eq=False)
class Figure:
    """Panels with title and caption. ``name`` is a file's stem; ``caption`` holds for all panels."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    caption: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    """Single numbers that the figure states, such as a median, by metric or name."""

    @property
    def panel(self) -> Panel:
        """The only panel; ValueError where there are several."""
        (panel,) = self.panels
        return panel

    def __repr__(self) -> str:
        return f"Figure({self.name!r}, {len(self.panels)} panels, {sum(len(p.series) for p in self.panels)} series)"

    def headings(self) -> dict[str, str]:
        """The heading of each column in the table: its name and the titles of its axes, or its units, in all panels.

        Examples are ``x: distance (rad)``, ``x: rot (°); distance (°)`` if panels differ, and ``sd (°; rad²)`` for a
        column that is not along an axis.
        """
        along: dict[str, list[str]] = {}
        units: dict[str, list[str]] = {}
        for panel in self.panels:
            for series in panel.series:
                for name in series.columns:
                    axis = panel.along(name)
                    along.setdefault(name, []).append("" if axis is None else axis.quantity or axis.title)
                    units.setdefault(name, []).append(panel.unit_of(series, name))
        headings = {}
        for name in along:
            titles, of_name = ("; ".join(filter(None, dict.fromkeys(each[name]))) for each in (along, units))
            headings[name] = f"{name}: {titles}" if titles else f"{name} ({of_name})" if of_name else name
        return headings

    def to_csv(self) -> str:
        """All series in one table: panel, series, then every column that any of them has under its heading.

        A text that a spreadsheet would take for a formula is preceded by an apostrophe.
        """
        headings = self.headings()
        names = list(headings)
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["panel", "series", *headings.values()])
        for panel in self.panels:
            for series in panel.series:
                columns = [plain(series.columns[n]) if n in series.columns else [""] * len(series) for n in names]
                head = [_cell(panel.title), _cell(series.name)]
                writer.writerows([*head, *map(_cell, row)] for row in zip(*columns, strict=True))
        return file.getvalue()


def cells(
    x: NDArray[np.generic], y: NDArray[np.generic], **values: NDArray[np.generic]
) -> dict[str, NDArray[np.generic]]:
    """Columns of a heatmap or image from its values (n, m) by name: a row a cell, row by row of the matrix.

    ``x`` and ``y``, both rising, are the cells' centres (m,) and (n,), or their edges (m + 1,) and (n + 1,), which make
    two columns each: ``x_low``, ``x_high``, ``y_low``, ``y_high``.
    """
    shape = next(iter(values.values())).shape
    columns = {}
    for name, at, axis in (("x", x, 1), ("y", y, 0)):
        ends = {f"{name}_low": at[:-1], f"{name}_high": at[1:]} if len(at) == shape[axis] + 1 else {name: at}
        for end, each in ends.items():
            columns[end] = np.broadcast_to(each[None] if axis else each[:, None], shape).ravel()
    return columns | {name: matrix.ravel() for name, matrix in values.items()}


def _cell(value: object) -> object:
    return "" if value is None else no_formula(value)
