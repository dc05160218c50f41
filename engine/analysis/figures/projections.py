"""Projections as pictures: the first few, each on greys of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .data import Axis, Figure, Panel, Series, cells

Array = NDArray[np.floating]


def gallery(images: Array, title: str, count: int = 8, name: str = "projections") -> Figure:
    """The first ``count`` projections of (n, size, size)."""
    return Figure(name, title, (gallery_panel(images, count),), "Projections, each on greys of its own.")


def before_and_after(clean: Array, images: Array, count: int, title: str = "Projections") -> Figure:
    """The first projections (n, size, size) as they come from the volume, then what shift and noise make of each."""
    both = {"clean": clean, "as recorded": images}
    pictures = (picture(image, f"{name} {n}") for name, some in both.items() for n, image in enumerate(some[:count]))
    return Figure(
        "before-and-after", title, (Panel(across("x"), across("y"), tuple(pictures)),),
        "Projections without noise, and the same as recorded; each on greys of its own.",
    )  # fmt: skip


def gallery_panel(images: Array, count: int) -> Panel:
    """The first ``count`` projections of (n, size, size), a series each, in one panel."""
    pictures = (picture(image, f"projection {number}") for number, image in enumerate(images[:count]))
    return Panel(across("x"), across("y"), tuple(pictures))


def across(label: str) -> Axis:
    """An axis of a picture."""
    return Axis(label, "px")


def picture(image: Array, name: str) -> Series:
    """An image (size, size): each pixel's ``value``, and its ``grey`` between 0, at the 0.5 percentile, and 1, at the
    99.5.
    """
    low, high = np.quantile(image, [0.005, 0.995])
    grey = np.clip((image - low) / ((high - low) or 1.0), 0, 1).astype(np.float32)
    at = np.arange(image.shape[-1], dtype=np.int16)
    return Series(name, "image", cells(at, np.arange(image.shape[0], dtype=np.int16), value=image, grey=grey))
