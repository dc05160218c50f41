"""Additions to argparse: one-line errors, all forms of negative numbers, options that may be given only once."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from ..base import environment
from ..base.errors import InputError

# argparse's own pattern matches -1 and -1.5, but takes -1. and -1e-3 for options.
_NEGATIVE_NUMBER = re.compile(r"-(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?$|-(inf|infinity|nan)$", re.ASCII | re.IGNORECASE)


class Strict(argparse.ArgumentParser):
    """A parser that raises an InputError of one line instead of ending the process."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._negative_number_matcher = _NEGATIVE_NUMBER

    def error(self, message: str) -> NoReturn:
        """Raise InputError with the command and the message."""
        command = self.prog.removeprefix(environment.command_line()).strip()
        raise InputError(f"{command or 'command line'}: {message}; see {self.prog} --help")


class Once(argparse._StoreAction):
    """Stores an option's value and counts how often it is given, for :func:`require_once`."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Store the value."""
        super().__call__(parser, namespace, values, option)
        times = namespace.__dict__.setdefault(_TIMES, {})
        name = "/".join(self.option_strings)
        times[name] = times.get(name, 0) + 1


_TIMES = "times given"


def require_once(namespace: argparse.Namespace) -> None:
    """InputError for an option of :class:`Once` that was given several times."""
    for name, times in getattr(namespace, _TIMES, {}).items():
        if times > 1:
            raise InputError(f"{name} is given {times} times; wanted it once")
