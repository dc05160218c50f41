"""A few particles beside the projections of the map that they match: the most and the least confident ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...record.arrays import Shape
from ..stage import Artefact, Context
from . import lazily

SHOWN = 8
"""Particles from each end of the confidence."""

MATCHES = Artefact("matches.npz", f"the {SHOWN} most and least confident particles, and what they match of the map", {
    "rows": Shape(("k",)), "confidence": Shape(("k",)), "particles": Shape(("k", "m", "m")),
    "projections": Shape(("k", "m", "m")),
})  # fmt: skip


def keep_matches(
    context: Context,
    places: NDArray[np.integer],
    poses: NDArray[np.floating],
    shifts: NDArray[np.floating],
    confidence: NDArray[np.floating],
) -> None:
    """``matches.npz``, the most confident first: images of the network's size, so that their signal can be seen.

    Of the ``places`` (n,) of particles among the usable ones, their poses (n, 3, 3), shifts (n, 2) in pixels and
    confidence (n,). Projections are multiplied by the
    particle's CTF and moved by the shift that was found. Where there is no map, there are none.
    """
    from ...imaging.filters import fourier_crop

    stack, prepared, size = context.stack, context["particles"], context.network_size
    assert stack is not None
    shown = extremes(confidence, SHOWN)
    arrays = {
        "rows": stack.chosen[prepared.members[places[shown]]], "confidence": np.asarray(confidence)[shown],
        "particles": fourier_crop(lazily.images(context, places[shown])[:], size),
    }  # fmt: skip
    if context.volume_is_known:
        arrays["projections"] = fourier_crop(_matched(context, poses[shown], shifts[shown], places[shown]), size)
    context.record.save_arrays(MATCHES.filename, **arrays)


def extremes(confidence: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """Which are the ``count`` highest and the ``count`` lowest, from the highest to the lowest; all of a few."""
    order = np.argsort(-np.asarray(confidence), kind="stable")
    return order if len(order) <= 2 * count else np.concatenate([order[:count], order[-count:]])


def _matched(
    context: Context, poses: NDArray[np.floating], shifts: NDArray[np.floating], places: NDArray[np.integer]
) -> NDArray[np.float32]:
    from scipy import fft

    from ...imaging.filters import shift_images
    from ...imaging.projection import project

    stack = context.stack
    assert stack is not None
    clean = project(context.volume, poses, stack.size)
    transfers = lazily.transfers(context, places)
    if transfers is not None:
        clean = fft.irfft2(fft.rfft2(clean) * transfers[:], s=clean.shape[1:]).astype(np.float32)
    return shift_images(clean, shifts)
