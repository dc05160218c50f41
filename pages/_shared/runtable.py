"""Rows of the catalogue as the table of runs: columns, filters, order, folding of seeds into one line. No Streamlit.

A line represents a group of rows: one run, or all that differ only in their seed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from engine.analysis import resolutions
from engine.analysis.comparison import fold_seeds, mean_and_spread, title
from engine.analysis.measures import MEASURES, Measure
from engine.analysis.verdict import Verdict, of_row
from engine.base.metric import Metric
from engine.experiment import metrics
from pages._shared import text

Row = dict[str, Any]
Group = list[Row]
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)")


@dataclass(frozen=True)
class Column:
    """``value`` gives the cell of one run; a ``measure`` is averaged over seeds, other kinds show the newest run's."""

    label: str
    value: Callable[[Row], Any]
    kind: Literal["text", "tags", "number", "id", "time"] = "text"
    format: str | None = None
    help: str | None = None
    shown: bool = True
    width: int | None = None
    if_known: bool = False
    """Whether to omit the column if none of the runs has a value."""
    measure: Measure | None = None

    @property
    def ascends(self) -> bool:
        """Whether it is sorted in ascending order by default: best or newest first, other columns ascending."""
        better = None if self.measure is None else self.measure.metric.better
        return self.kind != "time" and better != "higher"


def _inside(row: Row, section: str, key: str) -> Any:
    """A value from the configuration of a run, which may be missing."""
    table = row["config"].get(section)
    return table.get(key) if isinstance(table, dict) else None


def _particles(row: Row) -> str | None:
    """The name of the table of a run on recorded particles; None of a simulation."""
    source = _inside(row, "particles", "source")
    return text.source_name(source) if isinstance(source, str) else None


def _count(row: Row) -> Any:
    """The number of projections, or of the particles whose poses were estimated."""
    if _particles(row) is None:
        return row["count"]
    number = (row["metrics"] or {}).get(metrics.PARTICLES.name)
    return number if isinstance(number, int | float) else None


def _coverage(row: Row) -> str:
    try:
        return text.coverage(row["config"]["projections"]["coverage"])
    except (KeyError, TypeError, ValueError):
        return ""


def _sampling(row: Row) -> str:
    return text.SAMPLINGS.get(row["sampling"], row["sampling"] or "")


def _noise(row: Row) -> str:
    if not row["config"] or _particles(row) is not None:
        return ""
    level = text.noise(row["noise_variance"], row["snr"])
    coloured = level != "none" and _inside(row, "projections", "noise_spectrum") == "coloured"
    return f"{level}, coloured" if coloured else level


def _defocus(row: Row) -> str | None:
    try:
        value = _inside(row, "projections", "defocus")
        return None if value is None else text.defocus(value)
    except (TypeError, ValueError):
        return None


def _distance(row: Row) -> str:
    method = row["distance_method"] or ""
    variance = _inside(row, "distance", "perturbation_variance")
    return (
        f"{method} {text.digits(variance)} rad²"
        if method == "perturbed" and isinstance(variance, int | float)
        else method
    )


def _recovery_pairs(row: Row) -> str | None:
    return value if isinstance(value := _inside(row, "recovery", "pairs"), str) else None


def _verdict(row: Row) -> str:
    return str(of_row(row) or "")


def _started(row: Row) -> Any:
    return None if row["created"] is None else row["created"].astimezone().replace(tzinfo=None)


def _measure(key: str, shown: bool = True, if_known: bool = False) -> Column:
    measure = MEASURES[key]
    meaning = measure.metric.meaning
    return Column(measure.label, measure.value, help=meaning, shown=shown, if_known=if_known, measure=measure)


NAME, STATE = "name", "state"
COLUMNS: dict[str, Column] = {
    "E_OR": _measure("E_OR"),
    "state": Column("state", lambda row: row["status"], width=125),
    "verdict": Column(
        "verdict", lambda row: _verdict(row) or None, width=95, if_known=True,
        help=f"{metrics.ANGLE_ERROR_MEDIAN.short} beside that of random poses",
    ),
    "protein": Column("protein", lambda row: text.source_name(row["source"] or "")),
    "particles": Column("particles", _particles, if_known=True, help="table of recorded particles, not simulated"),
    "coverage": Column("coverage", _coverage),
    "sampling": Column("sampling", _sampling, help="of the orientations"),
    "count": Column("projections", _count, "number", "%d", "test projections, or particles", shown=False),
    "noise": Column("noise", _noise, help="variance of the noise, or signal-to-noise ratio"),
    "defocus": Column("defocus", _defocus, if_known=True, help="of the CTF that projections are multiplied by"),
    "shift": Column("shift (px)", lambda row: row["max_shift"], "number", "%g", "largest in-plane shift"),
    "distance": Column("distance", _distance, help="how distances are estimated"),
    "pairs": Column("pairs", lambda row: row["pairs_strategy"], help="training pairs that the network is shown"),
    "recovery pairs": Column("recovery pairs", _recovery_pairs, shown=False),
    "seed": Column("seed", lambda row: row["seed"], "id", shown=False),
    "L_DE": _measure("L_DE"),
    "L_OR": _measure("L_OR"),
    "E_OR mean": _measure("E_OR mean", shown=False),
    "L_DE rad": _measure("L_DE rad", shown=False),
    "E_OR rad": _measure("E_OR rad", shown=False),
    "frame error": _measure("frame error", if_known=True),
    "frame error mean": _measure("frame error mean", shown=False, if_known=True),
    "refined frame error": _measure("refined frame error", if_known=True),
    "FSC": _measure("FSC"),
    "FSC halves": _measure("FSC halves", shown=False),
    "refined E_OR": _measure("refined E_OR", if_known=True),
    "refined FSC": _measure("refined FSC", if_known=True),
    "refined FSC halves": _measure("refined FSC halves", shown=False),
    "took": _measure("took"),
    "memory": _measure("memory", shown=False),
    "started": Column("started", _started, "time", "YYYY-MM-DD HH:mm"),
    "user": Column("by", lambda row: row["launched_by"]),
    "tags": Column("tags", lambda row: row["tags"], "tags"),
    "sweep": Column("sweep", lambda row: row["sweep"], shown=False),
    "note": Column("note", lambda row: row["note"], shown=False, width=240),
    "id": Column("id", lambda row: row["run_id"], shown=False),
}  # fmt: skip
SHOWN = [key for key, column in COLUMNS.items() if column.shown]

FACETS: dict[str, Callable[[Row], list[str]]] = {
    "state": lambda row: [row["status"]],
    "verdict": lambda row: [_verdict(row)],
    "protein": lambda row: [COLUMNS["protein"].value(row)],
    "particles": lambda row: [_particles(row) or ""],
    "coverage": lambda row: [_coverage(row)],
    "sampling": lambda row: [_sampling(row)],
    "noise": lambda row: [_noise(row)],
    "defocus": lambda row: [_defocus(row) or ""],
    "shift": lambda row: [] if row["max_shift"] is None else [f"{text.digits(row['max_shift'])} px"],
    "distance": lambda row: [_distance(row)],
    "pairs": lambda row: [row["pairs_strategy"] or ""],
    "tag": lambda row: row["tags"],
    "user": lambda row: [row["launched_by"] or ""],
    "sweep": lambda row: [row["sweep"] or ""],
}
"""The filters, each with a function for the labels of a run."""


@dataclass(frozen=True)
class View:
    """Which runs are shown, in which order: a run must match every word of ``search`` and one label of each facet."""

    search: str = ""
    facets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    starred: bool = False
    sort: str = "started"
    ascending: bool = False
    folded: bool = False

    def groups(self, rows: Iterable[Row]) -> list[Group]:
        """The lines to show, each as the rows it represents."""
        kept = [row for row in rows if self._keeps(row)]
        groups = fold_seeds(kept) if self.folded else [[row] for row in kept]
        return _ordered(groups, self.sort, self.ascending)

    def _keeps(self, row: Row) -> bool:
        if self.starred and not row["starred"]:
            return False
        if not all(set(labels) & set(FACETS[facet](row)) for facet, labels in self.facets.items() if labels):
            return False
        text = " ".join([row["name"] or "", row["run_id"], row["note"], row["source"] or "", *row["tags"]]).casefold()
        return all(word in text for word in self.search.casefold().split())

    def __str__(self) -> str:
        """The filters in words; empty if there are none."""
        filters = [f"“{self.search.strip()}”"] if self.search.strip() else []
        filters += [f"{facet} {' or '.join(labels)}" for facet, labels in self.facets.items() if labels]
        return ", ".join(filters + (["starred"] if self.starred else []))


def labels(rows: Iterable[Row], facet: str) -> list[str]:
    """All labels of the runs in a facet, in natural order (numbers by value)."""
    distinct = {label for row in rows for label in FACETS[facet](row) if label}
    return sorted(distinct, key=_natural)


def lines(
    groups: Sequence[Group],
    columns: Sequence[str],
    progress: Mapping[str, str],
    folded: bool,
    bounds: Callable[[Row], Collection[str]],
) -> dict[str, Any]:
    """The table's cells, column by column: ``name``, then ``columns``, with ``star`` after the first of them.

    Measures are texts, with ``≤`` if only a bound is known. If folded, also ``n``, the number of runs of each line, and
    after each measure its standard deviation, ``KEY sd``. ``progress`` is the progress of running runs, by run id;
    ``bounds`` gives the names of a run's metrics of which only a bound is known.
    """
    table: dict[str, Any] = {}
    for key in columns:
        column = COLUMNS[key]
        if column.if_known and all(column.value(row) is None for group in groups for row in group):
            continue
        if key == STATE:
            table[key] = [_state(group, progress) for group in groups]
        elif column.measure is not None:
            spreads = [mean_and_spread([column.value(row) for row in group]) for group in groups]
            metric = column.measure.metric
            table[key] = [
                None if spread is None else resolutions.shown(metric, spread.mean, _of_any(group, metric, bounds))
                for group, spread in zip(groups, spreads, strict=True)
            ]
            if folded:
                sds = [None if spread is None else spread.sd for spread in spreads]
                table[f"{key} sd"] = [None if sd is None else metric.cell(sd) for sd in sds]
        else:
            cells = [column.value(group[0]) for group in groups]
            if column.kind == "id":  # as text: a browser rounds integers above 2^53
                cells = [None if cell is None else str(cell) for cell in cells]
            table[key] = _numbers(cells) if column.kind == "number" else cells
    star = {"star": ["★" if all(row["starred"] for row in group) else "☆" for group in groups]}
    beside = {columns[0], f"{columns[0]} sd"} if columns else set()
    first = {key: cells for key, cells in table.items() if key in beside}
    n = {"n": [len(group) for group in groups]} if folded else {}
    return {NAME: [_no_icon(_group_title(group)) for group in groups]} | n | first | star | table


def _of_any(group: Group, metric: Metric, bounds: Callable[[Row], Collection[str]]) -> set[str]:
    """The bounds of a line's runs: a mean is only a bound if that is true of any of its runs."""
    return set() if metric.threshold is None else {name for row in group for name in bounds(row)}


def _numbers(cells: Iterable[float | None]) -> Any:
    """The cells as an array, so that a column without any value is numeric too."""
    return np.array([math.nan if cell is None else cell for cell in cells], dtype=float)


def _ordered(groups: list[Group], key: str, ascending: bool) -> list[Group]:
    """Groups sorted by a column, unknown values last; equal ones stay newest first."""
    known = [(value, group) for group in groups if (value := _sort_value(group, key)) is not None]
    unknown = [group for group in groups if _sort_value(group, key) is None]
    return [group for _, group in sorted(known, key=lambda pair: pair[0], reverse=not ascending)] + unknown


def _sort_value(group: Group, key: str) -> Any:
    if key == NAME:
        return _natural(_group_title(group))
    column = COLUMNS[key]
    if column.measure is not None:
        spread = mean_and_spread([column.value(row) for row in group])
        return None if spread is None else spread.mean
    value = column.value(group[0])
    if column.kind in ("number", "id", "time"):
        return value
    return _natural(" ".join(value) if isinstance(value, list) else value) if value else None


def _natural(text: str) -> list[tuple[float, str]]:
    """A key that sorts ``variance 5`` before ``variance 16``."""
    parts = _NUMBER.split(text.casefold())  # alternately text and numbers
    return [(float(part), "") if at % 2 else (math.inf, part) for at, part in enumerate(parts) if part]


def _group_title(group: Group) -> str:
    if len(group) == 1:
        return title(group[0])
    names = {row["name"] for row in group}
    return title(group[0]) if len(names) == 1 and None not in names else f"{title(group[0])} (+{len(group) - 1})"


def _no_icon(text: str) -> str:
    """A name that looks the same, changed because a button would show a name that starts like an icon as one."""
    return text.replace(":material/", ":\N{ZERO WIDTH SPACE}material/")


def _state(group: Group, progress: Mapping[str, str]) -> str:
    status = group[0]["status"]  # only finished runs share a line
    sign = text.STATUS_SIGNS.get(status, "⚠")
    if status == "finished" and (verdicts := {verdict for row in group if (verdict := of_row(row)) is not None}):
        sign = text.VERDICT_SIGNS[max(verdicts, key=list(Verdict).index)]  # the worst
    return f"{sign} {progress.get(group[0]['run_id'], status)}"
