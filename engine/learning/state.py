"""Where a training stands: all that its remaining steps depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Told = tuple[float, Mapping[str, float]]


@dataclass(frozen=True)
class Snapshot:
    """A training after ``step`` steps and ``seconds``, all that its remaining steps depend on.

    ``variables`` are the weights and the optimiser's state, in their order; ``generator`` is the state of the generator
    that draws the batches; ``told`` is all progress that was told. ``best`` are the weights of the validation with the
    least error, ``best_mae`` (rad) at ``best_step``, since which ``waited`` validations have passed; empty where the
    training does not stop early.
    """

    step: int
    seconds: float
    paced_by_clock: bool
    validation_mae: float
    generator: Mapping[str, Any]
    told: tuple[Told, ...]
    variables: tuple[np.ndarray, ...]
    best: tuple[np.ndarray, ...] = ()
    best_mae: float = float("inf")
    best_step: int = 0
    waited: int = 0
