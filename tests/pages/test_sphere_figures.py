"""Spheres and maps of viewing directions as Plotly draws them: what is where, and nothing fetched for it."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.figures.directions import by_solid_angle, errors_by_direction, on_spheres
from engine.geometry.rotations import from_euler, sample_orientations, viewing_directions
from pages._shared import sphere_figures


@pytest.fixture
def directions(rng):
    return viewing_directions(sample_orientations(500, rng))


def points(figure):
    return [trace for trace in figure.data if trace.mode == "markers"]


def test_a_direction_is_on_the_globe_where_rot_and_tilt_say():
    angles = np.array([[0, 90, 5], [90, 90, 6], [40, 0.0001, 7], [-120, 170, 8]])
    figure = sphere_figures.sphere_figure(on_spheres({"a": viewing_directions(from_euler(angles))}))
    (globe,) = points(figure)
    assert np.allclose(globe.lon, angles[:, 0])
    assert np.allclose(globe.lat, 90 - angles[:, 1])
    (axes,) = (trace for trace in figure.data if trace.mode == "text")
    assert dict(zip(axes.text, zip(axes.lon, axes.lat, strict=True), strict=True)) == {
        "x": (0, 0), "y": (90, 0), "z": (0, 90),
    }  # fmt: skip


def test_each_name_has_a_sphere_of_its_own_in_one_figure(directions):
    names = {name: directions[: 10 * number] for number, name in enumerate("abcde", start=1)}
    data = on_spheres(names)
    figure = sphere_figures.sphere_figure(data, colours={"b": "#D55E00"})
    assert len({trace.geo for trace in points(figure)}) == 5
    for trace, panel in zip(points(figure), data.panels, strict=True):
        columns = panel["projections"].columns
        assert np.array_equal(trace.lon, columns["rot"])
        assert np.array_equal(trace.customdata[:, 0], columns["tilt"])
    assert [note.text for note in figure.layout.annotations] == list("abcde")
    assert points(figure)[1].marker.color == "#D55E00"


def test_a_globe_needs_nothing_from_elsewhere(directions):
    """Outlines of the Earth would be fetched; what is neither visible nor asked for is not."""
    figure = sphere_figures.sphere_figure(on_spheres({"a": directions}))
    geo = figure.layout.geo
    assert geo.visible is False
    assert geo.showframe
    shown = [name for name in geo.to_plotly_json() if name.startswith("show")]
    assert shown == ["showframe"]


def test_what_somebody_typed_is_shown_letter_by_letter(directions):
    typed = {"<b>x</b>": directions}
    spheres = sphere_figures.sphere_figure(on_spheres(typed))
    maps = sphere_figures.direction_heatmap_figure(by_solid_angle(typed))
    assert [figure.layout.annotations[0].text for figure in (spheres, maps)] == ["&lt;b&gt;x&lt;/b&gt;"] * 2


def test_errors_colour_the_points(directions, rng):
    errors = rng.uniform(0, 0.2, 500)
    data = on_spheres({"a": directions, "b": directions}, {"a": errors, "b": 2 * errors})
    figure = sphere_figures.sphere_figure(data)
    for trace, panel in zip(points(figure), data.panels, strict=True):
        assert np.array_equal(trace.marker.color, panel["projections"].columns["error"])
        assert np.array_equal(trace.customdata[:, 1], panel["projections"].columns["error"])
    assert figure.layout.coloraxis.colorbar.title.text == "error (°)"
    assert figure.layout.coloraxis.cmax == data.panels[0].colour.range[1]


def test_many_directions_are_thinned_and_that_is_in_the_title(directions):
    figure = sphere_figures.sphere_figure(on_spheres({"a": np.tile(directions, (3, 1))}))
    assert len(points(figure)[0].lon) == 1000
    assert figure.layout.title.text == "Viewing directions, the first 1,000 of 1,500"


def test_the_heat_map_shows_the_count_of_each_cell(directions):
    data = by_solid_angle({"a": directions, "b": directions[:100]})
    figure = sphere_figures.direction_heatmap_figure(data)
    for trace, panel in zip(figure.data, data.panels, strict=True):
        series = panel["projections"]
        counts, ratio = np.moveaxis(np.asarray(trace.customdata), -1, 0)
        assert np.array_equal(counts, series.grid("projections"))
        assert np.array_equal(ratio, series.grid("times_even"))
        assert np.array_equal(np.isnan(trace.z), counts == 0)
        assert np.array_equal(np.nan_to_num(trace.z), counts)
        assert np.array_equal(trace.x[:-1], series.grid("x_low")[0])
        assert np.array_equal(trace.y[1:], series.grid("y_high")[:, 0])
    first, second = figure.data
    assert first.coloraxis == second.coloraxis == "coloraxis"
    assert f"times the {100 / first.z.size:.3g} of an even" in second.hovertemplate
    assert f"in {4 * np.pi / first.z.size:.3f} sr" in second.hovertemplate
    assert figure.layout.coloraxis.cmax == np.nanmax(first.z)
    assert figure.layout.xaxis2.title.text == "rot (°)"
    assert figure.layout.yaxis.title.text == "tilt (°)"
    assert list(figure.layout.yaxis.ticktext) == ["0", "45", "90", "135", "180"]


def test_the_error_map_shows_the_median_of_each_cell_and_empty_cells_empty():
    angles = np.array([[10, 100, 0], [12, 101, 50], [11, 102, 90], [-100, 20, 0]])
    data = errors_by_direction(from_euler(angles), np.radians([1.0, 2.0, 9.0, 4.0]))
    (heat,) = sphere_figures.error_map_figure(data).data
    series = data.panel["angle error"]
    median, mean, radians, count = np.moveaxis(np.asarray(heat.customdata), -1, 0)
    for drawn, column in ((heat.z, "median"), (median, "median"), (mean, "mean"), (count, "projections")):
        np.testing.assert_array_equal(drawn, series.grid(column))
    np.testing.assert_allclose(radians, np.radians(median))
    assert np.count_nonzero(~np.isnan(heat.z)) == 2
    column, row = np.searchsorted(heat.x, 11) - 1, np.searchsorted(heat.y, np.cos(np.radians(101))) - 1
    assert heat.z[row, column] == pytest.approx(2.0)
