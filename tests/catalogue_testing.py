"""Finished runs for the tests of the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.config.settings import config_from_dict
from engine.record.runlog import RunWriter

ROOT = Path(__file__).parents[1]
CONFIG = config_from_dict(
    {
        "seed": 2**63 - 1,
        "volume": {"source": "6msm"},
        "projections": {"coverage": "half", "sampling": "euler", "count": 12, "noise_variance": 16, "max_shift": 2.5},
        "distance": {"method": "exact"},
        "pairs": {"strategy": "knn"},
    }
)


def finished(runs_dir: Path, number: int = 0, name: str | None = None, **metrics: Any) -> Path:
    run_id = f"20260101-0000{number:02}-1bd2-{number:06x}"
    with RunWriter.create(runs_dir, CONFIG, ["engine"], run_id=run_id, name=name) as run:
        with run.stage("volume"):
            pass
        run.reused("volume")
        run.finish(metrics)
    return run.path
