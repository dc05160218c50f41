"""Training batches: which projections the network sees together, and the weight of each pair in the loss.

Strategies are those of :mod:`poses.pairs`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from ..base.errors import ArgumentError
from ..geometry.rotations import to_quaternion
from ..geometry.symmetry import NO_SYMMETRY, symmetric_distance
from ..imaging.simulation import TrainingSet
from ..poses.pairs import Indices, distance_balancing_weights


def nearest_neighbours(vectors: NDArray[np.floating], neighbours: int, rows: int | None = None) -> Indices:
    """Indices (n, neighbours) of each row's nearest other rows, Euclidean, nearest first; or of the first ``rows``."""
    if neighbours >= len(vectors):
        raise ArgumentError(
            "{neighbours} is {given}; wanted fewer than the {count} projections", "neighbours", given=neighbours,
            count=len(vectors),
        )  # fmt: skip
    search = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(vectors)
    if rows is None:
        return search.kneighbors(return_distance=False).astype(np.int32)
    nearest = search.kneighbors(vectors[:rows], neighbours + 1, return_distance=False)
    itself = nearest == np.arange(len(nearest))[:, None]
    itself[~itself.any(axis=1), -1] = True  # where so many others are at distance zero that it is not listed
    return nearest[~itself].reshape(-1, neighbours).astype(np.int32)


@dataclass(frozen=True)
class BatchSampler:
    """Draws training batches: indices (batch,) into the training set and weights (batch, batch) of their pairs.

    All pairs of a batch come from one pass of its images through the network; the weights, which sum to 1, are
    theirs in the loss. ``quaternions`` are the training poses (n, 4); ``neighbours`` (n, k) is needed by the knn
    strategies only, which draw anchors only among the projections that it lists. ``elements`` (|G|, 4) are the object's
    symmetry group: distances are the smallest over it.
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
        """One batch; an image is never paired with itself."""
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
            # Two partners can be the same projection: such a pair carries no information.
            different = indices[:, None] != indices[None]
            weights = 0.5 * weights + 0.5 * different / different.sum()
        return indices, weights.astype(np.float32)


@dataclass(frozen=True)
class SeveralSampler:
    """Draws each batch from one of several sets of projections, which the training set holds one after the other.

    Each set is of one protein: there is no distance between poses of two different proteins.
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
    """True distances that a strategy feeds the network: the share (bins,) of the loss's weight by bins over [0, pi].

    From ``batches`` batches, drawn as in training; nothing is trained.
    """
    shares = np.zeros(bins)
    for _ in range(batches):
        indices, weights = sampler.draw(rng)
        shares += np.histogram(sampler.distances(indices), bins, (0.0, np.pi), weights=weights.astype(float))[0]
    return shares / shares.sum()


def sampler_for(
    data: TrainingSet, strategy: str, batch_size: int, neighbours: int, elements: NDArray[np.floating] = NO_SYMMETRY
) -> Sampler:
    """The sampler of a training set: one that samples each protein separately where it has several.

    ``neighbours`` is the k of the knn strategies, whose neighbours are the nearest images. ``elements`` (|G|, 4) are
    the object's symmetry group.
    """
    owners = np.zeros(len(data.images), dtype=int) if data.proteins is None else data.proteins
    samplers = []
    for owner in range(int(owners[-1]) + 1):
        own = slice(*np.searchsorted(owners, [owner, owner + 1]))
        nearest = None
        if strategy in ("knn", "knn+random"):
            nearest = nearest_neighbours(data.images[own].reshape(own.stop - own.start, -1), neighbours)
        samplers.append(BatchSampler(strategy, batch_size, to_quaternion(data.poses[own]), nearest, elements))
    return samplers[0] if len(samplers) == 1 else SeveralSampler(tuple(samplers))
