"""Atoms far from all others, which make a box of mostly nothing: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

GAP = 50.0
"""Å without any atom, at the least, between strays and the rest."""
_FEW = 0.05  # of the atoms: what is more is another part of the structure


def strays(positions: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The few atoms with a gap of :data:`GAP` around them, and their distances from the nearest of all others.

    Atoms are put into cubes of that side, and cubes that touch hang together. What hangs together with most atoms is
    the structure; what does not, and is at most a twentieth of all, are strays.

    Parameters
    ----------
    positions
        (n, 3) in Å, finite.

    Returns
    -------
    indices, distances
        (m,) each, farthest first.
    """
    nothing = np.empty(0, dtype=np.intp), np.empty(0)
    if not len(positions):
        return nothing
    cubes, cube = np.unique(np.floor(positions / GAP), axis=0, return_inverse=True)
    touching = cKDTree(cubes).query_pairs(1.5, p=np.inf, output_type="ndarray")
    links = coo_array((np.ones(len(touching)), touching.T), shape=(len(cubes), len(cubes)))
    part = connected_components(links, directed=False)[1][cube.ravel()]
    counts = np.bincount(part)
    if counts.max() <= len(positions) / 2:
        return nothing
    is_stray = (counts <= _FEW * len(positions))[part]
    indices = np.flatnonzero(is_stray)
    if not len(indices):
        return nothing
    distances = cKDTree(positions[~is_stray]).query(positions[indices])[0]
    order = np.argsort(-distances, kind="stable")
    return indices[order], distances[order]
