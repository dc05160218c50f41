"""Whether recovered poses are any good: their angle error beside that of poses drawn at random.

A run that has finished is not a run that has succeeded. Success can be judged only where the true poses are known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any

from ..base.errors import ArgumentError
from ..config.schema import Config
from ..experiment.metrics import ANGLE_ERROR_MEDIAN
from ..geometry.symmetry import chance_distance, group
from ..record.runrecord import RunRecord
from .comparison import Row

GOOD, POOR = 0.1, 0.5
"""Shares of the chance level: up to the first poses count as recovered, beyond the second as near chance.

Alignment brings poses drawn at random closer to the true ones than the chance level: the fewer and the less spread
they are, the closer (60 of full coverage to 113 degrees, 60 of quarter coverage to 75, not 132). Half of it is below
all of these.
"""


class Verdict(StrEnum):
    """What the median angle error says of a run, in words for people."""

    RECOVERED = "recovered"
    ROUGH = "rough"
    CHANCE = "near chance"


def verdict(error: float | None, symmetry: str = "C1") -> Verdict | None:
    """The verdict on a median angle error in rad of an object of this group; None where there is none to give."""
    if error is None:
        return None
    try:
        share = error / chance_level(symmetry)
    except ArgumentError:
        return None
    return Verdict.RECOVERED if share <= GOOD else Verdict.ROUGH if share <= POOR else Verdict.CHANCE


@cache
def chance_level(symmetry: str = "C1") -> float:
    """The median angle error in rad of poses drawn at random, for an object of this group (:mod:`geometry.symmetry`).

    Raises ArgumentError for what names no group.
    """
    return chance_distance(group(symmetry))


def of_run(record: RunRecord) -> Verdict | None:
    """The verdict on a run; None where its truth is not known or it has not come so far."""
    symmetry = record.config.volume.symmetry if isinstance(record.config, Config) else _symmetry(record.config)
    return verdict(_number(record.metrics), symmetry)


def of_row(row: Row) -> Verdict | None:
    """The verdict on a run given as a row of :func:`record.catalogue.list_runs`; None as for :func:`of_run`."""
    return verdict(_number(row["metrics"]), _symmetry(row["config"]))


def _number(metrics: Mapping[str, Any] | None) -> float | None:
    """The recorded angle error; None for what is no angle."""
    value = (metrics or {}).get(ANGLE_ERROR_MEDIAN.name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= math.pi else None


def _symmetry(config: Any) -> str:
    """The group in a recorded configuration, which may be damaged or of another version; without one, none."""
    volume = config.get("volume") if isinstance(config, Mapping) else None
    symmetry = volume.get("symmetry") if isinstance(volume, Mapping) else None
    return symmetry if isinstance(symmetry, str) else "C1"
