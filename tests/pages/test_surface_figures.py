"""Surfaces as Plotly draws them: the very triangles of the data, on one scale, small enough to send."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.figures.densities import isosurfaces
from engine.io.loading import load_volume
from pages._shared import surface_figures


@pytest.fixture
def data(toy_density):
    return isosurfaces({"input": (toy_density, 2.5), "reconstruction": (2 * toy_density + 1, 5.0)})


def test_the_triangles_drawn_are_those_of_the_data(data):
    figure = surface_figures.isosurface_figure(data, {"input": "#111111"})
    assert [mesh.name for mesh in figure.data] == ["input", "reconstruction"]
    for mesh, panel in zip(figure.data, data.panels, strict=True):
        assert len(mesh.x) > 100
        for series in panel.series:
            for name, values in series.columns.items():
                np.testing.assert_array_equal(mesh[name], values)
    assert (figure.data[0].color, figure.data[1].color) == ("#111111", surface_figures.style.SKY)
    assert figure.layout.scene.xaxis.range == figure.layout.scene2.zaxis.range == data.panels[0].x.range
    assert figure.layout.scene.xaxis.title.text == "x (Å)"
    assert [note.text for note in figure.layout.annotations] == ["input", "reconstruction"]


def test_where_the_level_is_not_reached_the_figure_says_so(toy_density):
    figure = surface_figures.isosurface_figure(isosurfaces({"a": (toy_density, 2.5)}, level=40))
    assert len(figure.data[0].x) == 0
    assert figure.layout.annotations[0].text == "no surface at 40 σ"


def test_a_large_noisy_density_stays_small(rng):
    densities = {
        name: (rng.standard_normal((130, 120, 140), dtype=np.float32), 1.0) for name in ("input", "reconstruction")
    }
    figure = surface_figures.isosurface_figure(isosurfaces(densities, level=0.5))
    assert all(0 < len(mesh.x) <= 12_000 for mesh in figure.data)
    assert len(figure.to_json()) < 1_000_000


def test_a_protein_is_small_too():
    volume = load_volume("1bd2")
    figure = surface_figures.isosurface_figure(isosurfaces({"1bd2": (volume.density, volume.voxel_size)}))
    assert len(figure.data[0].x) > 1000
    assert len(figure.to_json()) < 400_000
