"""The published table beside ours: ``python -m tests.benchmarks.published``.

Every row and seed is a run of its own, ``python -m engine run --json`` in a fresh runs directory, so that nothing is
reused and its wall and CPU time are those of the whole way from the command to the metrics. Finished runs are kept in
``--out``: a benchmark that was killed goes on where it was, one with other ``--set`` begins anew, and failed runs are
tried again. ``published.md`` and ``published.csv`` in there are written after every run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.base.errors import InputError
from engine.base.files import writing
from engine.config.settings import load_config
from engine.imaging.volume import Volume
from engine.io.loading import load_volume
from engine.record.runlog import cancel_on_sigterm
from tests.benchmarks import measuring, tables
from tests.benchmarks.measuring import Result, Store, say
from tests.benchmarks.rows import ROWS, Row, is_published_map, overrides

Run = Callable[[Sequence[str], Path], Result]


def measure(
    rows: Sequence[Row], seeds: int, store: Store, source: str, volume: Volume, extra: Sequence[str], run: Run
) -> None:
    """Run what is not in the store yet, and write the tables after each run."""
    for row in rows:
        for seed in range(seeds):
            name, settings = _run_of(row, seed, source, volume, extra)
            kept = store.get(name, settings)
            if kept is not None and kept["status"] == "finished":
                say(f"{name}: kept")
                continue
            say(f"{name}: started")
            result = run(settings, store.path(name, ".log"))
            store.put(name, settings, result)
            error = result["metrics"].get("angle_error_median")
            outcome = result["message"] if error is None else f"E_OR {error:.4f} rad"
            say(f"{name}: {result['status']} in {result['wall_s']:.0f} s, {outcome}")
            write_tables(store, seeds, source, volume, extra)


def write_tables(store: Store, seeds: int, source: str, volume: Volume, extra: Sequence[str]) -> str:
    """Write the tables of all rows that have been run with these settings; the Markdown."""
    summaries = []
    for row in ROWS:
        kept = [store.get(*_run_of(row, seed, source, volume, extra)) for seed in range(seeds)]
        results = [result for result in kept if result is not None]
        if results:
            summaries.append(tables.Summary(row, results, is_published_map(volume) or not row.learned))
    if not summaries:
        return "nothing was run\n"
    markdown = tables.markdown(summaries, volume.name, extra)
    for name, text in (
        ("published.md", markdown),
        ("published.csv", tables.comma_separated(summaries, volume.name, extra)),
    ):
        with writing(store.folder / name) as aside:
            aside.write_text(text, encoding="utf-8")
    return markdown


def run_afresh(settings: Sequence[str], log: Path) -> Result:
    """A run with a runs directory of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="poselab-") as folder:
        return measuring.run_engine(settings, log, Path(folder))


def main(argv: Sequence[str] | None = None) -> int:
    """The command; exit status 0 when every run finished, 1 when some failed, 2 for wrong input."""
    arguments = _parser().parse_args(argv)
    try:
        return _main(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        return 1


def _main(arguments: argparse.Namespace) -> int:
    rows = [row for row in ROWS if row.name in arguments.rows]
    source = arguments.volume or measuring.default_volume()
    volume = load_volume(source)
    for row in rows:
        load_config(None, _run_of(row, 0, source, volume, arguments.set)[1])
    if not is_published_map(volume):
        say(f"{source} is not the published map of 5J0N, which --volume gives: nothing to compare to")
    measuring.use_cores(arguments.cores)
    store = Store(arguments.out)
    with cancel_on_sigterm():
        measure(rows, arguments.seeds, store, source, volume, arguments.set, run_afresh)
    print(write_tables(store, arguments.seeds, source, volume, arguments.set), end="")
    say(f"tables are in {arguments.out}")
    kept = [
        store.get(*_run_of(row, seed, source, volume, arguments.set)) for row in rows for seed in range(arguments.seeds)
    ]
    return 0 if all(result is not None and result["status"] == "finished" for result in kept) else 1


def _run_of(row: Row, seed: int, source: str, volume: Volume, extra: Sequence[str]) -> tuple[str, list[str]]:
    """A run's name in the store and its settings; later ones win."""
    return f"{row.name}-seed{seed}", [*overrides(row, source, volume), *extra, f"seed={seed}"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.published", description=__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--seeds", type=int, default=3, help="runs of each row (default 3)")
    parser.add_argument("--out", type=Path, default=measuring.default_folder("published"), metavar="DIR")
    parser.add_argument("--volume", metavar="SOURCE", help="default: the published map of 5J0N where it is, else 1bd2")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", help="for every row")
    parser.add_argument("--cores", type=int, help="keep to so many cores, where the system can")
    return parser


if __name__ == "__main__":
    sys.exit(main())
