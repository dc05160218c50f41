"""Two checkouts side by side: do the same experiments end in the same numbers, to the last digit?

``python -m tests.benchmarks.same_numbers BEFORE AFTER``, where each is the folder of a checkout or a ``.json`` that an
earlier call wrote with ``--keep``. Each configuration runs in each checkout, one after the other, in a folder of its
own and without the stage cache. What is compared: every metric, and the recovered poses, the kept distances, the loss
curve and the reconstructed density by their SHA-256. Exit status 1 where anything differs.

For changes that must not change a result: before the first of them keep the numbers, after the last compare.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_UNHURRIED = "training.max_seconds=36000"  # the clock must not shorten a training on a busy machine
_LEARNING = (
    _UNHURRIED,
    "projections.count=150", "training.projections=600", "training.validation_projections=60", "training.steps=40",
    "training.image_size=32", "volume.resolution=12", "recovery.restarts=10",
)  # fmt: skip
_EXACT = ("distance.method=exact", "projections.count=200", "volume.resolution=12", "recovery.restarts=10")

CONFIGURATIONS: dict[str, Sequence[str]] = {
    "default, 300 steps": ("training.steps=300", _UNHURRIED),
    "exact": _EXACT,
    "perturbed": (*_EXACT, "distance.method=perturbed", "distance.perturbation_variance=0.1"),
    "perturbed, Euler, quarter": (
        *_EXACT, "distance.method=perturbed", "projections.sampling=euler", "projections.coverage=quarter",
    ),
    "Euclidean, slope": (*_EXACT, "distance.method=euclidean"),
    "Euclidean, polynomial": (*_EXACT, "distance.method=euclidean", "distance.calibration=polynomial"),
    "noise variance": (*_LEARNING, "projections.noise_variance=16"),
    "snr": (*_LEARNING, "projections.snr=0.5"),
    "shift": (*_LEARNING, "projections.max_shift=4"),
    "noise variance and shift": (*_LEARNING, "projections.noise_variance=4", "projections.max_shift=4"),
    "half coverage": (*_LEARNING, "projections.coverage=half", "projections.sampling=euler"),
    "Euclidean head": (*_LEARNING, "distance.head=euclidean"),
    "nine features": (*_LEARNING, "distance.feature_dim=9"),
    "knn pairs": (*_LEARNING, "pairs.strategy=knn"),
    "knn and random pairs": (*_LEARNING, "pairs.strategy=knn+random"),
    "uniform pairs": (*_LEARNING, "pairs.strategy=uniform"),
    "early stopping": (*_LEARNING, "training.patience=3", "training.steps=100"),
    "symmetric, exact": (*_EXACT, "volume.symmetry=D2", "volume.symmetrize=average", "projections.count=100"),
    "symmetric, learned": (*_LEARNING, "volume.symmetry=C2", "volume.symmetrize=oligomer", "projections.count=80"),
    "unseen": (
        *_LEARNING, "training.volumes=random:1:3", "volume.voxel_size=4", "projections.size=40",
        "projections.noise_variance=2",
    ),
    "unseen, held out": (*_LEARNING, "training.volumes=random:1:10", "volume.voxel_size=4", "projections.size=40",
        "training.batch_size=16"),
    "refinement": (*_EXACT, "distance.method=perturbed", "refinement.enabled=true", "projections.noise_variance=4"),
    "refinement against the volume": (
        *_EXACT, "distance.method=perturbed", "refinement.enabled=true", "refinement.reference=volume",
        "projections.max_shift=2",
    ),
    "no reconstruction": (*_EXACT, "reconstruction.enabled=false"),
    "random start": (*_EXACT, "distance.method=perturbed", "recovery.initialisation=random"),
    "MDS start": (*_EXACT, "distance.method=perturbed", "recovery.initialisation=mds"),
    "Isomap start": (*_EXACT, "distance.method=perturbed", "recovery.initialisation=isomap"),
    "recovery from near pairs": (
        *_EXACT, "distance.method=perturbed", "recovery.pairs=knn+random", "recovery.pairs_per_projection=40",
    ),
    "recovery below a distance": (*_EXACT, "recovery.max_distance=1.5", "seed=5"),
    "6MSM": (*_EXACT, "volume.source=6msm", "seed=3"),
}  # fmt: skip

_ARRAYS = {
    "poses.npz": ("recovered", "aligned", "true", "errors", "shifts"),
    "recovery.npz": ("poses", "loss_curve", "start_residuals", "calibration"),
    "distances.npz": ("counts", "estimated", "error_by_distance"),
    "training.npz": ("curve", "calibration"),
    "refined.npz": ("poses", "shifts"),
    "fsc.npz": ("to_input", "between_halves"),
    "projections.npz": ("images", "clean"),
}

Numbers = dict[str, Any]


def measure(checkout: Path, settings: Sequence[str]) -> Numbers:
    """Metrics and digests of one experiment, run in a checkout by the Python that runs this."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "engine", "run", "--json", "--runs-dir", folder]
        command += [part for setting in settings for part in ("--set", setting)]
        environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"POSELAB_CACHE_GB": "0"}
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, env=environ)
        if done.returncode:
            return {"failed": (done.stderr.strip().splitlines() or ["without a message"])[-1]}
        result = json.loads(done.stdout.splitlines()[-1])
        return {**result["metrics"], **_digests(Path(folder) / result["run_id"])}


def _digests(run: Path) -> Numbers:
    """SHA-256 of type, shape and values of the arrays that a run kept, by file and name."""
    metrics = {}
    for filename, names in _ARRAYS.items():
        if not (run / filename).exists():
            continue
        with np.load(run / filename) as arrays:
            for name in names:
                array = np.ascontiguousarray(arrays[name])
                digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
                metrics[f"{filename}:{name}"] = digest.hexdigest()[:16]
    for path in sorted(run.glob("*reconstruction.mrc")):  # past the header, which holds the time
        metrics[path.name] = hashlib.sha256(path.read_bytes()[1024:]).hexdigest()[:16]
    return metrics


def differences(before: Numbers, after: Numbers) -> list[str]:
    """Names of numbers that are not the same in both, one missing in one of them too."""
    return [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run, compare, print a Markdown table; 1 where something differs or failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.same_numbers", description=__doc__)
    parser.add_argument("sides", nargs="+", metavar="CHECKOUT|FILE.json", help="one or two")
    parser.add_argument("--keep", type=Path, metavar="FILE.json", help="where the numbers of the last side are written")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="of the configurations")
    arguments = parser.parse_args(argv)
    names = arguments.only or list(CONFIGURATIONS)
    sides = []
    for given in map(Path, arguments.sides):
        numbers: dict[str, Numbers] = json.loads(given.read_text()) if given.suffix == ".json" else {}
        for name in names if given.suffix != ".json" else ():
            numbers[name] = measure(given.absolute(), CONFIGURATIONS[name])
            print(f"{given}: {name}: {numbers[name].get('failed', 'done')}", file=sys.stderr, flush=True)
        sides.append(numbers)
    if arguments.keep:
        arguments.keep.write_text(json.dumps(sides[-1], indent=1) + "\n", encoding="utf-8")
    if len(sides) == 1:
        return int(any("failed" in numbers for numbers in sides[0].values()))
    return _compare(names, *sides[:2])


def _compare(names: Sequence[str], before: dict[str, Numbers], after: dict[str, Numbers]) -> int:
    print("| configuration | numbers | E_OR before | E_OR after | different |\n| --- | ---: | --- | --- | --- |")
    wrong = 0
    for name in names:
        old, new = before.get(name, {}), after.get(name, {})
        different = differences(old, new) + [f"failed: {side['failed']}" for side in (old, new) if "failed" in side]
        wrong += bool(different) or not old
        errors = [repr(side.get("angle_error_median", "–")) for side in (old, new)]
        print(f"| {name} | {len(old)} | {' | '.join(errors)} | {', '.join(different) or 'none'} |")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
