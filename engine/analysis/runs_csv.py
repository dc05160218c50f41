"""The table of runs as CSV: identity, metrics with all digits, and all settings."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from .comparison import Row, mean_and_spread, parameters
from .measures import MEASURES, Measure
from .resolutions import Bounds
from .spreadsheet import joined, no_formula


def runs_csv(groups: Sequence[Sequence[Row]], bounds: Bounds) -> str:
    """CSV with a line for each group, which is a run or all runs that differ only in their seed.

    Measures are means over a group's runs, with standard deviations if any group has several runs; headings include
    units. Values that differ within a group are listed, separated by spaces.
    """
    rows = [row for group in groups for row in group]
    folded = any(len(group) > 1 for group in groups)
    measures = [one for one in MEASURES.values() if any(one.value(row) is not None for row in rows)]
    settings = parameters(rows)
    by_id = {row["run_id"]: place for place, row in enumerate(rows)}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*_FACTS, *(["runs"] if folded else []), *_headings(measures, folded), *settings])
    for group in groups:
        places = [by_id[row["run_id"]] for row in group]
        cells = [*(joined(map(fact, group)) for fact in _FACTS.values()), *([len(group)] if folded else [])]
        cells += [cell for measure in measures for cell in _cells(group, measure, folded, bounds)]
        cells += [joined(values[place] for place in places) for values in settings.values()]
        writer.writerow([no_formula(cell) for cell in cells])
    return file.getvalue()


_FACTS = {
    "name": lambda row: row["name"],
    "run id": lambda row: row["run_id"],
    "state": lambda row: row["status"],
    "message": lambda row: row["message"],
    "started": lambda row: row["created"],
    "by": lambda row: row["launched_by"],
    "tags": lambda row: row["tags"],
    "starred": lambda row: row["starred"],
    "sweep": lambda row: row["sweep"],
    "note": lambda row: row["note"],
}


def _headings(measures: Sequence[Measure], folded: bool) -> Iterator[str]:
    for measure in measures:
        yield measure.label
        if folded:
            yield measure.column(" sd")
        if measure.metric.threshold is not None:
            yield f"{measure.metric.short} is only a bound"


def _cells(group: Sequence[Row], measure: Measure, folded: bool, bounds: Bounds) -> Iterator[Any]:
    spread = mean_and_spread([measure.value(row) for row in group])
    yield None if spread is None else spread.mean
    if folded:
        yield None if spread is None else spread.sd
    if measure.metric.threshold is not None:
        yield "yes" if any(measure.metric.name in bounds.get(row["run_id"], ()) for row in group) else ""
