"""Point-group symmetry: groups of rotations, and distances between poses modulo a group.

A density with symmetry group G looks the same from R and from ``g R`` for every g of G, so poses are cosets ``G R``.
The distance between two of them is the smallest over the group, ``min_g d(g R_i, R_j)``.

Axes are RELION's: Cn and Dn have the n-fold axis along z, Dn a twofold one along x; T has a threefold axis along z and
a twofold one along (0, sqrt(2/3), sqrt(1/3)); O has fourfold axes along x, y, z; I is RELION's I (= I2), twofold axes
along x, y, z and a fivefold one in the xz plane. The elements are SciPy's, rotated where its axes differ. All
axes pass through the centre of rotation, the object's centre of mass.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..base.errors import ArgumentError
from ..base.quantities import shown
from .rotations import geodesic_distance

Array = NDArray[np.floating]

NO_SYMMETRY: Array = np.array([[0.0, 0.0, 0.0, 1.0]])
"""The group C1."""
_MOST_FOLD = 60
_CHANCE_POSES = 20_000  # the median of so many distances is known to about 0.5 %
_NAME = re.compile(r"([CD])([1-9][0-9]?)|[TOI]")
# SciPy's T has its twofold axes along x, y, z; its I has the fivefold axes of RELION's I1.
_T_TO_RELION = Rotation.align_vectors(
    [[0, 0, 1], [0, np.sqrt(2 / 3), np.sqrt(1 / 3)]], [np.full(3, np.sqrt(1 / 3)), [0, 0, 1]]
)[0]
_I_TO_RELION = Rotation.from_euler("z", 90, degrees=True)


def check_group(symmetry: str) -> str:
    """The group's name in capitals; ArgumentError unless it names a group of rotations."""
    match = _NAME.fullmatch(str(symmetry).strip().upper())
    if match is None or (match[2] and int(match[2]) > _MOST_FOLD):
        raise ArgumentError(
            "{symmetry} is {given}; wanted C1, Cn or Dn (n up to {most}), T, O or I", "symmetry", given=shown(symmetry),
            most=_MOST_FOLD,
        )  # fmt: skip
    return match[0]


def group(symmetry: str) -> Array:
    """Unit quaternions (|G|, 4), scalar last, of the rotations of a group; the identity comes first."""
    name = check_group(symmetry)
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


def chance_distance(elements: Array) -> float:
    """Median of ``min_g d(g R, S)`` in rad between poses drawn at random, for a group (|G|, 4); 2.31 without symmetry.

    Without symmetry it solves ``t - sin(t) = pi / 2``: uniform rotations have angles of density ``(1 - cos t) / pi``.
    For a group it is estimated from random rotations, always the same ones.
    """
    if len(elements) == 1:
        from scipy.optimize import brentq  # only here: pages that read a record need no optimiser

        return float(brentq(lambda angle: angle - np.sin(angle) - np.pi / 2, 0.0, np.pi))
    rotations = np.random.default_rng(0).standard_normal((_CHANCE_POSES, 4))
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    return float(np.median(2 * np.arccos(np.minimum(np.abs(rotations @ elements.T).max(axis=1), 1.0))))


def normaliser(elements: Array, steps: int = 72) -> Array:
    """Quaternions (m, 4) of the rotations n with ``n G n^-1 = G``, for a group (|G|, 4) of two elements at least.

    Symmetric distances are invariant under ``R -> n R``: poses are known up to one of these (and up to ``R -> R b``).
    For Cn they are a continuum, all rotations about its axis with and without reversing the axis: ``steps`` of each.
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
    normalising = candidates.as_quat()[(np.abs(conjugates @ elements.T).max(axis=2) > 1 - 1e-9).all(axis=1)]
    repeated = np.triu(np.abs(normalising @ normalising.T) > 1 - 1e-9, 1).any(axis=0)
    return normalising[~repeated]


def _frames(first: Array, second: Array) -> Array:
    """Right-handed frames (m, 3, 3), axes in columns, x along ``first`` (m, 3) and y in the plane of both."""
    y = second - np.einsum("mi,mi->m", first, second)[:, None] * first
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    return np.stack([first, y, np.cross(first, y)], axis=2)
