"""The ranges of what the recovery of poses is asked for, each end with its reason. Imports nothing heavy."""

from __future__ import annotations

import math

from ..base.quantities import Range

PERTURBATION_VARIANCE = Range(
    0.0, 10.0, "a variance is not negative", "such errors are wider than pi, the longest distance there is"
)
"""Of errors of distances, in rad^2."""
MAX_DISTANCE = Range(1e-6, math.pi, "single precision tells no closer poses apart", "no two poses are further apart")
"""rad."""
RESTARTS = Range(
    1, 10_000, "a search has at least one start", "all starts are searched together, more take over a gigabyte"
)
"""Of the search for the map from an embedding to poses, or random starts."""
MAX_ITERATIONS = Range(
    1, 15_000, "nothing would be minimised", "L-BFGS-B, the minimiser, ends after as many evaluations"
)
"""Of each descent."""
