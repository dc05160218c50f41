"""Arrays to pictures of them as Plotly figures: projections and slices of densities. No streamlit, no files."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots
from scipy import fft

from pages._shared import style

Array = NDArray[np.floating]

_MARGIN = {"l": 0, "r": 24, "t": 56, "b": 8}


def projections_figure(images: Array, title: str, columns: int = 4, rows: int = 2) -> go.Figure:
    """The first projections (n, size, size) in one montage."""
    figure = make_subplots(rows=1, cols=1)
    add_projections(figure, images, 1, columns, rows)
    return style.styled(figure, title, 320).update_layout(margin=_MARGIN)


def add_projections(figure: go.Figure, images: Array, row: int, columns: int, rows: int = 1) -> None:
    """The first projections (n, size, size), each stretched from its 0.5 to its 99.5 percentile, as a montage."""
    some = images[: columns * rows]
    size = images.shape[-1]
    gap = max(1, size // 40)
    montage = np.full((rows * (size + gap) - gap, columns * (size + gap) - gap), np.nan, dtype=np.float32)
    for number, image in enumerate(some):
        top, left = (size + gap) * (number // columns), (size + gap) * (number % columns)
        low, high = np.quantile(image, [0.005, 0.995])
        montage[top : top + size, left : left + size] = np.clip((image - low) / ((high - low) or 1.0), 0, 1)
    figure.add_heatmap(
        z=montage, colorscale="Greys_r", showscale=False, hoverinfo="skip", zmin=0, zmax=1, row=row, col=1
    )
    _as_picture(figure, row, 1)


def slices_figure(density: Array, name: str, reference: Array | None, center: Array, voxel_size: float) -> go.Figure:
    """Slices xy, xz and yz of a density (nz, ny, nx), the input's above them where there is one, each on its own greys.

    ``center`` (3,) is the voxel index (x, y, z) that they go through, ``voxel_size`` is in Å.
    """
    volumes = {name: density} if reference is None else {"input": reference, name: density}
    _, ny, nx = density.shape
    figure = make_subplots(
        rows=len(volumes), cols=3, horizontal_spacing=0.02, vertical_spacing=0.03,
        column_titles=["xy", "xz", "yz"], row_titles=list(volumes), column_widths=[nx, nx, ny],
    )  # fmt: skip
    figure.update_annotations(font={"size": 12})
    for row, volume in enumerate(volumes.values(), start=1):
        low, high = np.quantile(volume, [0.005, 0.998])
        z, y, x = (int(np.clip(round(float(c)), 0, n - 1)) for c, n in zip(center[::-1], volume.shape, strict=True))
        for column, section in enumerate((volume[z], volume[:, y], volume[:, :, x]), start=1):
            figure.add_heatmap(
                z=section, dx=voxel_size, dy=voxel_size, x0=0, y0=0, colorscale="Greys_r", zmin=low, zmax=high,
                showscale=False, hovertemplate="%{x:.0f}, %{y:.0f} Å: %{z:.3g}<extra></extra>", row=row, col=column,
            )  # fmt: skip
            _as_picture(figure, row, column, upside_down=False)
    return style.styled(figure, f"Central slices, {voxel_size:.3g} Å per voxel", style.WIDE).update_layout(
        margin=_MARGIN
    )


def low_passed(density: Array, voxel_size: float, resolution: float) -> Array:
    """The density (nz, ny, nx), Å per voxel, without what is finer than ``resolution`` in Å.

    With a cosine edge a tenth of the cut-off frequency wide, for a sharp one would ring.
    """
    axes = np.meshgrid(
        *(np.fft.fftfreq(n, voxel_size) for n in density.shape[:2]),
        np.fft.rfftfreq(density.shape[2], voxel_size),
        indexing="ij",
    )
    excess = (np.sqrt(sum(axis**2 for axis in axes)) * resolution - 1) / 0.1
    weight = 0.5 * (1 + np.cos(np.pi * np.clip(excess, 0, 1)))
    return fft.irfftn(fft.rfftn(density) * weight, s=density.shape).astype(np.float32)


def _as_picture(figure: go.Figure, row: int, column: int, upside_down: bool = True) -> None:
    """Square pixels, no axes; images have their first row on top."""
    axis = next(figure.select_xaxes(row=row, col=column)).plotly_name.replace("axis", "")
    hidden = {"visible": False, "showgrid": False, "zeroline": False}
    figure.update_xaxes(**hidden, constrain="domain", row=row, col=column)
    figure.update_yaxes(
        **hidden,
        scaleanchor=axis,
        constrain="domain",
        autorange="reversed" if upside_down else True,
        row=row,
        col=column,
    )
