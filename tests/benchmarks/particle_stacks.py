"""Stacks that ``generate`` makes, and what runs make of them: ``python -m tests.benchmarks.particle_stacks``.

Each row and seed is a stack, made by ``python -m engine generate``, and a run of its own in a fresh runs directory, so
that nothing is reused and times are those of the whole way. The run's table is the stack's truth: its poses are the
reference of the figures alone, or what ``training.on`` learns from. Stacks and finished runs are kept in ``--out``: a
benchmark that was killed goes on where it was. ``particle_stacks.md`` and ``.csv`` in there are written after each run.

``--commands`` prints the commands of all rows and measures nothing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.base.errors import InputError
from engine.base.files import writing
from engine.record.runlog import cancel_on_sigterm
from tests.benchmarks import measuring, tables
from tests.benchmarks.measuring import Result, Store, say

_SHARED = Path(__file__).parents[3] / "shared" / "data"
MAPS = {"5j0n": _SHARED / "5j0n.mrc", "5j0n-64": _SHARED / "particles" / "5j0n-noisy" / "map.mrc"}
"""The published map of 5J0N (3.667 Å), and the same on 64 voxels of 6.556 Å along each side."""
_OPTICS = "--defocus 8000 30000 --defocus-groups 20"


@dataclass(frozen=True)
class Row:
    """A stack and the settings of its runs.

    Attributes
    ----------
    protein
        the name of a map in :data:`MAPS`.
    recording
        arguments of ``generate``.
    settings
        of the run, beside source and seed.
    has_map
        whether the run is given the map.
    figure, at_most
        the figure that has a bar, in rad, and the bar.
    cpu_s
        seconds of the processor that it may take.
    seeds
        of stack and run.
    """

    name: str
    protein: str
    recording: str
    settings: tuple[str, ...]
    has_map: bool
    figure: str
    at_most: float
    cpu_s: float
    seeds: int

    def generate(self, source: Path, stack: Path, seed: int) -> list[str]:
        """Arguments of the command that makes the stack."""
        return ["-in", str(source), *self.recording.split(), "--seed", str(seed), "-out", str(stack), "--overwrite"]

    def run(self, source: Path, stack: Path, seed: int, extra: Sequence[str]) -> list[str]:
        """Settings of the run; later ones win."""
        table = stack.with_name(f"{stack.stem}_truth.star")
        given = [f"volume.source={source}"] if self.has_map else []
        return [f"particles.source={table}", *given, *self.settings, *extra, f"seed={seed}"]


_MANY = f"-num 10000 --size 64 {_OPTICS} --snr 0.1 --noise-spectrum coloured --max-shift 1.5"
ROWS = (
    Row(
        "5j0n-1650", "5j0n", f"-num 1650 --size 116 {_OPTICS} --noise-variance 16", ("particles.max_shift=0",), True,
        "frame_angle_error_median", 0.15, 1800, 3,
    ),
    Row(
        "5j0n-10000-particles", "5j0n-64", _MANY, ("particles.half=both", "training.on=particles"), False,
        "frame_angle_error_mean", 0.26, 7200, 1,
    ),
    Row(
        "5j0n-10000-reconstruction", "5j0n-64", _MANY, ("particles.half=both", "training.on=reconstruction"), False,
        "frame_angle_error_mean", 0.15, 7200, 1,
    ),
)  # fmt: skip
"""Noise of variance 16 is in the map's units, after the CTF; 64 pixels are recorded as ``5j0n-noisy`` was by ASPIRE,
with our own coloured spectrum in place of ASPIRE's."""

Generate = Callable[[Sequence[str], Path], None]
Run = Callable[[Sequence[str], Path], Result]


def generated(arguments: Sequence[str], log: Path) -> None:
    """Make a stack by the command; InputError with its last line where it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stderr:
        done = subprocess.run([sys.executable, "-m", "engine", "generate", *arguments], stderr=stderr, stdout=stderr)
    if done.returncode:
        raise InputError(log.read_text(encoding="utf-8").strip().splitlines()[-1].removeprefix("error: "))


def run_afresh(settings: Sequence[str], log: Path) -> Result:
    """A run with a runs directory of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="poselab-") as folder:
        return measuring.run_engine(settings, log, Path(folder))


def measure(
    rows: Sequence[Row], seeds: int | None, store: Store, extra: Sequence[str], generate: Generate, run: Run
) -> None:
    """Make and run what is not in the store yet, and write the tables after each run."""
    for row in rows:
        source = map_of(row)
        for seed in range(row.seeds if seeds is None else seeds):
            name, stack = f"{row.name}-seed{seed}", stack_of(store, row, seed)
            settings = row.run(source, stack, seed, extra)
            kept = store.get(name, settings)
            if kept is not None and kept["status"] == "finished":
                say(f"{name}: kept")
                continue
            arguments = row.generate(source, stack, seed)
            if store.get(stack.stem, arguments) is None or not stack.exists():
                say(f"{name}: making {stack.name}")
                stack.parent.mkdir(parents=True, exist_ok=True)
                generate(arguments, store.path(stack.stem, ".log"))
                store.put(stack.stem, arguments, {})
            say(f"{name}: started")
            result = run(settings, store.path(name, ".log"))
            store.put(name, settings, result)
            figure = result["metrics"].get(row.figure)
            outcome = result["message"] if figure is None else f"{row.figure} {figure:.4f} rad"
            say(f"{name}: {result['status']} in {result['wall_s']:.0f} s, {outcome}")
            write_tables(store, rows, seeds, extra)


def write_tables(store: Store, rows: Sequence[Row], seeds: int | None, extra: Sequence[str]) -> str:
    """Write the tables of all rows that have been run with these settings; the Markdown."""
    cells, lines, every = [], [], []
    for row in rows:
        kept = [
            (seed, store.get(f"{row.name}-seed{seed}", row.run(map_of(row), stack_of(store, row, seed), seed, extra)))
            for seed in range(row.seeds if seeds is None else seeds)
        ]
        results = [(seed, result) for seed, result in kept if result is not None]
        if not results:
            continue
        finished = [{**result, **result["metrics"]} for _, result in results if result["status"] == "finished"]

        def spread(name: str, finished: Sequence[Result] = finished) -> str:
            values = [result[name] for result in finished if result.get(name) is not None]
            return tables.spread(measuring.mean_and_sd(values) if values else None)

        failed = len(results) - len(finished)
        seeds_cell = f"{len(results)}" + (f" ({failed} failed)" if failed else "")
        cells.append([
            row.name, row.figure, f"{row.at_most:g}", *map(spread, (row.figure, *_ALSO)), f"{row.cpu_s:g}",
            *map(spread, ("cpu_s", "wall_s", "peak_memory_mb")), seeds_cell,
        ])  # fmt: skip
        every += [result for _, result in results]
        lines += [
            {"row": row.name, "seed": seed, "status": result["status"], "message": result["message"],
             **{name: result["metrics"].get(name) for name in _FIGURES},
             **{name: result.get(name) for name in ("cpu_s", "wall_s", "peak_memory_mb", "date", "machine", "commit")}}
            for seed, result in results
        ]  # fmt: skip
    if not cells:
        return "nothing was run\n"
    markdown = f"{tables.markdown_table(_HEADINGS, cells)}\n\n{_NOTE} {' '.join(tables.footing(every, extra))}\n"
    for name, text in (("particle_stacks.md", markdown), ("particle_stacks.csv", tables.csv_text(lines))):
        with writing(store.folder / name) as aside:
            aside.write_text(text, encoding="utf-8")
    return markdown


_ALSO = ("confidence_weighted_error_mean", "frame_share_below_10_degrees")
_FIGURES = ("frame_angle_error_median", "frame_angle_error_mean", *_ALSO, "frame_share_below_5_degrees",
            "shift_error_median_px", "fsc_0.143_angstrom")  # fmt: skip
_HEADINGS = (
    "stack", "figure", "bar, rad", "reached, rad", "weighted by confidence, mean, rad", "within 10 degrees",
    "CPU s, bar", "CPU s", "wall s", "memory, MB", "seeds",
)  # fmt: skip
_NOTE = (
    "Errors are in the frame of the map and the reference poses, never aligned; mean ± standard deviation over seeds."
)


def map_of(row: Row) -> Path:
    """The map of a row, as seen from here."""
    return Path(os.path.relpath(MAPS[row.protein]))


def stack_of(store: Store, row: Row, seed: int) -> Path:
    """Where a row's stack is; rows that are recorded alike share it."""
    first = next(other for other in ROWS if (other.protein, other.recording) == (row.protein, row.recording))
    return store.folder / "stacks" / f"{first.name}-{seed}.mrcs"


def commands(rows: Sequence[Row], seeds: int | None, store: Store, extra: Sequence[str]) -> str:
    """What a person would type, a line each."""
    lines = []
    for row in rows:
        for seed in range(row.seeds if seeds is None else seeds):
            source, stack = map_of(row), stack_of(store, row, seed)
            given = [part for setting in row.run(source, stack, seed, extra) for part in ("--set", setting)]
            lines.append(shlex.join(["python", "-m", "engine", "generate", *row.generate(source, stack, seed)]))
            lines.append(shlex.join(["python", "-m", "engine", "run", *given]))
    return "\n".join(dict.fromkeys(lines)) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when every run finished, 1 when some failed, 2 for wrong input."""
    arguments = _parser().parse_args(argv)
    rows = [row for row in ROWS if row.name in arguments.rows]
    store = Store(arguments.out)
    if arguments.commands:
        print(commands(rows, arguments.seeds, store, arguments.set), end="")
        return 0
    try:
        missing = next((path for path in map(map_of, rows) if not path.exists()), None)
        if missing is not None:
            raise InputError(f"{missing} is not there; it lies beside the project on some machines")
        measuring.use_cores(arguments.cores)
        with cancel_on_sigterm():
            measure(rows, arguments.seeds, store, arguments.set, generated, run_afresh)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        return 1
    markdown = write_tables(store, rows, arguments.seeds, arguments.set)
    print(markdown, end="")
    return 1 if "failed" in markdown.partition("\n\n")[0] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.particle_stacks", description=__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--seeds", type=int, help="stacks of each row (default: 3 of 5j0n-1650, else 1)")
    parser.add_argument("--out", type=Path, default=measuring.default_folder("particle_stacks"), metavar="DIR")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", help="for every run")
    parser.add_argument("--cores", type=int, help="keep to so many cores, where the system can")
    parser.add_argument("--commands", action="store_true", help="print the commands of all rows, and measure nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
