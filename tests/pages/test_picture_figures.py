"""Projections and slices as Plotly draws them: each picture in its place, pixel for pixel."""

from __future__ import annotations

import numpy as np

from engine.analysis.figures import densities, projections
from pages._shared import picture_figures


def test_a_montage_holds_each_projection_in_its_place(rng):
    images = rng.standard_normal((16, 40, 40)).astype(np.float32)
    data = projections.gallery(images, "x")
    montage = np.asarray(picture_figures.projections_figure(data).data[0].z)
    assert montage.shape == (81, 163)
    for number, (top, left) in {0: (0, 0), 3: (0, 123), 5: (41, 41)}.items():
        part = montage[top : top + 40, left : left + 40]
        assert np.array_equal(part, data.panel.series[number].grid("grey"))
        assert np.corrcoef(part.ravel(), images[number].ravel())[0, 1] > 0.98
    assert np.isnan(montage[40]).all()


def test_a_montage_of_few_and_of_blank_projections():
    data = projections.gallery(np.zeros((3, 8, 8)), "x")
    montage = np.asarray(picture_figures.projections_figure(data).data[0].z)
    assert np.nanmax(montage) == 0
    assert np.isnan(montage[:, -8:]).all()


def test_slices_stand_beneath_those_of_the_input(rng):
    density, reference = rng.standard_normal((2, 6, 7, 8))
    data = densities.slices(density, "reconstruction", reference, np.array([3.4, 2.0, 4.6]), 2.5)
    figure = picture_figures.slices_figure(data)
    for shown, panel in zip(figure.data, data.panels, strict=True):
        assert np.array_equal(shown.z, panel.series[0].grid("density"))
        assert (shown.zmin, shown.zmax) == panel.colour.range
        assert np.allclose(shown.x0 + shown.dx * np.arange(len(shown.z[0])), panel.series[0].positions("x"))
    assert figure.data[0].dx == 2.5
    titles = {note.text for note in figure.layout.annotations}
    assert titles == {"xy", "xz", "yz", "input", "reconstruction"}
    alone = densities.slices(density, "reconstruction", None, np.array([3, 2, 4]), 2.5)
    assert len(picture_figures.slices_figure(alone).data) == 3
