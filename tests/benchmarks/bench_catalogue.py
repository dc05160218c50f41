"""How long the catalogue takes over many finished runs: ``python -m tests.benchmarks.bench_catalogue [COUNT]``."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from engine.config.settings import config_from_dict
from engine.record import catalogue
from engine.record.runlog import RunWriter


def make_runs(runs_dir: Path, count: int) -> None:
    """Fill ``runs_dir`` with copies of one finished run that differ in id and metrics."""
    with RunWriter.create(runs_dir, config_from_dict({}), ["benchmark"]) as run:
        for stage in ("volume", "projection", "siamese", "recovery", "alignment", "reconstruction"):
            with run.stage(stage):
                run.record("loss", step=1, loss=0.5)
        run.finish(dict.fromkeys(("distance_mae", "distance_rmse", "recovery_loss", "angle_error_median"), 0.1))
    result = json.loads((run.path / "result.json").read_text())
    for number in range(1, count):
        path = runs_dir / f"20260101-{number // 3600:02}{number // 60 % 60:02}{number % 60:02}-1bd2-{number:06x}"
        shutil.copytree(run.path, path)
        result["metrics"]["distance_mae"] = number / count
        (path / "result.json").write_text(json.dumps(result))


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        runs_dir = Path(folder)
        make_runs(runs_dir, count)
        print(f"{count} finished runs")
        print(f"rebuild               {seconds(lambda: catalogue.rebuild(runs_dir)):.3f} s")
        quiet = sorted(seconds(lambda: catalogue.list_runs(runs_dir)) for _ in range(9))
        print(f"list, nothing changed {quiet[4]:.3f} s (median of 9; worst {quiet[-1]:.3f} s)")
        newest = max(path for path in runs_dir.iterdir() if path.is_dir())
        shutil.copytree(newest, newest.with_name(newest.name[:-6] + "ffffff"))
        print(f"list, one run more    {seconds(lambda: catalogue.list_runs(runs_dir)):.3f} s")
        (runs_dir / catalogue.FILENAME).write_bytes(b"not a database")
        print(f"list, file damaged    {seconds(lambda: catalogue.list_runs(runs_dir)):.3f} s")


if __name__ == "__main__":
    main()
