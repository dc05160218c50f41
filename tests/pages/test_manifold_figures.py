"""Embedding, spectrum, neighbours and recall as Plotly draws them: the very numbers of the data."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.figures import manifold, neighbours
from engine.geometry import rotations
from engine.poses import distance, pairs
from pages._run import manifold_figures as figures

COUNT = 60


@pytest.fixture
def poses(rng):
    return rotations.sample_orientations(COUNT + 15, rng)


@pytest.fixture
def estimated(poses, rng):
    exact = distance.exact_distances(rotations.to_quaternion(poses[:COUNT]), pairs.all_pairs(COUNT))
    return distance.perturb_distances(exact, 0.05, rng).values


def titles(figure):
    return [axis.title.text for axis in [*figure.select_xaxes(), *figure.select_yaxes()]]


def same(trace, series):
    return np.array_equal(trace.x, series.columns["x"]) and np.array_equal(trace.y, series.columns["y"])


@pytest.mark.parametrize(("dimensions", "kind"), [(2, "scatter"), (3, "scatter3d")])
def test_every_projection_is_a_point_in_the_colour_asked_for(poses, rng, dimensions, kind):
    points, errors = rng.standard_normal((COUNT, dimensions)), rng.uniform(0, 0.2, COUNT + 15)
    for colour in manifold.COLOURS:
        data = manifold.embedding(points, poses, errors, "Isomap", colour, "estimated")
        figure = figures.embedding_figure(data)
        (trace,) = figure.data
        columns = data.panel["projections"].columns
        assert trace.type == kind
        for axis in "xyz"[:dimensions]:
            np.testing.assert_array_equal(trace[axis], columns[axis])
        np.testing.assert_array_equal(trace.marker.color, columns[colour])
        keys = ("projection", "rot", "tilt", "psi", "error", "error_rad")
        np.testing.assert_array_equal(trace.customdata, np.stack([columns[name] for name in keys], axis=1))
        axis = figure.layout.coloraxis
        assert axis.colorbar.title.text == f"{colour} (°)"
        assert (axis.cmin, axis.cmax) == data.panel.colour.range
    assert figure.layout.title.text == "Isomap of the estimated distances, 60 projections"


def test_axes_have_a_unit_where_there_is_one(poses):
    def named(method, dimensions):
        data = manifold.embedding(np.zeros((5, dimensions)), poses, np.zeros(75), method, "rot", "true")
        figure = figures.embedding_figure(data)
        if dimensions == 2:
            return titles(figure)
        return [figure.layout.scene[f"{letter}axis"].title.text for letter in "xyz"]

    assert named("MDS", 2) == ["first dimension (rad)", "second dimension (rad)"]
    assert named("spectral", 3) == ["first dimension", "second dimension", "third dimension"]


@pytest.mark.parametrize(("colour", "closes"), [("rot", True), ("psi", True), ("tilt", False), ("error", False)])
def test_angles_that_close_have_a_colour_scale_that_does(poses, colour, closes):
    data = manifold.embedding(np.zeros((5, 2)), poses, np.zeros(75), "MDS", colour, "true")
    scale = [colour for _, colour in figures.embedding_figure(data).layout.coloraxis.colorscale]
    assert (scale[0] == scale[-1]) == closes


def test_the_spectrum_shows_both_and_the_theory(poses, estimated):
    data = manifold.spectrum(estimated, poses, "C1")
    figure = figures.spectrum_figure(data)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [bar.name for bar in bars] == ["estimated distances", "true distances"]
    assert all(same(bar, data.panel[bar.name]) for bar in bars)
    (line,) = (trace for trace in figure.data if trace.type == "scatter")
    assert same(line, data.panel["uniform on SO(3)"])
    assert line.name == "uniform on SO(3): 20, nine times"
    assert figure.layout.shapes[0].x0 == 9.5
    assert f"here {100 * data.values['share_of_rank']:.3g} %" in figure.layout.annotations[0].text


def test_of_symmetric_volumes_the_spectrum_has_no_theory(poses, estimated):
    figure = figures.spectrum_figure(manifold.spectrum(estimated, poses, "D2"))
    assert [trace.type for trace in figure.data] == ["bar", "bar"]
    assert not figure.layout.shapes


@pytest.mark.parametrize(("by_pose", "alone"), [(True, "not by estimate"), (False, "not by true pose")])
def test_a_graph_of_neighbours_is_drawn_cell_by_cell(poses, estimated, by_pose, alone):
    data = neighbours.neighbour_graph(estimated, poses, "C1", by_pose)
    figure = figures.adjacency_figure(data)
    matrix, *legend = figure.data
    nearest = data.panel["nearest"]
    np.testing.assert_array_equal(np.asarray(matrix.z).ravel(), nearest.columns["edge"])
    ends = np.stack([nearest.columns["projection"], nearest.columns["neighbour"]], axis=1)
    np.testing.assert_array_equal(np.asarray(matrix.customdata).reshape(-1, 2), ends)
    assert [trace.name for trace in legend] == ["by both", alone]
    colours = [colour for _, colour in matrix.colorscale]
    assert [trace.marker.color for trace in legend] == colours[1:]
    assert figure.layout.yaxis.range == (COUNT - 0.5, -0.5), "the first row is on top"
    assert figure.layout.title.text == data.title


def test_recall_is_drawn_beside_chance(poses, estimated):
    data = neighbours.recall(estimated, poses, "C1", 0.25)
    figure = figures.recall_figure(data)
    assert len(figure.data) == 3
    assert all(same(trace, data.panel[trace.name]) for trace in figure.data)
    assert titles(figure) == ["k, neighbours", "recall (%)"]
    assert len(figures.recall_figure(neighbours.recall(estimated, poses, "C1", None)).data) == 2
