"""How a stage tells that it advances: it calls, whoever runs it decides what to do with the news."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Progress = Callable[[float, Mapping[str, float]], None]
"""``progress(fraction, values)``: the fraction of the stage that is done, in [0, 1], and named figures worth keeping
(``{"step": 120, "loss": 0.31}``). Called from the thread that works; it must return quickly."""


def silent(fraction: float, values: Mapping[str, float]) -> None:
    """The progress that nobody watches."""
