"""The state of a training: everything that its remaining steps depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Report = tuple[float, Mapping[str, float]]
"""What a training reports as it advances: the fraction that is done, and figures by name."""


@dataclass(frozen=True, eq=False)
class TrainState:
    """A training after ``step`` steps and ``seconds``: everything that its remaining steps depend on.

    Attributes
    ----------
    generator
        state of the generator that draws the batches.
    history
        every report so far, in order.
    variables
        the weights and the optimiser's state, in their order.
    paced_by_clock
        whether the clock shortened the training at some point.
    validation_mae
        of the last validation, rad.
    best, best_mae, best_step, waited
        weights with the least validation error (rad), their step, and how many validations have passed since; empty
        where the training does not stop early.
    """

    step: int
    seconds: float
    paced_by_clock: bool
    validation_mae: float
    generator: Mapping[str, Any]
    history: tuple[Report, ...]
    variables: tuple[np.ndarray, ...]
    best: tuple[np.ndarray, ...] = ()
    best_mae: float = float("inf")
    best_step: int = 0
    waited: int = 0
