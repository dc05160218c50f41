from __future__ import annotations

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.config.settings import config_from_dict
from engine.experiment.strategies import strategy_distances

SMALL = {"projections": {"size": 24}, "training": {"projections": 300, "image_size": 24, "batch_size": 32}}


def test_every_strategy_feeds_the_network_its_own_distances(toy_volume):
    distances = strategy_distances(config_from_dict(SMALL), toy_volume, bins=9)
    assert list(distances) == ["random", "knn", "knn+random", "uniform"]
    middles = (np.arange(9) + 0.5) * 20
    mean = {strategy: float(share @ middles) for strategy, share in distances.items()}
    for share in distances.values():
        assert share.sum() == pytest.approx(1)
    assert mean["random"] == pytest.approx(np.degrees(np.pi / 2 + 2 / np.pi), abs=5)
    # Within 40 degrees there are 1.8 % of all pairs, (d - sin d) / pi.
    near = {strategy: share[:2].sum() for strategy, share in distances.items()}
    assert near["random"] == pytest.approx(0.0176, abs=0.005)
    assert near["knn"] > 0.2
    assert near["knn+random"] == pytest.approx((near["knn"] + near["random"]) / 2, abs=0.03)
    assert 85 < mean["uniform"] < mean["random"] - 15


def test_distances_of_a_symmetric_volume_are_those_modulo_its_group(toy_volume):
    distances = strategy_distances(config_from_dict(SMALL | {"volume": {"symmetry": "C4"}}), toy_volume, bins=9)
    free = strategy_distances(config_from_dict(SMALL), toy_volume, bins=9)
    middles = (np.arange(9) + 0.5) * 20
    for strategy, share in distances.items():
        assert share.sum() == pytest.approx(1)
        assert share @ middles < free[strategy] @ middles - 5
    # P(d <= t) over the group is at most four times that of a single pose, (t - sin t) / pi, and that while t is small.
    t = np.radians(40)
    assert distances["random"][:2].sum() == pytest.approx(4 * (t - np.sin(t)) / np.pi, rel=0.15)


def test_the_same_experiment_gives_the_same_distances(toy_volume):
    once, again = (strategy_distances(config_from_dict(SMALL), toy_volume)["knn"] for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_nearly_all_may_be_neighbours_but_no_more(toy_volume):
    config = config_from_dict(SMALL | {"pairs": {"neighbours": 299}})
    assert strategy_distances(config, toy_volume)["knn"].sum() == pytest.approx(1)
    with pytest.raises(InputError, match=r"pairs.neighbours is 300; wanted fewer than training.projections"):
        config_from_dict(SMALL | {"pairs": {"neighbours": 300}})
