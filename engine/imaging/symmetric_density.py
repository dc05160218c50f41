"""Densities with a point-group symmetry, detected or imposed. Groups: :mod:`geometry.symmetry`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..geometry.symmetry import group

Array = NDArray[np.floating]

_SYMMETRIC = 0.9  # correlation below which a density lacks the symmetry given for it
_APPARENT = 0.95  # correlation above which it has one that was not given; compact objects are round to some degree
_TESTED_AXES = [(2, "x"), (2, "y"), (2, "z"), (3, "z"), (5, "z"), (7, "z")]
_OFF_AXES: Array = np.array([0.62, 0.35, 0.70]) / np.linalg.norm([0.62, 0.35, 0.70])


def rotated(density: NDArray[np.float32], center: Array, matrix: Array) -> NDArray[np.float32]:
    """The density (nz, ny, nx) rotated by a rotation matrix (x, y, z) about the voxel index ``center`` (x, y, z)."""
    from scipy import ndimage  # imported here: the command line's help does not need it

    # The value at x comes from R^-1 x; SciPy counts (z, y, x).
    inverse = matrix.T[::-1, ::-1]
    middle = np.asarray(center)[::-1]
    turned: NDArray[np.float32] = ndimage.affine_transform(density, inverse, middle - inverse @ middle, order=3)
    return turned


def symmetry_correlation(density: NDArray[np.float32], center: Array, elements: Array) -> float:
    """The smallest correlation of a density (nz, ny, nx) with itself rotated by an element of the group (|G|, 4)."""
    turns = Rotation.from_quat(elements[1:]).as_matrix()
    correlations = [np.corrcoef(density.ravel(), rotated(density, center, turn).ravel())[0, 1] for turn in turns]
    return float(min(correlations, default=1.0))


class Remark(NamedTuple):
    """A line about a density's symmetry; ``doubtful`` where the recovered poses may be meaningless."""

    text: str
    doubtful: bool


def remark(density: NDArray[np.float32], center: Array, symmetry: str, setting: str = "symmetry") -> Remark | None:
    """Whether a density (nz, ny, nx) has the symmetry given or, if none is, appears to have one.

    ``setting`` is the name of the setting that gives the symmetry.
    """
    elements = group(symmetry)
    if len(elements) > 1:
        correlation = symmetry_correlation(density, center, elements)
        text = f"symmetry {symmetry}: correlation of the density with its rotated copies is {correlation:.3f} at least"
        if correlation >= _SYMMETRIC:
            return Remark(text, False)
        return Remark(f"{text}, so it is not symmetric; check {setting} and the axes", True)
    axes = apparent_symmetry(density, center)
    return Remark(ambiguity(axes, setting), True) if axes else None


def ambiguity(axes: Sequence[tuple[int, str, float]], setting: str = "symmetry") -> str:
    """The consequence of axes of :func:`apparent_symmetry` where no symmetry is given; ``setting`` gives one."""
    turns = ", ".join(f"1/{fold} about {axis}" for fold, axis, _ in axes)
    least = min(correlation for *_, correlation in axes)
    return (
        f"the density looks the same turned by {turns} (correlation {least:.3f} at least), "
        f"so poses are ambiguous: no method can distinguish them; give {setting}"
    )


def turns_looked_at(name: str) -> int:
    """How many times :func:`remark` rotates a density: its cost."""
    return len(group(name)) - 1 or len(_TESTED_AXES)


def apparent_symmetry(density: NDArray[np.float32], center: Array) -> list[tuple[int, str, float]]:
    """Rotation axes (fold, ``x``, ``y`` or ``z``, correlation) about which a density (nz, ny, nx) looks the same.

    Only the axes of the box are tested, where maps of symmetric objects usually have theirs.
    """
    correlations = []
    for fold, axis in _TESTED_AXES:
        turn = Rotation.from_rotvec(2 * np.pi / fold * np.eye(3)["xyz".index(axis)]).as_matrix()
        correlation = float(np.corrcoef(density.ravel(), rotated(density, center, turn).ravel())[0, 1])
        correlations.append((fold, axis, correlation))
    return [entry for entry in correlations if entry[2] >= _APPARENT]


def symmetrised(density: NDArray[np.float32], center: Array, elements: Array) -> NDArray[np.float32]:
    """The mean (nz, ny, nx) of the density rotated by every element of the group (|G|, 4) about ``center``."""
    total = density.astype(np.float64)
    for turn in Rotation.from_quat(elements[1:]).as_matrix():
        total += rotated(density, center, turn)
    return (total / len(elements)).astype(np.float32)


def oligomer(density: NDArray[np.float32], center: Array, elements: Array) -> NDArray[np.float32]:
    """Copies of a density (nz, ny, nx) side by side, one for each element of the group (|G|, 4): (n, n, n).

    The density's ``center`` (x, y, z) is moved away from the axes, in a direction that is on none of them, until
    neighbouring copies are two radii of gyration apart: for example an artificial tetramer of one chain.
    """
    offsets = np.argwhere(density > 0)[:, ::-1] - center
    mass = density[density > 0]
    radius = float(np.sqrt((mass @ (offsets**2).sum(axis=1)) / mass.sum()))
    turned = Rotation.from_quat(elements[1:]).apply(_OFF_AXES)
    nearest = float(np.linalg.norm(turned - _OFF_AXES, axis=1).min()) if len(turned) else np.inf
    away = np.rint(2 * radius / nearest * _OFF_AXES).astype(int)
    half = int(np.ceil(np.linalg.norm(away) + np.linalg.norm(density.shape) / 2)) + 1
    box = np.zeros((2 * half + 1,) * 3, dtype=np.float32)
    start = half + away[::-1] - np.rint(center[::-1]).astype(int)
    box[tuple(slice(s, s + n) for s, n in zip(start, density.shape, strict=True))] = density
    copies = symmetrised(box, np.full(3, float(half)), elements) * np.float32(len(elements))
    filled = np.argwhere(copies > 0.01 * copies.max())
    reach = int(np.abs(filled - half).max()) + 2  # the same on all sides, so that the axes stay in the middle
    cut = slice(max(0, half - reach), half + reach + 1)
    return np.ascontiguousarray(copies[cut, cut, cut])
