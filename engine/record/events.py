"""Reading ``events.jsonl``, what happened in a run: one JSON object a line, appended as it happens.

Lines that are no events, or whose values are not what that kind of event has, are left out and counted.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.files import opened
from .reading import LATEST, is_figure

FILENAME = "events.jsonl"
DAMAGED = "damaged"
"""The kind of event that stands for the damaged lines of one reading: ``lines``, how many, and the ``time`` before."""
_TAIL_BYTES = 1 << 16
_MOST_BYTES = 1 << 26  # of one reading; what a run writes in a day is less

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageProgress:
    """The latest progress of a run: its stage, the fraction of it that is done, the latest figures, when (seconds)."""

    stage: str
    fraction: float
    values: Mapping[str, Any]
    time: float


def read_events(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Events written since byte ``offset`` of the run's events.jsonl, and the offset to continue from.

    A last line that is still being written, or was torn by the end of its process, is left for the next time. Where
    lines are damaged an event of the kind :data:`DAMAGED` says how many; a file that cannot be read has no events.
    """
    try:
        with opened(path / FILENAME) as file:
            file.seek(offset)
            data = file.read(_MOST_BYTES)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            log.warning("%s: %s cannot be read: %s", path.name, FILENAME, error.strerror or error)
        return [], offset
    complete = data[: data.rfind(b"\n") + 1]
    if not complete and len(data) == _MOST_BYTES:
        complete = data  # one line of 64 MB is none
    events, damaged = _parse_lines(complete)
    if damaged:
        log.warning("%s: %d lines of %s are damaged and left out", path.name, damaged, FILENAME)
        events.append({"time": events[-1]["time"] if events else 0.0, "kind": DAMAGED, "lines": damaged})
    return events, offset + len(complete)


def warnings_in(path: Path) -> list[str]:
    """The reasons to doubt the results of a run that it has given so far, in order."""
    messages, offset, end = list[str](), -1, 0
    while end != offset:
        offset = end
        events, end = read_events(path, offset)
        messages += [event["message"] for event in events if event["kind"] == "warning"]
    return messages


def latest_progress(path: Path) -> StageProgress | None:
    """The progress of a run, read from the end of its events; None before its first stage."""
    try:
        with opened(path / FILENAME) as file:
            size = file.seek(0, os.SEEK_END)
            wanted = _TAIL_BYTES
            while True:
                start = max(0, size - wanted)
                file.seek(start)
                data = file.read(min(size, wanted))
                begin = data.find(b"\n") + 1 if start else 0
                latest = _latest(_parse_lines(data[begin : data.rfind(b"\n") + 1])[0])
                if latest or start == 0 or wanted > _MOST_BYTES:
                    return latest
                wanted *= 4
    except OSError:
        return None


def _parse_lines(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """The events, and how many lines are none."""
    events, lines = list[dict[str, Any]](), data.split(b"\n")
    for line in lines:
        try:
            event = json.loads(line or b"null")
            if b"\\ud" in line.lower():
                json.dumps(event, ensure_ascii=False).encode()  # half a character cannot be shown
            if _is_event(event):
                events.append(event)
        except (ValueError, RecursionError):
            continue
    return events, len(lines) - lines.count(b"") - len(events)


def _is_event(event: Any) -> bool:
    """Whether it has a time, a kind, and what an event of that kind has."""
    if not isinstance(event, dict) or not isinstance(event.get("kind"), str) or not _is_number(event.get("time")):
        return False
    if not 0 <= event["time"] < LATEST.timestamp():
        return False
    kind, stage = event["kind"], event.get("stage")
    values = event.get("values", None if kind in ("training", "progress") else {})
    if not isinstance(stage, str | None) or not isinstance(values, dict):
        return False
    match kind:
        case "log" | "warning":
            return isinstance(event.get("message"), str)
        case "training":
            step, others = values.get("step"), (values.get("loss"), values.get("validation_mae"))
            return _is_number(step) and all(value is None or _is_number(value) for value in others)
        case "progress":
            are_figures = all(value is None or is_figure(value) for value in values.values())
            return (
                stage is not None and _is_number(event.get("fraction")) and 0 <= event["fraction"] <= 1 and are_figures
            )
        case "stage_ended" | "stage_failed":
            return stage is not None and _is_number(event.get("seconds")) and event["seconds"] >= 0
        case "stage_started" | "stage_reused":
            return stage is not None
        case _:
            return kind != DAMAGED


def _is_number(value: Any) -> bool:
    return is_figure(value) and not isinstance(value, bool)


def _latest(events: list[dict[str, Any]]) -> StageProgress | None:
    for event in reversed(events):
        kind = event["kind"]
        if kind == "progress":
            return StageProgress(event["stage"], event["fraction"], event["values"], event["time"])
        if kind in ("stage_started", "stage_ended", "stage_failed"):
            return StageProgress(event["stage"], float(kind == "stage_ended"), {}, event["time"])
    return None
