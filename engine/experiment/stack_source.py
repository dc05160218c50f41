"""What keys and costs of an experiment depend on of recorded particles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StackSource:
    """What keys and costs depend on of a stack of particles.

    ``images`` is a text that is the same only for equal images with equal CTFs, ``reference`` one for the poses and
    shifts that came with them, ``halves`` one for their half sets; ``count``, ``size`` (pixels), ``max_shift`` (pixels)
    are those of the images used.
    """

    images: str
    reference: str
    halves: str
    count: int
    size: int
    max_shift: float
