"""Rotations: the one place where PoseLab defines its conventions.

**Pose.** A pose is the rotation ``R`` that takes the *image* frame into the *object* frame. It multiplies column
vectors in the order ``(x, y, z)`` from the left::

    x_object = R @ x_image              R : (..., 3, 3), right-handed, det R = +1

    image[v, u] = integral over w of density(R @ (u, v, w))       (projection along the image's own z axis)

so the columns of ``R`` are the image axes as seen in the object; the third one is the **viewing direction**. In
Fourier space the same statement is the slice theorem: ``F_image(k_u, k_v) = F_object(R @ (k_u, k_v, 0))``.

**Euler angles.** ``(rot, tilt, psi)`` in **degrees**, intrinsic ZYZ, as RELION writes them::

    R = Rz(rot) @ Ry(tilt) @ Rz(psi)          with active, right-handed  Rz(a) = [[cos a, -sin a, 0],
                                                                                 [sin a,  cos a, 0],
                                                                                 [    0,      0, 1]]

RELION's own matrix ``A`` (``Euler_angles2matrix``) rotates the reference into the observation, ``x_image = A @
x_object``; it is ``R.T``. ``(rot, tilt)`` are the azimuth and polar angle of the viewing direction; changing ``psi``
multiplies ``R`` from the right by ``Rz`` and turns the image in its plane.

**Quaternions.** Scalar last, ``(x, y, z, w)``, unit norm, as in SciPy; ``q`` and ``-q`` are the same pose.

**Arrays.** Volumes are ``[z, y, x]``, images ``[y, x]``; along each axis of n samples the origin is sample ``n // 2``.
Lengths are in Å, with Å per voxel (or pixel) kept beside each array. Angles between poses are in **radians**.

**Ambiguity.** The geodesic distance is invariant under ``R -> A R B`` (any two rotations) and under ``R -> R.T``:
poses recovered from distances alone are known up to these, see :mod:`poses.alignment`.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from ..base.errors import ArgumentError
from ..base.quantities import Range, digits, shown

Array = NDArray[np.floating]

# Widths of the (rot, tilt, psi) intervals of the published experiments, in units of pi (arXiv:2104.06237, section 4).
PUBLISHED_COVERAGES: dict[str, tuple[float, float, float]] = {
    "full": (2.0, 1.0, 2.0),
    "half": (2.0, 0.4, 2.0),
    "quarter": (1.0, 0.4, 1.0),
}

ANGLE = Range(
    -360_000.0, 360_000.0, *2 * ("angles repeat after 360 degrees, and whole turns take away their last digits",)
)
"""Ends of intervals, in degrees."""
EulerRegion = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""Intervals (low, high) of rot, tilt and psi in degrees."""


def from_euler(angles_deg: ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) from Euler angles (..., 3): (rot, tilt, psi), intrinsic ZYZ, degrees."""
    angles = np.asarray(angles_deg, dtype=float)
    return Rotation.from_euler("ZYZ", angles.reshape(-1, 3), degrees=True).as_matrix().reshape(*angles.shape[:-1], 3, 3)


def to_euler(matrices: ArrayLike) -> Array:
    """Euler angles (..., 3) in degrees from rotation matrices (..., 3, 3): tilt in [0, 180], the others in [-180, 180].

    Where tilt is 0 or 180 only one combination of rot and psi is determined; psi is then 0. Not taken from
    SciPy, which warns about this case: it is valid here (a view along z).
    """
    r = np.asarray(matrices, dtype=float)
    sin_tilt = np.hypot(r[..., 0, 2], r[..., 1, 2])
    tilt = np.arctan2(sin_tilt, r[..., 2, 2])
    locked = sin_tilt < 1e-8
    rot = np.where(
        locked,
        np.arctan2(r[..., 1, 0] * np.sign(r[..., 2, 2]), r[..., 0, 0] * np.sign(r[..., 2, 2])),
        np.arctan2(r[..., 1, 2], r[..., 0, 2]),
    )
    psi = np.where(locked, 0.0, np.arctan2(r[..., 2, 1], -r[..., 2, 0]))
    return np.degrees(np.stack([rot, tilt, psi], axis=-1))


def from_rotation_vector(vectors: ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) from vectors (..., 3) along the axis, as long as the right-handed angle in rad."""
    vectors = np.asarray(vectors, dtype=float)
    return Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(*vectors.shape[:-1], 3, 3)


def to_rotation_vector(matrices: ArrayLike) -> Array:
    """Rotation vectors (..., 3), of a length in [0, pi], from rotation matrices (..., 3, 3)."""
    matrices = np.asarray(matrices, dtype=float)
    return Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_rotvec().reshape(*matrices.shape[:-2], 3)


def to_quaternion(matrices: ArrayLike) -> Array:
    """Unit quaternions (..., 4), scalar last, from rotation matrices (..., 3, 3)."""
    matrices = np.asarray(matrices, dtype=float)
    return Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_quat().reshape(*matrices.shape[:-2], 4)


def from_quaternion(quaternions: ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) from quaternions (..., 4), scalar last; they need not be normalised."""
    quaternions = np.asarray(quaternions, dtype=float)
    return Rotation.from_quat(quaternions.reshape(-1, 4)).as_matrix().reshape(*quaternions.shape[:-1], 3, 3)


def nearest_rotation(matrices: ArrayLike) -> Array:
    """The rotation matrices (..., 3, 3) nearest to given matrices (..., 3, 3) in the Frobenius norm (Kabsch, 1976)."""
    u, _, vt = np.linalg.svd(np.asarray(matrices, dtype=float))
    u[..., :, 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def geodesic_distance(first: ArrayLike, second: ArrayLike) -> Array:
    """Angle in [0, pi] of the rotation between poses ``first`` and ``second``: (..., 4) quaternions to (...) radians.

    ``d = 2 arccos |q_1 . q_2|``, computed as ``4 arctan2(|q_1 - q_2|, |q_1 + q_2|)`` (q_2 with the sign that is
    nearer), which keeps full precision near 0 where arccos loses half of its digits.
    """
    a, b = np.asarray(first), np.asarray(second)
    minus, plus = np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)
    return 4.0 * np.arctan2(np.minimum(minus, plus), np.maximum(minus, plus))


def viewing_directions(matrices: ArrayLike) -> Array:
    """Unit vectors (..., 3) in the object's frame, (x, y, z), along which the poses (..., 3, 3) look."""
    return np.asarray(matrices)[..., :, 2]


def opposites_are_seen(matrices: ArrayLike) -> bool:
    """Whether the opposites of the viewing directions of the poses (n, 3, 3) are among these directions, too.

    They do when at least half of the opposite directions have a neighbour among the directions within twice the median
    distance of the directions' own nearest neighbours.
    """
    directions = viewing_directions(matrices)
    if len(directions) < 2:
        return False
    tree = KDTree(directions)
    own = tree.query(directions, k=2)[0][:, 1]
    return bool(np.median(tree.query(-directions)[0]) <= 2 * np.median(own))


def euler_region(coverage: str | EulerRegion) -> EulerRegion:
    """The Euler-angle intervals in degrees of a named coverage, or the given ones checked.

    Raises
    ------
    ArgumentError
        for an unknown name, an interval that is empty or reversed, one wider than a full turn, or a tilt outside of
        [0, 180].
    """
    if isinstance(coverage, str) and coverage in PUBLISHED_COVERAGES:
        rot, tilt, psi = (180.0 * width for width in PUBLISHED_COVERAGES[coverage])
        return (0.0, rot), (0.0, tilt), (0.0, psi)
    if not _are_intervals(coverage):
        raise ArgumentError(
            "{coverage} is {given}; wanted {names} or three intervals [[rot_low, rot_high], [tilt_low, "
            "tilt_high], [psi_low, psi_high]] in degrees", "coverage", given=shown(coverage),
            names=", ".join(PUBLISHED_COVERAGES),
        )  # fmt: skip
    for name, (low, high) in zip(("rot", "tilt", "psi"), coverage, strict=True):
        interval = {"name": name, "low": digits(low), "high": digits(high)}
        if not low < high:  # nor are those with NaN
            raise ArgumentError(
                "{coverage}: the {name} interval [{low}, {high}] is empty or reversed; wanted low < high, degrees",
                "coverage", **interval,
            )  # fmt: skip
        if high - low > 360.0:
            raise ArgumentError(
                "{coverage}: the {name} interval [{low}, {high}] is wider than 360 degrees", "coverage", **interval
            )
        if beyond := next((end for end in (low, high) if end not in ANGLE), None):
            raise ArgumentError(
                "{coverage}: the {name} interval [{low}, {high}] has ends that are not {range}{reason}", "coverage",
                **interval, range=ANGLE, reason=ANGLE.reason(beyond),
            )  # fmt: skip
    low, high = coverage[1]
    if low < 0.0 or high > 180.0:
        raise ArgumentError(
            "{coverage}: tilt [{low}, {high}] reaches outside of [0, 180] degrees", "coverage", low=digits(low),
            high=digits(high),
        )  # fmt: skip
    return coverage


def _are_intervals(coverage: object) -> TypeGuard[EulerRegion]:
    """Whether it is three pairs of numbers. True and false are none, nor are integers that no float can hold."""
    if not isinstance(coverage, Sequence | np.ndarray) or len(coverage) != 3:
        return False
    pairs = [pair for pair in coverage if isinstance(pair, Sequence | np.ndarray) and len(pair) == 2]
    ends = [end for pair in pairs for end in pair]
    numbers: list[Any] = [end for end in ends if isinstance(end, Real) and not isinstance(end, bool)]
    return len(numbers) == 6 and all(abs(end) < 2**63 for end in numbers if isinstance(end, int))


def sample_orientations(
    count: int, rng: np.random.Generator, coverage: str | EulerRegion = "full", sampling: str = "so3"
) -> Array:
    """Random poses (count, 3, 3) within an Euler-angle region.

    Parameters
    ----------
    sampling
        ``so3``: Haar-uniform on SO(3), restricted to the region: rot and psi uniform, cos(tilt) uniform (the Haar
        measure of ZYZ angles is sin(tilt) drot dtilt dpsi). ``euler``: all three angles uniform, which
        oversamples the poles.
    """
    (rot, tilt, psi) = euler_region(coverage)
    angles = np.empty((count, 3))
    angles[:, 0] = rng.uniform(*rot, count)
    if sampling == "so3":
        cos_tilt = rng.uniform(np.cos(np.radians(tilt[1])), np.cos(np.radians(tilt[0])), count)
        angles[:, 1] = np.degrees(np.arccos(cos_tilt))
    elif sampling == "euler":
        angles[:, 1] = rng.uniform(*tilt, count)
    else:
        raise ArgumentError("{sampling} is {given}; wanted 'so3' or 'euler'", "sampling", given=shown(sampling))
    angles[:, 2] = rng.uniform(*psi, count)
    return from_euler(angles)
