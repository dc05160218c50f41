"""Standard streams that never fail: with a terminal that is not UTF-8, a closed pipe or a closed stream.

A run takes hours; it must not end because its output is no longer read.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Any, TextIO

_SHOWN = "poselab-shown"


class _Forgiving(io.FileIO):
    """A file descriptor whose reader may close it. Other errors are raised once, or never if ``always`` is set."""

    def __init__(self, descriptor: int, always: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._always = always

    def write(self, data: Any) -> int:
        """Write, or discard what can no longer be read."""
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            return len(data)
        except OSError:
            if self._always:
                return len(data)
            self._always = True  # not again when the process ends
            raise


def prepare() -> None:
    """Replace this process's standard streams; output to a closed one is discarded.

    Characters outside a stream's encoding are written as ``\\xc5``; bytes of file names that are not UTF-8, unchanged.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: else a file would get it, and the output
    codecs.register_error(_SHOWN, _shown)
    sys.stdout, sys.stderr = _stream(sys.stdout, 1), _stream(sys.stderr, 2)


def _stream(stream: TextIO | None, descriptor: int) -> TextIO:
    encoding = "utf-8" if stream is None else stream.encoding
    raw = _Forgiving(descriptor, always=descriptor == 2)
    terminal = raw.isatty()
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, _SHOWN, line_buffering=terminal or descriptor == 2, write_through=False
    )


def _shown(error: UnicodeError) -> tuple[str | bytes, int]:
    """Lone surrogates as the bytes that they stand for, other characters as backslash escapes."""
    if isinstance(error, UnicodeEncodeError):
        try:
            return codecs.lookup_error("surrogateescape")(error)
        except UnicodeError:
            return codecs.lookup_error("backslashreplace")(error)
    raise error
