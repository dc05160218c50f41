"""The error that is shown to users, and the replacement of arguments' names in it by configuration keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """The user's input is wrong: a file, a key, a value.

    The message is one line: what was found, what is wanted, what to do. The command line prints it and exits with
    status 2; the app shows it in place. It is never accompanied by a traceback. Line breaks and control characters,
    which names of files may have, are escaped.

    >>> print(InputError(f"no file a{chr(10)}b"))
    no file a\\nb
    """

    def __init__(self, message: object = "") -> None:
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(message)))


class ArgumentError(InputError):
    """An argument of a numeric function is wrong. A caller that passed a configuration's values puts in the keys.

    ``template`` is a :meth:`str.format` text with the arguments by their names, and everything else by keyword.

    >>> raise ArgumentError("{neighbours} is {given}; wanted fewer than {most}", "neighbours", given=9, most=8)
    Traceback (most recent call last):
    ...
    engine.base.errors.ArgumentError: neighbours is 9; wanted fewer than 8
    """

    def __init__(self, template: str, *arguments: str, **values: object) -> None:
        self._template, self.arguments, self._values = template, arguments, values
        super().__init__(self.naming({}))

    def naming(self, keys: dict[str, str]) -> str:
        """The message with the arguments named by ``keys``, or by their own names where they are not in it."""
        return self._template.format(**{name: keys.get(name, name) for name in self.arguments}, **self._values)


@contextmanager
def naming(**keys: str) -> Iterator[None]:
    """Make an :class:`ArgumentError` raised within name the configuration's keys in place of arguments.

    >>> with naming(neighbours="pairs.neighbours"):
    ...     raise ArgumentError("{neighbours} is 9; wanted fewer than 8", "neighbours")
    Traceback (most recent call last):
    ...
    engine.base.errors.InputError: pairs.neighbours is 9; wanted fewer than 8
    """
    try:
        yield
    except ArgumentError as error:
        if not keys.keys() & set(error.arguments):
            raise
        raise InputError(error.naming(keys)) from error.__cause__


def one_line(problem: object, most: int = 240) -> str:
    """A text, or what an exception says, on one line of at most so many characters; its kind where it says nothing."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text if len(text) <= most else f"{text[: most - 1]}…"
