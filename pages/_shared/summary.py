"""A run in words, for its page and its report: figures of merit, where and when it ran. No streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.record.runrecord import RunFile, RunRecord
from pages._shared import text

_RESOLUTIONS = {
    "fsc_0.5_angstrom": ("FSC 0.5, against input", "against the input map", 0.5),
    "fsc_0.143_angstrom": ("FSC 0.143, of halves", "between the half maps", 0.143),
    "refined_fsc_0.5_angstrom": ("FSC 0.5, refined", "against the input map, after refinement,", 0.5),
    "refined_fsc_0.143_angstrom": ("FSC 0.143, refined", "between the half maps, after refinement,", 0.143),
}


class Merit(NamedTuple):
    """What it is, its value with its unit, the same otherwise or what it refers to, and an explanation.

    ``refined``: of the optional refinement, beyond the two steps of the method.
    """

    label: str
    value: str
    small: str
    explained: str
    refined: bool = False


def merits(record: RunRecord, curves: Mapping[str, NDArray[Any]]) -> list[Merit]:
    """The figures of merit that the run has told; ``curves`` as :func:`pages._run.run_figures.fsc_curves` has them."""
    found = record.metrics
    if not found:
        return []
    angle, mean, distance = (found.get(key) for key in ("angle_error_median", "angle_error_mean", "distance_mae"))
    hand = "; the recovered poses were a mirror image and have been turned back" if found.get("mirrored") else ""
    listed = [
        Merit("E_OR, median angle error", text.degrees(angle), text.number(angle, "rad"),
              f"Median angle between recovered and true pose, after alignment over all of O(4){hand}."),
        Merit("Mean angle error", text.degrees(mean), text.number(mean, "rad"), "Mean of the same angles."),
        Merit("L_DE, distance error", text.degrees(distance), text.number(distance, "rad"),
              "Mean absolute error of the estimated distances, over pairs of test projections."),
        Merit("L_OR, recovery loss", text.number(found.get("recovery_loss")), "rad², mean square",
              "Mean squared difference between the given distances and those of the recovered poses."),
    ]  # fmt: skip
    if (refined := found.get("refined_angle_error_median")) is not None:
        told = "Median angle error after refining the poses against a reference, beyond the published method."
        listed.append(Merit("E_OR, refined", text.degrees(refined), text.number(refined, "rad"), told, True))
    resolutions = [_resolution(found.get(key), curve, *_RESOLUTIONS[key]) for key, curve in curves.items()]
    return listed + [
        merit._replace(refined=key.startswith("refined")) for key, merit in zip(curves, resolutions, strict=True)
    ]


def stays_above(curve: NDArray[Any], threshold: float) -> bool:
    """Whether an FSC never falls below its threshold, so that the resolution is Nyquist's or better."""
    return not np.any(curve < threshold)


def _resolution(resolution: float | None, curve: NDArray[Any], label: str, which: str, threshold: float) -> Merit:
    explained = f"Resolution where the Fourier shell correlation {which} falls below {threshold}."
    if resolution is not None and stays_above(curve, threshold):
        return Merit(label, f"≤ {text.number(resolution, 'Å')}", "never falls below", explained)
    return Merit(label, text.number(resolution, "Å"), "resolution", explained)


def facts(record: RunRecord) -> list[str]:
    """Who, when, where, how long."""
    told = [f"started {text.moment(record.created)}"]
    if record.launched_by:
        told.append(f"by {record.launched_by} on {record.host}")
    if record.total_seconds is not None:
        told.append(f"took {text.duration(record.total_seconds)}")
    if record.peak_memory_mb is not None:
        told.append(f"peak memory {record.peak_memory_mb:,.0f} MB")
    if record.reused:
        told.append(f"reused from an earlier run: {', '.join(record.reused)}")
    return told


def environment(facts: RunFile) -> list[str]:
    """What it ran with, a line each."""
    hardware = facts.hardware
    return [
        f"PoseLab {facts.engine_version}, commit {(facts.git or {}).get('commit', 'unknown')}",
        f"Python {facts.python}, {facts.platform}",
        f"{hardware.get('cpu')}, {hardware.get('cores')} cores, {hardware.get('memory_gb')} GB",
        f"GPU: {', '.join(hardware.get('gpus') or []) or 'none'}",
    ]
