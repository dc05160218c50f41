"""Which pairs of projections are looked at: by the network in training, by the recovery.

Strategies (those of the published experiments, and one more):

======================  ==============================================================================================
``random``              any two projections
``knn``                 a projection and one of its nearest neighbours
``knn+random``          both kinds, with equal weight
``uniform``             any two, weighted so that every distance that occurs counts the same
======================  ==============================================================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from ..base.errors import InputError
from ..geometry.symmetry import NO_SYMMETRY, symmetric_distance

Indices = NDArray[np.int32]

MOST_PAIRS = 12_500_000
"""All pairs of 5,000 projections: 300 MB of indices, distances and work space for each descent."""
_DISTANCE_BINS = 32


def all_pairs(count: int) -> tuple[Indices, Indices]:
    """Every pair i < j of ``count`` projections, in SciPy's condensed order: two arrays (count * (count - 1) / 2,)."""
    first, second = np.triu_indices(count, 1)
    return first.astype(np.int32), second.astype(np.int32)


def candidate_pairs(count: int, rng: np.random.Generator, most: int = MOST_PAIRS) -> tuple[Indices, Indices]:
    """The pairs i < j of ``count`` projections whose distances are estimated: two arrays, in condensed order.

    All of them where they are at most ``most``; else about so many, drawn at random, so that time and memory do not
    grow with the square of the number of projections.
    """
    total = count * (count - 1) // 2
    if total <= most:
        return all_pairs(count)
    # Each pair by itself, with the same probability: the gaps between those drawn are geometric.
    probability = most / total
    gaps = rng.geometric(probability, size=most + 10 * math.isqrt(most))
    position = np.cumsum(gaps) - 1
    position = position[position < total]
    begin = np.concatenate([[0], np.cumsum(np.arange(count - 1, 0, -1, dtype=np.int64))])
    first = np.searchsorted(begin, position, side="right") - 1
    return first.astype(np.int32), (position - begin[first] + first + 1).astype(np.int32)


def nearest_neighbours(vectors: NDArray[np.floating], neighbours: int, rows: int | None = None) -> Indices:
    """Indices (n, neighbours) of each row's nearest other rows, Euclidean, nearest first; or of the first ``rows``."""
    if neighbours >= len(vectors):
        raise InputError(f"pairs.neighbours is {neighbours}; wanted fewer than the {len(vectors)} projections")
    search = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(vectors)
    if rows is None:
        return search.kneighbors(return_distance=False).astype(np.int32)
    found = search.kneighbors(vectors[:rows], neighbours + 1, return_distance=False)
    itself = found == np.arange(len(found))[:, None]
    itself[~itself.any(axis=1), -1] = True  # where so many others are at distance zero that it is not among them
    return found[~itself].reshape(-1, neighbours).astype(np.int32)


def distance_balancing_weights(distances: NDArray[np.floating]) -> NDArray[np.float64]:
    """Weights, of the distances' shape and with sum 1, under which each occupied bin of [0, pi] weighs the same."""
    bins = np.minimum((distances / np.pi * _DISTANCE_BINS).astype(int), _DISTANCE_BINS - 1)
    counts = np.bincount(bins.ravel(), minlength=_DISTANCE_BINS)
    return 1.0 / counts[bins] / np.count_nonzero(counts)


@dataclass(frozen=True)
class BatchSampler:
    """Draws training batches: indices (batch,) into the training set and weights (batch, batch) of their pairs.

    All pairs of a batch come from one pass of its images through the network; the weights, which sum to 1, say which of
    them the loss looks at. ``quaternions`` are the training poses (n, 4); ``neighbours`` (n, k) is needed by the knn
    strategies only, which start from those projections alone whose neighbours it has. ``elements`` (|G|, 4) are the
    object's symmetry group: distances are the smallest over it.
    """

    strategy: str
    batch_size: int
    quaternions: NDArray[np.floating]
    neighbours: Indices | None = None
    elements: NDArray[np.floating] = field(default_factory=NO_SYMMETRY.copy)

    def distances(self, indices: Indices) -> NDArray[np.floating]:
        """True distances (batch, batch) in rad of these training projections (batch,)."""
        chosen = self.quaternions[indices]
        return symmetric_distance(chosen[:, None], chosen[None], self.elements)

    def draw(self, rng: np.random.Generator) -> tuple[Indices, NDArray[np.float32]]:
        """One batch; an image never meets itself."""
        if self.strategy in ("knn", "knn+random"):
            return self._draw_neighbourhoods(rng)
        indices = rng.choice(len(self.quaternions), self.batch_size, replace=False).astype(np.int32)
        different = ~np.eye(self.batch_size, dtype=bool)
        weights = different / different.sum()
        if self.strategy == "uniform":
            weights[different] = distance_balancing_weights(self.distances(indices)[different])
        return indices, weights.astype(np.float32)

    def _draw_neighbourhoods(self, rng: np.random.Generator) -> tuple[Indices, NDArray[np.float32]]:
        """Half of the batch drawn at random, and for each of them one of its nearest neighbours."""
        assert self.neighbours is not None
        half = self.batch_size // 2
        anchors = rng.choice(len(self.neighbours), half, replace=False).astype(np.int32)
        partners = self.neighbours[anchors, rng.integers(self.neighbours.shape[1], size=half)]
        indices = np.concatenate([anchors, partners])
        row = np.arange(half)
        weights = np.zeros((2 * half, 2 * half))
        weights[row, row + half] = weights[row + half, row] = 1 / (2 * half)
        if self.strategy == "knn+random":
            # Two partners can be the same projection: such a pair shows the network nothing.
            different = indices[:, None] != indices[None]
            weights = 0.5 * weights + 0.5 * different / different.sum()
        return indices, weights.astype(np.float32)


@dataclass(frozen=True)
class SeveralSampler:
    """Draws each batch from one of several sets of projections, which lie one after the other in the training set.

    Each set is of one protein: poses of two different proteins have no distance that could be learned.
    """

    samplers: tuple[BatchSampler, ...]

    def draw(self, rng: np.random.Generator) -> tuple[Indices, NDArray[np.float32]]:
        """As :meth:`BatchSampler.draw`, of a set drawn at random."""
        chosen = int(rng.integers(len(self.samplers)))
        indices, weights = self.samplers[chosen].draw(rng)
        before = sum(len(sampler.quaternions) for sampler in self.samplers[:chosen])
        return indices + np.int32(before), weights


Sampler = BatchSampler | SeveralSampler


def distances_shown(
    sampler: BatchSampler, rng: np.random.Generator, batches: int = 100, bins: int = 36
) -> NDArray[np.float64]:
    """Which true distances a strategy feeds the network: the share (bins,) of the loss's weight by bins over [0, pi].

    Of so many batches as the training draws them; nothing is trained.
    """
    shares = np.zeros(bins)
    for _ in range(batches):
        indices, weights = sampler.draw(rng)
        shares += np.histogram(sampler.distances(indices), bins, (0.0, np.pi), weights=weights.astype(float))[0]
    return shares / shares.sum()


def select_pairs(
    strategy: str,
    per_projection: int,
    count: int,
    first: Indices,
    second: Indices,
    distances: NDArray[np.floating],
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Positions, sorted, of the pairs that a recovery uses, out of pairs ``(first, second)`` of ``count`` projections.

    ``strategy`` is one of those above. ``per_projection`` is the average number of pairs that a projection takes part
    in. Neighbours are near in the estimated distance.
    """
    wanted = min(len(distances), count * per_projection // 2)
    if strategy == "random":
        return np.sort(rng.choice(len(distances), wanted, replace=False))
    if strategy == "uniform":
        weights = distance_balancing_weights(distances)
        return np.sort(rng.choice(len(distances), wanted, replace=False, p=weights))
    share = wanted if strategy == "knn" else wanted // 2
    near = _nearest_pairs(count, max(1, round(2 * share / count)), first, second, distances)
    if strategy == "knn":
        return near
    others = np.setdiff1d(np.arange(len(distances)), near, assume_unique=True)
    return np.sort(np.concatenate([near, rng.choice(others, min(wanted - share, len(others)), replace=False)]))


def _nearest_pairs(
    count: int, neighbours: int, first: Indices, second: Indices, distances: NDArray[np.floating]
) -> NDArray[np.intp]:
    """Positions of the pairs in which one is among the ``neighbours`` nearest of the other."""
    position = np.empty(2 * len(distances), dtype=np.intp)
    position[: len(distances)] = position[len(distances) :] = np.arange(len(distances))
    owner = np.concatenate([first, second])
    order = np.lexsort((distances[position], owner))
    rank = np.arange(len(order)) - np.searchsorted(owner[order], np.arange(count))[owner[order]]
    return np.unique(position[order[rank < neighbours]])
