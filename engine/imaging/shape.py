"""The shape of a density: its surface level, its size, and the density on a coarser grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .volume import Volume

Density = NDArray[np.floating]

_ENCLOSED = 0.999  # of the voxels within the surface: a few specks of noise far out do not count


def surface_level(density: Density) -> float:
    """Standard deviations above the mean at which a density (nz, ny, nx) has its surface by default.

    Otsu's threshold (IEEE Trans. Syst. Man Cybern. 9 (1979) 62) between the voxels above the mean: most of a box is
    empty, and the spread of that part is unrelated to the object.
    """
    mean, deviation = float(density.mean()), float(density.std())
    if deviation == 0:
        return 0.0
    counts, edges = np.histogram(density[density > mean], bins=256, range=(mean, float(density.max())))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    splits = np.flatnonzero((below > 0) & (above > 0))
    if not len(splits):  # one value inside, one outside
        return float(density.max() - mean) / 2 / deviation
    below, above, lower = below[splits], above[splits], sums[splits]
    between = below * above * (lower / below - (sums[-1] - lower) / above) ** 2
    return (float(edges[1 + splits[np.argmax(between)]]) - mean) / deviation


def outer_radius(volume: Volume, level: float | None = None) -> float:
    """Radius in Å, around the centre of rotation, of the sphere that contains 99.9 % of the voxels within the surface.

    ``level`` is in standard deviations above the mean, :func:`surface_level` when not given.
    """
    density = volume.density
    level = surface_level(density) if level is None else level
    inside = density > density.mean() + level * density.std()
    distances = np.sqrt(_squared_distances(volume, volume.center_index)[inside])
    return float(np.quantile(distances, _ENCLOSED)) * volume.voxel_size if len(distances) else 0.0


def radius_of_gyration(volume: Volume) -> float:
    """Root mean square distance in Å from the centre of mass, weighted by the positive part of the density."""
    mass = np.maximum(volume.density, 0)
    return float(np.sqrt(np.average(_squared_distances(volume, volume.mass_index), weights=mass))) * volume.voxel_size


def binned(volume: Volume, step: int) -> Volume:
    """The volume on voxels ``step`` times larger: means over blocks; incomplete blocks at the end are left out."""
    if step == 1:
        return volume
    center = volume.center
    if center != "mass":  # the middle of the box is in general not in the middle of a block
        x, y, z = ((volume.center_index - (step - 1) / 2) / step).tolist()
        center = (x, y, z)
    return Volume(
        block_means(volume.density, step),
        volume.voxel_size * step,
        volume.origin + (step - 1) / 2 * volume.voxel_size,
        volume.name,
        center=center,
    )


def block_means(density: Density, step: int) -> NDArray[np.float32]:
    """Means over blocks of ``step`` voxels a side; voxels that do not fill a block at the upper ends are left out."""
    sides = [min(step, n) for n in density.shape]
    counts = [n // side for n, side in zip(density.shape, sides, strict=True)]
    whole = density[tuple(slice(count * side) for count, side in zip(counts, sides, strict=True))]
    pairs = [number for both in zip(counts, sides, strict=True) for number in both]
    return whole.reshape(pairs).mean(axis=(1, 3, 5), dtype=np.float32)


def _squared_distances(volume: Volume, center: Density) -> NDArray[np.float32]:
    """(nz, ny, nx), in voxels squared, from the voxel index ``center`` (x, y, z)."""
    z, y, x = (
        (np.arange(n, dtype=np.float32) - middle) ** 2
        for n, middle in zip(volume.density.shape, center[::-1].astype(np.float32), strict=True)
    )
    return z[:, None, None] + y[:, None] + x
