"""The options for estimating distances and recovering poses, and the limits on projections and pairs.

A separate module without imports, so that a configuration can name these options and still loads quickly.
"""

from __future__ import annotations

from typing import Literal

PairStrategy = Literal["random", "knn", "knn+random", "uniform"]
"""Which pairs of projections are used, see :mod:`poses.pairs`."""
Initialisation = Literal["spectral", "mds", "isomap", "random"]
"""How the pose recovery is initialised, see :mod:`poses.recovery`."""
Head = Literal["cosine", "euclidean"]
"""How a distance is computed from two feature vectors, see :func:`poses.distance.learned_distances`."""

MOST_HELD = 5000
"""Most projections whose full distance matrix is held; beyond, only part of the pairs is used."""
MOST_PAIRS = 12_500_000
"""All pairs of 5,000 projections: 300 MB of indices, distances and work space for each descent."""
