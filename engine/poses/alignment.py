"""Alignment of recovered poses with known ones.

Geodesic distances are invariant under ``q -> a q b`` (two-sided rotation) and under inversion of all poses
(handedness): on quaternions, under every orthogonal 4 x 4 matrix, of either determinant (Cayley, 1854). Recovered poses
must be aligned over all of O(4) before their errors mean anything; a one-sided alignment overestimates the errors.

For a symmetric object fewer transforms are free: ``R -> n R b`` with n in the group's normaliser. The opposite hand is
among these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.rotations import from_quaternion, geodesic_distance, to_quaternion
from ..geometry.symmetry import NO_SYMMETRY, left_matrices, normaliser

Array = NDArray[np.floating]

_INVERSE: Array = np.array([-1.0, -1.0, -1.0, 1.0])  # times a quaternion: the rotation backwards
_SUBSET = 300  # poses on which the many starts are compared; the best is then refined on all
_MAX_ITERATIONS = 100
_MATCHED = 12  # poses of a symmetric object, each of which gives starts that map it onto its true pose
_SCREENED = 50  # poses on which these starts are compared, and the number of starts that are then refined


@dataclass(frozen=True, eq=False, repr=False)
class Alignment:
    """Aligned poses (n, 3, 3), errors (n,) in rad before and after, and the orthogonal 4 x 4 matrix applied.

    ``q_aligned = q_recovered @ transform`` (row vectors, scalar last, up to sign). ``mirrored``: the handedness was
    flipped, the determinant is -1.
    """

    poses: Array
    errors: Array
    errors_before: Array
    transform: Array

    def __repr__(self) -> str:
        hand = ", mirrored" if self.mirrored else ""
        return f"Alignment({len(self.poses):,} poses, median error {np.median(self.errors):.4g} rad{hand})"

    @property
    def mirrored(self) -> bool:
        """Whether the recovered poses had the opposite handedness."""
        return bool(np.linalg.det(self.transform) < 0)


def align_poses(
    recovered: Array, true: Array, rng: np.random.Generator, starts: int = 200, elements: Array = NO_SYMMETRY
) -> Alignment:
    """Best alignment over O(4) of recovered poses (n, 3, 3) to true ones (n, 3, 3).

    For a symmetric object, ``elements`` (|G|, 4) is its group (see :mod:`geometry.symmetry`): the poses ``g R`` are
    equivalent, and each recovered pose is compared with the closest of them; errors before and after alignment are
    modulo the group.

    Maximises ``sum_i |<q_i O, p_i>|`` (the absolute value because q and -q are one pose) by alternating: signs for a
    fixed O, then O by orthogonal Procrustes for fixed signs (Schönemann, 1966). No step decreases the objective, and
    many starts are run at once: random ones of both determinants; for a symmetric object, whose optima are many and
    narrow, those that map one pose onto its true one, for each element of the normaliser.
    """
    q = to_quaternion(recovered)
    p = np.einsum("gab,nb->gna", left_matrices(elements), to_quaternion(true))
    subset = rng.permutation(len(q))[:_SUBSET]
    transforms = _random(starts, rng) if len(elements) == 1 else _matching(q[subset], p[:, subset], elements)
    best = _polish(transforms, q[subset], p[:, subset])
    transform = _polish(best[None], q, p)
    aligned = q @ transform
    errors, before = (geodesic_distance(poses, p).min(axis=0) for poses in (aligned, q))
    return Alignment(from_quaternion(aligned), errors, before, transform)


def _random(starts: int, rng: np.random.Generator) -> Array:
    """Orthogonal matrices (starts, 4, 4), half of them of determinant 1, the others -1."""
    transforms = np.linalg.qr(rng.standard_normal((starts, 4, 4)))[0]
    transforms[::2, :, 0] *= np.sign(np.linalg.det(transforms[::2]))[:, None]
    transforms[1::2, :, 0] *= -np.sign(np.linalg.det(transforms[1::2]))[:, None]
    return transforms


def _matching(q: Array, p: Array, elements: Array) -> Array:
    """The best (s, 4, 4) of the transforms ``R -> n R b`` that map one of the first poses (n, 4) onto its true one."""
    lefts = np.repeat(left_matrices(normaliser(elements)), len(q[:_MATCHED]), axis=0)
    number = np.resize(np.arange(len(q[:_MATCHED])), len(lefts))
    turned = np.einsum("sab,sb->sa", lefts, q[number])
    back = np.einsum("sab,sb->sa", left_matrices(turned * _INVERSE), p[0, number])
    # R b = (b^-1 R^-1)^-1: multiplication from the right as one from the left.
    rights = _INVERSE[:, None] * left_matrices(back * _INVERSE) * _INVERSE
    transforms = (rights @ lefts).transpose(0, 2, 1)
    agreement = np.einsum("sni,gni->sng", q[:_SCREENED] @ transforms, p[:, :_SCREENED], optimize=True)
    return transforms[np.argsort(-np.abs(agreement).max(axis=2).sum(axis=1))[:_SCREENED]]


def _polish(transforms: Array, q: Array, p: Array) -> Array:
    """The best (4, 4) of transforms (s, 4, 4) after sign-alternating Procrustes, each within its own determinant.

    ``p`` (|G|, n, 4) holds, for each pose of ``q`` (n, 4), the equivalent quaternions of its true pose.
    """
    determinants = np.sign(np.linalg.det(transforms))
    previous = -np.inf
    for _ in range(_MAX_ITERATIONS):
        every = np.einsum("sni,gni->sng", q @ transforms, p, optimize=True)
        closest = np.abs(every).argmax(axis=2)
        inner = np.take_along_axis(every, closest[:, :, None], axis=2)[:, :, 0]
        score = np.abs(inner).sum(axis=1)
        if np.max(score - previous) <= 1e-12 * len(q):
            break
        previous = score
        u, _, vt = np.linalg.svd(q.T @ (np.sign(inner)[:, :, None] * p[closest, np.arange(len(q))]))
        u[:, :, 3] *= (determinants * np.linalg.det(u) * np.linalg.det(vt))[:, None]
        transforms = u @ vt
    return transforms[score.argmax()]
