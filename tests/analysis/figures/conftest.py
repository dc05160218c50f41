"""Poses, and distances among the first of them worked out from their rotation matrices alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import squareform
from scipy.spatial.transform import Rotation

from engine.geometry import rotations

COUNT = 60


def distances_between(poses: np.ndarray, symmetry: str = "C1") -> np.ndarray:
    """Angles (n, n) between rotations (n, 3, 3), the smallest over the turns of the object that leave it as it is."""
    turns = {"C1": "C1", "C4": "C4", "D2": "D2"}[symmetry]
    elements = Rotation.create_group(turns, axis="Z").as_matrix()
    traces = np.einsum("aji,gjk,bki->abg", poses, elements, poses)
    return np.arccos(np.clip((traces.max(axis=2) - 1) / 2, -1, 1))


@pytest.fixture
def poses(rng):
    """More of them than have distances."""
    return rotations.sample_orientations(COUNT + 15, rng)


@pytest.fixture
def true(poses):
    """True distances (60, 60)."""
    return distances_between(poses[:COUNT])


@pytest.fixture
def estimated(true, rng):
    """The same with errors, condensed."""
    exact = squareform(true, checks=False)
    return np.clip(exact + 0.2 * rng.standard_normal(len(exact)), 0, np.pi)
