"""Importing TensorFlow without its start-up messages, which it writes past Python to the terminal."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Hold back what native code writes to standard error; it is shown after all when an exception comes out."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # for later messages, when it searches for devices
    sys.stderr.flush()
    kept = os.dup(2)
    with _unnamed_file() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            shutil.copyfileobj(held, sys.stderr.buffer)
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _unnamed_file() -> IO[bytes]:
    """A temporary file; without a writable temporary folder, one that discards what is written."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return open(os.devnull, "w+b")
