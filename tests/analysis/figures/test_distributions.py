from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial.transform import Rotation

from engine.analysis.figures import distributions
from engine.analysis.figures.distributions import HAAR
from tests.figure_testing import assert_csv_holds


@pytest.fixture(scope="module")
def uniform():
    """Poses uniform on SO(3), by SciPy."""
    return Rotation.random(40_000, rng=np.random.default_rng(5)).as_matrix()


def angles_between(poses):
    """Angles in rad between every second pose and the next."""
    relative = Rotation.from_matrix(poses[::2]).inv() * Rotation.from_matrix(poses[1::2])
    return relative.magnitude()


def test_closed_forms_are_densities():
    for form in (distributions.haar_tilt, distributions.haar_distance):
        assert quad(form, 0, 180)[0] == pytest.approx(1)
    assert quad(distributions.haar_component, -1, 1)[0] == pytest.approx(1)


def test_uniform_poses_meet_the_closed_forms(uniform):
    edges = np.linspace(0, np.pi, 101)
    counts = np.histogram(angles_between(uniform), edges)[0]
    for figure in (
        distributions.orientations({"some": uniform}, {"some": counts}, edges),
        distributions.quaternion_components({"some": uniform}),
    ):
        assert len(figure.panels) == 4
        for panel in figure.panels:
            some, form = panel["some"].columns, panel[HAAR].columns
            expected = np.interp((some["x_low"] + some["x_high"]) / 2, form["x"], form["y"])
            np.testing.assert_allclose(some["y"], expected, atol=0.08 * max(form["y"]))
        assert_csv_holds(figure)


def test_densities_count_poses_and_distances_in_their_bins(uniform):
    few = uniform[:300]
    edges = np.linspace(0, np.pi, 101)
    counts = np.histogram(angles_between(few), edges)[0]
    figure = distributions.orientations({"few": few}, {"few": counts}, edges)
    rot, tilt, psi, distance = (panel["few"].columns for panel in figure.panels)
    direction = few[:, :, 2]
    of_tilt = np.degrees(np.arccos(direction[:, 2]))
    of_rot = np.degrees(np.arctan2(direction[:, 1], direction[:, 0]))
    of_distance = np.degrees(angles_between(few))
    for columns, values in ((rot, of_rot), (tilt, of_tilt), (distance, of_distance)):
        assert np.sum(columns["y"] * (columns["x_high"] - columns["x_low"])) == pytest.approx(100)
        for low, high, density in zip(*columns.values(), strict=True):
            inside = np.count_nonzero((values >= low) & (values < high))
            assert density == pytest.approx(100 * inside / len(values) / (high - low))
    assert len(distance["y"]) == 25, "of 100 bins four at a time"
    assert (psi["x_low"][0], psi["x_high"][-1]) == (-180, 180)
    assert [panel.x.title for panel in figure.panels] == ["rot (°)", "tilt (°)", "psi (°)", "distance (°)"]


def test_both_signs_of_a_quaternion_are_counted(uniform):
    figure = distributions.quaternion_components({"one": uniform[:1]})
    components = np.abs(Rotation.from_matrix(uniform[0]).as_quat())  # x, y, z, w
    for panel, component in zip(figure.panels, components, strict=True):
        columns = panel["one"].columns
        np.testing.assert_allclose(columns["y"], columns["y"][::-1], atol=1e-9)
        hit = np.flatnonzero(columns["y"])
        assert columns["x_low"][hit[-1]] <= component <= columns["x_high"][hit[-1]]
        assert np.sum(columns["y"]) * 0.1 == pytest.approx(1)


def test_a_level_without_poses_or_distances_is_only_left_out(uniform):
    edges = np.linspace(0, np.pi, 101)
    figure = distributions.orientations({"there": uniform[:10]}, {"gone": np.ones(100, dtype=int)}, edges)
    assert {series.name for panel in figure.panels for series in panel.series} == {"there", HAAR}
    assert [series.name for series in figure.panels[3].series] == [HAAR]


def test_distances_modulo_a_group_have_no_closed_form(uniform):
    edges = np.linspace(0, np.pi, 101)
    counts = {"some": np.ones(100, dtype=int)}
    figure = distributions.orientations({"some": uniform[:10]}, counts, edges, symmetric=True)
    assert [[series.name for series in panel.series] for panel in figure.panels] == [["some", HAAR]] * 3 + [["some"]]
    (series,) = distributions.pair_strategies({"knn": np.eye(36)[0]}, symmetric=True).panel.series
    assert series.name == "knn"


def test_strategies_are_shares_of_the_weight():
    figure = distributions.pair_strategies({"random": np.full(36, 1 / 36), "knn": np.eye(36)[0]})
    knn = figure.panel["knn"].columns
    assert [(knn["x_low"][n], knn["x_high"][n], knn["y"][n]) for n in (0, 1)] == [(0, 5, 100), (5, 10, 0)]
    form = figure.panel[f"any two poses {HAAR}"].columns
    assert np.trapezoid(form["y"], form["x"]) / 5 == pytest.approx(100, abs=0.01)
    assert figure.panel.y.title == "% of the loss's weight in 5°"
    assert_csv_holds(figure)
