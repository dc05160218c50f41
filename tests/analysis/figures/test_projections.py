from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.figures import projections
from tests.figure_testing import assert_csv_holds


@pytest.fixture
def images(rng):
    return rng.standard_normal((16, 40, 41)).astype(np.float32)


def test_a_gallery_has_the_pixels_of_the_first_projections_and_their_greys(images):
    figure = projections.gallery(images, "Some", 3)
    assert [series.name for series in figure.panel.series] == ["projection 0", "projection 1", "projection 2"]
    for series, image in zip(figure.panel.series, images, strict=False):
        np.testing.assert_array_equal(series.grid("value"), image)
        x, y, grey = (series.columns[name] for name in ("x", "y", "grey"))
        np.testing.assert_array_equal(series.columns["value"], image[y, x])
        low, high = np.percentile(image, [0.5, 99.5])
        np.testing.assert_allclose(grey, np.clip((image[y, x] - low) / (high - low), 0, 1), atol=1e-6)
        assert (grey.min(), grey.max()) == (0, 1)
    assert (figure.panel.x.title, figure.title) == ("x (px)", "Some")
    assert_csv_holds(figure)


def test_a_blank_projection_is_black():
    (series,) = projections.gallery_panel(np.full((1, 8, 8), 3.0), 4).series
    assert set(series.columns["grey"]) == {0}
    assert set(series.columns["value"]) == {3}


def test_each_projection_is_followed_by_what_is_recorded_of_it(images):
    figure = projections.before_and_after(images, images + 1, 2)
    expected = {
        "clean 0": images[0], "clean 1": images[1], "as recorded 0": images[0] + 1, "as recorded 1": images[1] + 1,
    }  # fmt: skip
    assert [series.name for series in figure.panel.series] == list(expected)
    for name, image in expected.items():
        np.testing.assert_array_equal(figure.panel[name].grid("value"), image)
    assert_csv_holds(figure)
