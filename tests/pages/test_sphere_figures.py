"""Spheres and maps of viewing directions: what is drawn where, and that cells are of equal solid angle."""

from __future__ import annotations

import numpy as np
import pytest

from engine.geometry.rotations import from_euler, sample_orientations, viewing_directions
from pages._shared import sphere_figures


@pytest.fixture
def directions(rng):
    return viewing_directions(sample_orientations(500, rng))


def points(figure):
    return [trace for trace in figure.data if trace.mode == "markers"]


def test_a_direction_is_on_the_globe_where_rot_and_tilt_say():
    angles = np.array([[0, 90, 5], [90, 90, 6], [40, 0.0001, 7], [-120, 170, 8]])
    figure = sphere_figures.sphere_figure({"a": viewing_directions(from_euler(angles))})
    (globe,) = points(figure)
    assert np.allclose(globe.lon, angles[:, 0])
    assert np.allclose(globe.lat, 90 - angles[:, 1])
    (axes,) = (trace for trace in figure.data if trace.mode == "text")
    assert dict(zip(axes.text, zip(axes.lon, axes.lat, strict=True), strict=True)) == {
        "x": (0, 0), "y": (90, 0), "z": (0, 90),
    }  # fmt: skip


def test_each_name_has_a_sphere_of_its_own_in_one_figure(directions):
    names = {name: directions[: 10 * number] for number, name in enumerate("abcde", start=1)}
    figure = sphere_figures.sphere_figure(names, colours={"b": "#D55E00"})
    assert len({trace.geo for trace in points(figure)}) == 5
    assert [len(trace.lon) for trace in points(figure)] == [10, 20, 30, 40, 50]
    assert [note.text for note in figure.layout.annotations] == list("abcde")
    assert points(figure)[1].marker.color == "#D55E00"


def test_a_globe_needs_nothing_from_elsewhere(directions):
    """Outlines of the Earth would be fetched; what is neither visible nor asked for is not."""
    figure = sphere_figures.sphere_figure({"a": directions})
    geo = figure.layout.geo
    assert geo.visible is False
    assert geo.showframe
    shown = [name for name in geo.to_plotly_json() if name.startswith("show")]
    assert shown == ["showframe"]


def test_what_somebody_typed_is_shown_letter_by_letter(directions):
    for figure in (sphere_figures.sphere_figure, sphere_figures.direction_heatmap_figure):
        assert figure({"<b>x</b>": directions}).layout.annotations[0].text == "&lt;b&gt;x&lt;/b&gt;"


def test_errors_colour_the_points(directions, rng):
    errors = rng.uniform(0, 0.2, 500)
    figure = sphere_figures.sphere_figure({"a": directions, "b": directions}, {"a": errors, "b": 2 * errors})
    first, second = points(figure)
    assert np.allclose(first.marker.color, np.degrees(errors))
    assert np.allclose(second.marker.color, np.degrees(2 * errors))
    assert figure.layout.coloraxis.colorbar.title.text == "error (°)"


def test_many_directions_are_thinned_and_that_is_said(directions):
    figure = sphere_figures.sphere_figure({"a": np.tile(directions, (3, 1))})
    assert len(points(figure)[0].lon) == 1000
    assert figure.layout.title.text == "Viewing directions, the first 1,000 of 1,500"


def test_cells_hold_equal_solid_angles(rng):
    """Uniform directions: counts are binomial with the same mean in each cell, whatever its latitude."""
    vectors = viewing_directions(sample_orientations(200_000, rng))
    edges = sphere_figures.cell_edges(1000)
    counts = sphere_figures.cell_counts(vectors, edges)
    expected = 200_000 / counts.size
    assert counts.sum() == 200_000
    chi_square = np.sum((counts - expected) ** 2) / expected
    assert abs(chi_square - counts.size) < 5 * np.sqrt(2 * counts.size)
    polar, equatorial = counts[[0, -1]].mean(), counts[len(counts) // 2].mean()
    assert polar == pytest.approx(equatorial, rel=0.03)


def test_euler_sampling_crowds_the_poles_as_the_closed_form_says(rng):
    """Uniform tilt: of all directions arccos(1 - h) / pi are in the cap of height h, where uniform ones are h / 2."""
    vectors = viewing_directions(sample_orientations(100_000, rng, sampling="euler"))
    counts = sphere_figures.cell_counts(vectors, sphere_figures.cell_edges(1000))
    height = 2 / len(counts)
    assert counts[-1].sum() / 100_000 == pytest.approx(np.arccos(1 - height) / np.pi, rel=0.03)


def test_the_heat_map_counts_each_direction_in_its_cell(directions):
    figure = sphere_figures.direction_heatmap_figure({"a": directions, "b": directions[:100]})
    first, second = figure.data
    assert np.nansum(first.z) == 500
    assert np.nansum(second.z) == 100
    counts, ratio = np.moveaxis(np.asarray(first.customdata), -1, 0)
    assert np.all(np.isnan(first.z) == (counts == 0))
    assert np.allclose(ratio, counts / (500 / counts.size))
    rot = np.degrees(np.arctan2(directions[0, 1], directions[0, 0]))
    column = np.searchsorted(first.x, rot) - 1
    row = np.searchsorted(first.y, directions[0, 2]) - 1
    assert counts[row, column] >= 1
    assert first.coloraxis == second.coloraxis == "coloraxis"
    assert figure.layout.xaxis2.title.text == "rot (°)"
    assert figure.layout.yaxis.title.text == "tilt (°)"


def test_the_first_and_the_last_direction_are_on_the_map():
    ends = np.array([[-1.0, -1e-17, 0], [-1, 1e-17, 0], [0, 0, 1], [0, 0, -1]])
    assert sphere_figures.cell_counts(ends, sphere_figures.cell_edges(4)).sum() == 4


def test_the_error_map_has_the_median_of_each_cell_and_empty_cells_empty():
    angles = np.array([[10, 100, 0], [12, 101, 50], [11, 102, 90], [-100, 20, 0]])
    errors = np.radians([1.0, 2.0, 9.0, 4.0])
    figure = sphere_figures.error_map_figure(from_euler(angles), errors)
    (heat,) = figure.data
    assert np.count_nonzero(~np.isnan(heat.z)) == 2
    column, row = np.searchsorted(heat.x, 11) - 1, np.searchsorted(heat.y, np.cos(np.radians(101))) - 1
    assert heat.z[row, column] == pytest.approx(2.0)
    median, mean, radians, count = heat.customdata[row, column]
    assert (median, mean, radians, count) == (
        pytest.approx(2.0), pytest.approx(4.0), pytest.approx(np.radians(2)), 3,
    )  # fmt: skip
    column, row = np.searchsorted(heat.x, -100) - 1, np.searchsorted(heat.y, np.cos(np.radians(20))) - 1
    assert heat.z[row, column] == pytest.approx(4.0)


@pytest.mark.parametrize(("count", "rows"), [(4, 4), (300, 6), (1000, 11), (1650, 14), (200_000, 18)])
def test_cells_are_as_large_as_the_number_of_directions_asks_for(count, rows):
    rot, cosine = sphere_figures.cell_edges(count)
    assert (len(rot) - 1, len(cosine) - 1) == (3 * rows, rows)
