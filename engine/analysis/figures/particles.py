"""Recorded particles: their errors against the poses that came with them, their confidence, what they match, noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...imaging.ctf import ContrastTransfer, transfer
from . import angles
from .data import Axis, Figure, Panel, Series
from .projections import across, picture

Array = NDArray[np.floating]

_PARTS = 10  # of the particles, by their confidence
_FEWEST = 5  # particles of a part
_BARS = 40
_DECADE = 10.0  # of the power, from which on its axis is logarithmic
_ERROR = Axis("angle to the reference pose", "°")
_FREQUENCY = "spatial frequency"


def reference_errors(errors: Mapping[str, Array], name: str = "angle-errors") -> Figure:
    """Histograms in degrees of angles (n,) in rad to the reference poses, a panel a step, all on one axis.

    Nothing was aligned: estimated and reference poses are both in the frame of the map. Median and mean of the first
    step, and how many of it lie beyond the histogram, are among the figure's values.
    """
    in_degrees = {step: np.degrees(values) for step, values in errors.items()}
    end = angles.upper_end(np.concatenate(list(in_degrees.values())))
    panels = tuple(
        angles.histogram(values, end, step, _ERROR.label, "particles") for step, values in in_degrees.items()
    )
    first = next(iter(errors.values()))
    values = {
        "frame_angle_error_median": float(np.median(first)), "frame_angle_error_mean": float(np.mean(first)),
        "projections": float(len(first)), "beyond": float(np.count_nonzero(np.degrees(first) > end)),
    }  # fmt: skip
    return Figure(
        name, f"Angles of {len(first):,} particles to their reference poses", panels,
        "Angles between estimated poses and those that came with the stack, in the frame of the map, without any "
        "alignment; lines: median and mean. The reference is another program's estimate, not the truth.", values,
    )  # fmt: skip


def error_by_confidence(confidence: Array, errors: Array) -> Figure:
    """Each particle's angle (n,), rad, to its reference pose against its confidence (n,), and medians of tenths.

    Each tenth of the particles by confidence (fewer parts of less than 50) has its median, and the band from its 10th
    to its 90th percentile. ``ratio`` among the figure's values is the median error of the more confident half over
    that of all.
    """
    in_degrees = np.degrees(errors)
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, max(1, min(_PARTS, len(order) // _FEWEST)))
    at = np.array([np.median(confidence[part]) for part in parts])
    low, middle, high = (np.array([np.quantile(in_degrees[part], q) for part in parts]) for q in (0.1, 0.5, 0.9))
    series = (
        Series("particles", "points", {"x": confidence, "y": in_degrees}),
        Series("10–90 %", "band", {"x": at, "low": low, "high": high}, units={"low": "°", "high": "°"}),
        Series("median", "line", {"x": at, "y": middle}),
    )
    halves = np.median(in_degrees[order[len(order) // 2 :]]), np.median(in_degrees)
    values = {"ratio": float(halves[0] / halves[1])} if halves[1] > 0 else {}
    return Figure(
        "confidence", "Error by confidence", (Panel(_confidence(confidence), _ERROR, series),),
        "Angle to the reference pose against the confidence, which is computed without it.", values,
    )  # fmt: skip


def confidences(confidence: Array) -> Figure:
    """How many particles have which confidence (n,): all that there is to show without reference poses."""
    x = _confidence(confidence)
    counts, edges = np.histogram(confidence, bins=_BARS, range=x.range)
    bars = {"x": (edges[:-1] + edges[1:]) / 2, "x_low": edges[:-1], "x_high": edges[1:], "particles": counts}
    panel = Panel(x, Axis("particles"), (Series("particles", "bars", bars),))
    caption = "Confidence of the particles, from 0 to 1, the higher the smaller the expected error."
    return Figure("confidence", f"Confidence of {len(confidence):,} particles", (panel,), caption)


def matches(confidence: Array, particles: Array, projections: Array | None, most: bool) -> Figure:
    """Particles (k, size, size), the most confident first, and beneath each what it matches of the map.

    ``projections`` is None where there is no map. Shows the more confident half of them or, with ``most`` false, the
    other, the least confident first.
    """
    half = -(-len(confidence) // 2)
    shown = np.arange(half) if most else np.arange(len(confidence) - 1, half - 1, -1)
    rows = {"particle": particles} | ({} if projections is None else {"projection": projections})
    pictures = tuple(
        picture(images[place], f"{what} {number}, confidence {confidence[place]:.3g}")
        for what, images in rows.items()
        for number, place in enumerate(shown, start=1)
    )
    which = "Most" if most else "Least"
    panel = Panel(across("x"), across("y"), pictures, values={"columns": float(len(shown)), "rows": float(len(rows))})
    return Figure(
        f"{which.lower()}-confident", f"{which} confident particles", (panel,),
        "Particles at the network's resolution and, beneath, the projections of the map that they match, with their "
        "CTF and shift; each on greys of its own.",
        {f"confidence of {number}": float(confidence[place]) for number, place in enumerate(shown, start=1)},
    )  # fmt: skip


def noise_power(frequencies: Array, power: Array, pixel_size: float | None) -> Figure:
    """The power of the noise (rings,) against the frequency (rings,) in cycles per pixel; in 1/Å with a pixel size."""
    scale, unit = (1.0, "1/px") if pixel_size is None else (1 / pixel_size, "1/Å")
    series = (Series("noise", "line", {"x": frequencies * scale, "y": power}),)
    panel = Panel(Axis(_FREQUENCY, unit), _power_axis(power), series)
    caption = "Power of the noise in the corners of the images, after normalisation; by it images are whitened."
    return Figure("noise-power", "Power of the noise", (panel,), caption)


def spectrum(images: Array, pixel_size: float, ctf: ContrastTransfer | None) -> Figure:
    """The power of images (n, size, size), averaged over rings and images, and the CTF's square at three defoci.

    The CTF is that of the particles with the least, the median and the largest defocus, as it is along the u axis of
    the image, drawn from 0 to 1 in a panel beneath; without one there is one panel.
    """
    size = images.shape[-1]
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(centred.astype(np.float64))) ** 2).mean(axis=0) / size**2
    along_one = np.fft.fftfreq(size, d=1 / size)
    ring = np.rint(np.hypot(along_one[:, None], along_one[None])).astype(int)
    rings = np.arange(1, size // 2 + 1)
    counts, sums = np.bincount(ring.ravel()), np.bincount(ring.ravel(), power.ravel())
    x = Axis(_FREQUENCY, "1/Å", range=(0.0, 0.505 / pixel_size))
    frequencies = rings / (size * pixel_size)
    mean = sums[rings] / counts[rings]
    panels = [Panel(x, _power_axis(mean), (Series("images", "line", {"x": frequencies, "y": mean}),), "power")]
    if ctf is not None:
        defocus = ctf.defocus_angstrom.mean(axis=1)
        order = np.argsort(defocus)
        chosen = np.unique(order[[0, len(order) // 2, -1]])
        chosen = chosen[np.argsort(defocus[chosen])]
        along = np.linspace(0, 0.5 / pixel_size, 400)
        plane = np.stack([along, np.zeros_like(along)], axis=-1)[None]
        values = transfer(ctf[chosen], plane)[:, 0] ** 2
        lines = {f"at {defocus[row] / 1e4:.2f} µm": squares for row, squares in zip(chosen, values, strict=True)}
        series = tuple(Series(name, "line", {"x": along, "y": squares}) for name, squares in lines.items())
        panels.append(Panel(x, Axis("CTF²", range=(0.0, 1.02)), series, "CTF², by the table"))
    caption = f"Power of {len(images):,} images, averaged over rings, and the square of the CTF that the table gives."
    return Figure("spectrum", f"Power spectrum of {len(images):,} images", tuple(panels), caption)


def defoci(ctf: ContrastTransfer) -> Figure:
    """How many particles have which defocus in µm, the mean along u and v."""
    values = ctf.defocus_angstrom.mean(axis=1) / 1e4
    counts, edges = np.histogram(values, bins=_BARS)
    bars = {"x": (edges[:-1] + edges[1:]) / 2, "x_low": edges[:-1], "x_high": edges[1:], "particles": counts}
    panel = Panel(Axis("defocus", "µm"), Axis("particles"), (Series("particles", "bars", bars),))
    caption = "Defocus of the particles, positive: underfocus."
    return Figure("defocus", f"Defocus, {values.min():.2f} to {values.max():.2f} µm", (panel,), caption)


def _confidence(values: Array) -> Axis:
    return Axis("confidence", range=(0.0, 1.02 * float(values.max())))


def _power_axis(power: Array) -> Axis:
    positive = power[power > 0]
    ends = (float(positive.min()), float(positive.max())) if len(positive) else (0.1, 1.0)
    if ends[1] < _DECADE * ends[0]:
        return Axis("power", range=(0.0, ends[1] * 1.05))
    return Axis("power", log=True, range=(ends[0] / 1.2, ends[1] * 1.2))
