"""The one error that a user is meant to read."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave is wrong: a file, a key, a value.

    The message is one line: what was found, what is wanted, what to do. The command line prints it and exits with
    status 2; the app shows it in place. It is never accompanied by a traceback.
    """
