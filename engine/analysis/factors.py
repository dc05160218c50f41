"""One factor of an experiment: its runs by level, means over seeds, and the corresponding published figures.

Runs come as rows of :func:`record.catalogue.list_runs`; :mod:`analysis.comparison` selects those that agree. Pure
functions; nothing here reads a run's directory.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..experiment import metrics
from . import comparison
from .comparison import Published, Row, Spread, by_factor, level_of, mean_and_spread, noise_level
from .measures import recorded

METRICS = (metrics.DISTANCE_MAE.name, metrics.RECOVERY_LOSS.name, metrics.ANGLE_ERROR_MEDIAN.name)
"""Errors of the two steps of the method."""
RECOVERY_METRICS = (
    metrics.ANGLE_ERROR_MEDIAN.name, metrics.RECOVERY_LOSS.name, metrics.RECOVERY_SECONDS.name,
    metrics.RECOVERY_PAIRS.name,
)  # fmt: skip
"""Where distances are the same and only the recovery differs: also its wall time (s) and how many pairs it used."""

PUBLISHED_SIGNAL_VARIANCE = {"5j0n": 1.109}
"""Variance of the clean projections of the published map, in its own units, to which the published noise refers."""
_SAME_SNR = 0.05  # two signal-to-noise ratios that differ by less are the same level of noise

_NOISE = ("projections.noise_variance", "projections.snr")
_OTHERS: dict[str, Callable[[Published], Any]] = {
    "projections.coverage": lambda one: one.coverage,
    "projections.sampling": lambda one: one.sampling,
    "projections.max_shift": lambda one: one.max_shift,
    "distance.method": lambda one: one.method,
}
_EXPERIMENTS = {
    "perturbed variance": "distance.perturbation_variance",
    "feature_dim": "distance.feature_dim",
    "distance_head": "distance.head",
}


@dataclass(frozen=True)
class Factor:
    """A factor of an experiment: its name, its configuration ``keys``, the study that varies it, what it changes."""

    name: str
    keys: tuple[str, ...]
    study: str
    metrics: tuple[str, ...] = METRICS

    @property
    def is_noise(self) -> bool:
        """Whether the levels are numbers, the variances of the noise; else they are words."""
        return self.keys == _NOISE

    def value(self, row: Row) -> Any:
        """The row's level, equal for runs with equivalent settings."""
        level = level_of(row, self.keys)
        if self.is_noise:
            variance, snr = level
            return (variance, None) if snr is None else (None, snr)
        return level


COVERAGE = Factor("coverage", ("projections.coverage",), "coverage")
NOISE = Factor("noise", _NOISE, "noise")
ORIENTATIONS = Factor("orientation sampling", ("projections.sampling",), "orientation-sampling")
DEFOCUS = Factor("defocus", ("projections.defocus",), "defocus")
SPECTRUM = Factor("noise spectrum", ("projections.noise_spectrum",), "noise-spectrum")
DEFOCUS_ERROR = Factor("error of the defocus", ("projections.defocus_error",), "mismatch-defocus")
NOISE_FACTOR = Factor("assumed noise", ("training.noise_factor",), "mismatch-noise")
REFERENCE_MISSING = Factor("missing part of the reference", ("training.reference_missing",), "mismatch-reference")
MISMATCHES = (DEFOCUS_ERROR, NOISE_FACTOR, REFERENCE_MISSING)
"""Errors, in numbers, of what the network is trained for: what the images are is not what they are taken for."""
PAIRS = Factor("pair sampling", ("pairs.strategy",), "pair-sampling")
RECOVERY_PAIRS = Factor("recovery pairs", ("recovery.pairs",), "recovery-pairs", RECOVERY_METRICS)
CLOSE_PAIRS = Factor("largest distance", ("recovery.max_distance",), "close-pairs", RECOVERY_METRICS)
INITIALISATION = Factor("initialisation", ("recovery.initialisation",), "initialisation", RECOVERY_METRICS)


@dataclass(frozen=True)
class Level:
    """The runs of a level, by seed.

    ``value`` is the setting, of noise ``(variance, None)`` or ``(None, SNR)``; ``variance`` is that of the
    noise, a mean over the runs, in their units.
    """

    value: Any
    variance: float
    rows: tuple[Row, ...]

    def values(self, metric: str) -> list[float | None]:
        """The values of a metric, in the order of ``rows``; None where unknown."""
        return [recorded(row, metric) for row in self.rows]

    def spread(self, metric: str) -> Spread | None:
        """Mean and standard deviation over the runs."""
        return mean_and_spread(self.values(metric))


@dataclass(frozen=True)
class PublishedLevel:
    """A published result at a level of the factor: of noise its variance in the runs' own units, else a word."""

    value: Any
    result: Published


@dataclass(frozen=True)
class Study:
    """The levels of a factor in order, the runs left out with the reasons, the corresponding published results."""

    levels: list[Level]
    left_out: list[tuple[Row, str]]
    published: list[PublishedLevel]


def families(rows: Sequence[Row], factor: Factor) -> list[list[Row]]:
    """Finished runs that differ only in the factor and the seed, as :func:`analysis.comparison.families` has them."""
    groups = comparison.families(rows, factor.keys)
    return [family for family in groups if len({factor.value(row) for row in family}) > 1]


def study(rows: Sequence[Row], factor: Factor, like: Row | None = None) -> Study:
    """The rows by the factor's levels: those that agree with ``like`` in all else, or the largest group that agrees."""
    comparable = by_factor(rows, factor.keys, like)
    groups: dict[Any, list[Row]] = {}
    for row in (row for group in comparable.levels.values() for row in group):
        groups.setdefault(factor.value(row), []).append(row)
    levels = [
        Level(
            value,
            statistics.fmean(noise_level(row) for row in group),
            tuple(sorted(group, key=lambda row: (row["seed"] or 0, row["run_id"]))),
        )
        for value, group in groups.items()
    ]
    if factor.is_noise:
        levels.sort(key=lambda level: level.variance)
    elif factor == DEFOCUS:
        levels.sort(key=lambda level: _middle(level.value))
    elif factor in MISMATCHES:
        levels.sort(key=lambda level: number(level.value))
    elif factor == CLOSE_PAIRS:
        levels.sort(key=lambda level: math.inf if level.value is None else level.value)
    taken = [row for level in levels for row in level.rows]
    return Study(levels, comparable.left_out, published(taken, factor) if taken else [])


def number(value: Any) -> float:
    """A level of :data:`MISMATCHES`, in a damaged record perhaps no number."""
    return float(value) if isinstance(value, int | float) else math.nan


def _middle(defocus: Any) -> tuple[bool, float]:
    """The order of levels of defocus: none first, then by the value or the middle of the range."""
    ends = defocus if isinstance(defocus, tuple) else (defocus,)
    numbers = [float(end) for end in ends if isinstance(end, int | float)]
    return (bool(numbers), statistics.fmean(numbers) if numbers else 0.0)


def published(rows: Sequence[Row], factor: Factor) -> list[PublishedLevel]:
    """Published results that agree with runs of one family in all that was published, but the factor and the protein.

    Other settings of the published experiments (their network, its training, the number of projections) are not
    compared. Noise is matched, and placed among the runs' levels, by its ratio to the signal, because the units of its
    variance are those of the map; a noisy result whose ratio is unknown, or cannot be converted for the runs, is left
    out. Of several results of a protein at one level the first is used: the others vary something else.
    """
    if not factor.is_noise and factor.keys[0] not in _OTHERS:
        return []
    table = comparison.flat(rows[0]["config"])
    if table.get("projections.defocus") is not None or table.get("projections.noise_spectrum") != "white":
        return []  # published projections have no CTF, and white noise
    if table.get("training.noise_factor") != 1 or table.get("training.reference_missing"):
        return []  # and a network that was trained on their like
    levels = []
    for result in comparison.published_results():
        name, separator, given = result.experiment.partition("=")
        if separator and str(table.get(_EXPERIMENTS[name])) != given:
            continue
        if any(table.get(key) != of(result) for key, of in _OTHERS.items() if key not in factor.keys):
            continue
        if not result.metrics.keys() & set(METRICS):
            continue
        if factor.is_noise:
            place = _variance_in_units_of(rows, result)
            if place is not None:
                levels.append(PublishedLevel(place, result))
        elif _noise_agrees(rows, result):
            levels.append(PublishedLevel(_OTHERS[factor.keys[0]](result), result))
    firsts = {(level.result.protein, level.value): level for level in reversed(levels)}
    return [level for level in levels if firsts[level.result.protein, level.value] is level]


def signal_variance(rows: Sequence[Row]) -> float | None:
    """Variance of the clean projections in the runs' units, a mean over the noisy ones; None where unknown."""
    noise = (_noise_and_snr(row["metrics"] or {}) for row in rows)
    variances = [variance * snr for variance, snr in noise if variance and snr]
    return statistics.fmean(variances) if variances else None


def _noise_and_snr(values: Mapping[str, Any]) -> tuple[float | None, float | None]:
    return values.get(metrics.NOISE_VARIANCE.name), values.get(metrics.SNR.name)


def _variance_in_units_of(rows: Sequence[Row], result: Published) -> float | None:
    if result.noise_variance == 0:
        return 0.0
    theirs, ours = PUBLISHED_SIGNAL_VARIANCE.get(result.protein), signal_variance(rows)
    return None if theirs is None or ours is None else result.noise_variance * ours / theirs


def _noise_agrees(rows: Sequence[Row], result: Published) -> bool:
    ours = statistics.fmean(noise_level(row) for row in rows)
    if ours == 0 or result.noise_variance == 0:
        return ours == result.noise_variance
    theirs = _variance_in_units_of(rows, result)
    return theirs is not None and abs(theirs / ours - 1) < _SAME_SNR
