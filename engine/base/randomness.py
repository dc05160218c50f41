"""Random numbers: independent generators from one seed, one for each purpose."""

from __future__ import annotations

import numpy as np

from .quantities import Range

SEED = Range(0, 2**63 - 1, "seeds count from 0", "TOML, HDF5 and the catalogue hold integers in 64 bits, with a sign")
"""Of an experiment."""


def stream(seed: int, purpose: str) -> np.random.Generator:
    """The generator of an experiment's seed for one purpose, independent of those for all others.

    >>> float(stream(0, "pairs").random()) == float(stream(0, "pairs").random())
    True
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(purpose.encode())))
