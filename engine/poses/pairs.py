"""Which pairs of projections are used: in training the network, and in the recovery.

Strategies (those of the published experiments, and one more):

======================  ==============================================================================================
``random``              any two projections
``knn``                 a projection and one of its nearest neighbours
``knn+random``          both kinds, with equal weight
``uniform``             any two, weighted so that all distances that occur count equally
======================  ==============================================================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ArgumentError
from .choices import MOST_PAIRS

Indices = NDArray[np.int32]

_DISTANCE_BINS = 32


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of ``count`` projections: ``first`` and ``second`` (m,), int32, each below ``count``."""

    count: int
    first: Indices
    second: Indices

    def __post_init__(self) -> None:
        lengths = {name: np.shape(value) for name, value in vars(self).items() if name != "count"}
        if any(len(shape) != 1 for shape in lengths.values()) or len(set(lengths.values())) > 1:
            raise ArgumentError("pairs have the shapes {shapes}; wanted arrays (m,) of one length", shapes=lengths)
        if len(self.first) and not 0 <= min(self.first.min(), self.second.min()) <= self._largest < self.count:
            raise ArgumentError(
                "{first} and {second} have the indices {low} to {high}; wanted indices below {count}, which is {given}",
                "first", "second", "count", low=min(self.first.min(), self.second.min()), high=self._largest,
                given=self.count,
            )  # fmt: skip

    @property
    def _largest(self) -> int:
        return int(max(self.first.max(), self.second.max()))

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, chosen: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Self:
        """The pairs at some positions, or those where a mask (m,) is true."""
        return replace(self, **{name: value[chosen] for name, value in vars(self).items() if name != "count"})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self):,} of the {self._possible:,} pairs of {self.count:,} projections)"

    @property
    def _possible(self) -> int:
        return self.count * (self.count - 1) // 2

    @property
    def complete(self) -> bool:
        """Whether all pairs are present, as :func:`all_pairs` returns them."""
        return len(self) == self._possible


@dataclass(frozen=True, eq=False, repr=False)
class PairDistances(Pairs):
    """Distances between the poses of pairs of projections: ``values`` (m,) in rad, in [0, pi]."""

    values: NDArray[np.floating]

    def with_values(self, values: NDArray[np.floating]) -> PairDistances:
        """Other distances (m,) of the same pairs."""
        return PairDistances(self.count, self.first, self.second, values)

    def square(self) -> NDArray[np.float64]:
        """The distances as a symmetric matrix (count, count) in rad; zero for missing pairs."""
        full = np.zeros((self.count, self.count))
        full[self.first, self.second] = full[self.second, self.first] = self.values
        return full


def all_pairs(count: int) -> Pairs:
    """Every pair i < j of ``count`` projections, in SciPy's condensed order."""
    first, second = np.triu_indices(count, 1)
    return Pairs(count, first.astype(np.int32), second.astype(np.int32))


def candidate_pairs(count: int, rng: np.random.Generator, most: int = MOST_PAIRS) -> Pairs:
    """The pairs i < j of ``count`` projections whose distances are estimated, in condensed order.

    All of them if they are at most ``most``; otherwise about that many, drawn at random, so that time and memory do not
    grow with the square of the number of projections.
    """
    total = count * (count - 1) // 2
    if total <= most:
        return all_pairs(count)
    # Each pair independently, with the same probability: the gaps between those drawn are geometric.
    probability = most / total
    gaps = rng.geometric(probability, size=most + 10 * math.isqrt(most))
    position = np.cumsum(gaps) - 1
    position = position[position < total]
    begin = np.concatenate([[0], np.cumsum(np.arange(count - 1, 0, -1, dtype=np.int64))])
    first = np.searchsorted(begin, position, side="right") - 1
    return Pairs(count, first.astype(np.int32), (position - begin[first] + first + 1).astype(np.int32))


def distance_balancing_weights(distances: NDArray[np.floating]) -> NDArray[np.float64]:
    """Weights, of the distances' shape and with sum 1, under which each occupied bin of [0, pi] weighs the same."""
    bins = np.minimum((distances / np.pi * _DISTANCE_BINS).astype(int), _DISTANCE_BINS - 1)
    counts = np.bincount(bins.ravel(), minlength=_DISTANCE_BINS)
    return 1.0 / counts[bins] / np.count_nonzero(counts)


def select_pairs(
    strategy: str, per_projection: int, distances: PairDistances, rng: np.random.Generator
) -> PairDistances:
    """The pairs that a recovery uses, out of all whose distances are estimated, in their order.

    ``strategy`` is one of those above. ``per_projection`` is the average number of pairs that a projection is in.
    Neighbours are nearest by estimated distance.
    """
    return distances[_selected(strategy, per_projection, distances, rng)]


def _selected(
    strategy: str, per_projection: int, distances: PairDistances, rng: np.random.Generator
) -> NDArray[np.intp]:
    wanted = min(len(distances), distances.count * per_projection // 2)
    if strategy == "random":
        return np.sort(rng.choice(len(distances), wanted, replace=False))
    if strategy == "uniform":
        weights = distance_balancing_weights(distances.values)
        return np.sort(rng.choice(len(distances), wanted, replace=False, p=weights))
    share = wanted if strategy == "knn" else wanted // 2
    near = _nearest_pairs(max(1, round(2 * share / distances.count)), distances)
    if strategy == "knn":
        return near
    others = np.setdiff1d(np.arange(len(distances)), near, assume_unique=True)
    return np.sort(np.concatenate([near, rng.choice(others, min(wanted - share, len(others)), replace=False)]))


def _nearest_pairs(neighbours: int, distances: PairDistances) -> NDArray[np.intp]:
    """Positions of the pairs in which one is among the ``neighbours`` nearest of the other."""
    position = np.empty(2 * len(distances), dtype=np.intp)
    position[: len(distances)] = position[len(distances) :] = np.arange(len(distances))
    owner = np.concatenate([distances.first, distances.second])
    order = np.lexsort((distances.values[position], owner))
    rank = np.arange(len(order)) - np.searchsorted(owner[order], np.arange(distances.count))[owner[order]]
    return np.unique(position[order[rank < neighbours]])
