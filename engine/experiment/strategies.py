"""Which distances each pair strategy would feed the network of an experiment, computed without training it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from ..base.randomness import stream
from ..config.numeric import acquisition_of
from ..config.schema import Config
from ..geometry import symmetry
from ..geometry.rotations import to_quaternion
from ..imaging.noise import NoiseModel
from ..imaging.simulation import simulate_training
from ..imaging.volume import Volume
from ..learning import batches
from ..poses.choices import PairStrategy

MOST_PROJECTIONS = 8000
"""Most projections simulated for this; the more there are, the nearer are neighbours."""
_STARTS = 512  # projections whose neighbours are computed: enough for a distribution
_STREAM = "distances that strategies show"


def strategy_distances(config: Config, volume: Volume, bins: int = 36) -> dict[str, NDArray[np.float64]]:
    """By strategy the share (bins,) of the loss's weight by true distance over [0, pi].

    The distance of a symmetric volume is the smallest over its group. Neighbours are those among the experiment's
    training projections, simulated again by Fourier slices: as many, but no more than :data:`MOST_PROJECTIONS`.
    """
    training = config.training
    count = min(training.projections, MOST_PROJECTIONS)
    size = min(training.image_size, config.projections.size or volume.diagonal)
    rng = stream(config.seed, "training projections")
    acquisition = replace(acquisition_of(config.projections), projector="fourier")  # this machine need not have CUDA
    data = simulate_training(volume, acquisition, NoiseModel(), count, 1, size, rng)
    vectors = data.images.reshape(count, -1)
    batch = min(training.batch_size, count)
    neighbours = batches.nearest_neighbours(vectors, config.pairs.neighbours, max(_STARTS, batch))
    quaternions, elements = to_quaternion(data.poses), symmetry.group(config.volume.symmetry)
    return {
        strategy: batches.distances_shown(
            batches.BatchSampler(strategy, batch, quaternions, neighbours, elements),
            stream(config.seed, _STREAM), bins=bins,
        )
        for strategy in get_args(PairStrategy)
    }  # fmt: skip
