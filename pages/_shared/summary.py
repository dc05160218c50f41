"""A run as text, for its page and its report: figures of merit, where and when it ran. No Streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from numpy.typing import NDArray

from engine.analysis.resolutions import AT_BEST, CURVES, is_bound
from engine.analysis.verdict import GOOD, POOR, chance_level, of_run
from engine.base.metric import Metric
from engine.config.schema import Config
from engine.experiment import metrics
from engine.experiment.devices import in_words
from engine.record.reading import RunFile
from engine.record.runrecord import RunRecord
from pages._shared import text

_FIRST = (metrics.ANGLE_ERROR_MEDIAN, metrics.ANGLE_ERROR_MEAN, metrics.DISTANCE_MAE, metrics.RECOVERY_LOSS)
"""The metrics of every run of the published method, in this order."""
_OF_PARTICLES = (*metrics.IN_FRAME, metrics.RECOVERY_LOSS, metrics.ANGLE_ERROR_MEDIAN, metrics.ANGLE_ERROR_MEAN)
"""The metrics of runs on recorded particles, in this order."""
_SHARES = {
    metric.name
    for share in (metrics.FRAME_SHARE_5, metrics.FRAME_SHARE_10)
    for metric in (share, metrics.refined(share))
}
_REFINED = {metrics.refined(metric).name for metric in metrics.IN_FRAME}
_AGAINST = "; the reference is another program's estimate that came with the stack, not the truth"
_UNSHOWN = {
    metric.name
    for metric in (
        metrics.DISTANCE_RMSE, metrics.NEIGHBOUR_RECALL, metrics.RECOVERY_PAIRS, metrics.ANGLE_ERROR_MEDIAN_UNALIGNED,
        metrics.ANGLE_ERROR_MEAN_UNALIGNED, metrics.MIRRORED, metrics.REFINED_ANGLE_ERROR_MEAN, metrics.NOISE_VARIANCE,
        metrics.SNR,
    )
}  # fmt: skip
"""Metrics that are shown elsewhere, or only on the command line."""


class Merit(NamedTuple):
    """A figure of merit: label, value with unit, the value in another unit or a remark, and an explanation.

    ``refined``: whether it is of the optional refinement, beyond the two steps of the method.
    """

    label: str
    value: str
    small: str
    explained: str
    refined: bool = False


def merits(record: RunRecord, curves: Mapping[str, NDArray[Any]]) -> list[Merit]:
    """The figures of merit that the run has reported; ``curves`` as from :func:`pages._run.run_data.fsc_curves`."""
    recorded = record.metrics
    if not recorded:
        return []
    more = "; the recovered poses were a mirror image and have been turned back" if recorded.get("mirrored") else ""
    more += beside_chance(record)
    on_particles = isinstance(record.config, Config) and record.config.particles.source is not None
    first = _OF_PARTICLES if on_particles else _FIRST
    listed = [
        _merit(metric, recorded.get(metric.name), more if metric == metrics.ANGLE_ERROR_MEDIAN else "", on_particles)
        for metric in first
        if metric.name in recorded or not metric.needs_truth
    ]
    if (refined := recorded.get(metrics.REFINED_ANGLE_ERROR_MEDIAN.name)) is not None:
        listed.append(_merit(metrics.REFINED_ANGLE_ERROR_MEDIAN, refined)._replace(refined=True))
    elsewhere = {*(metric.name for metric in first), metrics.REFINED_ANGLE_ERROR_MEDIAN.name, *CURVES, *_UNSHOWN}
    if not recorded.get(metrics.PARTICLES_LEFT_OUT.name):
        elsewhere.add(metrics.PARTICLES_LEFT_OUT.name)
    listed += [
        _merit(metrics.find(name), value, against_reference=on_particles)._replace(refined=name in _REFINED)
        for name, value in recorded.items()
        if name not in elsewhere
    ]
    resolutions = [_resolution(metrics.find(key), recorded.get(key), curve) for key, curve in curves.items()]
    return listed + [
        merit._replace(refined=key.startswith("refined")) for key, merit in zip(curves, resolutions, strict=True)
    ]


def beside_chance(record: RunRecord) -> str:
    """What the verdict on the run's angle error rests on; empty if there is none."""
    if (verdict := of_run(record)) is None:
        return ""
    chance = chance_level(record.config.volume.symmetry if isinstance(record.config, Config) else "C1")
    good, poor = (text.degrees(share * chance) for share in (GOOD, POOR))
    return (
        f"; {verdict}: random poses would have {text.degrees(chance)}, up to {good} poses count as recovered, from "
        f"{poor} as near chance"
    )


def _merit(metric: Metric, value: Any, more: str = "", against_reference: bool = False) -> Merit:
    """The figure of merit of a metric: an angle in degrees and radians, a share in per cent; others as recorded.

    ``against_reference``: its errors are against poses that came with the stack, which its explanation then says.
    """
    if against_reference and metric.needs_truth and metric.threshold is None:
        metric = replace(metric, meaning=metric.meaning.replace("true pose", "reference pose"))
        more += _AGAINST
    explained = f"{metric.meaning[:1].upper()}{metric.meaning[1:]}{more}." if metric.meaning else ""
    if metric.name in _SHARES and isinstance(value, float):
        return Merit(metric.heading, f"{100 * value:.3g} %", "", explained)
    if isinstance(value, str):
        return Merit(metric.heading, value, "", explained)
    if metric.is_angle:
        return Merit(metric.heading, text.degrees(value), text.number(value, metric.unit), explained)
    if metric == metrics.RECOVERY_LOSS:
        return Merit(metric.heading, text.number(value), "rad², mean square", explained)
    shown = text.number(value, metric.unit) if isinstance(value, float) else metric.text(value)
    return Merit(metric.heading, shown, "", explained)


def _resolution(metric: Metric, resolution: float | None, curve: NDArray[Any]) -> Merit:
    explained = f"{metric.meaning[:1].upper()}{metric.meaning[1:]}."
    if resolution is not None and is_bound(metric, curve):
        return Merit(metric.heading, f"{AT_BEST}{text.number(resolution, 'Å')}", "never falls below", explained)
    return Merit(metric.heading, text.number(resolution, "Å"), "resolution", explained)


def facts(record: RunRecord) -> list[str]:
    """Who started the run, when and where, and how long it took."""
    phrases = [f"started {text.moment(record.created)}{text.clock(record.created)}"]
    if record.launched_by:
        phrases.append(f"by {record.launched_by} on {record.host}")
    if record.total_seconds is not None:
        phrases.append(f"took {text.duration(record.total_seconds)}")
    if record.peak_memory_mb is not None:
        phrases.append(f"peak memory {record.peak_memory_mb:,.0f} MB")
    if record.reused:
        phrases.append(f"reused from an earlier run: {', '.join(record.reused)}")
    return phrases


def environment(facts: RunFile) -> list[str]:
    """The run's software and hardware, one line each."""
    hardware = facts.hardware
    return [
        f"PoseLab {facts.engine_version}, commit {(facts.git or {}).get('commit', 'unknown')}",
        f"Python {facts.python}, {facts.platform}",
        f"{hardware.get('cpu')}, {hardware.get('cores')} cores, {hardware.get('memory_gb')} GB",
        f"GPU: {', '.join(hardware.get('gpus') or []) or 'none'}; the run used: {in_words(facts.devices)}",
    ]
