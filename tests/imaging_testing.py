"""What tests of projections compare with: the plain sum of a Fourier transform, and how far two arrays differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def relative_error(found: NDArray[np.generic], expected: NDArray[np.generic]) -> float:
    """The norm of the difference over that of what was expected."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def direct_transform(density: NDArray[np.floating], frequencies: NDArray[np.floating]) -> NDArray[np.complex128]:
    """The sum that the non-uniform FFT approximates, in double precision, at frequencies (3, m) in cycles a voxel."""
    grid = np.stack([axis.ravel() for axis in np.indices(density.shape)[::-1]])  # x, y, z
    grid = grid - np.array([[n // 2] for n in density.shape[::-1]])
    return np.exp(-2j * np.pi * frequencies.T.astype(float) @ grid) @ density.ravel().astype(float)
