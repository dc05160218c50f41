"""Densities as surfaces in 3D, as one Plotly figure. No streamlit, no files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from engine.imaging.shape import block_means, surface_level
from pages._shared import style

Array = NDArray[np.floating]

_FINEST_GRID = 96  # voxels along the longest side
_MOST_VERTICES = 24_000  # in a figure; each takes about 32 bytes of its JSON
_GRID = "#9CA3AF"  # is seen on light and on dark; WebGL draws no transparent grids
_LIGHT = {"ambient": 0.45, "diffuse": 0.8, "specular": 0.15, "roughness": 0.6, "fresnel": 0.1}


def surface(density: Array, voxel_size: float, level: float, most_vertices: int) -> tuple[Array, NDArray[np.integer]]:
    """Triangles of the surface at ``level`` standard deviations above the mean of a density (nz, ny, nx).

    Vertices (n, 3) are (x, y, z) in Å from voxel ``n // 2`` of the full grid, faces (m, 3) their numbers; none where
    the density does not reach the level. The grid is coarsened until there are at most ``most_vertices``.
    """
    from skimage.measure import marching_cubes  # only here: who draws no surface need not load it

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


def isosurface_figure(
    densities: Mapping[str, tuple[Array, float]],
    level: float | None = None,
    title: str = "Isosurface",
    colours: Mapping[str, str] | None = None,
) -> go.Figure:
    """Surfaces of densities (nz, ny, nx) with their Å per voxel, by name, side by side on axes of one scale.

    ``level`` is in standard deviations above each density's mean; when not given, each one's own
    :func:`engine.imaging.shape.surface_level`.
    """
    names = list(densities)
    figure = make_subplots(
        rows=1, cols=len(names), specs=[[{"type": "scene"}] * len(names)], horizontal_spacing=0.02,
        subplot_titles=names if len(names) > 1 else None,
    )  # fmt: skip
    style.subtitled(figure)
    reach = max(max(density.shape) * voxel_size for density, voxel_size in densities.values()) / 2
    for column, (name, (density, voxel_size)) in enumerate(densities.items(), start=1):
        at = surface_level(density) if level is None else level
        vertices, faces = surface(density, voxel_size, at, _MOST_VERTICES // len(names))
        figure.add_mesh3d(
            x=vertices[:, 0], y=vertices[:, 1], z=vertices[:, 2], i=faces[:, 0], j=faces[:, 1], k=faces[:, 2],
            color=(colours or {}).get(name, style.SKY), flatshading=False, lighting=_LIGHT, name=name,
            lightposition={"x": 1000, "y": -2000, "z": 3000},
            hovertemplate="%{x:.0f}, %{y:.0f}, %{z:.0f} Å<extra></extra>", row=1, col=column,
        )  # fmt: skip
        if not len(vertices):
            scene = next(figure.select_scenes(row=1, col=column))
            middle = (scene.domain.x[0] + scene.domain.x[1]) / 2
            figure.add_annotation(
                text=f"no surface at {at:.3g} σ", x=middle, y=0.5, xref="paper", yref="paper", showarrow=False
            )
    axis = {
        "range": [-reach, reach], "showbackground": False, "gridcolor": _GRID, "color": style.GREY, "nticks": 5,
        "zeroline": False, "showspikes": False, "showline": True, "linecolor": _GRID, "tickfont": {"size": 11},
    }  # fmt: skip
    figure.update_scenes(
        {f"{name}axis": axis | {"title": {"text": f"{name} (Å)"}} for name in "xyz"},
        aspectmode="cube", camera={"eye": {"x": 1.35, "y": -1.35, "z": 0.8}}, dragmode="orbit",
    )  # fmt: skip
    figure.update_layout(uirevision="isosurface")
    return style.styled(figure, title, style.WIDE).update_layout(margin={"l": 0, "r": 0, "t": 48, "b": 0})
