"""How orientations, and the distances between them, are distributed, beside the closed forms of Haar's measure.

No streamlit, no files. Under Haar's measure, poses uniform on SO(3): rot and psi are uniform, tilt has the density
sin(tilt) / 2, the distance of two poses (1 - cos d) / pi, a component of their quaternions 2 / pi sqrt(1 - x^2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from engine.geometry.rotations import to_euler, to_quaternion
from pages._shared import style
from pages._shared.level_figures import add_level_line

Array = NDArray[np.floating]

_HAAR = "uniform on SO(3)"
_DEGREE = np.pi / 180
_HOVER = "%{customdata[0]:.3g}° to %{customdata[1]:.3g}°: %{y:.3g} % by degree"


def haar_tilt(degrees: Array) -> Array:
    """Density by degree of the tilt, in degrees, of poses uniform on SO(3)."""
    return np.sin(degrees * _DEGREE) / 2 * _DEGREE


def haar_distance(degrees: Array) -> Array:
    """Density by degree of the distance, in degrees, of two poses uniform on SO(3)."""
    return (1 - np.cos(degrees * _DEGREE)) / np.pi * _DEGREE


def haar_component(x: Array) -> Array:
    """Density of a component of the unit quaternions, of either sign, of poses uniform on SO(3)."""
    return 2 / np.pi * np.sqrt(np.maximum(0.0, 1 - x**2))


def _uniform(degrees: Array) -> Array:
    return np.full(len(degrees), 1 / 360)


class _Panel(NamedTuple):
    title: str
    ends: tuple[float, float]
    bins: int
    form: Callable[[Array], Array]


_DISTANCE_BINS = 25
_ANGLES = (
    _Panel("rot", (-180.0, 180.0), 24, _uniform),
    _Panel("tilt", (0.0, 180.0), 18, haar_tilt),
    _Panel("psi", (-180.0, 180.0), 24, _uniform),
    _Panel("distance", (0.0, 180.0), _DISTANCE_BINS, haar_distance),
)


def orientation_figure(
    poses: Mapping[str, Array], distances: Mapping[str, NDArray[np.integer]], edges: Array, symmetric: bool = False
) -> go.Figure:
    """Distributions of Euler angles and distances: ``poses`` (n, 3, 3) by level, pairs (bins,) by level over ``edges``.

    ``edges`` (bins + 1,) of the true distances are in rad; ``symmetric`` as in :func:`strategy_figure`.
    """
    figure = _panels([panel.title for panel in _ANGLES])
    for number, (name, found) in enumerate(poses.items()):
        for column, panel in enumerate(_ANGLES[:3]):
            counts, in_degrees = np.histogram(to_euler(found)[:, column], panel.bins, panel.ends)
            _add_line(figure, column, name, number, 100 * _density(counts, in_degrees), in_degrees, _HOVER)
        if name in distances:
            counts, in_degrees = _fewer(distances[name], np.degrees(edges))
            _add_line(figure, 3, name, number, 100 * _density(counts, in_degrees), in_degrees, _HOVER)
    for number, panel in enumerate(_ANGLES):
        if not (symmetric and panel.form is haar_distance):
            at = np.linspace(*panel.ends, 121)
            _add_form(figure, number, at, 100 * panel.form(at))
        figure.update_xaxes(range=panel.ends, dtick=90 if panel.ends[0] else 45, **_place(number))
    _label(figure, [f"{panel.title} (°)" for panel in _ANGLES], "% by degree")
    return style.styled(figure, "Euler angles and distances of the true poses", 600)


def quaternion_figure(poses: Mapping[str, Array]) -> go.Figure:
    """Distributions of the components of the quaternions of ``poses`` (n, 3, 3) by level; q and -q are the same pose,
    and both are counted.
    """
    figure = _panels(["x", "y", "z", "w"])
    hover = "%{customdata[0]:.1f} to %{customdata[1]:.1f}: density %{y:.2f}"
    at = np.linspace(-1, 1, 121)
    for number, (name, found) in enumerate(poses.items()):
        for panel, component in enumerate(to_quaternion(found).T):
            counts, edges = np.histogram(np.concatenate([component, -component]), 20, (-1.0, 1.0))
            _add_line(figure, panel, name, number, _density(counts, edges), edges, hover)
    for panel in range(4):
        _add_form(figure, panel, at, haar_component(at))
    _label(figure, [f"component {letter}" for letter in "xyzw"], "density")
    return style.styled(figure, "Quaternion components of the true poses", 600)


def strategy_figure(shares: Mapping[str, Array], symmetric: bool = False) -> go.Figure:
    """Which true distances each pair strategy feeds the network: shares (bins,) of the loss's weight over [0, pi].

    ``symmetric``: the distances are those modulo a group, for which there is no closed form to compare with.
    """
    figure = make_subplots(rows=1, cols=1)
    for number, (name, share) in enumerate(shares.items()):
        edges = np.linspace(0, 180, len(share) + 1)
        hover = "%{customdata[0]:g}–%{customdata[1]:g}°: %{y:.3g} % of the weight"
        add_level_line(figure, edges, 100 * share, name, number, hover, 1, 1, True)
    width = 180 / len(next(iter(shares.values())))
    if not symmetric:
        at = np.linspace(0, 180, 181)
        style.line(figure, at, 100 * width * haar_distance(at), f"any two poses {_HAAR}", style.GREY, "dash", row=1)
    figure.update_xaxes(title="true distance (°)", range=[0, 180], dtick=30)
    figure.update_yaxes(title=f"% of the loss's weight in {width:g}°", rangemode="tozero")
    return style.styled(figure, "Distances that each pair strategy feeds the network", style.WIDE)


def _panels(titles: list[str]) -> go.Figure:
    figure = make_subplots(rows=2, cols=2, subplot_titles=titles, horizontal_spacing=0.15, vertical_spacing=0.16)
    return style.subtitled(figure)


def _place(panel: int) -> dict[str, int]:
    return {"row": panel // 2 + 1, "col": panel % 2 + 1}


def _density(counts: NDArray[np.integer], edges: Array) -> Array:
    return counts / max(1, counts.sum()) / np.diff(edges)


def _fewer(counts: NDArray[np.integer], edges: Array) -> tuple[NDArray[np.integer], Array]:
    """Bins taken together, where their number allows it."""
    together = len(counts) // _DISTANCE_BINS
    if together < 2 or len(counts) % together:
        return counts, edges
    return counts.reshape(-1, together).sum(axis=1), edges[::together]


def _add_line(figure: go.Figure, panel: int, name: str, number: int, values: Array, edges: Array, hover: str) -> None:
    add_level_line(figure, edges, values, name, number, hover, legend=panel == 0, **_place(panel))


def _add_form(figure: go.Figure, panel: int, at: Array, values: Array) -> None:
    figure.add_scatter(
        x=at, y=values, mode="lines", line={"color": style.GREY, "dash": "dash", "width": 2}, name=_HAAR,
        legendgroup=_HAAR, showlegend=panel == 0, hoverinfo="skip", **_place(panel),
    )  # fmt: skip


def _label(figure: go.Figure, names: list[str], density: str) -> None:
    for panel, name in enumerate(names):
        figure.update_xaxes(title=name, **_place(panel))
        figure.update_yaxes(rangemode="tozero", title=density if panel % 2 == 0 else None, **_place(panel))
