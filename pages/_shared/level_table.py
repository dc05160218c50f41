"""The levels of a factor in words and numbers: what its chart shows is what its table and its CSV say. No streamlit."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.analysis.comparison import Row, Spread, differences, said
from engine.analysis.factors import CLOSE_PAIRS, METRICS, RECOVERY_METRICS, Factor, Level, Study
from engine.base.metric import Metric
from engine.experiment import metrics
from pages._shared import text

MEASURES: dict[str, Metric] = {name: metrics.find(name) for name in (*METRICS, *RECOVERY_METRICS)}


def column(metric: Metric, unit: str, what: str = "") -> str:
    """A column of the table: of the mean or, with ``what``, of something beside it."""
    return f"{metric.short}{what} ({unit})" if unit else f"{metric.short}{what}"


class Single(NamedTuple):
    """One run: its name, what it found (None where that is not known)."""

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
            return f"variance {variance:.3g} (SNR {snr:g})"
        return f"variance {given:g}" if given else "no noise"
    if "projections.coverage" in factor.keys:
        return text.coverage(value)
    if factor == CLOSE_PAIRS:
        return "no limit" if value is None else f"{text.degrees(value)} ({value:g} rad)"
    return text.SAMPLINGS.get(value, str(value))


def lines(study: Study, factor: Factor) -> list[Line]:
    """The levels in their order, then the published results, level by level."""
    found = []
    for level in study.levels:
        said = label(factor, level)
        singles = {
            metric: [
                Single(run_title(row), value) for row, value in zip(level.rows, level.values(metric), strict=True)
            ]
            for metric in factor.metrics
        }  # fmt: skip
        spreads = {metric: level.spread(metric) for metric in factor.metrics}
        found.append(Line(said, _place(factor, level, said), "these runs", False, spreads, singles, len(level.rows)))
    return found + _published(study, factor)


def _place(factor: Factor, level: Level, said: str) -> float | str:
    if factor == CLOSE_PAIRS:
        return math.degrees(math.pi if level.value is None else level.value)  # no two poses are further apart
    return level.variance if factor.is_noise else said


def _published(study: Study, factor: Factor) -> list[Line]:
    ours = [name_of(factor, level.value, level.variance) for level in study.levels]
    found = []
    for level in study.published:
        result = level.result
        if factor.is_noise:
            place: float | str = level.value
            said = "no noise" if level.value == 0 else f"variance {result.noise_variance:g}, its own"
        else:
            place = said = name_of(factor, level.value, 0.0)
        spreads = {
            metric: None if (value := result.metrics.get(metric)) is None else Spread(value, None, 1)
            for metric in factor.metrics
        }
        found.append(Line(said, place, _whose(result.protein, result.method), True, spreads, {}, None))
    key = (lambda line: line.place) if factor.is_noise else (lambda line: _index(ours, line.level))
    return sorted(found, key=lambda line: (line.whose, key(line)))


def _whose(protein: str, method: str) -> str:
    """The published networks took hours on a GPU; what needed no network says nothing of the kind."""
    return f"published, {protein.upper()}" + (", Tesla K40c hours" if method == "siamese" else "")


def _index(names: list[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


def table(found: Sequence[Line], factor: Factor) -> list[dict[str, Any]]:
    """The lines as the page's table has them; angles in degrees."""
    rows = []
    for line in found:
        row: dict[str, Any] = {"level": line.level, "whose": line.whose, "runs": line.runs}
        if factor.is_noise:
            row["variance"] = line.place
        for metric in factor.metrics:
            spread, measure = line.spreads[metric], MEASURES[metric]
            row[column(measure, measure.shown_unit)] = None if spread is None else spread.mean * measure.shown_factor
            row[column(measure, measure.shown_unit, " sd")] = (
                None if spread is None or spread.sd is None else spread.sd * measure.shown_factor
            )
        rows.append(row)
    return rows


def to_csv(found: Sequence[Line], factor: Factor) -> bytes:
    """The same numbers as CSV, angles in rad too."""
    text = io.StringIO()
    rows = table(found, factor)
    for row, line in zip(rows, found, strict=True):
        for metric in factor.metrics:
            spread, measure = line.spreads[metric], MEASURES[metric]
            if measure.shown_unit != measure.unit:
                row[column(measure, measure.unit)] = None if spread is None else spread.mean
                row[column(measure, measure.unit, " sd")] = None if spread is None else spread.sd
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{v:.9g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows)
    return text.getvalue().encode()


def family_names(found: Sequence[Sequence[Row]], factor: Factor) -> list[str]:
    """Each family in a line: what its runs have in common, how many levels and runs it has."""
    common = [_common(family[0], factor) for family in found]
    names = []
    for number, family in enumerate(found):
        levels = len({factor.value(row) for row in family})
        particulars = _particulars(number, common, found, factor)
        names.append(f"{common[number]}{particulars}: {levels:,} levels, {len(family):,} runs")
    return names


def _common(row: Row, factor: Factor) -> str:
    settings, varied = row["config"].get("projections", {}), factor.keys
    parts = [text.source_name(row["source"] or ""), f"{row['count'] or 0:,} projections"]
    if "projections.coverage" not in varied:
        parts.append(f"{text.coverage(settings.get('coverage', 'full'))} coverage")
    if "projections.sampling" not in varied:
        parts.append(f"{text.SAMPLINGS.get(row['sampling'], row['sampling'])} sampling")
    if not factor.is_noise:
        level = text.noise(row["noise_variance"], row["snr"])
        parts.append("no noise" if level == "none" else f"noise {level}")
    if row["max_shift"]:
        parts.append(f"shifts up to {row['max_shift']:g} px")
    return " · ".join([*parts, f"{row['distance_method']} distances"])


def _particulars(number: int, common: list[str], found: Sequence[Sequence[Row]], factor: Factor) -> str:
    """Settings that tell a family from others of the same name."""
    alike = [n for n, name in enumerate(common) if name == common[number]]
    differing = differences([found[n][0]["config"] for n in alike])
    own = alike.index(number)
    told = [
        f"{key}={said(key, values[own])}"
        for key, values in differing.items()
        if key != "seed" and key not in factor.keys
    ]
    return "".join(f" · {text}" for text in told)


def run_title(row: Row) -> str:
    """A run by its name, or id, and its seed."""
    return f"{row['name'] or row['run_id']}, seed {row['seed']}"
