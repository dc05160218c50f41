"""Projections as points, and their spectrum: with the angles of their poses, and what theory says of the spectrum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import squareform

from engine.analysis.figures import manifold as figures
from engine.base.errors import InputError
from engine.geometry import rotations
from engine.poses import manifold
from tests.analysis.figures.conftest import COUNT, distances_between
from tests.figure_testing import assert_csv_holds, points_of


@pytest.mark.parametrize("symmetry", ["C1", "C4", "D2"])
def test_true_distances_are_those_of_the_first_poses_and_of_the_symmetry(poses, symmetry):
    distances = figures.true_distances(poses, symmetry, 20)
    np.testing.assert_allclose(distances, distances_between(poses[:20], symmetry), atol=1e-5)


# Embedding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_projection_is_a_point_with_its_angles_and_its_error(poses, rng, dimensions):
    points, errors = rng.standard_normal((COUNT, dimensions)), rng.uniform(0, 0.2, COUNT + 15)
    figure = figures.embedding(points, poses, errors, "Isomap", "psi", "estimated")
    series = figure.panel["projections"]
    np.testing.assert_array_equal(points_of(series, *"xyz"[:dimensions]), points)
    angles = points_of(series, "rot", "tilt", "psi")
    np.testing.assert_allclose(rotations.from_euler(angles), poses[:COUNT], atol=1e-9)
    np.testing.assert_array_equal(series.columns["projection"], np.arange(COUNT))
    np.testing.assert_array_equal(series.columns["error_rad"], errors[:COUNT])
    np.testing.assert_allclose(series.columns["error"], errors[:COUNT] * 180 / np.pi)
    assert (figure.panel.z is None) == (dimensions == 2)
    assert figure.title == "Isomap of the estimated distances, 60 projections"
    assert_csv_holds(figure)


def test_axes_have_a_unit_where_there_is_one(poses):
    def titles(method):
        panel = figures.embedding(np.zeros((5, 3)), poses, np.zeros(75), method, "rot", "true").panel
        return [panel.x.title, panel.y.title, panel.z.title]

    assert titles("MDS") == ["first dimension (rad)", "second dimension (rad)", "third dimension (rad)"]
    assert titles("spectral") == ["first dimension", "second dimension", "third dimension"]


def test_colours_reach_as_far_as_their_angles(poses):
    def ends(colour, errors=(0.1,) * 75):
        return figures.embedding(np.zeros((5, 2)), poses, np.array(errors), "MDS", colour, "true").panel.colour.range

    assert ends("rot") == ends("psi") == (-180, 180)
    assert ends("tilt") == (0, 180)
    assert ends("error") == (0, pytest.approx(np.degrees(0.1)))
    assert ends("error", (0.0,) * 75) == (0, 1), "no errors are no empty scale"


def test_every_method_has_a_name():
    assert tuple(figures.METHODS.values()) == manifold.METHODS


@pytest.mark.parametrize("of", ["estimated", "true"])
def test_the_points_keep_the_distances_that_are_asked_for(poses, of, rng):
    """Turns about one axis by less than half a turn lie on a straight line, at their angles."""
    angles = np.radians(rng.permutation(np.arange(0, 60, 4)))
    turned = rotations.from_euler(np.degrees(np.stack([angles, 0 * angles, 0 * angles], axis=1)))
    halved = squareform(np.abs(angles[:, None] - angles) / 2)
    points = figures.embedded(halved, turned, "C1", of, "MDS", 2)
    expected = np.abs(angles[:, None] - angles) / (2 if of == "estimated" else 1)
    np.testing.assert_allclose(np.linalg.norm(points[:, None] - points, axis=2), expected, atol=2e-3)


def test_too_few_projections_cannot_be_embedded(poses):
    with pytest.raises(InputError, match="wanted at least 4"):
        figures.embedded(np.float32([1, 1, 1]), poses, "C1", "estimated", "MDS", 2)


# Spectrum ------------------------------------------------------------------------------------------------------------


def test_the_spectrum_is_that_of_the_traces_and_the_theory_says_nine(poses, estimated, true):
    figure = figures.spectrum(estimated, poses, "C1")
    for name, distances in (("estimated distances", squareform(estimated)), ("true distances", true)):
        eigenvalues = np.linalg.eigvalsh(1 + 2 * np.cos(distances))[::-1]
        expected = np.stack([np.arange(1, 25), eigenvalues[:24]], axis=1)
        np.testing.assert_allclose(points_of(figure.panel[name], "x", "y"), expected, atol=1e-3)
        if name == "estimated distances":
            share = np.sort(eigenvalues**2)[-9:].sum() / np.sum(eigenvalues**2)
            assert figure.values == {"projections": COUNT, "rank": 9, "share_of_rank": pytest.approx(share)}
    np.testing.assert_allclose(figure.panel["true distances"].columns["y"][9:], 0, atol=1e-3)
    theory = points_of(figure.panel["uniform on SO(3)"], "x", "y")
    np.testing.assert_allclose(theory, [[0.5, COUNT / 3], [9.5, COUNT / 3]])
    assert_csv_holds(figure)


def test_of_symmetric_volumes_the_spectrum_has_no_theory(poses):
    distances = squareform(distances_between(poses[:COUNT], "D2"), checks=False)
    figure = figures.spectrum(distances, poses, "D2")
    one, other = figure.panel.series
    np.testing.assert_allclose(one.columns["y"], other.columns["y"], rtol=1e-4, atol=1e-3)
    assert figure.values == {"projections": COUNT}


def test_without_poses_there_is_the_spectrum_of_the_estimate_alone(estimated):
    bars = [series.name for series in figures.spectrum(estimated, None, "C1").panel.series if series.kind == "bars"]
    assert bars == ["estimated distances"]


def test_four_projections_have_four_eigenvalues(poses, true):
    assert len(figures.spectrum(squareform(true[:4, :4], checks=False), poses, "C1").panel["estimated distances"]) == 4
