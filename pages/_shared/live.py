"""The progress of a run, assembled from the events it writes, each read once. No Streamlit."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.config.schema import Config
from engine.experiment.stages import stages_of
from engine.record.events import DAMAGED, read_events

Curve = list[tuple[int, float, float | None]]
"""For each reported step: its number, the training loss and, if measured, the validation L_DE in rad."""

_HONEST_FRACTION = 0.02  # an estimate from less would fluctuate


@dataclass
class Stage:
    """One stage, from its events. Times are seconds since 1970 by the clock of the run's own machine."""

    state: Literal["waiting", "running", "done", "reused", "failed"] = "waiting"
    fraction: float = 0.0
    begun: float = 0.0
    updated: float = 0.0
    seconds: float | None = None
    values: dict[str, Any] = field(default_factory=dict)

    def seconds_left(self, now: float) -> float | None:
        """Estimated from the finished fraction and the time it took; None while that is too little to go by."""
        if self.state != "running" or not _HONEST_FRACTION < self.fraction < 1:
            return None
        whole = (self.updated - self.begun) / self.fraction
        return max(0.0, self.begun + whole - max(now, self.updated))


class RunFeed:
    """Stages, training curve, log and warnings of a run. :meth:`advance` reads the events since its last call."""

    def __init__(self, path: Path, config: Config) -> None:
        self.path = path
        self.stages = {name: Stage() for name in stages_of(config)}
        if path.is_dir():
            self.stages["volume"].state = "done"  # a run makes its directory once it has the volume
        self.curve: Curve = []
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self._offset = 0
        self._latest, self._read_at = 0.0, 0.0
        self._one_at_a_time = threading.Lock()

    def advance(self) -> None:
        """Read new events. Thread-safe: each event is processed once."""
        with self._one_at_a_time:
            events, self._offset = read_events(self.path, self._offset)
            for event in events:
                self._take(event)
            if events:
                self._latest, self._read_at = events[-1]["time"], time.monotonic()

    def now(self) -> float:
        """The present by the clock of the run's own machine: its last event's time, plus what has passed since here."""
        return self._latest + time.monotonic() - self._read_at

    @property
    def finished_stages(self) -> int:
        """The number of finished stages."""
        return sum(stage.state in ("done", "reused") for stage in self.stages.values())

    def seconds_left(self, expected: Mapping[str, float], now: float) -> float | None:
        """For the whole run: the estimate of the running stage plus the ``expected`` times of the waiting ones.

        None between two stages, and while there is no estimate of the running stage.
        """
        running = [stage for stage in self.stages.values() if stage.state == "running"]
        seconds = [stage.seconds_left(now) for stage in running]
        if not seconds or seconds[0] is None:
            return None
        return seconds[0] + sum(
            expected.get(name, 0.0) for name, stage in self.stages.items() if stage.state == "waiting"
        )

    def _take(self, event: dict[str, Any]) -> None:
        kind, when, name = event["kind"], event["time"], event.get("stage")
        if kind == DAMAGED:
            self.warnings.append(f"{event['lines']:,} damaged lines of events.jsonl are left out")
        if kind in ("log", "warning"):
            self._add_line(when, event["message"])
        if kind == "warning":
            self.warnings.append(event["message"])
        elif kind == "training":
            values = event["values"]
            self.curve.append((values["step"], values["loss"], values.get("validation_mae")))
        if name is None or not kind.startswith(("stage_", "progress")):
            return
        stage = self.stages.setdefault(name, Stage())
        stage.updated = when
        if kind == "stage_started":
            stage.state, stage.begun, stage.fraction = "running", when, 0.0
        elif kind == "progress":
            stage.fraction, stage.values = event["fraction"], event["values"]
        elif kind == "stage_reused":
            stage.state = "reused"
            self._add_line(when, f"{name}: reused from an earlier run")
        elif kind == "stage_ended":
            stage.state = "reused" if stage.state == "reused" else "done"
            stage.fraction, stage.seconds = 1.0, event["seconds"]
            self._add_line(when, f"{name}: done in {event['seconds']:.1f} s")
        elif kind == "stage_failed":
            stage.state, stage.seconds = "failed", event["seconds"]
            self._add_line(when, f"{name}: stopped after {event['seconds']:.1f} s")

    def _add_line(self, when: float, message: str) -> None:
        self.lines.append(f"{datetime.fromtimestamp(when):%H:%M:%S}  {message}")


def curve_arrays(curve: Curve) -> NDArray[np.float64]:
    """Step, loss and validation L_DE (NaN where there is none): (3, n)."""
    return np.array(curve, dtype=float).reshape(-1, 3).T
