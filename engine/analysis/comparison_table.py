"""Comparison of runs in numbers: the chart of the measures, their table and its CSV show the same values.

Compared runs have letters, A, B, ..., in the order in which they were selected: names may be long, or equal.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, NamedTuple

from . import comparison, resolutions
from .comparison import Row, Spread, fold_seeds, mean_and_spread
from .measures import MEASURES, Measure
from .resolutions import Bounds
from .spreadsheet import joined, no_formula

SEPARATOR = " · "  # between letter and name
BEST = "◆ "
"""Prefix of the best value of a measure."""
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
            spread = line.spreads[key]
            row[key] = None if spread is None else spread.mean
            row[f"{key} sd"] = None if spread is None else spread.sd
            row[f"{key} difference"] = _difference(line, baseline, key)
        rows.append(row)
    return rows


def shown_table(
    lines: Sequence[Line], baseline: Line, keys: Sequence[str], bounds: Bounds
) -> dict[str, list[str | None]]:
    """Columns of the page's table as texts: ``measure``, then one per line, named after its letters.

    Each measure has a row, mean ± standard deviation over seeds, with :data:`BEST` before the best value and ``≤``
    before bounds. If lines can be compared, a row of differences from the baseline follows.
    """
    headings = [f"{line.letters} (baseline)" if line is baseline and len(lines) > 1 else line.letters for line in lines]
    table: dict[str, list[str | None]] = {"measure": [], **{heading: [] for heading in headings}}
    if any(len(line.runs) > 1 for line in lines):
        _add_row(table, "runs", [f"{len(line.runs):,}" for line in lines])
    for key in keys:
        measure, winners = MEASURES[key], best(lines, key)
        marks = [BEST if line in winners else "" for line in lines]
        cells = [_mean_in_words(line, key, bounds) for line in lines]
        _add_row(table, measure.label, [m + c if c else None for m, c in zip(marks, cells, strict=True)])
        differences = [_difference(line, baseline, key) for line in lines]
        if any(value is not None for value in differences):
            words = [None if value is None else _signed(measure, value) for value in differences]
            _add_row(table, f"Δ {measure.label}", words)
    return table


def best(lines: Sequence[Line], key: str) -> list[Line]:
    """The lines with the best mean of a measure; none if all are equal or the metric has no better direction."""
    known = [(spread.mean, line) for line in lines if (spread := line.spreads[key]) is not None]
    better = MEASURES[key].metric.better
    if better is None or len({mean for mean, _ in known}) < 2:
        return []
    wanted = (min if better == "lower" else max)(mean for mean, _ in known)
    return [line for mean, line in known if mean == wanted]


def _add_row(table: dict[str, list[str | None]], name: str, cells: Sequence[str | None]) -> None:
    for column, cell in zip(table.values(), [name, *cells], strict=True):
        column.append(cell)


def _mean_in_words(line: Line, key: str, bounds: Bounds) -> str | None:
    spread, metric = line.spreads[key], MEASURES[key].metric
    if spread is None:
        return None
    mean = resolutions.shown(metric, spread.mean, _bounds_of(line, bounds))
    return mean if spread.sd is None else f"{mean} ± {metric.cell(spread.sd)}"


def _bounds_of(line: Line, bounds: Bounds) -> set[str]:
    """The metrics of which only a bound is known for any run of the line: their means are only bounds too."""
    return {name for run in line.runs for name in bounds.get(run.row["run_id"], ())}


def _difference(line: Line, baseline: Line, key: str) -> float | None:
    spread, reference = line.spreads[key], baseline.spreads[key]
    return None if line is baseline or spread is None or reference is None else spread.mean - reference.mean


def _signed(measure: Measure, value: float) -> str:
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return f"{sign}{measure.metric.cell(abs(value))}"


def metric_csv(lines: Sequence[Line], baseline: Line, bounds: Bounds) -> bytes:
    """The same numbers with all their digits, angles in rad too, which are only bounds, run ids, and all settings.

    Settings that differ within a line are listed, separated by spaces.
    """
    keys = [*measured(lines), *measured(lines, as_recorded=True)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = [f"{MEASURES[key].label}{what}" for key in keys for what in ("", " sd", " minus baseline")]
    resolved = [metric for key in keys if (metric := MEASURES[key].metric).threshold is not None]
    only_bounds = [f"{metric.short} is only a bound" for metric in resolved]
    rows = [run.row for line in lines for run in line.runs]
    places = {row["run_id"]: place for place, row in enumerate(rows)}
    settings = comparison.parameters(rows)
    writer.writerow(["runs", "name", "n", *columns, *only_bounds, "run ids", *settings])
    for line, row in zip(lines, metric_table(lines, baseline, keys), strict=True):
        numbers = ["" if value is None else f"{value:.9g}" for value in list(row.values())[3:]]
        marks = ["yes" if metric.name in _bounds_of(line, bounds) else "" for metric in resolved]
        ids = [run.row["run_id"] for run in line.runs]
        set_ = [no_formula(joined(values[places[run_id]] for run_id in ids)) for values in settings.values()]
        writer.writerow([row["runs"], no_formula(line.title), len(ids), *numbers, *marks, " ".join(ids), *set_])
    return file.getvalue().encode()
