"""The levels of a factor in words and numbers: its chart, its table and its CSV show the same values."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..base.quantities import digits
from ..experiment import metrics
from . import words
from .comparison import Row, Spread, title
from .factors import (
    CLOSE_PAIRS,
    DEFOCUS,
    DEFOCUS_ERROR,
    MISMATCHES,
    NOISE_FACTOR,
    REFERENCE_MISSING,
    Factor,
    Level,
    Study,
    number,
)
from .measures import Measure


class Single(NamedTuple):
    """One run: its name and its recorded values, None where unknown."""

    name: str
    value: float | None


@dataclass(frozen=True)
class Line:
    """A level of these runs, or a published result: ``spreads`` and ``singles`` by metric, as recorded.

    ``place`` is where the chart has it: the variance of the noise, the largest distance used in degrees, or the level
    in words.
    """

    level: str
    place: float | str
    whose: str
    published: bool
    spreads: Mapping[str, Spread | None]
    singles: Mapping[str, Sequence[Single]]
    runs: int | None


def label(factor: Factor, level: Level) -> str:
    """A level in words, the same in every figure."""
    return name_of(factor, level.value, level.variance)


def name_of(factor: Factor, value: Any, variance: float) -> str:
    """A level's value in words; of noise its variance, and the ratio where that was given."""
    if factor.is_noise:
        given, snr = value
        if snr is not None:
            return f"variance {variance:.3g} (SNR {digits(snr)})"
        return f"variance {digits(given)}" if given else "no noise"
    if "projections.coverage" in factor.keys:
        return words.coverage(value)
    if factor == CLOSE_PAIRS:
        return "no limit" if value is None else f"{words.degrees(value)} ({digits(value)} rad)"
    if factor == DEFOCUS_ERROR:
        return f"{number(value):+,.0f} Å" if value else "none"
    if factor == NOISE_FACTOR:
        return f"{number(value):.4g} times the noise" if value != 1 else "the noise as it is"
    if factor == REFERENCE_MISSING:
        return f"{number(value):.3g} of the mass" if value else "nothing"
    if factor == DEFOCUS:
        return "no CTF" if value is None else words.defocus(value)
    return words.SAMPLINGS.get(value, str(value))


def lines(study: Study, factor: Factor) -> list[Line]:
    """The levels in their order, then the published results, level by level."""
    ours = []
    for level in study.levels:
        singles = {
            metric: [
                Single(run_title(row), value) for row, value in zip(level.rows, level.values(metric), strict=True)
            ]
            for metric in factor.metrics
        }  # fmt: skip
        spreads = {metric: level.spread(metric) for metric in factor.metrics}
        name = label(factor, level)
        ours.append(Line(name, _place(factor, level, name), "these runs", False, spreads, singles, len(level.rows)))
    return ours + _published(study, factor)


def _place(factor: Factor, level: Level, name: str) -> float | str:
    if factor == CLOSE_PAIRS:
        return math.degrees(math.pi if level.value is None else level.value)  # no two poses are further apart
    if factor in MISMATCHES:
        return number(level.value)
    return level.variance if factor.is_noise else name


def _published(study: Study, factor: Factor) -> list[Line]:
    ours = [name_of(factor, level.value, level.variance) for level in study.levels]
    theirs = []
    for level in study.published:
        result = level.result
        if factor.is_noise:
            place: float | str = level.value
            name = "no noise" if level.value == 0 else f"variance {result.noise_variance:g}, its own"
        else:
            place = name = name_of(factor, level.value, 0.0)
        spreads = {
            metric: None if (value := result.metrics.get(metric)) is None else Spread(value, None, 1)
            for metric in factor.metrics
        }
        theirs.append(Line(name, place, _whose(result.protein, result.method), True, spreads, {}, None))
    key = (lambda line: line.place) if factor.is_noise else (lambda line: _index(ours, line.level))
    return sorted(theirs, key=lambda line: (line.whose, key(line)))


def _whose(protein: str, method: str) -> str:
    """The published networks took hours on a GPU; results without a network have no such note."""
    return f"published, {protein.upper()}" + (", Tesla K40c hours" if method == "siamese" else "")


def _index(names: list[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


def measure(name: str) -> Measure:
    """How a metric of a factor is shown."""
    return Measure(metrics.find(name))


def table(lines: Sequence[Line], factor: Factor) -> list[dict[str, Any]]:
    """The lines as the page's table has them; angles in degrees."""
    rows = []
    for line in lines:
        row: dict[str, Any] = {"level": line.level, "whose": line.whose, "runs": line.runs}
        if factor.is_noise:
            row["variance"] = line.place
        for name in factor.metrics:
            row |= _cells(line.spreads[name], measure(name))
        rows.append(row)
    return rows


def _cells(spread: Spread | None, shown: Measure) -> dict[str, float | None]:
    mean, sd = (None, None) if spread is None else (spread.mean, spread.sd)
    return {
        shown.column(what): None if value is None else value * shown.factor for what, value in (("", mean), (" sd", sd))
    }


def to_csv(lines: Sequence[Line], factor: Factor) -> bytes:
    """The same numbers as CSV, angles in rad too."""
    rows = table(lines, factor)
    for row, line in zip(rows, lines, strict=True):
        for metric in map(metrics.find, factor.metrics):
            if metric.is_angle:
                row |= _cells(line.spreads[metric.name], Measure(metric, as_recorded=True))
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{v:.9g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows)
    return file.getvalue().encode()


def run_title(row: Row) -> str:
    """A run by its name, or id, and its seed."""
    return f"{title(row)}, seed {row['seed']}"
