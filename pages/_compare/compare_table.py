"""The settings of compared runs as text, and which of them differ from the baseline's. No Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.analysis.comparison import Row, has_setting, in_words, parameters
from engine.analysis.comparison_table import Compared
from pages._shared import style, text
from pages._shared.style import Stroke

UNKNOWN = "?"
_NO_SUCH = "–"  # setting in this experiment
DIFFERS = "≠ "


@dataclass(frozen=True)
class View:
    """The runs, the index of the baseline among them, and the options of the tables."""

    runs: list[Compared]
    baseline: int
    only_differences: bool
    folded: bool


def strokes(runs: Sequence[Compared]) -> dict[str, Stroke]:
    """The stroke of each run, by letter; no two are equal."""
    by_number = style.run_strokes(run.row["number"] for run in runs)
    return {run.letter: by_number[run.row["number"]] for run in runs}


@dataclass(frozen=True)
class Parameter:
    """A setting: its value in each run as text, and whether that differs from the baseline's."""

    key: str
    values: tuple[str, ...]
    differs: tuple[bool, ...]


def parameter_rows(runs: Sequence[Compared], baseline: int, only_differences: bool) -> list[Parameter]:
    """The settings in their order, after the code's science version where runs differ in it.

    ``baseline`` is the index of a run.
    Runs without a configuration have :data:`UNKNOWN` for every setting, which does not count as a difference.
    """
    known = [place for place, run in enumerate(runs) if run.row["config"]]
    rows = []
    for key, values in parameters([runs[place].row for place in known]).items():
        if only_differences and all(value == values[0] for value in values):
            continue
        by_place = dict(zip(known, values, strict=True))
        words = tuple(
            _value(key, by_place[place], run.row) if place in by_place else UNKNOWN for place, run in enumerate(runs)
        )
        differs = tuple(
            baseline in by_place and place in by_place and by_place[place] != by_place[baseline]
            for place in range(len(runs))
        )
        rows.append(Parameter(key, words, differs))
    return rows


def parameter_table(runs: Sequence[Compared], rows: Sequence[Parameter]) -> dict[str, list[str]]:
    """Columns of the page's table; values that differ from the baseline's are preceded by a sign."""
    columns = {
        run.label: [(DIFFERS if row.differs[place] else "") + row.values[place] for row in rows]
        for place, run in enumerate(runs)
    }
    return {"parameter": [row.key for row in rows], **columns}


def particulars(runs: Sequence[Compared]) -> list[str]:
    """For each run, on one line, its values of the settings in which the runs differ."""
    rows = sorted(
        parameter_rows(runs, 0, only_differences=True), key=lambda row: row.key == "seed"
    )  # the seed last, as the least informative
    return [
        ", ".join(f"{row.key.rpartition('.')[2].replace('_', ' ')} {row.values[place]}" for row in rows)
        if run.row["config"]
        else ""
        for place, run in enumerate(runs)
    ]


def _value(key: str, value: Any, row: Row) -> str:
    if value is None and not has_setting(row, key):
        return _NO_SUCH
    if value is None or isinstance(value, str):
        return in_words(key, value)
    return text.digits(value) if isinstance(value, float) else text.toml_value(value)
