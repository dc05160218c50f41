"""Recorded particles as arrays that are read, or computed, a part at a time: images, and their transfer functions.

What takes images (:func:`imaging.reconstruction.reconstruct`, :func:`poses.refinement.refine_poses`) asks for a batch
after the other by slices or numbers, so that a stack never is in memory as a whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...imaging.planes import Computed, Planes
from ..stage import Context
from .particles import signed


def images(context: Context, places: NDArray[np.integer] | None = None) -> Any:
    """Usable particles (n, size, size), all when not given: normalised, with the sign with which they agree with CTF
    times map.
    """
    stack, prepared = context.stack, context["particles"]
    assert stack is not None
    ours = prepared.members if places is None else prepared.members[places]

    def read(rows: NDArray[np.integer]) -> NDArray[np.float32]:
        wanted = np.empty((len(rows), stack.size, stack.size), dtype=np.float32)
        members = ours[rows]
        order = np.argsort(members)
        for some, recorded in stack.batches(members[order]):
            wanted[order[np.searchsorted(members[order], some)]] = signed(context, recorded)
        return wanted

    return Computed((len(ours), stack.size, stack.size), read)


def transfers(context: Context, places: NDArray[np.integer] | None = None) -> Planes | None:
    """The CTF of each usable particle (n, size, size // 2 + 1), or of some, in the order of ``rfft2``; None without."""
    from ...imaging.ctf import transfer
    from ...imaging.fourier import half_plane_frequencies

    stack, prepared = context.stack, context["particles"]
    assert stack is not None
    contrast = stack.ctf
    ours = prepared.members if places is None else prepared.members[places]
    if contrast is None:
        return None
    plane = half_plane_frequencies(stack.size, stack.pixel_size).astype(np.float32)

    def computed(rows: NDArray[np.integer]) -> NDArray[np.floating]:
        values = transfer(contrast[ours[rows]], plane)
        return np.abs(values) if stack.is_flipped else values

    return Computed((len(ours), stack.size, stack.size // 2 + 1), computed)
