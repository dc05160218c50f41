"""The embedding of projections as points on a run's page; method, distances and colour are kept in the address."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from engine.analysis.figures import manifold
from engine.config.schema import Config
from engine.experiment import artefacts
from engine.experiment.artefacts import read_arrays
from engine.record.runrecord import RunRecord
from pages._run import manifold_figures
from pages._shared import downloads, state

_DIMENSIONS = ("2D", "3D")
_OF = ("estimated", "true")


def show(record: RunRecord, chart: dict[str, object]) -> None:
    """Show the embedding and its options; nothing if the run has not (yet) written the arrays it is computed from.

    Raises InputError where a file is damaged or the distances cannot be embedded.
    """
    kept, poses = (state.arrays(record.path / name) for name in ("distances.npz", "poses.npz"))
    if kept is None or poses is None or "among_first" not in kept:
        return
    with st.container(horizontal=True, gap="medium"):
        method = _choice("Embedding", tuple(manifold.METHODS), "embedding")
        dimensions = _choice("Dimensions", _DIMENSIONS, "dimensions")
        of = _choice("Distances", _OF, "of")
        colour = _choice("Colour", manifold.COLOURS, "colour")
    symmetry = record.config.volume.symmetry if isinstance(record.config, Config) else "C1"
    points = _points(record.path, artefacts.left(record.path), method, 2 + _DIMENSIONS.index(dimensions), of, symmetry)
    data = manifold.embedding(points, poses["true"], poses["errors"], method, colour, of)
    st.plotly_chart(manifold_figures.embedding_figure(data), key="embedded", config=chart)
    with st.container(horizontal=True):
        downloads.figure_data(data.to_csv, f"{record.run_id}-embedding")


def _choice(label: str, options: tuple[str, ...], key: str) -> str:
    chosen = st.segmented_control(label, options, default=options[0], key=key, required=True, bind="query-params")
    return chosen or options[0]


@st.cache_data(max_entries=64, show_spinner="Embedding …")
def _points(
    path: Path, left: tuple[tuple[str, int], ...], method: str, dimensions: int, of: str, symmetry: str
) -> NDArray[np.floating]:
    """The points (m, dimensions); MDS takes seconds. ``left``: when the run's files were written."""
    estimated, poses = (read_arrays(path / f"{name}.npz") for name in ("distances", "poses"))
    return manifold.embedded(estimated["among_first"], poses["true"], symmetry, of, method, dimensions)
