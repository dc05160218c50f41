"""Viewing directions: where they point, and that cells are of equal solid angle and hold what lies in them."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.figures import directions as figures
from engine.geometry.rotations import from_euler, sample_orientations, viewing_directions
from tests.figure_testing import assert_csv_holds, points_of


@pytest.fixture
def directions(rng):
    return viewing_directions(sample_orientations(500, rng))


def test_a_direction_has_the_rot_and_tilt_of_its_pose():
    angles = np.array([[0, 90, 5], [90, 90, 6], [40, 0.0001, 7], [-120, 170, 8]])
    figure = figures.on_spheres({"a": viewing_directions(from_euler(angles))})
    np.testing.assert_allclose(points_of(figure.panel["projections"], "rot", "tilt"), angles[:, :2], atol=1e-9)
    assert figure.panel.colour is None
    assert_csv_holds(figure)


def test_errors_are_in_degrees_on_one_scale(directions, rng):
    errors = rng.uniform(0, 0.2, 500)
    figure = figures.on_spheres({"a": directions, "b": directions}, {"a": errors, "b": 2 * errors})
    for panel, expected in zip(figure.panels, (errors, 2 * errors), strict=True):
        np.testing.assert_allclose(panel["projections"].columns["error"], expected * 180 / np.pi)
        assert panel.colour.title == "error (°)"
        assert panel.colour.range == (0, pytest.approx(np.percentile(np.degrees([errors, 2 * errors]), 98)))
    assert [panel.title for panel in figure.panels] == ["a", "b"]
    assert figures.on_spheres({"a": directions}, {"a": 0 * errors}).panel.colour.range == (0, 1)
    assert_csv_holds(figure)


def test_many_directions_are_thinned_and_that_is_in_the_title(directions):
    figure = figures.on_spheres({"a": np.tile(directions, (3, 1)), "b": directions})
    assert [len(panel["projections"]) for panel in figure.panels] == [1000, 500]
    assert figure.title == "Viewing directions, the first 1,000 of 1,500"


def test_cells_hold_equal_solid_angles(rng):
    """Uniform directions: counts are binomial with the same mean in each cell, whatever its latitude."""
    vectors = viewing_directions(sample_orientations(200_000, rng))
    edges = figures.cell_edges(1000)
    counts = figures.cell_counts(vectors, edges)
    expected = 200_000 / counts.size
    assert counts.sum() == 200_000
    chi_square = np.sum((counts - expected) ** 2) / expected
    assert abs(chi_square - counts.size) < 5 * np.sqrt(2 * counts.size)
    polar, equatorial = counts[[0, -1]].mean(), counts[len(counts) // 2].mean()
    assert polar == pytest.approx(equatorial, rel=0.03)


def test_euler_sampling_crowds_the_poles_as_the_closed_form_says(rng):
    """Uniform tilt: of all directions arccos(1 - h) / pi are in the cap of height h, where uniform ones are h / 2."""
    vectors = viewing_directions(sample_orientations(100_000, rng, sampling="euler"))
    counts = figures.cell_counts(vectors, figures.cell_edges(1000))
    height = 2 / len(counts)
    assert counts[-1].sum() / 100_000 == pytest.approx(np.arccos(1 - height) / np.pi, rel=0.03)


def test_the_map_counts_each_direction_in_its_cell(directions):
    figure = figures.by_solid_angle({"a": directions, "b": directions[:100]})
    for panel, vectors in zip(figure.panels, (directions, directions[:100]), strict=True):
        rot, cosine = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])), vectors[:, 2]
        columns = ("x_low", "x_high", "y_low", "y_high", "projections", "times_even")
        rows = points_of(panel["projections"], *columns)
        for left, right, low, high, count, times_even in rows:
            assert count == np.sum((left <= rot) & (rot < right) & (low <= cosine) & (cosine < high))
            assert times_even == pytest.approx(count * len(rows) / len(vectors))
        assert rows[:, 4].sum() == len(vectors)
        assert panel.colour.range == (0, max(p["projections"].columns["projections"].max() for p in figure.panels))
        solid_angles = np.radians(rows[:, 1] - rows[:, 0]) * (rows[:, 3] - rows[:, 2])
        np.testing.assert_allclose(solid_angles, figure.values["solid_angle"])
    assert (panel.x.title, panel.y.title) == ("rot (°)", "tilt (°)")
    for cosine, tilt in panel.y.ticks:
        assert np.degrees(np.arccos(cosine)) == pytest.approx(float(tilt))
    assert_csv_holds(figure)


def test_the_first_and_the_last_direction_are_on_the_map():
    ends = np.array([[-1.0, -1e-17, 0], [-1, 1e-17, 0], [0, 0, 1], [0, 0, -1]])
    assert figures.cell_counts(ends, figures.cell_edges(4)).sum() == 4


def test_errors_by_direction_are_those_in_each_cell_and_none_in_empty_ones():
    angles = np.array([[10, 100, 0], [12, 101, 50], [11, 102, 90], [-100, 20, 0]])
    figure = figures.errors_by_direction(from_euler(angles), np.radians([1.0, 2.0, 9.0, 4.0]))
    columns = ("x_low", "x_high", "y_low", "y_high", "median", "mean", "projections")
    rows = points_of(figure.panel["angle error"], *columns)
    filled = rows[rows[:, 6] > 0]
    assert np.isnan(rows[rows[:, 6] == 0, 4:6]).all()
    np.testing.assert_allclose(filled[np.argsort(filled[:, 6]), 4:], [[4, 4, 1], [2, 4, 3]])
    for rot, tilt, median in ((11, 101, 2), (-100, 20, 4)):
        cosine = np.cos(np.radians(tilt))
        inside = (rows[:, 0] <= rot) & (rot < rows[:, 1]) & (rows[:, 2] <= cosine) & (cosine < rows[:, 3])
        assert rows[inside, 4] == pytest.approx(median)
    assert figure.panel.colour.range == (0, pytest.approx(np.percentile([2, 4], 98)))
    assert_csv_holds(figure)


@pytest.mark.parametrize(("count", "rows"), [(4, 4), (300, 6), (1000, 11), (1650, 14), (200_000, 18)])
def test_cells_are_as_large_as_the_number_of_directions_asks_for(count, rows):
    rot, cosine = figures.cell_edges(count)
    assert (len(rot) - 1, len(cosine) - 1) == (3 * rows, rows)
