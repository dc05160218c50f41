"""The command line: ``python -m engine run | sweep | queue | generate | runs``.

Exit status 0 for success, 1 for a run that failed or was cancelled, 2 for wrong input (one line on standard error
states what was given and what is wanted).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..base import environment, streams
from ..base.errors import InputError
from ..base.isolation import ignoring_environment
from ..base.paths import absolute
from ..service.actor import Actor
from .arguments import Strict

_SWEEP_HELP = (
    "Queue one run for each combination of values, or one of the studies that repeat the published experiments."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, by default that of this process's command line; returns the exit status."""
    if argv is None:
        streams.prepare()
        argv = sys.argv[1:]
    try:
        with ignoring_environment():  # also for the modules imported from here on, and for processes started here
            status = _command(list(argv))
        sys.stdout.flush()
        return status
    except InputError as error:
        return _refused(str(error))
    except OSError as error:  # refused by the system, so not a programming error
        return _refused(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
    except KeyboardInterrupt as stop:
        print(f"cancelled by {stop or 'Ctrl-C'}", file=sys.stderr)
        return 1


def _command(argv: list[str]) -> int:
    if argv[:1] == ["generate"]:  # has a parser of its own: it reads the seed's configuration files too
        from . import generate

        return generate.main(argv[1:])
    arguments = _parser().parse_args(argv)
    status: int = arguments.command(arguments)
    return status


def _refused(message: str) -> int:
    """Print an error in one line, with control characters escaped; the exit status."""
    print("error: " + re.sub(r"[\x00-\x1f\x7f]", lambda match: repr(match[0])[1:-1], message), file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = Strict(
        prog=environment.command_line(), description="PoseLab: learned pose recovery for single-particle cryo-EM."
    )
    commands = parser.add_subparsers(title="commands", required=True)

    run = commands.add_parser("run", help="run one experiment", description="Run one experiment and record it.")
    run.add_argument("config", nargs="?", metavar="CONFIG.toml", help="the experiment; the default one when not given")
    run.add_argument(
        "--set", action="append", default=[], metavar="section.key=value", help="override one key; may be repeated"
    )
    run.add_argument("--json", action="store_true", help="print the result as one JSON object on standard output")
    run.add_argument("--name", help="a name for people to recognise the run by")
    run.add_argument("--run-id", help=argparse.SUPPRESS)  # given by the queue, which wants to know it beforehand
    run.add_argument("--sweep", help=argparse.SUPPRESS)
    run.add_argument("--launched-by", help=argparse.SUPPRESS)
    run.add_argument("--backend", help=argparse.SUPPRESS)  # the backend that started this process
    _add_runs_dir(run)
    run.set_defaults(command=_run)

    _add_sweep(commands)
    _add_queue(commands)

    # Only to be listed in --help; main() hands it to its own parser.
    commands.add_parser("generate", help="write projections of a volume, or stacks of particles", add_help=False)

    runs = commands.add_parser(
        "runs", help="list, show, export, archive, delete recorded runs", description="Manage recorded runs."
    )
    actions = runs.add_subparsers(title="actions", required=True)
    listing = actions.add_parser("list", help="all runs, newest first")
    listing.set_defaults(command=_list)
    show = actions.add_parser("show", help="one run: configuration, state, metrics")
    show.add_argument("id", metavar="ID")
    show.set_defaults(command=_show)
    export = actions.add_parser("export", help="copy a run's directory elsewhere")
    export.add_argument("id", metavar="ID")
    export.add_argument("target", metavar="DIR")
    export.add_argument("--particles", action="store_true", help="make the images that poses.star names there too")
    export.set_defaults(command=_export)
    rebuild = actions.add_parser("rebuild", help="rebuild the catalogue from the runs' directories")
    rebuild.set_defaults(command=_rebuild)
    listing.add_argument("--archived", action="store_true", help="the archived ones instead")
    for action in (listing, show):
        action.add_argument("--json", action="store_true", help="print JSON")
    for action in (listing, show, export, rebuild):
        _add_runs_dir(action)
    for word, changed, help_text in (
        ("archive", "archived", "hide runs from lists; `restore` brings them back"),
        ("restore", "restored", "bring archived runs back"),
        ("delete", "deleted", "delete archived runs for good"),
    ):
        action = actions.add_parser(word, help=help_text)
        action.add_argument("ids", metavar="ID", nargs="+")
        action.set_defaults(command=_change, change=word, changed=changed)
        _add_runs_dir(action)
    return parser


def _add_sweep(commands: Any) -> None:
    sweep = commands.add_parser(
        "sweep", help="queue runs that vary some keys, or a published study", description=_SWEEP_HELP
    )
    sweep.add_argument("--list", action="store_true", help="list the studies that come with PoseLab")
    sweep.add_argument("study", nargs="?", metavar="STUDY.toml", help="name, description, [base] and [vary] of a study")
    sweep.add_argument("--study", dest="named", metavar="NAME", help="a study that comes with PoseLab")
    sweep.add_argument(
        "--set", action="append", default=[], metavar="section.key=value", help="override one key of all runs"
    )
    sweep.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="section.key=[...]",
        help="the values of one key; may be repeated",
    )
    sweep.add_argument(
        "--dry-run", action="store_true", help="print the runs and the time they may take, queue nothing"
    )
    _add_runs_dir(sweep)
    sweep.set_defaults(command=_sweep)


def _add_queue(commands: Any) -> None:
    queue = commands.add_parser("queue", help="runs that wait for their turn", description="Manage the queue.")
    actions = queue.add_subparsers(title="actions", required=True)
    listing = actions.add_parser("list", help="the runs that wait, in order")
    work = actions.add_parser(
        "work", help="start what waits, until nothing does; the app and `sweep` do this themselves"
    )
    number = actions.add_parser("set", help="how many runs may run at a time")
    number.add_argument("number", type=int, metavar="N")
    withdraw = actions.add_parser("withdraw", help="take runs out of the queue")
    withdraw.add_argument("ids", metavar="ID", nargs="+")
    for action, command in ((listing, _waiting), (work, _work), (number, _at_a_time), (withdraw, _withdraw)):
        _add_runs_dir(action)
        action.set_defaults(command=command)


def _add_runs_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs-dir", metavar="DIR", help="where runs are recorded (default: runs/)")


def _runs_dir(arguments: argparse.Namespace) -> Path:
    from ..record.runrecord import default_runs_dir

    if arguments.runs_dir is None:
        return default_runs_dir()
    return _path(arguments.runs_dir, "--runs-dir")


def _path(typed: str, name: str) -> Path:
    if not typed.strip():
        raise InputError(f"{name} is empty; wanted a path")
    return absolute(typed)


def _run(arguments: argparse.Namespace) -> int:
    from ..config.settings import load_config

    typed = arguments.config
    config = load_config(None if typed is None else _path(typed, "CONFIG.toml"), arguments.set)

    import logging

    from ..record.reading import LOCAL
    from ..record.runlog import cancel_on_sigterm
    from ..service import runs
    from . import console

    logging.getLogger(environment.PACKAGE).setLevel(logging.INFO)  # for the run's own log.txt
    command = [*environment.command_line().split(), *sys.argv[1:]]
    actor = Actor(arguments.launched_by) if arguments.launched_by else Actor.of_this_process()
    with console.Reporter() as reporter, cancel_on_sigterm():
        record = runs.run(
            actor, _runs_dir(arguments), config, command, arguments.run_id, arguments.name, reporter.on_event,
            arguments.sweep, arguments.backend or LOCAL,
        )  # fmt: skip
    if arguments.json:
        print(json.dumps(console.summary(record)))
    else:
        print(console.describe(record))
    return 0 if record.status == "finished" else 1


def _sweep(arguments: argparse.Namespace) -> int:
    from ..experiment import estimate, sweep
    from ..record import catalogue
    from ..service import runs as service
    from . import console

    if arguments.list:
        print("\n".join(f"{name:<22} {study.description}" for name, study in sweep.studies().items()))
        return 0
    if arguments.study is not None and arguments.named is not None:
        raise InputError(f"{arguments.study} and --study {arguments.named} are both given; give one")
    if arguments.study is not None:
        wanted = sweep.load_sweep(_path(arguments.study, "STUDY.toml"))
    else:
        wanted = sweep.study(arguments.named) if arguments.named is not None else sweep.Sweep("sweep")
    wanted = sweep.changed(wanted, arguments.set, arguments.vary)
    if not wanted.vary:
        raise InputError("nothing varies; give a STUDY.toml, --study NAME, or --vary 'section.key=[value, value]'")
    runs = sweep.expand(wanted)
    runs_dir = _runs_dir(arguments)
    history = catalogue.list_runs(runs_dir, archived=None, limit=200)
    expected = estimate.total([config for _, config in runs], history, runs_dir=runs_dir)
    if arguments.dry_run:
        print(console.planned([name for name, _ in runs], expected))
        return 0
    group = sweep.new_id(wanted)
    configs, names = [config for _, config in runs], [name for name, _ in runs]
    run_ids = service.submit(Actor.of_this_process(), runs_dir, configs, names, group)
    print("\n".join(run_ids))
    print(f"{len(runs)} runs queued as {group}; {console.expectation(expected)}", file=sys.stderr)
    return 0


def _waiting(arguments: argparse.Namespace) -> int:
    from ..dispatch import runqueue
    from . import console

    runs_dir = _runs_dir(arguments)
    print(console.queue(runqueue.waiting(runs_dir), runqueue.at_a_time(runs_dir)))
    for problem in runqueue.problems(runs_dir).values():
        print(f"warning: {problem}", file=sys.stderr)
    return 0


def _work(arguments: argparse.Namespace) -> int:
    from ..service import runs

    runs.work(_runs_dir(arguments))
    return 0


def _at_a_time(arguments: argparse.Namespace) -> int:
    from ..service import runs

    runs.set_at_a_time(Actor.of_this_process(), _runs_dir(arguments), arguments.number)
    return 0


def _withdraw(arguments: argparse.Namespace) -> int:
    from ..service import runs

    runs.withdraw(Actor.of_this_process(), _runs_dir(arguments), arguments.ids)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from ..record import catalogue
    from . import console

    rows = catalogue.list_runs(_runs_dir(arguments), archived=arguments.archived)
    print(json.dumps(rows, default=str) if arguments.json else console.table(rows))
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from ..record.runrecord import read_run, run_path
    from . import console

    record = read_run(run_path(_runs_dir(arguments), arguments.id))
    print(json.dumps(console.summary(record)) if arguments.json else console.describe(record))
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from ..record.runrecord import export_run, read_run, run_path

    target = export_run(_runs_dir(arguments), arguments.id, _path(arguments.target, "DIR"))
    if arguments.particles:
        from ..experiment import stack

        stack.particle_stack(read_run(run_path(_runs_dir(arguments), arguments.id)), target / stack.FILENAME)
    print(target)
    return 0


def _change(arguments: argparse.Namespace) -> int:
    from ..service import notes

    change = {"archive": notes.archive, "restore": notes.restore, "delete": notes.delete}[arguments.change]
    for run_id in arguments.ids:
        change(Actor.of_this_process(), _runs_dir(arguments), run_id)
        print(f"{arguments.changed} {run_id}")
    return 0


def _rebuild(arguments: argparse.Namespace) -> int:
    from ..service import runs

    runs_dir = _runs_dir(arguments)
    print(f"{runs.rebuild_catalogue(Actor.of_this_process(), runs_dir)} runs in the catalogue of {runs_dir}")
    return 0
