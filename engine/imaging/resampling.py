"""Resampling of a density to another voxel size."""

from __future__ import annotations

import numpy as np
from scipy import fft

from ..base.inputs import require_memory_for_voxels
from . import fourier
from .volume import Volume

_SAME = 1e-3  # relative difference of voxel sizes that headers round off


def same_voxels(first: float, second: float) -> bool:
    """Whether two voxel sizes in Å agree up to the rounding of file headers."""
    return abs(first / second - 1) < _SAME


def resampled(volume: Volume, voxel_size: float) -> Volume:
    """The volume on voxels of ``voxel_size`` Å, by Fourier interpolation.

    Larger voxels lose the detail beyond their Nyquist frequency, smaller ones gain none. InputError where the result
    does not fit into memory.
    """
    ratio = voxel_size / volume.voxel_size
    shape = tuple(2 * int(np.ceil((n / ratio + 1) / 2)) for n in volume.density.shape)
    require_memory_for_voxels(shape, volume.name, "choose a test volume with larger voxels")
    last = len(shape) - 1
    axes = [
        (np.fft.rfftfreq(n) if axis == last else np.fft.fftfreq(n)).astype(np.float32) / np.float32(ratio)
        for axis, n in enumerate(shape)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    held = (np.abs(z) < 0.5) & (np.abs(y) < 0.5) & (np.abs(x) < 0.5)
    spectrum = np.zeros(held.shape, dtype=np.complex64)
    spectrum[held] = fourier.transform(volume.density, np.stack([x[held], y[held], z[held]])) / ratio**3
    density = fft.fftshift(fft.irfftn(spectrum, s=shape, workers=-1))
    # Both transforms count from the middle voxel, n // 2, which stays where it is.
    middles = [np.array([n // 2 for n in reversed(sides)]) for sides in (volume.density.shape, shape)]
    origin = volume.origin + volume.voxel_size * middles[0] - voxel_size * middles[1]
    center = volume.center
    if not isinstance(center, str):
        x, y, z = (volume.center_offset / ratio + middles[1]).tolist()
        center = (x, y, z)
    density = np.ascontiguousarray(density, dtype=np.float32)
    return Volume(density, voxel_size, origin, volume.name, volume.warnings, center)


def on_box(volume: Volume, size: int, voxel_size: float) -> Volume:
    """The volume on ``size`` voxels of ``voxel_size`` Å along each side, voxel n // 2 of its own box in the middle.

    It turns about that voxel, as RELION's maps do. What lies outside of the box is cut off, what it lacks is zero.
    """
    if not same_voxels(volume.voxel_size, voxel_size):
        volume = resampled(volume, voxel_size)
    density = np.zeros((size,) * 3, dtype=np.float32)
    taken, placed = [], []
    for n in volume.density.shape:
        start = max(0, n // 2 - size // 2)
        first = size // 2 - (n // 2 - start)
        count = min(n - start, size - first)
        taken.append(slice(start, start + count))
        placed.append(slice(first, first + count))
    density[tuple(placed)] = volume.density[tuple(taken)]
    moved = np.array([one.start - other.start for one, other in zip(taken, placed, strict=True)][::-1])
    origin = volume.origin + voxel_size * moved
    return Volume(density, voxel_size, origin, volume.name, volume.warnings, "box")
