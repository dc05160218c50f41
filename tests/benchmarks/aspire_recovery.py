"""Pose recovery beside ASPIRE's: ``python -m tests.benchmarks.aspire_recovery``.

Three ways to the poses of the same simulated projections:

- ours: ``python -m engine run``, distances learned from simulations of the known volume, then recovery;
- ASPIRE's common lines on the raw images (CLSyncVoting, CLSync3N), no shift searched for;
- the same on ASPIRE's class averages: many images, reduced in size, averaged with their neighbours to a few.

The comparison is of figures, not of equals: ASPIRE knows no volume, ours is trained on one. Errors of all are taken
after our ``engine.poses.alignment.align_poses``, over O(4). Common lines leave less open (a rotation from the left and
handedness, both in O(4)), so this can only favour them; ``own`` is the median after ASPIRE's own registration. The pose
of a class average is that of the image that the class was gathered around; ours is taken on those images and on all.

Results are kept in ``--out`` and a benchmark that was killed goes on. ASPIRE's clocks are those of this process; ours
are the child's, from command to metrics, without reconstruction, for no method here makes one.
"""

from __future__ import annotations

from tests.benchmarks import threads

if __name__ == "__main__":
    threads.one_thread()  # for ASPIRE: with two, contended, its many small products took ten times longer

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import InputError
from engine.base.files import writing
from engine.base.randomness import stream
from engine.config.numeric import acquisition_of
from engine.config.schema import Config
from engine.config.settings import load_config
from engine.imaging import simulation
from engine.imaging.particles import ParticleSet
from engine.imaging.volume import Volume
from engine.io.loading import load_volume
from engine.poses.alignment import align_poses
from engine.record.runlog import cancel_on_sigterm
from tests.benchmarks import aspire_peer, measuring, tables
from tests.benchmarks.aspire_peer import ClassAverages
from tests.benchmarks.measuring import Result, Store, mean_and_sd, say
from tests.benchmarks.rows import noise_overrides

RAW_COUNT = 200
STACK_COUNT, AVERAGE_SIZE, AVERAGES, NEIGHBOURS = 1000, 64, 200, 20
_COLUMNS = ("own", "wall_s", "cpu_s")


@dataclass(frozen=True)
class Case:
    """One noise variance and seed. ``averaged``: the large stack and its class averages; else the small one, raw.

    Without ``ours``, ASPIRE's methods alone: their spread over seeds is large, and a seed takes them seconds.
    """

    averaged: bool
    variance: float
    seed: int
    ours: bool = True

    @property
    def name(self) -> str:
        """In the store."""
        stack, who = "averaged" if self.averaged else "raw", "" if self.ours else "-aspire"
        return f"{stack}-noise{self.variance:g}-seed{self.seed}{who}"

    def settings(self, source: str, volume: Volume, extra: Sequence[str]) -> list[str]:
        """Of our run."""
        return [
            f"volume.source={source}",
            f"projections.count={STACK_COUNT if self.averaged else RAW_COUNT}",
            *noise_overrides(self.variance, volume),
            "reconstruction.enabled=false",
            *extra,
            f"seed={self.seed}",
        ]


def measure_case(case: Case, config: Config, volume: Volume, settings: Sequence[str], log: Path) -> list[Result]:
    """All methods on one stack: a result each.

    Raises
    ------
    InputError
        when our run fails.
    """
    # What `engine run` simulates for the same configuration, image by image.
    rng = stream(case.seed, "test projections")
    stack = simulation.simulate(volume, acquisition_of(config.projections), config.projections.count, rng)
    results, averages = [], None
    if case.ours:
        say(f"{case.name}: ours")
        errors, clocks = _our_errors(case, settings, log, stack.truth.poses)
        results.append(_result("ours", errors, *clocks))
    if case.averaged:
        say(f"{case.name}: ASPIRE's class averages")
        averages = aspire_peer.class_averages(stack.images, AVERAGE_SIZE, AVERAGES, NEIGHBOURS, case.seed)
        if case.ours:
            results.append(_result("ours, on the classes' images", errors[averages.references], *clocks))
    for method in aspire_peer.METHODS:
        say(f"{case.name}: ASPIRE's {method}")
        results.append(_common_lines(method, stack, averages, case.seed))
    described = {"averaged": case.averaged, "variance": case.variance, "seed": case.seed}
    return [described | result | measuring.facts() for result in results]


def _our_errors(
    case: Case, settings: Sequence[str], log: Path, true: NDArray[np.floating]
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Angle errors of all projections, and wall and CPU seconds."""
    with tempfile.TemporaryDirectory(prefix="poselab-") as folder:
        run = measuring.run_engine(settings, log, Path(folder), threads.BEFORE)
        if run["status"] != "finished":
            raise InputError(f"{case.name}: our run {run['status']}: {run['message']}; its log is {log}")
        with np.load(Path(folder) / run["run_id"] / "poses.npz", allow_pickle=False) as poses:
            np.testing.assert_array_equal(poses["true"], true)  # it was the same stack
            return poses["errors"], (run["wall_s"], run["cpu_s"])


def _common_lines(method: str, stack: ParticleSet, averages: ClassAverages | None, seed: int) -> Result:
    images, true, name, clocks = stack.images, stack.truth.poses, f"ASPIRE, {method}", (0.0, 0.0)
    if averages is not None:
        images, true = averages.images, stack.truth.poses[averages.references]
        name, clocks = f"ASPIRE, class averages, {method}", (averages.wall_s, averages.cpu_s)
    results = aspire_peer.orient(images, method, seed)
    errors = align_poses(results.poses, true, np.random.default_rng(seed)).errors
    own = float(np.median(aspire_peer.own_registration_errors(results.poses, true)))
    return _result(name, errors, clocks[0] + results.wall_s, clocks[1] + results.cpu_s, own)


def _result(method: str, errors: NDArray[np.floating], wall_s: float, cpu_s: float, own: float | None = None) -> Result:
    return {
        "method": method,
        "images": len(errors),
        "median": float(np.median(errors)),
        "mean": float(np.mean(errors)),
        "own": own,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
    }


def write_tables(folder: Path, results: Sequence[Result], volume: str, settings: Sequence[str]) -> str:
    """Write ``aspire_recovery.md`` and ``.csv`` (every measurement); the Markdown."""
    groups: dict[tuple[bool, float, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result["averaged"], result["variance"], result["method"]), []).append(result)
    parts = []
    for averaged in (False, True):
        rows = [
            [
                method,
                f"{variance:g}",
                str(outcome[0]["images"]),
                str(len(outcome)),
                tables.spread(mean_and_sd([result["median"] for result in outcome])),
                " to ".join(tables.number(end(r["median"] for r in outcome)) for end in (min, max)),
                *(tables.spread(_present(outcome, column)) for column in _COLUMNS),
            ]
            for (in_table, variance, method), outcome in sorted(groups.items(), key=lambda item: item[0][:2])
            if in_table == averaged
        ]
        if rows:
            parts += [_CAPTIONS[averaged], tables.markdown_table(_HEADINGS, rows)]
    parts.append(" ".join([f"Volume {volume}. {_NOTE}", *tables.footing(results, settings)]))
    markdown = "\n\n".join(parts) + "\n"
    lines = [{"volume": volume, **result, "settings": " ".join(settings)} for result in results]
    for name, text in (("aspire_recovery.md", markdown), ("aspire_recovery.csv", tables.csv_text(lines))):
        with writing(folder / name) as aside:
            aside.write_text(text, encoding="utf-8")
    return markdown


_HEADINGS = (
    "method", "noise variance", "images", "seeds", "median error, rad", "least to greatest", "own registration",
    "wall s", "CPU s",
)  # fmt: skip
_CAPTIONS = {
    False: f"Raw images, {RAW_COUNT}:",
    True: f"{STACK_COUNT} images; ASPIRE's reduced to {AVERAGE_SIZE} px, {NEIGHBOURS} neighbours averaged, the best "
    f"{AVERAGES} classes:",
}
_NOTE = (
    "ASPIRE knows no volume, ours is trained on one. Median angle error, mean ± standard deviation over seeds, after "
    "alignment over O(4) for every method; own registration: after ASPIRE's, a rotation and handedness. Full coverage, "
    "so3, no shift. Our times have simulation and training in them; ASPIRE runs on one thread. CLSync3N's "
    "synchronisation of handedness was vectorised by us, as shipped it visits triangles one by one, for minutes "
    "already at 100 images."
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when all was measured, 2 for wrong input or a run of ours that failed."""
    arguments = _parser().parse_args(argv)
    source = arguments.volume
    try:
        volume = load_volume(source)
        cases = [
            Case(averaged, variance, seed, ours=seed < arguments.seeds)
            for averaged, variances in ((False, arguments.raw), (True, arguments.averaged))
            for variance in variances
            for seed in range(max(arguments.seeds, arguments.aspire_seeds))
        ]
        configs = [load_config(None, case.settings(source, volume, arguments.set)) for case in cases]
        measuring.use_cores(arguments.cores)
        store, results = Store(arguments.out), []
        markdown = "nothing was asked for\n"
        with cancel_on_sigterm():
            for case, config in zip(cases, configs, strict=True):
                settings = case.settings(source, volume, arguments.set)
                kept = store.get(case.name, settings)
                if kept is None:
                    kept = {"methods": measure_case(case, config, volume, settings, store.path(case.name, ".log"))}
                    store.put(case.name, settings, kept)
                for result in kept["methods"]:
                    say(f"{case.name}: {result['method']}: median {result['median']:.4f} rad, {result['wall_s']:.0f} s")
                results += kept["methods"]
                markdown = write_tables(arguments.out, results, volume.name, arguments.set)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        return 1
    print(markdown, end="")
    return 0


def _present(results: Sequence[Result], column: str) -> tuple[float, float] | None:
    values = [result[column] for result in results if result[column] is not None]
    return mean_and_sd(values) if values else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.aspire_recovery", description=__doc__)
    source = measuring.default_volume()
    parser.add_argument("--raw", type=float, nargs="*", default=[0, 5, 10, 16], metavar="VARIANCE")
    parser.add_argument("--averaged", type=float, nargs="*", default=[16, 25], metavar="VARIANCE")
    parser.add_argument("--seeds", type=int, default=3, help="stacks of each variance (default 3)")
    parser.add_argument(
        "--aspire-seeds",
        type=int,
        default=0,
        metavar="N",
        help="stacks in all, the others for ASPIRE alone",
    )
    parser.add_argument("--out", type=Path, default=measuring.default_folder("aspire_recovery"), metavar="DIR")
    parser.add_argument("--volume", default=source, metavar="SOURCE", help=f"default {source}")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", help="for our runs")
    parser.add_argument("--cores", type=int, help="keep to so many cores, where the system can")
    return parser


if __name__ == "__main__":
    sys.exit(main())
