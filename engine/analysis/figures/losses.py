"""Losses: of the network against its training, of the recovery of the poses against its iterations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .data import Axis, Figure, Panel, Series

Array = NDArray[np.floating]

_MOST_STEPS = 2000  # of a training loss: more points than a figure has pixels


def training_curve(step: Array, loss: Array, validation_mae: Array) -> Figure:
    """Training loss (n,) and validation L_DE (n,) in rad, NaN where not measured, against the optimiser's step (n,).

    Of a long training every k-th step is kept, and every validation. L_DE is in degrees, and in rad beside it.
    """
    every = max(1, len(step) // _MOST_STEPS)
    measured = np.isfinite(validation_mae)
    validation = validation_mae[measured]
    columns = {"x": step[measured], "y": np.degrees(validation), "y_rad": validation}
    x = Axis("step")
    panels = (
        Panel(
            x, Axis("loss", log=True),
            (Series("training loss", "line", {"x": step[::every], "y": loss[::every]}),), "training",
        ),
        Panel(x, Axis("L_DE", "°"), (Series("validation L_DE", "line", columns),), "validation"),
    )  # fmt: skip
    caption = "Loss of the training batches, and mean absolute distance error on the validation projections."
    return Figure("training", "Training of the network", panels, caption)


def recovery_curve(loss_curve: Array) -> Figure:
    """Recovery loss L_OR (iterations + 1,) in rad² against the iteration of the final minimisation."""
    columns = {"x": np.arange(len(loss_curve)), "y": loss_curve}
    y = Axis("L_OR", "rad²", log=bool(np.all(loss_curve > 0)))
    panel = Panel(Axis("iteration"), y, (Series("recovery loss", "line", columns),))
    return Figure("recovery", "Recovery of the poses", (panel,), "Recovery loss of the best start.")
