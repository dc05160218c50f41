"""Estimated distances between the poses of pairs of projections, in radians, in [0, pi].

Functions take the pairs (:class:`poses.pairs.Pairs`) and return their distances (:class:`poses.pairs.PairDistances`,
float32). Learned distances are computed here from the network's features, so this module does not need TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from ..geometry.harmonics import Degree, distances_from_kernels, fit_distances
from ..geometry.symmetry import NO_SYMMETRY, symmetric_distance
from .choices import Head
from .pairs import PairDistances, Pairs

Distances = NDArray[np.float32]

UNCALIBRATED: NDArray[np.floating] = np.array([0.0, 1.0])
"""The calibration that leaves distances unchanged."""

_BLOCK = 200_000  # pairs handled at a time, to bound the memory of gathered rows
_POLYNOMIAL_DEGREE = 5


def exact_distances(
    quaternions: NDArray[np.floating], pairs: Pairs, elements: NDArray[np.floating] = NO_SYMMETRY
) -> PairDistances:
    """Geodesic distances between known poses (n, 4): the smallest over a symmetric object's group (|G|, 4)."""
    first, second = pairs.first, pairs.second
    blocks = _blocks(len(pairs))
    parts = [symmetric_distance(quaternions[first[b]], quaternions[second[b]], elements) for b in blocks]
    return _of(pairs, np.concatenate(parts).astype(np.float32))


def perturb_distances(distances: PairDistances, variance: float, rng: np.random.Generator) -> PairDistances:
    """Distances plus Gaussian errors of the given variance (rad^2), clipped to [0, pi].

    Each unordered pair has one error: the perturbed distance is symmetric.
    """
    errors = rng.standard_normal(len(distances), dtype=np.float32) * np.float32(np.sqrt(variance))
    return distances.with_values(np.clip(distances.values + errors, 0, np.float32(np.pi)))


def pixel_distances(images: NDArray[np.float32], pairs: Pairs) -> Distances:
    """Root-mean-square difference (m,) of the pixels of images (n, size, size), by pair, in grey values, not in rad."""
    first, second = pairs.first, pairs.second
    rows = images.reshape(len(images), -1)
    squares = np.einsum("ij,ij->i", rows, rows)
    # |a - b|^2 = |a|^2 + |b|^2 - 2 a.b: one matrix product instead of one difference per pair.
    products = (rows @ rows.T)[first, second]
    return np.sqrt(np.maximum(squares[first] + squares[second] - 2 * products, 0) / rows.shape[1])


@dataclass(frozen=True)
class Calibration:
    """A curve that maps distances of another kind to angles, fitted on projections outside the test set."""

    curve: Polynomial

    def __call__(self, distances: Distances) -> Distances:
        """Angles in radians, clipped to [0, pi]."""
        return np.clip(self.curve(distances), 0, np.pi).astype(np.float32)


def fit_calibration(distances: Distances, angles: Distances, kind: str) -> Calibration:
    """Least-squares fit of angles (rad) to distances of another kind.

    ``slope``: a line through the origin, closed form ``sum(pa) / sum(pp)``. ``polynomial``: degree 5.
    """
    if kind == "slope":
        p = distances.astype(float)
        return Calibration(Polynomial([0.0, float(p @ angles / (p @ p))]))
    return Calibration(Polynomial.fit(distances, angles, _POLYNOMIAL_DEGREE))


def learned_distances(
    features: NDArray[np.float32],
    pairs: Pairs,
    head: Head,
    degrees: Sequence[Degree],
    calibration: NDArray[np.floating],
) -> PairDistances:
    """Distances predicted from the features (n, dim) of a trained network.

    The network is trained so that three times the kernel of each degree (:mod:`geometry.harmonics`), which for degree
    one and no symmetry is the trace of the relative rotation, ``t = tr(R_i^T R_j) = 1 + 2 cos d``, is

    - ``cosine``: ``t = 3 <f_i, f_j>`` of features of unit norm (the entries of R / sqrt(3) satisfy this exactly);
    - ``euclidean``: ``t = 3 - |f_i - f_j|^2 / 2`` (the entries of R satisfy this exactly: the squared chordal distance
      is 6 - 2 t).

    ``calibration`` holds the coefficients for :func:`geometry.harmonics.distances_from_kernels`; for the trace alone,
    those of a polynomial, constant first, that maps the distances computed from it to true ones.
    """
    parts = []
    for block in _blocks(len(pairs)):
        kernels = _kernels(features, pairs[block], head, degrees)
        if _trace_alone(degrees):
            parts.append(Calibration(Polynomial(calibration))(_from_trace(kernels[:, 0])))
        else:
            parts.append(distances_from_kernels(kernels, calibration).astype(np.float32))
    return _of(pairs, np.concatenate(parts))


def fit_feature_calibration(
    features: NDArray[np.float32], distances: PairDistances, head: Head, degrees: Sequence[Degree]
) -> NDArray[np.floating]:
    """The calibration for :func:`learned_distances`, fitted to known distances."""
    kernels = _kernels(features, distances, head, degrees)
    if _trace_alone(degrees):
        curve = fit_calibration(_from_trace(kernels[:, 0]), distances.values, "polynomial").curve
        return np.asarray(curve.convert().coef, dtype=float)
    return fit_distances(kernels, distances.values.astype(float))


def _of(pairs: Pairs, values: Distances) -> PairDistances:
    return PairDistances(pairs.count, pairs.first, pairs.second, values)


def _trace_alone(degrees: Sequence[Degree]) -> bool:
    return [degree.degree for degree in degrees] == [1]


def _from_trace(kernel: NDArray[np.float32]) -> Distances:
    return np.arccos(np.clip((3 * kernel - 1) / 2, -1, 1)).astype(np.float32)


def _kernels(features: NDArray[np.float32], pairs: Pairs, head: Head, degrees: Sequence[Degree]) -> NDArray[np.float32]:
    """The kernels (m, degrees) of pairs, predicted from the features."""
    columns, start = [], 0
    for degree in degrees:
        part = features[:, start : start + degree.size]
        start += degree.size
        a, b = part[pairs.first], part[pairs.second]
        columns.append(np.einsum("md,md->m", a, b) if head == "cosine" else 1 - np.square(a - b).sum(axis=1) / 6)
    return np.stack(columns, axis=1)


def _blocks(count: int) -> list[slice]:
    return [slice(start, start + _BLOCK) for start in range(0, count, _BLOCK)]
