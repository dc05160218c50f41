"""Checkpoints of trainings, beside the stage cache: ``runs/.cache/training-checkpoints/<key>/checkpoint.npz``.

The key is that of the training's result, so only a training with the same settings uses it. A file is written whole or
not at all and contains arrays and JSON, nothing that is executed on loading.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..base.files import writing
from ..learning.state import TrainState
from . import stagecache

FOLDER = "training-checkpoints"
EVERY_S = 20.0
"""Seconds between two checkpoints: the most that is lost when the process is killed."""

_FILE = "checkpoint.npz"
_FORGOTTEN_S = 30 * 24 * 3600.0
_FACTS = "facts"

log = logging.getLogger(__name__)


@dataclass
class Checkpoint:
    """The checkpoint of the training whose result has this key. Kept at most every ``every_s`` seconds."""

    runs_dir: Path
    key: str
    every_s: float = EVERY_S
    _kept: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path:
        """The file; it need not exist."""
        return Path(self.runs_dir) / stagecache.FOLDER / FOLDER / self.key / _FILE

    def load(self) -> TrainState | None:
        """The last state; None where there is none, or (as logged) none that can be used."""
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                facts = json.loads(str(stored[_FACTS]))
                if facts.pop("key") != self.key:
                    raise ValueError("it belongs to a training with other settings")
                arrays = {
                    kind: tuple(stored[f"{kind}{number}"] for number in range(facts.pop(f"{kind} count")))
                    for kind in ("variables", "best")
                }
            history = tuple((fraction, values) for fraction, values in facts.pop("history"))
            return TrainState(**{**facts, **arrays, "history": history})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            log.warning("the checkpoint %s cannot be used, the training starts anew: %s", self.path, error)
            return None

    def offer(self, state: Callable[[], TrainState]) -> None:
        """Store what ``state`` returns if the last checkpoint is old enough; a full disk only prevents the checkpoint.

        Nothing is stored where POSELAB_CACHE_GB is 0.
        """
        if time.monotonic() - self._kept < self.every_s or not stagecache.keeps_anything():
            return
        snapshot = state()
        facts = {name: value for name, value in vars(snapshot).items() if name not in ("variables", "best")}
        facts |= {"key": self.key, "variables count": len(snapshot.variables), "best count": len(snapshot.best)}
        arrays = {f"variables{number}": array for number, array in enumerate(snapshot.variables)}
        arrays |= {f"best{number}": array for number, array in enumerate(snapshot.best)}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with writing(self.path) as aside, aside.open("wb") as file:
                np.savez(file, allow_pickle=False, **{_FACTS: np.array(json.dumps(facts))}, **arrays)
        except OSError as error:
            log.warning("no checkpoint of the training is kept: %s", error)
        self._kept = time.monotonic()

    def remove(self) -> None:
        """Remove it, once the result is there; and those of trainings that were not continued for a month."""
        shutil.rmtree(self.path.parent, ignore_errors=True)
        now = time.time()
        for other in self.path.parent.parent.glob(f"*/{_FILE}"):
            try:
                if now - other.stat().st_mtime > _FORGOTTEN_S:
                    shutil.rmtree(other.parent, ignore_errors=True)
            except FileNotFoundError:
                continue  # another process removes it
