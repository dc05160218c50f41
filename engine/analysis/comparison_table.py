"""Comparison of runs in numbers: the chart of the measures, their table and its CSV show the same values.

Compared runs have letters, A, B, ..., in the order in which they were selected: names may be long, or equal.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, NamedTuple

from . import comparison
from .comparison import Row, Spread, fold_seeds, mean_and_spread
from .measures import MEASURES

SEPARATOR = " · "  # between letter and name
_LONGEST = 40
_MANY = 3


class Compared(NamedTuple):
    """One of the compared runs."""

    letter: str
    row: Row

    @property
    def title(self) -> str:
        """Its name or id, cut where it is long."""
        whole = comparison.title(self.row)
        return whole if len(whole) <= _LONGEST else f"{whole[: _LONGEST - 1]}…"

    @property
    def label(self) -> str:
        """Letter and title, unique among the compared runs whatever their names."""
        return f"{self.letter}{SEPARATOR}{self.title}"


def compared(rows: Sequence[Row]) -> list[Compared]:
    """At most 26 runs with their letters."""
    return [Compared(letter, row) for letter, row in zip(ascii_uppercase, rows, strict=False)]


@dataclass(frozen=True)
class Line:
    """Runs that differ only in their seed, or one run: by measure mean and spread, and the value of each run."""

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
        """The first run's title, and how many more there are."""
        others = f" (+{len(self.runs) - 1})" if len(self.runs) > 1 else ""
        return f"{self.runs[0].title}{others}"

    @property
    def label(self) -> str:
        """Letters and title, unique among the lines."""
        return f"{self.letters}{SEPARATOR}{self.title}"


def metric_lines(runs: Sequence[Compared], folded: bool) -> list[Line]:
    """One line per run or, if grouped, one for all that differ only in their seed."""
    by_id = {run.row["run_id"]: run for run in runs}
    groups = fold_seeds([run.row for run in runs]) if folded else [[run.row] for run in runs]
    lines = []
    for group in groups:
        singles = {key: tuple(measure.value(row) for row in group) for key, measure in MEASURES.items()}
        spreads = {key: mean_and_spread(values) for key, values in singles.items()}
        lines.append(Line(tuple(by_id[row["run_id"]] for row in group), spreads, singles))
    return lines


def measured(lines: Sequence[Line], as_recorded: bool = False) -> list[str]:
    """Keys of the measures that any of the lines has, each in one unit; or of those in the other, recorded one."""
    return [
        key
        for key, measure in MEASURES.items()
        if measure.as_recorded == as_recorded and any(line.spreads[key] for line in lines)
    ]


def line_of(lines: Sequence[Line], run: Compared) -> Line:
    """The line that contains a run."""
    return next(line for line in lines if run in line.runs)


def metric_table(lines: Sequence[Line], baseline: Line, keys: Sequence[str]) -> list[dict[str, Any]]:
    """One row per line: ``runs``, ``name``, ``n``, and for each measure ``KEY``, ``KEY sd`` and ``KEY difference``."""
    rows = []
    for line in lines:
        letters = f"{line.letters} (baseline)" if line is baseline else line.letters
        row: dict[str, Any] = {"runs": letters, "name": line.title, "n": len(line.runs)}
        for key in keys:
            spread, reference = line.spreads[key], baseline.spreads[key]
            row[key] = None if spread is None else spread.mean
            row[f"{key} sd"] = None if spread is None else spread.sd
            comparable = line is not baseline and spread is not None and reference is not None
            row[f"{key} difference"] = spread.mean - reference.mean if comparable else None  # type: ignore[union-attr]
        rows.append(row)
    return rows


def with_bounds(
    rows: Sequence[dict[str, Any]], lines: Sequence[Line], bounds: Mapping[str, Collection[str]]
) -> list[dict[str, Any]]:
    """The rows with ``≤`` before the means of those runs, by measure their letters, of which only a bound is known."""
    marked = []
    for row, line in zip(rows, lines, strict=True):
        texts = {}
        for key, letters in bounds.items():
            if row.get(key) is not None:
                sign = "≤ " if any(run.letter in letters for run in line.runs) else ""
                texts[key] = f"{sign}{MEASURES[key].metric.format % row[key]}"
        marked.append(row | texts)
    return marked


def metric_csv(lines: Sequence[Line], baseline: Line) -> bytes:
    """The same numbers with all their digits, angles in rad too; runs are identified by run id."""
    keys = [*measured(lines), *measured(lines, as_recorded=True)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = [f"{MEASURES[key].label}{what}" for key in keys for what in ("", " sd", " minus baseline")]
    writer.writerow(["runs", "name", "n", *columns, "run ids"])
    for line, row in zip(lines, metric_table(lines, baseline, keys), strict=True):
        numbers = ["" if value is None else f"{value:.9g}" for value in list(row.values())[3:]]
        ids = " ".join(run.row["run_id"] for run in line.runs)
        writer.writerow([row["runs"], _no_formula(line.title), len(line.runs), *numbers, ids])
    return file.getvalue().encode()


def _no_formula(text: str) -> str:
    """The same to the eye: a spreadsheet would evaluate a name that starts like a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text
