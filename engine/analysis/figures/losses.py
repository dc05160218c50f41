"""What the curves of training and recovery show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .data import Axis, Figure, Panel, Series

Array = NDArray[np.floating]

LOSS, VALIDATION = "training loss", "validation L_DE"


def training_curve(step: Array, loss: Array, validation_mae: Array) -> Figure:
    """Training loss (n,) and validation error (n,) in rad, NaN where not measured, against the optimiser's step (n,).

    Two panels, one a series; the validation in degrees.
    """
    measured = np.isfinite(validation_mae)
    steps = Axis("step")
    losses = Series(LOSS, "line", {"step": step, "loss": loss}, role="training")
    validation = {"step": step[measured], "validation_mae_deg": np.degrees(validation_mae[measured])}
    return Figure(
        "training",
        "Training of the network",
        (
            Panel(steps, Axis("loss", log=True), (losses,)),
            Panel(steps, Axis("L_DE", "°"), (Series(VALIDATION, "line", validation, role="validation"),)),
        ),
        "Training loss, and mean absolute error of the distances of the validation set, against the optimiser's step.",
    )


def recovery_curve(loss_curve: Array) -> Figure:
    """Recovery loss L_OR (iterations + 1,) in rad² against the iteration of the final minimisation."""
    columns = {"iteration": np.arange(len(loss_curve)), "recovery_loss_rad2": loss_curve}
    axis = Axis("L_OR", "rad²", log=bool(np.all(loss_curve > 0)))
    panel = Panel(Axis("iteration"), axis, (Series("recovery loss", "line", columns),))
    return Figure("recovery", "Recovery of the poses", (panel,), "Mean squared difference of distances by iteration.")
