"""One thread for a benchmark's own process. Imported before everything that starts threads or looks for a GPU."""

from __future__ import annotations

import os

BEFORE = dict(os.environ)
"""The environment as it was given, for child processes that are not to be limited."""


def one_thread() -> None:
    """Let the libraries that are imported from now on use one thread each, and no GPU."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def one_core() -> None:
    """Keep this process on one core, where the system can (Linux); call it before threads start."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
