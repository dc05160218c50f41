"""Progress of a stage: the stage calls a function that its caller provides."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Progress = Callable[[float, Mapping[str, float]], None]
"""``progress(fraction, values)``: the fraction of the stage that is done, in [0, 1], and named figures
(``{"step": 120, "loss": 0.31}``). Called from the working thread; it must return quickly."""


def silent(fraction: float, values: Mapping[str, float]) -> None:
    """Ignores the progress."""
