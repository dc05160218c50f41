"""Features of a projection: functions of its pose that are invariant under the object's symmetry.

Functions on the rotations are sums over degrees l = 0, 1, 2, ... of matrix elements ``D^l_mk(R)`` (Peter-Weyl). A group
G that acts from the left leaves ``n_l`` combinations of the index m invariant, by the mean of its characters; the index
k is the angular order with which a function rotates with the image. The functions of one degree at two poses have the
inner product

    K_l(R_i, R_j) = sum over g of chi_l(R_i^T g R_j) / (|G| n_l)        chi_l = 1 + 2 cos t + ... + 2 cos l t

for functions of joint unit norm, with t the angle of ``R_i^T g R_j``. Without symmetry the nine entries of R are those
of degree one, ``n_1 = 3``, and ``3 K_1`` is the trace, which gives the distance. Degrees two and three contain the same
information in finer functions: a network that learns all three estimates distances better from noisy or shifted images
than one that learns the trace alone. With symmetry the smallest distance over the group is not a function of one K_l,
but close to one of two or three of them, those of :func:`degrees_of`.
"""

from __future__ import annotations

from functools import reduce
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

Array = NDArray[np.floating]

_HIGHEST = 12  # degree
_WITHOUT_SYMMETRY = (1, 2, 3)
_MOST = 3  # degrees together
_TERMS = (6, 6, 5)  # total degree of the polynomial in one, two, three kernels
_POINTS = 1 << 12
_FEATURE_ERROR = 0.005  # rad, assumed of the poses; without errors a fit would use detail that no network can learn
_LEAST_SINE = 0.1
_NEGLIGIBLE = 1e-6  # of the largest singular value: kernels of few poses, or without symmetry, are nearly collinear


class Degree(NamedTuple):
    """Features of one degree: ``zeroth`` that are invariant to in-plane rotation; ``turning`` pairs of angular order
    one, as many of order two, ..., ``orders``."""

    degree: int
    multiplicity: int
    zeroth: int
    turning: int
    orders: int

    @property
    def size(self) -> int:
        """The number of these features."""
        return self.zeroth + 2 * self.turning * self.orders


def degrees_of(elements: Array, feature_dim: int | None = None) -> tuple[Degree, ...]:
    """The features that distinguish poses modulo a group (|G|, 4).

    Without symmetry those of degrees one to three, or ``feature_dim`` of degree one. With it, those of up to
    three degrees, selected greedily to predict the distance best from features with small errors.
    """
    if feature_dim is not None:
        return (Degree(1, 3, feature_dim - 2 * (feature_dim // 3), feature_dim // 3, 1),)
    if len(elements) == 1:
        return tuple(Degree(each, 2 * each + 1, 2 * each + 1, 2 * each + 1, each) for each in _WITHOUT_SYMMETRY)
    candidates = {degree: n for degree in range(1, _HIGHEST + 1) if (n := multiplicity(elements, degree)) > 0}
    traces = _traces(elements)
    distances = np.arccos(np.clip((traces.max(axis=0) - 1) / 2, -1, 1))
    kernels = {degree: kernel(traces, degree, n) for degree, n in candidates.items()}
    errors = ndtri(_points(_MOST, _MOST + 3))
    chosen: list[int] = []
    for _ in range(min(_MOST, len(candidates))):
        misfits = {}
        for degree in candidates.keys() - set(chosen):
            tried = np.array([*chosen, degree])
            columns = np.stack([kernels[one] for one in tried], axis=1)
            spread = _FEATURE_ERROR * np.sqrt(tried * (tried + 1) * np.abs(1 - columns))
            columns += spread * errors[:, : len(tried)]
            predicted = distances_from_kernels(columns, fit_distances(columns, distances))
            misfits[degree] = float(np.mean((predicted - distances) ** 2))
        chosen.append(min(misfits, key=lambda degree: (misfits[degree], degree)))
    return tuple(Degree(each, candidates[each], candidates[each], candidates[each], each) for each in sorted(chosen))


def multiplicity(elements: Array, degree: int) -> int:
    """``n_l``: the number of functions of a degree (and of one k) that are invariant under a group (|G|, 4)."""
    return round(float(character(4 * elements[:, 3] ** 2 - 1, degree).mean()))


def character(trace: Any, degree: int) -> Any:
    """``chi_l`` of rotations with these traces, NumPy's or TensorFlow's: ``chi_l+1 = (trace - 1) chi_l - chi_l-1``."""
    return reduce(lambda pair, _: (pair[1], (trace - 1) * pair[1] - pair[0]), range(degree - 1), (1.0, trace))[1]


def kernel(traces: Array, degree: int, count: int) -> Array:
    """``K_l`` (...) of pairs of poses with these traces of ``R_i^T g R_j`` (|G|, ...), for ``n_l = count``."""
    values: Array = character(traces, degree).mean(axis=0) / count
    return values


def fit_distances(kernels: Array, distances: Array) -> Array:
    """Coefficients of the polynomial that maps kernels (m, degrees) to distances (m,), by least squares.

    It is a polynomial in ``1 - K_l`` for ``1 - cos d``, without a constant: both vanish for equal poses.
    """
    weights = 1 / np.maximum(np.sin(distances), _LEAST_SINE)  # of errors in d rather than in cos d
    columns = _monomials(kernels) * weights[:, None]
    coefficients: Array = np.linalg.lstsq(columns, (1 - np.cos(distances)) * weights, rcond=_NEGLIGIBLE)[0]
    return coefficients


def distances_from_kernels(kernels: Array, coefficients: Array) -> Array:
    """Distances (m,) in rad, of kernels (m, degrees)."""
    return np.arccos(np.clip(1 - _monomials(kernels) @ coefficients, -1, 1))


def _monomials(kernels: Array) -> Array:
    highest = _TERMS[kernels.shape[1] - 1]
    powers = (1 - kernels.T.astype(float)) ** np.arange(highest + 1)[:, None, None]
    exponents = [e for e in product(range(highest + 1), repeat=kernels.shape[1]) if 0 < sum(e) <= highest]
    return np.stack([reduce(np.multiply, (powers[n, k] for k, n in enumerate(e))) for e in exponents]).T


def _traces(elements: Array) -> Array:
    """Traces (|G|, points) of ``g Q`` for rotations Q spread evenly over SO(3) (Shoemake, Graphics Gems III)."""
    u, v, w = _points(0, 3).T
    v, w = 2 * np.pi * v, 2 * np.pi * w
    less, more = np.sqrt(1 - u), np.sqrt(u)
    quaternions = np.stack([less * np.sin(v), less * np.cos(v), more * np.sin(w), more * np.cos(w)], axis=1)
    return 4 * ((elements * [-1, -1, -1, 1]) @ quaternions.T) ** 2 - 1


def _points(first: int, last: int) -> Array:
    """Coordinates ``first`` to ``last`` of points spread evenly over a cube, none on its faces."""
    points: Array = qmc.Sobol(last, scramble=False).random(_POINTS)[:, first:] + 0.5 / _POINTS
    return points
