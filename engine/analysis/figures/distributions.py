"""How orientations, and the distances between them, are distributed, beside the closed forms of Haar's measure.

Under Haar's measure, poses uniform on SO(3): rot and psi are uniform, tilt has the density sin(tilt) / 2, the distance
of two poses (1 - cos d) / pi, a component of their quaternions 2 / pi sqrt(1 - x^2). A series of ``steps`` has its bins
from ``x_low`` to ``x_high``; a ``reference`` is a closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...geometry.rotations import to_euler, to_quaternion
from .data import Axis, Figure, Panel, Series

Array = NDArray[np.floating]

HAAR = "uniform on SO(3)"
_DEGREE = np.pi / 180
_DISTANCE_BINS = 25


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


class _Angle(NamedTuple):
    name: str
    ends: tuple[float, float]
    bins: int
    form: Callable[[Array], Array]


_ANGLES = (
    _Angle("rot", (-180.0, 180.0), 24, _uniform),
    _Angle("tilt", (0.0, 180.0), 18, haar_tilt),
    _Angle("psi", (-180.0, 180.0), 24, _uniform),
)
_DISTANCE = _Angle("distance", (0.0, 180.0), _DISTANCE_BINS, haar_distance)


def orientations(
    poses: Mapping[str, Array], distances: Mapping[str, NDArray[np.integer]], edges: Array, symmetric: bool = False
) -> Figure:
    """Distributions of Euler angles and distances in per cent by degree, a panel each, a series a level.

    Parameters
    ----------
    poses
        true poses (n, 3, 3) by level.
    distances
        pairs (bins,) by level over ``edges`` (bins + 1,) of the true distances in rad; of levels without poses unused.
    symmetric
        the distances are those modulo a group, for which there is no closed form to compare with.
    """
    angles = {name: to_euler(matrices) for name, matrices in poses.items()}
    panels = []
    for column, angle in enumerate(_ANGLES):
        binned = {name: np.histogram(all_[:, column], angle.bins, angle.ends) for name, all_ in angles.items()}
        panels.append(_by_degree(angle, binned, with_form=True))
    fewer = {name: _fewer(distances[name], np.degrees(edges)) for name in poses if name in distances}
    panels.append(_by_degree(_DISTANCE, fewer, with_form=not symmetric))
    caption = "Densities of the true poses' Euler angles, and of the distances between them."
    return Figure("orientations", "Euler angles and distances of the true poses", tuple(panels), caption)


def _by_degree(angle: _Angle, binned: Mapping[str, tuple[NDArray[np.integer], Array]], with_form: bool) -> Panel:
    """A panel of densities in per cent by degree, from counts and edges in degrees by level."""
    series = [_steps(name, 100 * _density(counts, edges), edges) for name, (counts, edges) in binned.items()]
    if with_form:
        at = np.linspace(*angle.ends, 121)
        series.append(Series(HAAR, "reference", {"x": at, "y": 100 * angle.form(at)}))
    return Panel(Axis(angle.name, "°", range=angle.ends), Axis("% by degree"), tuple(series), angle.name)


def quaternion_components(poses: Mapping[str, Array]) -> Figure:
    """Densities of the components of the quaternions of ``poses`` (n, 3, 3), a series a level.

    q and -q are the same pose, and both are counted.
    """
    components = {name: to_quaternion(matrices).T for name, matrices in poses.items()}
    at = np.linspace(-1, 1, 121)
    panels = []
    for number, letter in enumerate("xyzw"):
        series = []
        for name, each in components.items():
            counts, edges = np.histogram(np.concatenate([each[number], -each[number]]), 20, (-1.0, 1.0))
            series.append(_steps(name, _density(counts, edges), edges))
        series.append(Series(HAAR, "reference", {"x": at, "y": haar_component(at)}))
        panels.append(Panel(Axis(f"component {letter}"), Axis("density"), tuple(series), letter))
    caption = "Densities of the components of the true poses' quaternions, of either sign."
    return Figure("quaternions", "Quaternion components of the true poses", tuple(panels), caption)


def pair_strategies(shares: Mapping[str, Array], symmetric: bool = False) -> Figure:
    """Which true distances each pair strategy feeds the network: shares (bins,) of the loss's weight over [0, pi].

    In per cent by bin. ``symmetric`` as in :func:`orientations`.
    """
    series = [_steps(name, 100 * share, np.linspace(0, 180, len(share) + 1)) for name, share in shares.items()]
    width = 180 / len(next(iter(shares.values())))
    if not symmetric:
        at = np.linspace(0, 180, 181)
        columns = {"x": at, "y": 100 * width * haar_distance(at)}
        series.append(Series(f"any two poses {HAAR}", "reference", columns))
    x = Axis("true distance", "°", range=(0.0, 180.0))
    panel = Panel(x, Axis(f"% of the loss's weight in {width:g}°"), tuple(series))
    caption = "True distances of the pairs that are drawn for training, weighted as the loss weights them."
    return Figure("strategies", "Distances that each pair strategy feeds the network", (panel,), caption)


def _steps(name: str, values: Array, edges: Array) -> Series:
    return Series(name, "steps", {"x_low": edges[:-1], "x_high": edges[1:], "y": values}, name)


def _density(counts: NDArray[np.integer], edges: Array) -> Array:
    return counts / max(1, counts.sum()) / np.diff(edges)


def _fewer(counts: NDArray[np.integer], edges: Array) -> tuple[NDArray[np.integer], Array]:
    """Bins taken together, where their number allows it."""
    together = len(counts) // _DISTANCE_BINS
    if together < 2 or len(counts) % together:
        return counts, edges
    return counts.reshape(-1, together).sum(axis=1), edges[::together]
