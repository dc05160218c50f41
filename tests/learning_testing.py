"""A network of one hidden layer, for tests of the training that holds for any network: the real one takes 15 s a test
to trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engine.geometry.harmonics import Degree
from engine.learning.libraries import keras, layers


def train_small_networks(patch: pytest.MonkeyPatch) -> None:
    """From now on trainings are of :func:`small_network`."""
    patch.setattr("engine.learning.trainer.build_network", small_network)


def small_network(
    image_size: int, radius: float, degrees: Sequence[Degree], head: str, rng: np.random.Generator, mirrored: bool
) -> Any:
    """With the signature of :func:`engine.learning.network.build_network`; equivariant to nothing."""

    def dense(units: int, activation: str | None) -> Any:
        kernel = keras.initializers.GlorotUniform(seed=int(rng.integers(2**31)))
        return layers.Dense(units, activation=activation, kernel_initializer=kernel)

    image = keras.Input((image_size, image_size), name="image")
    features = dense(16, "gelu")(layers.Flatten()(image))
    features = dense(sum(degree.size for degree in degrees), None)(features)
    return keras.Model(image, layers.UnitNormalization()(features) if head == "cosine" else features)
