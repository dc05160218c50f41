"""Projections as points, on a run's page: which embedding, of which distances, in which colour; the address has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from scipy.spatial.distance import squareform

from engine.base.files import read_arrays
from engine.config.schema import Config
from engine.record.runrecord import RunRecord
from pages._run import manifold_figures
from pages._shared import state

_DIMENSIONS = ("2D", "3D")
_OF = ("estimated", "true")


def show(record: RunRecord, chart: dict[str, object]) -> None:
    """The embedding and its choices; nothing where the run has not left, or not yet, what it is made from.

    Raises InputError where a file is damaged or the distances cannot be embedded.
    """
    kept, poses = (state.arrays(record.path / name) for name in ("distances.npz", "poses.npz"))
    if kept is None or poses is None or "among_first" not in kept:
        return
    with st.container(horizontal=True, gap="medium"):
        method = _choice("Embedding", tuple(manifold_figures.METHODS), "embedding")
        dimensions = _choice("Dimensions", _DIMENSIONS, "dimensions")
        of = _choice("Distances", _OF, "of")
        colour = _choice("Colour", manifold_figures.COLOURS, "colour")
    symmetry = record.config.volume.symmetry if isinstance(record.config, Config) else "C1"
    left = tuple((record.path / name).stat().st_mtime_ns for name in ("distances.npz", "poses.npz"))
    points = _points(record.path, left, method, 2 + _DIMENSIONS.index(dimensions), of, symmetry)
    figure = manifold_figures.embedding_figure(points, poses["true"], poses["errors"], method, colour, of)
    st.plotly_chart(figure, key="embedded", config=chart)


def _choice(label: str, options: tuple[str, ...], key: str) -> str:
    chosen = st.segmented_control(label, options, default=options[0], key=key, required=True, bind="query-params")
    return chosen or options[0]


@st.cache_data(max_entries=64, show_spinner="Embedding …")
def _points(
    path: Path, left: tuple[int, ...], method: str, dimensions: int, of: str, symmetry: str
) -> NDArray[np.floating]:
    """The points (m, dimensions); MDS takes seconds. ``left`` says when the run's files were written."""
    from engine.poses import manifold  # only here: who embeds nothing need not load it

    distances = squareform(read_arrays(path / "distances.npz")["among_first"], checks=False)
    if of == "true":
        poses = read_arrays(path / "poses.npz")["true"]
        distances = manifold_figures.true_distances(poses, symmetry, len(distances))
    return manifold.embed(distances, dimensions, manifold_figures.METHODS[method])
