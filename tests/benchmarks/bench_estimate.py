"""What experiments are expected to take and what they take here: ``python -m tests.benchmarks.bench_estimate``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from engine.config.settings import load_config
from engine.experiment.estimate import START, at_hand, estimate
from engine.experiment.pipeline import run_experiment

EXPERIMENTS = (
    ("distance.method=exact", "projections.count=300", "recovery.restarts=10"),
    ("distance.method=perturbed",),
    ("distance.method=perturbed", "recovery.initialisation=isomap"),
    ("training.steps=300",),
)


def main() -> None:
    """Run each in a folder of its own and print both times."""
    print("| settings | expected, s | measured, s | ratio |\n| --- | --- | --- | --- |")
    for settings in EXPERIMENTS:
        config = load_config(None, settings)
        source = at_hand(config.volume)
        assert source is not None, "the volume is built in"
        expected = estimate(config, source)
        with tempfile.TemporaryDirectory() as folder:
            measured = sum(run_experiment(config, Path(folder), ["benchmark"]).seconds.values())
        seconds = expected.seconds - expected.by_stage[START]
        print(f"| {' '.join(settings)} | {seconds:.1f} | {measured:.1f} | {seconds / measured:.2f} |", flush=True)


if __name__ == "__main__":
    main()
