"""Records of runs to test with: written without anything being run, altered by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.config.settings import config_from_dict
from engine.record.runlog import RunWriter

CONFIG = config_from_dict(
    {
        "seed": 7,
        "volume": {"source": "some/where/5J0N.map.gz"},
        "projections": {"coverage": [[0, 90], [0, 45.5], [10, 20]], "snr": 0.25},
    }
)
AN_ID = "20260102-030405-1bd2-0a1b2c"


def finished(runs_dir: Path, **metrics: float) -> RunWriter:
    """A run of one stage that ended with these metrics."""
    with RunWriter.create(runs_dir, CONFIG, ["engine", "run"]) as run:
        with run.stage("volume"):
            pass
        run.finish(metrics)
    return run


def altered(path: Path, filename: str, **changes: Any) -> None:
    """Change entries of one of a record's JSON files."""
    table = json.loads((path / filename).read_text())
    (path / filename).write_text(json.dumps(table | changes))
