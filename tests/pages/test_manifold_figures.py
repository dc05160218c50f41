from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import squareform

from engine.geometry import rotations
from engine.geometry.symmetry import group
from engine.poses import distance, manifold, neighbourhood, pairs
from pages._run import manifold_figures as figures

COUNT = 60


@pytest.fixture
def poses(rng):
    return rotations.sample_orientations(COUNT + 15, rng)


def distances_of(poses, symmetry="C1", count=COUNT):
    return distance.exact_distances(
        rotations.to_quaternion(poses[:count]), pairs.all_pairs(count), group(symmetry)
    ).values


@pytest.fixture
def estimated(poses, rng):
    exact = pairs.PairDistances(COUNT, *np.triu_indices(COUNT, 1), distances_of(poses))
    return distance.perturb_distances(exact, 0.05, rng).values


def titles(figure):
    return [axis.title.text for axis in [*figure.select_xaxes(), *figure.select_yaxes()]]


@pytest.mark.parametrize("symmetry", ["C1", "C4"])
def test_true_distances_are_those_of_the_first_poses_and_of_the_symmetry(poses, symmetry):
    found = figures.true_distances(poses, symmetry, 20)
    np.testing.assert_array_equal(found, squareform(distances_of(poses, symmetry, 20)))


# Embedding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dimensions", "kind"), [(2, "scatter"), (3, "scatter3d")])
def test_every_projection_is_a_point_in_the_colour_asked_for(poses, rng, dimensions, kind):
    points, errors = rng.standard_normal((COUNT, dimensions)), rng.uniform(0, 0.2, COUNT + 15)
    angles = rotations.to_euler(poses[:COUNT])
    for colour, values in zip(figures.COLOURS, [*angles.T, np.degrees(errors[:COUNT])], strict=True):
        figure = figures.embedding_figure(points, poses, errors, "Isomap", colour, "estimated")
        (trace,) = figure.data
        assert trace.type == kind
        np.testing.assert_array_equal(np.stack([trace[axis] for axis in "xyz"[:dimensions]], axis=1), points)
        np.testing.assert_allclose(trace.marker.color, values)
        assert figure.layout.coloraxis.colorbar.title.text == f"{colour} (°)"
    assert figure.layout.title.text == "Isomap of the estimated distances, 60 projections"
    np.testing.assert_allclose(trace.customdata[:, 0], np.arange(COUNT))
    np.testing.assert_allclose(trace.customdata[:, 4:], np.stack([np.degrees(errors), errors], axis=1)[:COUNT])


def test_axes_have_a_unit_where_there_is_one(poses):
    def named(method, dimensions):
        figure = figures.embedding_figure(np.zeros((5, dimensions)), poses, np.zeros(75), method, "rot", "true")
        if dimensions == 2:
            return titles(figure)
        return [figure.layout.scene[f"{letter}axis"].title.text for letter in "xyz"]

    assert named("MDS", 2) == ["first dimension (rad)", "second dimension (rad)"]
    assert named("spectral", 3) == ["first dimension", "second dimension", "third dimension"]


def test_angles_that_close_have_a_colour_scale_that_does(poses):
    def axis(colour, errors=(0.1,) * 75):
        figure = figures.embedding_figure(np.zeros((5, 2)), poses, np.array(errors), "MDS", colour, "true")
        return figure.layout.coloraxis

    for colour in ("rot", "psi"):
        scale = [colour for _, colour in axis(colour).colorscale]
        assert scale[0] == scale[-1]
        assert (axis(colour).cmin, axis(colour).cmax) == (-180, 180)
    assert (axis("tilt").cmin, axis("tilt").cmax) == (0, 180)
    assert axis("error").cmax == pytest.approx(np.degrees(0.1))
    assert axis("error", (0.0,) * 75).cmax == 1, "no errors are no empty scale"


def test_every_method_has_a_name():
    assert tuple(figures.METHODS.values()) == manifold.METHODS


# Spectrum -----------------------------------------------------------------------------------------------------------


def test_the_spectrum_shows_both_and_the_theory(poses, estimated):
    figure = figures.spectrum_figure(estimated, poses, "C1")
    bars = {trace.name: trace.y for trace in figure.data if trace.type == "bar"}
    assert list(bars) == ["estimated distances", "true distances"]
    np.testing.assert_allclose(bars["estimated distances"], manifold.gram_spectrum(squareform(estimated))[:24])
    np.testing.assert_allclose(bars["true distances"][9:], 0, atol=1e-3)
    (line,) = (trace for trace in figure.data if trace.type == "scatter")
    assert list(line.y) == [COUNT / 3, COUNT / 3]
    assert figure.layout.shapes[0].x0 == 9.5
    share = manifold.share_of_rank(manifold.gram_spectrum(squareform(estimated)))
    assert f"here {100 * share:.3g} %" in figure.layout.annotations[0].text


def test_of_symmetric_volumes_the_spectrum_has_no_theory(poses):
    figure = figures.spectrum_figure(distances_of(poses, "D2"), poses, "D2")
    assert [trace.type for trace in figure.data] == ["bar", "bar"]
    np.testing.assert_allclose(figure.data[0].y, figure.data[1].y, rtol=1e-4, atol=1e-3)
    assert not figure.layout.shapes


def test_a_run_without_poses_has_a_spectrum_and_no_more(estimated):
    figure = figures.spectrum_figure(estimated, None, "C1")
    assert [trace.name for trace in figure.data if trace.type == "bar"] == ["estimated distances"]
    assert figures.adjacency_figure(estimated, None, "C1", by_pose=True) is None
    assert figures.recall_figure(estimated, None, "C1", 0.5) is None


# Neighbours ---------------------------------------------------------------------------------------------------------


def test_both_graphs_are_drawn_in_one_order(poses, estimated):
    one, other = (figures.adjacency_figure(estimated, poses, "C1", by_pose) for by_pose in (True, False))
    by_pose, by_estimate = one.data[0].z, other.data[0].z
    assert np.all(np.count_nonzero(by_pose, axis=1) == 10)
    assert np.all(np.count_nonzero(by_estimate, axis=1) == 10)
    np.testing.assert_array_equal(by_pose == 1, by_estimate == 1)
    assert not np.any((by_pose == 2) & (by_estimate == 2))
    recall = neighbourhood.neighbour_recall(distances_of(poses), estimated, COUNT)
    assert np.count_nonzero(by_pose == 1) == pytest.approx(recall * 10 * COUNT)
    at = one.data[0].customdata[..., 0][:, 0]
    assert sorted(at) == list(range(COUNT))
    np.testing.assert_array_equal(at, other.data[0].customdata[..., 1][0])
    row = int(np.flatnonzero(at == 7)[0])
    for figure, distances in ((one, distances_of(poses)), (other, estimated)):
        assert sorted(at[figure.data[0].z[row] > 0]) == sorted(neighbourhood.nearest(squareform(distances), 10)[7])
    assert one.layout.title.text == "The 10 nearest, by true pose"
    assert [trace.name for trace in one.data[1:]] == ["by both", "not by estimate"]
    assert [trace.name for trace in other.data[1:]] == ["by both", "not by true pose"]


def test_of_many_projections_a_part_is_drawn(poses, estimated, monkeypatch):
    monkeypatch.setattr(figures, "_IN_A_MATRIX", 30)
    figure = figures.adjacency_figure(estimated, poses, "C1", by_pose=False)
    assert figure.data[0].z.shape == (30, 30)
    assert figure.layout.title.text == "The 10 nearest of the first 30, by estimated distance"


def test_recall_is_drawn_beside_chance(poses, estimated):
    figure = figures.recall_figure(estimated, poses, "C1", 0.25)
    found, chance, of_all = figure.data
    assert list(found.x) == list(range(1, 51))
    true = squareform(distances_of(poses))
    np.testing.assert_allclose(found.y, 100 * neighbourhood.recall(true, squareform(estimated), range(1, 51)))
    assert chance.y[49] == pytest.approx(100 * 50 / 59)
    assert (of_all.x, of_all.y) == ((10,), (25.0,))
    assert len(figures.recall_figure(estimated, poses, "C1", None).data) == 2


def test_four_projections_are_enough_to_be_drawn(poses):
    few = distances_of(poses, count=4)
    assert list(figures.recall_figure(few, poses, "C1", 1.0).data[0].x) == [1, 2, 3]
    assert figures.adjacency_figure(few, poses, "C1", True).layout.title.text == "The 3 nearest, by true pose"
    assert len(figures.spectrum_figure(few, poses, "C1").data[0].y) == 4
