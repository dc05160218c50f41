"""Densities: slices through them, and surfaces as triangles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...imaging.shape import binned, block_means, surface_level
from ...imaging.volume import Volume
from .data import Axis, Figure, Panel, Series, cells

Array = NDArray[np.floating]

_FINEST_GRID = 96  # voxels along the longest side of what a surface is made from
_MOST_VERTICES = 24_000  # of all surfaces of a figure; each takes about 32 bytes in a page
_MOST_SLICED = 128  # voxels along a side of the slices of a volume


def slices(density: Array, name: str, reference: Array | None, center: Array, voxel_size: float) -> Figure:
    """Slices xy, xz and yz of a density (nz, ny, nx), before them those of the input where there is one.

    ``center`` (3,) is the voxel index (x, y, z) that they go through, ``voxel_size`` is in Å. A panel is named after
    its slice, its series after the density. The grey scale runs from the 0.5 to the 99.8 percentile of the density.
    """
    panels = []
    for whose, volume in ({name: density} if reference is None else {"input": reference, name: density}).items():
        low, high = np.quantile(volume, [0.005, 0.998])
        colour = Axis("density", range=(float(low), float(high)))
        z, y, x = (int(np.clip(round(float(c)), 0, n - 1)) for c, n in zip(center[::-1], volume.shape, strict=True))
        for section, plane in (("xy", volume[z]), ("xz", volume[:, y]), ("yz", volume[:, :, x])):
            rows, columns = (np.arange(n) * voxel_size for n in plane.shape)
            across, up = (Axis(letter, "Å") for letter in section)
            pixels = Series(whose, "image", cells(columns, rows, density=plane))
            panels.append(Panel(across, up, (pixels,), section, colour=colour))
    return Figure(
        "slices", f"Central slices, {voxel_size:.3g} Å per voxel", tuple(panels),
        "Slices through the centre of mass, each density on its own greys.", {"voxel_size": voxel_size},
    )  # fmt: skip


def volume_slices(volume: Volume) -> Figure:
    """Slices xy, xz and yz through the centre of mass; those of a large volume on coarser voxels."""
    shown = binned(volume, -(-max(volume.density.shape) // _MOST_SLICED))
    figure = slices(shown.density, "", None, shown.center_index, shown.voxel_size)
    return replace(figure, title=f"Central slices, {volume.voxel_size:.3g} Å per voxel")


def isosurfaces(
    densities: Mapping[str, tuple[Array, float]], level: float | None = None, title: str = "Isosurface"
) -> Figure:
    """Surfaces of densities (nz, ny, nx) with their Å per voxel, by name, one panel each on axes of one scale.

    A panel has the series ``vertices`` (x, y, z in Å) and ``faces`` (i, j, k, numbers of vertices), both empty where
    the density does not reach the level. ``level`` is in standard deviations above each density's mean; None stands for
    each one's own :func:`imaging.shape.surface_level`. The figure's values hold it by the density's name.
    """
    reach = max(max(density.shape) * voxel_size for density, voxel_size in densities.values()) / 2
    x, y, z = (Axis(letter, "Å", range=(-reach, reach)) for letter in "xyz")
    panels, levels = [], {}
    for name, (density, voxel_size) in densities.items():
        levels[name] = surface_level(density) if level is None else level
        vertices, faces = surface(density, voxel_size, levels[name], _MOST_VERTICES // len(densities))
        mesh = (
            Series("vertices", "mesh", dict(zip("xyz", vertices.T, strict=True))),
            Series("faces", "mesh", dict(zip("ijk", faces.T, strict=True))),
        )
        panels.append(Panel(x, y, mesh, name, z=z))
    caption = "Surfaces of constant density, in standard deviations above the mean: " + ", ".join(
        f"{name} {at:.3g} σ" for name, at in levels.items()
    )
    return Figure("surface", title, tuple(panels), f"{caption}.", levels)


def surface(density: Array, voxel_size: float, level: float, most_vertices: int) -> tuple[Array, NDArray[np.integer]]:
    """Triangles of the surface at ``level`` standard deviations above the mean of a density (nz, ny, nx).

    Vertices (n, 3) are (x, y, z) in Å from voxel ``n // 2`` of the full grid, faces (m, 3) their numbers; none where
    the density does not reach the level. The grid is coarsened until there are at most ``most_vertices``.
    """
    from skimage.measure import marching_cubes  # imported here: only surfaces need it

    threshold = float(density.mean()) + level * float(density.std())
    step = -(-max(density.shape) // _FINEST_GRID)
    while True:
        coarse = block_means(density, step) if step > 1 else density
        # Closed where the object touches the box, and by less than half a voxel: nothing lies outside of it.
        padded = np.pad(coarse, 1, constant_values=min(float(coarse.min()), threshold))
        if not padded.min() < threshold < padded.max():
            return np.empty((0, 3), np.float32), np.empty((0, 3), np.uint16)
        index, faces, _, _ = marching_cubes(padded, threshold, allow_degenerate=False)
        if len(index) <= most_vertices:
            break
        step += 1
    middle = np.array([n // 2 for n in density.shape])
    zyx = ((index - 1) * step + (step - 1) / 2 - middle) * voxel_size
    return zyx[:, ::-1].astype(np.float32), faces.astype(np.uint16 if len(index) < 2**16 else np.uint32)


def low_passed(density: Array, voxel_size: float, resolution: float) -> Array:
    """The density (nz, ny, nx), Å per voxel, low-pass filtered to ``resolution`` in Å.

    With a cosine edge a tenth of the cut-off frequency wide, because a sharp one would ring.
    """
    from scipy import fft

    axes = np.meshgrid(
        *(np.fft.fftfreq(n, voxel_size) for n in density.shape[:2]),
        np.fft.rfftfreq(density.shape[2], voxel_size),
        indexing="ij",
    )
    excess = (np.sqrt(sum(axis**2 for axis in axes)) * resolution - 1) / 0.1
    weight = 0.5 * (1 + np.cos(np.pi * np.clip(excess, 0, 1)))
    return fft.irfftn(fft.rfftn(density) * weight, s=density.shape).astype(np.float32)
