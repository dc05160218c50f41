"""Output of the command line: progress on standard error, results on standard output."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from typing import Any, Self

from tqdm import tqdm

from ..base import environment
from ..base.files import plain
from ..base.quantities import digits
from ..dispatch.runqueue import QueuedRun
from ..experiment import metrics
from ..experiment.devices import in_words
from ..experiment.estimate import UNREAD, Total
from ..record.events import warnings_in
from ..record.runlog import Event
from ..record.runrecord import RunRecord, clock_ahead

_PLAIN_INTERVAL_S = 10.0
_HONEST_FRACTION = 0.02  # a guess from less would jump about
_LISTED = (metrics.DISTANCE_MAE, metrics.ANGLE_ERROR_MEDIAN)
_SHOWN_VALUES = ("step", "iteration", "loss", "validation_mae")


class Reporter:
    """Shows a run's events on standard error: a progress bar per stage on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._bar: Any = None
        self._last_line = self._stage_begun = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close_bar()

    def on_event(self, event: Event) -> None:
        """Show one event of :class:`record.runlog.RunWriter`."""
        kind = event["kind"]
        if kind == "stage_started":
            self._last_line = self._stage_begun = time.monotonic()
            if self._terminal:
                self._bar = tqdm(
                    total=1.0,
                    desc=f"{event['stage']:<14}",
                    file=sys.stderr,
                    bar_format="{desc} {percentage:3.0f}%|{bar:30}| {elapsed}<{remaining} {postfix}",
                )
        elif kind == "progress":
            self._show_progress(event)
        elif kind == "stage_reused":
            self._line(f"{event['stage']:<14} reused from an earlier run")
        elif kind in ("stage_ended", "stage_failed"):
            if self._bar is not None and kind == "stage_ended":
                self._bar.update(1.0 - self._bar.n)
            self._close_bar()
            if not self._terminal:
                self._line(f"{event['stage']:<14} {kind.removeprefix('stage_')} after {event['seconds']:.1f} s")
        elif kind in ("log", "warning"):
            self._line(event["message"])

    def _show_progress(self, event: Event) -> None:
        fraction, values = event["fraction"], event["values"]
        shown = ", ".join(f"{name} {values[name]:.4g}" for name in _SHOWN_VALUES if values.get(name) is not None)
        if self._bar is not None:
            self._bar.set_postfix_str(shown, refresh=False)
            self._bar.update(max(0.0, fraction - self._bar.n))
        elif time.monotonic() - self._last_line > _PLAIN_INTERVAL_S:
            self._last_line = time.monotonic()
            spent = self._last_line - self._stage_begun
            left = f", about {_duration(spent * (1 / fraction - 1))} left" if fraction > _HONEST_FRACTION else ""
            self._line(f"{event['stage']:<14} {fraction:4.0%} {shown}{left}")

    def _line(self, text: str) -> None:
        if self._terminal:
            tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def summary(record: RunRecord) -> dict[str, Any]:
    """A run as ``--json`` prints it. Times are in seconds; a metric that is not finite is null."""
    return {
        "run_id": record.run_id,
        "status": record.status,
        "message": record.message,
        "metrics": plain(record.metrics),
        "seconds": {**record.seconds, "total": record.total_seconds},
        "peak_memory_mb": record.peak_memory_mb,
        "reused": list(record.reused),
        "launched_by": record.launched_by,
        "science": record.science,
        "devices": None if record.facts is None else record.facts.devices,
        "warnings": warnings_in(record.path),
    }


def describe(record: RunRecord) -> str:
    """A run as readable text, in several lines."""
    lines = [f"run {record.run_id}: {record.status}" + (f" ({record.message})" if record.message else "")]
    known = [metric for metric in metrics.known() if metric.name in record.metrics]
    others = [metrics.find(name) for name in record.metrics if name not in {metric.name for metric in known}]
    for metric in (*known, *others):
        lines.append(f"  {metric.heading:<42} {metric.text(record.metrics[metric.name])}")
    if record.metrics and not any(metric.needs_truth for metric in known):
        lines.append(f"  {'errors':<42} not known without the true poses")
    if record.total_seconds is not None:
        stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in record.seconds.items())
        lines.append(f"  {'seconds':<42} {record.total_seconds:.1f} ({stages})")
    if record.peak_memory_mb is not None:
        lines.append(f"  {'peak memory':<42} {record.peak_memory_mb:.0f} MB")
    if record.facts is not None:
        ahead = clock_ahead(record.created)
        clock = (
            "" if ahead is None else f", by a clock that is {_duration(ahead.total_seconds())} ahead of this machine's"
        )
        lines.append(f"  {'started':<42} {record.created:%Y-%m-%d %H:%M:%S} UTC{clock}")
        lines.append(f"  {'launched by':<42} {record.launched_by}")
        lines.append(f"  {'science version of the code':<42} {record.science}")
        lines.append(f"  {'device':<42} {in_words(record.facts.devices)}")
    if record.reused:
        lines.append(f"  {'reused from earlier runs':<42} {', '.join(record.reused)}")
    lines += [f"  {'warning':<42} {message}" for message in warnings_in(record.path)]
    lines.append(f"  {'record':<42} {record.path}")
    return "\n".join(lines)


def table(rows: list[dict[str, Any]]) -> str:
    """Rows of the catalogue as readable text: one line per run."""
    if not rows:
        return f"no runs yet; `{environment.command_line()} run` makes the first"
    columns = (
        "run",
        "status",
        "volume",
        "coverage",
        "sampling",
        "noise",
        "distance",
        *(f"{metric.short} {metric.unit}" for metric in _LISTED),
        "seconds",
    )
    cells: list[tuple[str, ...]] = [columns]
    for row in rows:
        recorded = row["metrics"] or {}
        noise = digits(row["noise_variance"] or 0) if row["snr"] is None else f"snr {digits(row['snr'])}"
        values = (
            row["run_id"], row["status"], row["source"], row["coverage"], row["sampling"], noise,
            row["distance_method"], *(recorded.get(metric.name) for metric in _LISTED), row["total_seconds"],
        )  # fmt: skip
        cells.append(tuple(_cell(value) for value in values))
    widths = [min(40, max(len(line[i]) for line in cells)) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell[:40].ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def planned(names: Sequence[str], expected: Total) -> str:
    """The runs of a sweep and their expected time and memory, in several lines."""
    return "\n".join([*names, f"{len(names)} runs; {expectation(expected)}"])


def expectation(expected: Total) -> str:
    """Expected time and memory in a line."""
    basis = f"from {expected.runs} runs of this machine" if expected.runs else "from other machines"
    text = f"about {_duration(expected.seconds)} one after the other ({basis}), {expected.memory_bytes / 1e9:.1f} GB"
    if expected.assumed:
        text += f"; {', '.join(expected.assumed)} is not on this machine, so a frame of 116 pixels was assumed"
    if expected.unread:
        assumed = f"{UNREAD.count:,} images of {UNREAD.size} pixels were assumed"
        text += f"; {', '.join(expected.unread)} cannot be read, so {assumed}"
    return text


def queue(waiting: Sequence[QueuedRun], at_a_time: int) -> str:
    """The runs that wait, one line each."""
    head = f"{len(waiting)} waiting, {at_a_time} at a time"
    return "\n".join([head, *(f"{run.position:>4}  {run.run_id}  {run.name or ''}".rstrip() for run in waiting)])


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
