"""Projections and slices of densities drawn with Plotly. No Streamlit, no files.

The data are from :mod:`engine.analysis.figures.projections` and :mod:`engine.analysis.figures.densities`.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from engine.analysis.figures.data import Figure, Panel
from pages._shared import style

_MARGIN = {"l": 0, "r": 24, "t": 56, "b": 8}


def projections_figure(data: Figure, columns: int = 4, rows: int = 2) -> go.Figure:
    """Projections in one montage."""
    figure = make_subplots(rows=1, cols=1)
    add_projections(figure, data.panel, 1, columns, rows)
    return style.styled(figure, data.title, 320).update_layout(margin=_MARGIN)


def add_projections(figure: go.Figure, panel: Panel, row: int, columns: int, rows: int = 1) -> None:
    """A panel's pictures, such as :func:`engine.analysis.figures.projections.gallery_panel` has them, as a montage."""
    figure.add_heatmap(
        z=_montage(panel, columns, rows), colorscale="Greys_r", showscale=False, hoverinfo="skip", zmin=0, zmax=1,
        row=row, col=1,
    )  # fmt: skip
    _as_picture(figure, row, 1)


def _montage(panel: Panel, columns: int, rows: int) -> NDArray[np.float32]:
    """The panel's grey pictures, all (size, size), at their positions; NaN between them and in empty cells."""
    pictures = [series.grid("grey") for series in panel.series]
    size = len(pictures[0])
    gap = max(1, size // 40)
    montage = np.full((rows * (size + gap) - gap, columns * (size + gap) - gap), np.nan, dtype=np.float32)
    for number, picture in enumerate(pictures):
        top, left = (size + gap) * (number // columns), (size + gap) * (number % columns)
        montage[top : top + size, left : left + size] = picture
    return montage


def slices_figure(data: Figure) -> go.Figure:
    """Slices side by side, one row per density, each density with its own grey scale."""
    sections = [panel.title for panel in data.panels[:3]]
    names = [panel.series[0].name for panel in data.panels[:: len(sections)]]
    widths = [len(panel.series[0].positions("x")) for panel in data.panels[:3]]
    figure = make_subplots(
        rows=len(names), cols=3, horizontal_spacing=0.02, vertical_spacing=0.03,
        column_titles=sections, row_titles=names, column_widths=widths,
    )  # fmt: skip
    figure.update_annotations(font={"size": 12})
    voxel_size = data.values["voxel_size"]
    for number, panel in enumerate(data.panels):
        place = {"row": number // 3 + 1, "col": number % 3 + 1}
        low, high = style.ends(panel.colour)
        figure.add_heatmap(
            z=panel.series[0].grid("density"), dx=voxel_size, dy=voxel_size, x0=0, y0=0, colorscale="Greys_r",
            zmin=low, zmax=high, showscale=False, hovertemplate="%{x:.0f}, %{y:.0f} Å: %{z:.3g}<extra></extra>",
            **place,
        )  # fmt: skip
        _as_picture(figure, place["row"], place["col"], upside_down=False)
    return style.styled(figure, data.title, style.WIDE).update_layout(margin=_MARGIN)


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
