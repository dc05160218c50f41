"""What can be chosen in estimating distances and recovering poses, and how many projections are held at once.

A module of its own that imports nothing: a configuration names these choices, and starts quickly.
"""

from __future__ import annotations

from typing import Literal

PairStrategy = Literal["random", "knn", "knn+random", "uniform"]
"""Which pairs of projections are looked at, see :mod:`poses.pairs`."""
Initialisation = Literal["spectral", "mds", "isomap", "random"]
"""Where the search for poses starts, see :mod:`poses.recovery`."""
Head = Literal["cosine", "euclidean"]
"""How two sets of features make a distance, see :func:`poses.distance.learned_distances`."""

MOST_HELD = 5000
"""Projections whose full matrix of distances is held; of more, only a part of the pairs is looked at."""
MOST_PAIRS = 12_500_000
"""All pairs of 5,000 projections: 300 MB of indices, distances and work space for each descent."""
