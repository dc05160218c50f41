"""Runs compared in words and numbers: what the chart of the metrics shows is what its table and its CSV say.

No streamlit. Compared runs have letters, A, B, ..., in the order of the address: names may be long, or alike.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, NamedTuple

from engine.analysis.comparison import Row, Spread, fold_seeds, mean_and_spread, parameters, said
from pages._shared import runtable, style, text

MEASURES = {key: column for key, column in runtable.COLUMNS.items() if column.kind == "measure"}
_IN_RADIANS = ("L_DE rad", "E_OR rad")  # only in the CSV
_LONGEST = 40
_MANY = 3
UNKNOWN = "?"
SEPARATOR = " · "  # between letter and name
DIFFERS = "≠ "


class Compared(NamedTuple):
    """A run among those compared."""

    letter: str
    row: Row

    @property
    def title(self) -> str:
        """Its name or id, cut where it is long."""
        whole = runtable.title(self.row)
        return whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST - 1]}…"

    @property
    def label(self) -> str:
        """Letter and title: unlike those of the others, whatever they are called."""
        return f"{self.letter}{SEPARATOR}{self.title}"

    @property
    def colour(self) -> str:
        """The same as everywhere."""
        return style.run_colour(self.row["number"])

    @property
    def dash(self) -> str:
        """The same as everywhere."""
        return style.run_dash(self.row["number"])


def compared(rows: Sequence[Row]) -> list[Compared]:
    """At most 26 runs with their letters."""
    return [Compared(letter, row) for letter, row in zip(ascii_uppercase, rows, strict=False)]


@dataclass(frozen=True)
class View:
    """The runs, the place of the baseline among them, and what the tables show."""

    runs: list[Compared]
    baseline: int
    only_differences: bool
    folded: bool


# Parameters ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameter:
    """A setting: its value in words in each run, and whether that is not the baseline's."""

    key: str
    values: tuple[str, ...]
    differs: tuple[bool, ...]


def parameter_rows(runs: Sequence[Compared], baseline: int, only_differences: bool) -> list[Parameter]:
    """The settings in their order; ``baseline`` is the place of a run.

    Runs without a configuration have :data:`UNKNOWN` everywhere and differ from nothing.
    """
    known = [place for place, run in enumerate(runs) if run.row["config"]]
    found = []
    for key, values in parameters([runs[place].row["config"] for place in known]).items():
        if only_differences and all(value == values[0] for value in values):
            continue
        by_place = dict(zip(known, values, strict=True))
        words = tuple(_value(key, by_place[place]) if place in by_place else UNKNOWN for place in range(len(runs)))
        differs = tuple(
            baseline in by_place and place in by_place and by_place[place] != by_place[baseline]
            for place in range(len(runs))
        )
        found.append(Parameter(key, words, differs))
    return found


def parameter_table(runs: Sequence[Compared], rows: Sequence[Parameter]) -> dict[str, list[str]]:
    """Columns of the page's table; values unlike the baseline's have a sign before them."""
    columns = {
        run.label: [(DIFFERS if row.differs[place] else "") + row.values[place] for row in rows]
        for place, run in enumerate(runs)
    }
    return {"parameter": [row.key for row in rows], **columns}


def particulars(runs: Sequence[Compared]) -> list[str]:
    """Of each run its values of the settings in which the runs differ, in a line."""
    rows = sorted(parameter_rows(runs, 0, only_differences=True), key=lambda row: row.key == "seed")  # it says least
    return [
        ", ".join(f"{row.key.rpartition('.')[2].replace('_', ' ')} {row.values[place]}" for row in rows)
        if run.row["config"]
        else ""
        for place, run in enumerate(runs)
    ]


def _value(key: str, value: Any) -> str:
    if value is None or isinstance(value, str):
        return said(key, value)
    return f"{value:.10g}" if isinstance(value, float) else text.toml_value(value)


# Metrics -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """Runs that differ only in their seed, or one run: by measure the mean and spread, and what each has found."""

    runs: tuple[Compared, ...]
    spreads: dict[str, Spread | None]
    singles: dict[str, tuple[float | None, ...]]

    @property
    def letters(self) -> str:
        """``A``, ``A, C`` or, of many, ``A … F``."""
        letters = [run.letter for run in self.runs]
        return ", ".join(letters) if len(letters) <= _MANY else f"{letters[0]} … {letters[-1]}"

    @property
    def title(self) -> str:
        """The first run's, and how many more there are."""
        others = f" (+{len(self.runs) - 1})" if len(self.runs) > 1 else ""
        return f"{self.runs[0].title}{others}"


def metric_lines(runs: Sequence[Compared], folded: bool) -> list[Line]:
    """A line a run or, folded, one for all that differ only in their seed."""
    by_id = {run.row["run_id"]: run for run in runs}
    groups = fold_seeds([run.row for run in runs]) if folded else [[run.row] for run in runs]
    lines = []
    for group in groups:
        singles = {key: tuple(column.value(row) for row in group) for key, column in MEASURES.items()}
        spreads = {key: mean_and_spread(values) for key, values in singles.items()}
        lines.append(Line(tuple(by_id[row["run_id"]] for row in group), spreads, singles))
    return lines


def measured(lines: Sequence[Line]) -> list[str]:
    """The measures that any of the lines knows, each in one unit."""
    return [key for key in MEASURES if key not in _IN_RADIANS and any(line.spreads[key] for line in lines)]


def line_of(lines: Sequence[Line], run: Compared) -> Line:
    """The line that a run is in."""
    return next(line for line in lines if run in line.runs)


def metric_table(lines: Sequence[Line], baseline: Line, keys: Sequence[str]) -> list[dict[str, Any]]:
    """A row a line: ``runs``, ``name``, ``n``, and for each measure ``KEY``, ``KEY sd`` and ``KEY difference``."""
    rows = []
    for line in lines:
        letters = f"{line.letters} (baseline)" if line is baseline else line.letters
        row: dict[str, Any] = {"runs": letters, "name": line.title, "n": len(line.runs)}
        for key in keys:
            spread, reference = line.spreads[key], baseline.spreads[key]
            row[key] = None if spread is None else spread.mean
            row[f"{key} sd"] = None if spread is None else spread.sd
            told = spread is not None and reference is not None and line is not baseline
            row[f"{key} difference"] = spread.mean - reference.mean if told else None  # type: ignore[union-attr]
        rows.append(row)
    return rows


def with_bounds(
    rows: Sequence[dict[str, Any]], lines: Sequence[Line], bounds: Mapping[str, Collection[str]]
) -> list[dict[str, Any]]:
    """The rows with ``≤`` before the means of those runs, by measure their letters, of which only a bound is known."""
    found = []
    for row, line in zip(rows, lines, strict=True):
        words = {
            key: f"{'≤ ' if any(run.letter in letters for run in line.runs) else ''}{row[key]:.2f}"
            for key, letters in bounds.items()
            if row.get(key) is not None
        }
        found.append(row | words)
    return found


def metric_csv(lines: Sequence[Line], baseline: Line) -> bytes:
    """The same numbers with all their digits, angles in rad too; whose they are by run id."""
    keys = measured(lines)
    keys += [key for key in _IN_RADIANS if any(line.spreads[key] for line in lines)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{MEASURES[key].label}{what}" for key in keys for what in ("", " sd", " minus baseline")]
    writer.writerow(["runs", "name", "n", *columns, "run ids"])
    for line, row in zip(lines, metric_table(lines, baseline, keys), strict=True):
        numbers = ["" if value is None else f"{value:.9g}" for value in list(row.values())[3:]]
        ids = " ".join(run.row["run_id"] for run in line.runs)
        writer.writerow([row["runs"], _no_formula(line.title), len(line.runs), *numbers, ids])
    return text.getvalue().encode()


def _no_formula(text: str) -> str:
    """The same to the eye: spreadsheets would reckon with a name that starts like a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text
