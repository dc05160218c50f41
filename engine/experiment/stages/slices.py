"""Recorded particles as a reconstruction and a refinement take them, read in parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..stage import Context
from .particles import signed

if TYPE_CHECKING:
    from ...imaging.reconstruction import Slices


def slices_of(
    context: Context, some: NDArray[np.integer], poses: NDArray[np.floating], shifts: NDArray[np.floating] | None
) -> Iterator[Slices]:
    """Usable particles ``some`` in parts: signed and normalised images with poses, shifts and CTF."""
    from ...imaging.ctf import transfer
    from ...imaging.fourier import half_plane_frequencies
    from ...imaging.reconstruction import Slices

    stack, prepared = context.stack, context["particles"]
    assert stack is not None
    plane = half_plane_frequencies(stack.size, stack.pixel_size)
    for members, images in stack.batches(prepared.members[some]):
        places = np.searchsorted(prepared.members, members)
        values = None if stack.ctf is None else transfer(stack.ctf[members], plane)
        if values is not None and stack.is_flipped:
            values = np.abs(values)
        yield Slices(
            signed(context, images), poses[places], None if shifts is None else shifts[places], values
        )  # fmt: skip
