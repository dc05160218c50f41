"""Recovery by itself: ``python -m tests.benchmarks.recovery scaling`` and ``... basins [--seeds N]``.

``scaling``: wall time and peak memory from 300 to 50,000 projections, each in a process of its own.

``basins``: does recovery ever end in a wrong one? For every seed new poses and new distances, exact ones and those that
a network (trained once for each coverage) estimates from new projections; the loss reached against the loss that the
same descent reaches from the true poses. A run that ends more than 5 % above it is counted as lost. With
``--noise-variance`` only the network's, which sees projections as noisy as those that it was trained for. Finished
seeds are kept in ``--out``, and the table of those: a benchmark that was killed goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from engine.base import environment
from engine.base.files import writing
from engine.config.numeric import acquisition_of, volume_of
from engine.config.schema import Config
from engine.config.settings import config_from_dict
from engine.geometry import harmonics, rotations
from engine.geometry.symmetry import NO_SYMMETRY
from engine.imaging import simulation
from engine.poses import alignment, distance, pairs, recovery
from tests.benchmarks import tables
from tests.benchmarks.measuring import Store, default_folder, default_volume, say

_COUNTS = (300, 1650, 5000)
_COVERAGES = ("full", "half", "quarter")
_SCALING = (300, 1650, 5000, 10_000, 20_000, 50_000)
_PERTURBATION = 0.1  # rad^2
_LOST = 1.05
_HEADINGS = ("coverage, distances", "projections", "runs", "lost", "worst loss ratio", "E_OR, rad, median")
_ZERO = 1e-9  # rad^2, the loss of exact distances in single precision


@dataclass(frozen=True)
class Outcome:
    """One recovery: its loss and that from the true poses (rad^2), the median angle error (rad)."""

    loss: float
    best_loss: float
    angle_error: float

    @property
    def ratio(self) -> float:
        """Loss over the best known one; 1 where both are zero."""
        return (self.loss + _ZERO) / (min(self.loss, self.best_loss) + _ZERO)


def recover(poses: rotations.Array, given: pairs.PairDistances, seed: int) -> Outcome:
    """Recover, and descend from the true poses too."""
    recovered = recovery.recover_poses(given, np.random.default_rng([seed, 1]), calibrate=False)
    best = recovery.recovery_loss_from(rotations.to_quaternion(poses), given)
    error = np.median(alignment.align_poses(recovered.poses, poses, np.random.default_rng([seed, 2])).errors)
    return Outcome(recovered.loss, best, float(error))


def scale(count: int) -> tuple[float, float, float, int]:
    """Wall seconds, peak memory in MB, median angle error in rad and number of pairs, of distances with errors."""
    rng = np.random.default_rng(count)
    poses = rotations.sample_orientations(count, rng)
    exact = distance.exact_distances(rotations.to_quaternion(poses), pairs.candidate_pairs(count, rng))
    given = distance.perturb_distances(exact, _PERTURBATION, rng)
    del exact
    begun = time.perf_counter()
    recovered = recovery.recover_poses(given, rng)
    seconds = time.perf_counter() - begun
    peak = environment.peak_memory_mb()
    return seconds, peak, float(np.median(alignment.align_poses(recovered.poses, poses, rng).errors)), len(given)


def scaling() -> None:
    """Print the table."""
    rows = []
    for count in _SCALING:
        say(f"{count:,} projections")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            seconds, peak, error, number = apart.submit(scale, count).result()
        rows.append([f"{count:,}", f"{number:,}", f"{seconds:.1f}", f"{peak:.0f}", f"{error:.4f}"])
    print(tables.markdown_table(("projections", "pairs", "wall s", "peak memory, MB", "E_OR, rad"), rows))


def problems(config: Config, folder: Path) -> Callable[[int], dict[str, tuple]]:
    """What makes a seed's problems for an experiment: kind of distances -> (poses, distances)."""
    from engine.imaging import filters
    from engine.learning import network

    count = config.projections.count
    every = pairs.all_pairs(count)
    volume, (model, calibration) = volume_of(config.volume), _network(config, folder)
    size, degrees = min(config.training.image_size, volume.diagonal), harmonics.degrees_of(NO_SYMMETRY)

    def of_seed(seed: int) -> dict[str, tuple]:
        rng = np.random.default_rng([seed, 0])
        test = simulation.simulate(volume, acquisition_of(config.projections), count, rng)
        exact = distance.exact_distances(rotations.to_quaternion(test.truth.poses), every)
        features = network.embed(model, filters.standardise(filters.fourier_crop(test.images, size)))
        learned = distance.learned_distances(features, every, config.distance.head, degrees, calibration)
        return {"exact": (test.truth.poses, exact), "learned": (test.truth.poses, learned)}

    return of_seed


def _network(config: Config, folder: Path) -> tuple[object, rotations.Array]:
    """The network and its calibration that a default run of this coverage trains; once, then kept."""
    from engine.experiment.pipeline import run_experiment
    from engine.learning import network
    from engine.record.runrecord import read_run

    runs_dir = folder / f"network-{config.projections.coverage}"
    small = config.model_copy(update={"projections": config.projections.model_copy(update={"count": 100})})
    kept = [path for path in runs_dir.glob("2*") if read_run(path).status == "finished"]
    path = kept[0] if kept else run_experiment(small, runs_dir, sys.argv).path
    with np.load(path / "training.npz") as arrays:
        return network.load_model(path / "model.keras"), arrays["calibration"]


def basins(seeds: int, source: str, noise_variance: float, folder: Path) -> None:
    """Run what is missing; print the table and write it to ``basins.md``, in a folder of its own for each noise."""
    folder = folder / f"noise-{noise_variance:g}" if noise_variance else folder
    kinds = ("learned",) if noise_variance else ("exact", "learned")
    store, settings, rows = Store(folder), [source], []
    for count in _COUNTS:
        for coverage in _COVERAGES:
            projections = {
                "coverage": coverage, "count": count, "sampling": "so3", "noise_variance": noise_variance
            }  # fmt: skip
            of_seed = problems(config_from_dict({"volume": {"source": source}, "projections": projections}), folder)
            outcomes: dict[str, list[Outcome]] = {kind: [] for kind in kinds}
            for seed in range(seeds):
                names = {kind: f"{count}-{coverage}-{kind}-seed{seed}" for kind in outcomes}
                if any(store.get(name, settings) is None for name in names.values()):
                    made = of_seed(seed)
                    for kind, name in names.items():
                        store.put(name, settings, asdict(recover(*made[kind], seed)))
                for kind, name in names.items():
                    outcomes[kind].append(Outcome(**store.get(name, settings)))
            for kind, recovered in outcomes.items():
                ratios = [outcome.ratio for outcome in recovered]
                lost = sum(ratio > _LOST for ratio in ratios)
                error = tables.number(float(np.median([outcome.angle_error for outcome in recovered])))
                rows.append(
                    [f"{coverage}, {kind}", f"{count:,}", str(len(recovered)), str(lost), f"{max(ratios):.4f}", error]
                )
                say(", ".join(rows[-1]))
            table = tables.markdown_table(_HEADINGS, rows)
            with writing(folder / "basins.md") as aside:
                aside.write_text(table + "\n", encoding="utf-8")
    print(table)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.recovery", description=__doc__)
    parser.add_argument("what", choices=["scaling", "basins"])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--noise-variance", type=float, default=0.0, metavar="V")
    parser.add_argument("--out", type=Path, default=default_folder("basins"), metavar="DIR")
    parser.add_argument("--volume", default=None, metavar="SOURCE")
    arguments = parser.parse_args()
    if arguments.what == "scaling":
        scaling()
    else:
        basins(arguments.seeds, arguments.volume or default_volume(), arguments.noise_variance, arguments.out)


if __name__ == "__main__":
    main()
