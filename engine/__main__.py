"""The command line: ``python -m engine run | generate | runs``.

Exit status 0 for what was done, 1 for a run that failed or was cancelled, 2 for wrong input (one line on standard error
says what was found and what is wanted).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        if argv[:1] == ["generate"]:  # has a parser of its own: it reads the seed's configuration files too
            from engine import generate

            return generate.main(argv[1:])
        arguments = _parser().parse_args(argv)
        status: int = arguments.command(arguments)
        return status
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"cancelled by {stop or 'Ctrl-C'}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine", description="PoseLab: learned pose recovery for single-particle cryo-EM."
    )
    commands = parser.add_subparsers(title="commands", required=True)

    run = commands.add_parser("run", help="run one experiment", description="Run one experiment and record it.")
    run.add_argument("config", nargs="?", metavar="CONFIG.toml", help="the experiment; the default one when not given")
    run.add_argument(
        "--set", action="append", default=[], metavar="section.key=value", help="override one key; may be repeated"
    )
    run.add_argument("--json", action="store_true", help="print the result as one JSON object on standard output")
    run.add_argument("--name", help="a name for people to recognise the run by")
    run.add_argument("--run-id", help=argparse.SUPPRESS)  # given by the app, which wants to know it beforehand
    _add_runs_dir(run)
    run.set_defaults(command=_run)

    # Only to be listed in --help; main() hands it to its own parser.
    commands.add_parser("generate", help="write projections of a volume to .h5, .mat or .mrcs", add_help=False)

    runs = commands.add_parser("runs", help="list, show, export recorded runs", description="Look at recorded runs.")
    actions = runs.add_subparsers(title="actions", required=True)
    listing = actions.add_parser("list", help="all runs, newest first")
    listing.set_defaults(command=_list)
    show = actions.add_parser("show", help="one run: configuration, state, metrics")
    show.add_argument("id", metavar="ID")
    show.set_defaults(command=_show)
    export = actions.add_parser("export", help="copy a run's directory elsewhere")
    export.add_argument("id", metavar="ID")
    export.add_argument("target", metavar="DIR", type=Path)
    export.set_defaults(command=_export)
    rebuild = actions.add_parser("rebuild", help="rebuild the catalogue from the runs' directories")
    rebuild.set_defaults(command=_rebuild)
    for action in (listing, show):
        action.add_argument("--json", action="store_true", help="print JSON")
    for action in (listing, show, export, rebuild):
        _add_runs_dir(action)
    return parser


def _add_runs_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs-dir", type=Path, metavar="DIR", help="where runs are recorded (default: runs/)")


def _runs_dir(arguments: argparse.Namespace) -> Path:
    from engine.runrecord import default_runs_dir

    return arguments.runs_dir or default_runs_dir()


def _run(arguments: argparse.Namespace) -> int:
    from engine.config import load_config

    config = load_config(arguments.config, arguments.set)

    import logging

    from engine import catalogue, console, pipeline
    from engine.runlog import cancel_on_sigterm

    logging.getLogger("engine").setLevel(logging.INFO)  # for the run's own log.txt
    runs_dir = _runs_dir(arguments)
    command = ["python", "-m", "engine", *sys.argv[1:]]
    with console.Reporter() as reporter, cancel_on_sigterm():
        record = pipeline.run_experiment(config, runs_dir, command, arguments.run_id, arguments.name, reporter.on_event)
    catalogue.sync(runs_dir)
    if arguments.json:
        print(json.dumps(console.summary(record)))
    else:
        print(console.describe(record))
    return 0 if record.status == "finished" else 1


def _list(arguments: argparse.Namespace) -> int:
    from engine import catalogue, console

    rows = catalogue.list_runs(_runs_dir(arguments))
    print(json.dumps(rows, default=str) if arguments.json else console.table(rows))
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from engine import console
    from engine.runrecord import read_run, run_path

    record = read_run(run_path(_runs_dir(arguments), arguments.id))
    print(json.dumps(console.summary(record)) if arguments.json else console.describe(record))
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from engine.runrecord import export_run

    print(export_run(_runs_dir(arguments), arguments.id, arguments.target))
    return 0


def _rebuild(arguments: argparse.Namespace) -> int:
    from engine import catalogue

    runs_dir: Any = _runs_dir(arguments)
    print(f"{catalogue.rebuild(runs_dir)} runs in the catalogue of {runs_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
