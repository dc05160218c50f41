"""Checks of arguments given by users: rotation matrices, numbers, generators or seeds."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base.errors import ArgumentError
from ..base.quantities import shown

Array = NDArray[np.floating]
Random = np.random.Generator | int
"""A generator, or a seed for a new one."""

_ORTHOGONAL = 1e-5  # how far R^T R may be from the identity: what single precision leaves


def generator(rng: Random) -> np.random.Generator:
    """The generator itself, or a new one of that seed; ArgumentError for what is neither."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        raise ArgumentError(
            "{rng} is {given}; wanted a numpy.random.Generator, or a seed: a whole number from 0", "rng",
            given=shown(rng),
        )  # fmt: skip
    return np.random.default_rng(int(rng))


def checked_choice(value: str, name: str, choices: Any) -> None:
    """ArgumentError unless the value is one of the words of ``choices``, a :class:`typing.Literal`."""
    if value not in get_args(choices):
        wanted = " or ".join(get_args(choices))
        raise ArgumentError(f"{{{name}}} is {{given!r}}; wanted {wanted}", name, given=value)


def checked_rotations(poses: ArrayLike, name: str) -> Array:
    """Rotation matrices (n, 3, 3) from as many, or from a single one; ArgumentError unless they are rotations."""
    matrices = np.asarray(poses, dtype=float)
    if matrices.shape == (3, 3):
        matrices = matrices[None]
    if matrices.ndim != 3 or matrices.shape[1:] != (3, 3):
        raise ArgumentError(
            f"{{{name}}} have the shape {{given}}; wanted rotation matrices (n, 3, 3)", name, given=matrices.shape
        )
    finite = np.where(np.isfinite(matrices), matrices, 0.0)  # zeros fail the check as well
    off = np.abs(finite.transpose(0, 2, 1) @ finite - np.eye(3)).max(axis=(1, 2))
    wrong = np.flatnonzero((off > _ORTHOGONAL) | (np.linalg.det(finite) < 0))
    if len(wrong):
        raise ArgumentError(
            f"{{{name}}}[{{first}}] is no rotation matrix (nor are {{others}} others); wanted R^T R = 1 and det R = 1",
            name, first=int(wrong[0]), others=len(wrong) - 1,
        )  # fmt: skip
    return matrices
