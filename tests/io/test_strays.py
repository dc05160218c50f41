"""Strays against distances from SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from engine.io.strays import strays


@pytest.fixture
def body() -> np.ndarray:
    return np.random.default_rng(0).uniform(-30, 30, (400, 3))


def test_a_few_atoms_far_away_are_strays_farthest_first(body):
    far = np.array([[300.0, 0, 0], [0, 900.0, 0], [0, 901.0, 0]])
    indices, distances = strays(np.concatenate([far, body]))
    assert indices.tolist() == [2, 1, 0]
    np.testing.assert_allclose(distances, cdist(far[indices], body).min(axis=1))


def test_what_is_near_large_or_alone_is_none(body):
    for positions in (body, np.concatenate([body, [[70.0, 0, 0]]]), np.concatenate([body, body[:100] + 500]),
                      body[:1], body[:0], 1000 * body):  # fmt: skip
        assert not len(strays(positions)[0])


def test_absurd_positions_are_strays_too(body):
    assert strays(np.concatenate([body, [[1e200, 1e200, -1e200]]]))[0].tolist() == [400]
