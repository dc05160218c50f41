"""Point-group symmetry: groups, distances between poses that a symmetric object cannot tell apart, symmetric densities.

A density with symmetry group G looks the same from R and from ``g R`` for every g of G, so poses are cosets ``G R``.
The distance between two of them is the smallest over the group, ``min_g d(g R_i, R_j)``.

Axes are RELION's: Cn and Dn have the n-fold axis along z, Dn a twofold one along x; T has a threefold axis along z and
a twofold one along (0, sqrt(2/3), sqrt(1/3)); O has fourfold axes along x, y, z; I is RELION's I (= I2), twofold axes
along x, y, z and a fivefold one in the xz plane. The elements themselves are SciPy's, turned where its axes differ.
All axes go through the point that the object turns about, its centre of mass.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from engine.errors import InputError
from engine.rotations import geodesic_distance

Array = NDArray[np.floating]

NO_SYMMETRY: Array = np.array([[0.0, 0.0, 0.0, 1.0]])
"""The group C1."""
_MOST_FOLD = 60
_SYMMETRIC = 0.9  # correlation below which a density lacks the symmetry that it was given
_APPARENT = 0.95  # correlation above which it has one that it was not given; compact objects are round to some degree
_LOOKED_FOR = [(2, "x"), (2, "y"), (2, "z"), (3, "z"), (5, "z"), (7, "z")]
_OFF_AXES: Array = np.array([0.62, 0.35, 0.70]) / np.linalg.norm([0.62, 0.35, 0.70])
_NAME = re.compile(r"([CD])([1-9][0-9]?)|[TOI]")
# SciPy's T has its twofold axes along x, y, z; its I has the fivefold axes of RELION's I1.
_T_TO_RELION = Rotation.align_vectors(
    [[0, 0, 1], [0, np.sqrt(2 / 3), np.sqrt(1 / 3)]], [np.full(3, np.sqrt(1 / 3)), [0, 0, 1]]
)[0]
_I_TO_RELION = Rotation.from_euler("z", 90, degrees=True)


def check_group(name: str) -> str:
    """The group's name in capitals; InputError for what names no group of rotations."""
    found = _NAME.fullmatch(name.strip().upper())
    if found is None or (found[2] and int(found[2]) > _MOST_FOLD):
        raise InputError(f"volume.symmetry is {name!r}; wanted C1, Cn or Dn (n up to {_MOST_FOLD}), T, O or I")
    return found[0]


def group(name: str) -> Array:
    """Unit quaternions (|G|, 4), scalar last, of the rotations of a group; the identity comes first."""
    name = check_group(name)
    elements = Rotation.create_group(name)
    turn = {"T": _T_TO_RELION, "I": _I_TO_RELION}.get(name)
    if turn is not None:
        elements = turn * elements * turn.inv()
    quaternions = elements.as_quat()
    first = int(np.abs(quaternions[:, 3]).argmax())
    return np.roll(quaternions, -first, axis=0) if first else quaternions


def left_matrices(elements: Array) -> Array:
    """Matrices (|G|, 4, 4) with ``left_matrices(g) @ q`` the quaternion of ``g R`` for q that of R, scalar last."""
    x, y, z, w = np.moveaxis(elements, -1, 0)
    rows = [[w, -z, y, x], [z, w, -x, y], [-y, x, w, z], [-x, -y, -z, w]]
    return np.moveaxis(np.array(rows), -1, 0)


def symmetric_distance(first: Array, second: Array, elements: Array) -> Array:
    """``min_g d(g R_i, R_j)`` in rad of quaternions (..., 4), for each pair of rows."""
    moved = np.einsum("gab,...b->g...a", left_matrices(elements), np.asarray(first))
    return geodesic_distance(moved, second).min(axis=0)


def normaliser(elements: Array, steps: int = 72) -> Array:
    """Quaternions (m, 4) of the rotations n with ``n G n^-1 = G``, for a group (|G|, 4) of two elements at least.

    ``R -> n R`` changes no symmetric distance: poses are known up to one of these (as well as up to ``R -> R b``). For
    Cn they are a continuum, every turn about its axis with and without turning the axis over: ``steps`` of each.
    """
    turns = Rotation.from_quat(elements[1:] * np.where(elements[1:, 3:] < 0, -1, 1))
    sizes = turns.magnitude()
    axes = turns.as_rotvec() / sizes[:, None]
    one = int(sizes.argmin())
    other = int(np.abs(axes @ axes[one]).argmin())
    if np.abs(axes[other] @ axes[one]) > 1 - 1e-9:
        about = Rotation.from_rotvec(np.outer(np.arange(steps) * 2 * np.pi / steps, axes[one]))
        over = Rotation.from_rotvec(np.pi * np.cross(axes[one], np.eye(3)[np.abs(axes[one]).argmin()]))
        return np.concatenate([about.as_quat(), (over * about).as_quat()])
    directions, sizes = np.concatenate([axes, -axes]), np.concatenate([sizes, sizes])
    alike = np.isclose(sizes[:, None], sizes[one]) & np.isclose(sizes[None], sizes[other])
    alike &= np.isclose(directions @ directions.T, axes[one] @ axes[other])
    first, second = np.nonzero(alike)
    candidates = Rotation.from_matrix(
        _frames(directions[first], directions[second]) @ _frames(axes[[one]], axes[[other]]).transpose(0, 2, 1)
    )
    conjugates = np.stack([(n * Rotation.from_quat(elements) * n.inv()).as_quat() for n in candidates])
    found = candidates.as_quat()[(np.abs(conjugates @ elements.T).max(axis=2) > 1 - 1e-9).all(axis=1)]
    repeated = np.triu(np.abs(found @ found.T) > 1 - 1e-9, 1).any(axis=0)
    return found[~repeated]


def _frames(first: Array, second: Array) -> Array:
    """Right-handed frames (m, 3, 3), axes in columns, x along ``first`` (m, 3) and y in the plane of both."""
    y = second - np.einsum("mi,mi->m", first, second)[:, None] * first
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    return np.stack([first, y, np.cross(first, y)], axis=2)


def rotated(density: NDArray[np.float32], center: Array, matrix: Array) -> NDArray[np.float32]:
    """The density (nz, ny, nx) turned by a rotation matrix (x, y, z) about the voxel index ``center`` (x, y, z)."""
    from scipy import ndimage  # only here: the command line's help need not load it

    # The value at x comes from R^-1 x; SciPy counts (z, y, x).
    inverse = matrix.T[::-1, ::-1]
    middle = np.asarray(center)[::-1]
    turned: NDArray[np.float32] = ndimage.affine_transform(density, inverse, middle - inverse @ middle, order=3)
    return turned


def symmetry_correlation(density: NDArray[np.float32], center: Array, elements: Array) -> float:
    """The smallest correlation of a density (nz, ny, nx) with itself turned by an element of the group (|G|, 4)."""
    turns = Rotation.from_quat(elements[1:]).as_matrix()
    correlations = [np.corrcoef(density.ravel(), rotated(density, center, turn).ravel())[0, 1] for turn in turns]
    return float(min(correlations, default=1.0))


class Remark(NamedTuple):
    """What is to be said about a density's symmetry in a line; ``doubtful`` where the poses found may mean nothing."""

    text: str
    doubtful: bool


def remark(density: NDArray[np.float32], center: Array, name: str) -> Remark | None:
    """Whether a density (nz, ny, nx) has the symmetry given or, where none is, looks as if it had one."""
    elements = group(name)
    if len(elements) > 1:
        found = symmetry_correlation(density, center, elements)
        told = f"symmetry {name}: correlation of the density with its turned self is {found:.3f} at least"
        if found >= _SYMMETRIC:
            return Remark(told, False)
        return Remark(f"{told}, so it is not symmetric; check volume.symmetry and the axes", True)
    axes = apparent_symmetry(density, center)
    return Remark(ambiguity(axes), True) if axes else None


def ambiguity(axes: Sequence[tuple[int, str, float]]) -> str:
    """What axes of :func:`apparent_symmetry` mean where no symmetry is given."""
    turns = ", ".join(f"1/{fold} about {axis}" for fold, axis, _ in axes)
    return (
        f"the density looks the same turned by {turns} (correlation {min(found for *_, found in axes):.3f} at least), "
        "so poses are ambiguous: no method can tell them apart; give volume.symmetry"
    )


def turns_looked_at(name: str) -> int:
    """How many times :func:`remark` turns a density: its cost."""
    return len(group(name)) - 1 or len(_LOOKED_FOR)


def apparent_symmetry(density: NDArray[np.float32], center: Array) -> list[tuple[int, str, float]]:
    """Rotation axes (fold, ``x``, ``y`` or ``z``, correlation) about which a density (nz, ny, nx) looks the same.

    Only the axes of the box are looked at, where maps of symmetric objects usually have theirs.
    """
    looked_at = []
    for fold, axis in _LOOKED_FOR:
        turn = Rotation.from_rotvec(2 * np.pi / fold * np.eye(3)["xyz".index(axis)]).as_matrix()
        correlation = float(np.corrcoef(density.ravel(), rotated(density, center, turn).ravel())[0, 1])
        looked_at.append((fold, axis, correlation))
    return [entry for entry in looked_at if entry[2] >= _APPARENT]


def symmetrised(density: NDArray[np.float32], center: Array, elements: Array) -> NDArray[np.float32]:
    """The mean (nz, ny, nx) of the density turned by every element of the group (|G|, 4) about ``center``."""
    total = density.astype(np.float64)
    for turn in Rotation.from_quat(elements[1:]).as_matrix():
        total += rotated(density, center, turn)
    return (total / len(elements)).astype(np.float32)


def oligomer(density: NDArray[np.float32], center: Array, elements: Array) -> NDArray[np.float32]:
    """Copies of a density (nz, ny, nx) side by side, one for each element of the group (|G|, 4): (n, n, n).

    The density's ``center`` (x, y, z) is moved away from the axes, in a direction that is on none of them, until
    neighbouring copies are two radii of gyration apart; so a tetramer is made of a chain, symmetric but not real.
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
