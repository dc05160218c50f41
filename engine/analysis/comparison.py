"""Comparing runs: what differs between them, which differ only in one thing, means over seeds, published figures.

Runs come as rows of :func:`record.catalogue.list_runs`. Pure functions; nothing here reads a run's directory.
"""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ..config.history import completed
from ..config.schema import Config
from ..config.settings import if_not_given, known_keys, optional_keys
from ..config.training import OF_A_TRAINING
from ..experiment import metrics
from ..imaging.choices import ITERATIONS
from .meaning import as_meant

SCIENCE_VERSION = "science version"
"""The name in :func:`parameters` of the version of the code's results, see :data:`config.history.SCIENCE`."""

Row = dict[str, Any]
Level = Any

_METHOD, _ITERATIONS = "reconstruction.method", "reconstruction.iterations"

PUBLISHED_RESULTS = Path(__file__).parents[1] / "data" / "published-results.csv"


class Spread(NamedTuple):
    """Mean, sample standard deviation (None of fewer than two values) and number of values."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Levels:
    """Runs by the level of a factor, in ascending order of the levels; and those left out, each with its reason."""

    levels: dict[Level, list[Row]]
    left_out: list[tuple[Row, str]]


@dataclass(frozen=True)
class Published:
    """A row of the published results; angles in rad, resolutions in Å, None where nothing was published."""

    experiment: str
    protein: str
    coverage: str
    sampling: str
    noise_variance: float
    max_shift: float
    method: str
    metrics: Mapping[str, float]


def on_particles(row: Row) -> bool:
    """Whether the run is on recorded particles; False where its configuration cannot be read."""
    table = (row["config"] or {}).get("particles")
    return isinstance(table, Mapping) and table.get("source") is not None


def has_setting(row: Row, key: str) -> bool:
    """Whether the run's experiment has a key: those of simulated projections and of particles exclude each other, and
    with the network of another run there are none of a training.
    """
    section, _, leaf = key.partition(".")
    training = (row["config"] or {}).get("training")
    trains = not (isinstance(training, Mapping) and training.get("model") is not None)
    if not trains and (section == "pairs" or (section == "training" and leaf in OF_A_TRAINING)):
        return False
    return section != ("projections" if on_particles(row) else "particles") or key == "particles.source"


def title(row: Row) -> str:
    """The run's name, its id where it has none."""
    return str(row["name"] or row["run_id"])


def flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables of a recorded configuration as dotted keys: all that this version knows or the table has.

    A key that an earlier version did not know has the value that its runs used (:mod:`config.history`), one without a
    value None, so that runs of different versions can be compared. Equivalent values are made equal, see
    :mod:`analysis.meaning`. (Iterations by default are replaced by their number, which earlier versions recorded.)
    """
    values = _flat(completed(table))
    if values.get(_ITERATIONS) is None:
        defaults = {str(method): count for method, count in ITERATIONS.items()}
        values[_ITERATIONS] = defaults.get(str(values.get(_METHOD)))  # in a damaged record it may be anything
    return as_meant({key: values.get(key) for key in sorted({*values, *known_keys()})})


def parameters(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """All dotted keys of the runs' configurations, in their order, each with its value in every one of them.

    Before them the science version of the code, where the runs differ in it.
    """
    versions = [row.get("science") for row in rows]
    tables = [flat(row["config"]) for row in rows]
    keys = sorted({key for table in tables for key in table}, key=_order)
    settings = {key: [table.get(key) for table in tables] for key in keys}
    return ({SCIENCE_VERSION: versions} if len(set(versions)) > 1 else {}) | settings


def differences(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Those of :func:`parameters` in which the runs differ."""
    return {key: values for key, values in parameters(rows).items() if any(value != values[0] for value in values)}


def in_words(key: str, value: Any) -> str:
    """A value of :func:`parameters` in words, also where there is none."""
    return if_not_given(key) if value is None else str(value)


def fold_seeds(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows grouped by science version and all of their configuration but ``seed``, in the order of their first rows.

    Runs that did not finish, and those without a configuration, stand alone.
    """
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        alone = row["status"] != "finished" or not row["config"]
        groups.setdefault(row["run_id"] if alone else _signature(row, ()), []).append(row)
    return list(groups.values())


def mean_and_spread(values: Sequence[float | None]) -> Spread | None:
    """Of the values that are known and finite; None where there are none."""
    known = [float(value) for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


def level_of(row: Row, keys: Sequence[str]) -> Level:
    """The row's value of a factor: that of its only key, or a tuple of several keys' values."""
    table = flat(row["config"])
    values = tuple(table.get(key) for key in keys)
    return _hashable(values[0] if len(values) == 1 else values)


def families(rows: Sequence[Row], keys: Sequence[str]) -> list[list[Row]]:
    """Finished runs that agree in everything but a factor's ``keys`` and the seed: groups with two levels or more.

    Those with most levels come first, then those with most runs, then the newest.
    """
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        if not _unusable(row, keys):
            groups.setdefault(_signature(row, keys), []).append(row)
    ranked = [(len({level_of(row, keys) for row in group}), len(group), group) for group in groups.values()]
    ranked.sort(key=lambda entry: entry[:2], reverse=True)  # stable: rows come newest first
    return [group for levels, _, group in ranked if levels > 1]


def by_factor(rows: Sequence[Row], keys: Sequence[str], like: Row | None = None) -> Levels:
    """The rows by the level of a factor (its configuration ``keys``), all others equal but the seed.

    Of runs that do not agree, those that agree with ``like`` are taken, else the largest group (by levels, then runs);
    the others are left out, and so are runs that did not finish.
    """
    left_out: list[tuple[Row, str]] = []
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        if reason := _unusable(row, keys):
            left_out.append((row, reason))
        else:
            groups.setdefault(_signature(row, keys), []).append(row)
    if not groups:
        return Levels({}, left_out)
    taken = max(groups.values(), key=lambda group: (len({level_of(row, keys) for row in group}), len(group)))
    if like is not None:
        taken = groups.get(_signature(like, keys), taken)
    for group in groups.values():
        if group is not taken:
            reason = _disagreement(group[0], taken[0], keys)
            left_out += [(row, reason) for row in group]
    levels: dict[Level, list[Row]] = {}
    for row in taken:
        levels.setdefault(level_of(row, keys), []).append(row)
    return Levels(dict(sorted(levels.items(), key=lambda item: _sortable(item[0]))), left_out)


def noise_level(row: Row) -> float:
    """The variance of the noise in the projections' units, however it was given; 0 without noise."""
    measured = (row["metrics"] or {}).get(metrics.NOISE_VARIANCE.name)
    return float(measured if measured is not None else row["noise_variance"] or 0.0)


@cache
def published_results() -> tuple[Published, ...]:
    """All rows of ``engine/data/published-results.csv``."""
    names = {
        "L_DE_val": metrics.DISTANCE_MAE.name, "L_OR": metrics.RECOVERY_LOSS.name,
        "E_OR": metrics.ANGLE_ERROR_MEDIAN.name, "fsc_0.5": metrics.FSC_HALF.name,
        "fsc_0.143": metrics.FSC_HALVES.name,
    }  # fmt: skip
    with PUBLISHED_RESULTS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return tuple(
        Published(
            row["experiment"], row["protein"], row["coverage"], row["orientation_sampling"],
            float(row["noise_variance"]), float(row["max_shift_px"]), row["distance"],
            {ours: float(row[theirs]) for theirs, ours in names.items() if row[theirs]},
        )
        for row in rows
    )  # fmt: skip


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    dotted: dict[str, Any] = {}
    for name, value in table.items():
        dotted |= {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, Mapping) else {name: value}
    return dotted


def _signature(row: Row, keys: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """Equal for runs that may be grouped: science and all settings but the seed and those of ``keys``."""
    table = flat(row["config"])
    settings = ((key, _hashable(value)) for key, value in table.items() if key != "seed" and key not in keys)
    return (("science", row.get("science")), *settings)


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):  # in an invalid configuration
        return tuple((key, _hashable(item)) for key, item in value.items())
    return tuple(_hashable(item) for item in value) if isinstance(value, list | tuple) else value


def _unusable(row: Row, keys: Sequence[str]) -> str:
    """Why a run has no level of a factor: it did not finish, or its configuration cannot be read; else empty."""
    if row["status"] != "finished":
        return f"it is {row['status']}"
    if not row["config"]:
        return "its configuration cannot be read"
    if on_particles(row) and any(key.startswith("projections.") for key in keys):
        return "it is on recorded particles"
    table = flat(row["config"])
    missing = [key for key in keys if table.get(key) is None and key not in optional_keys()]
    return f"its configuration is damaged: it has no {missing[0]}" if missing else ""


def _disagreement(row: Row, taken: Row, keys: Sequence[str]) -> str:
    differing = [
        f"{key} is {in_words(key, own)}, not {in_words(key, theirs)}"
        for key, (own, theirs) in differences([row, taken]).items()
        if key != "seed" and key not in keys
    ]
    return ", ".join(differing)


def _order(key: str) -> tuple[int, str]:
    """As in the configuration; keys unknown to this version come last."""
    known = _places()
    return (known.get(key, len(known)), key)


@cache
def _places() -> dict[str, int]:
    return {key: place for place, key in enumerate(_flat(Config().model_dump(mode="json")))}


def _sortable(level: Level) -> tuple[int, float, str]:
    """None first, then numbers by size, then words."""
    if level is None:
        return (0, 0.0, "")
    if isinstance(level, int | float):
        return (1, float(level), "")
    return (2, 0.0, str(level))
