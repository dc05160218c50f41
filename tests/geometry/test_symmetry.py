from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.base.errors import InputError
from engine.geometry import symmetry

# As RELION writes them: folds and axes of the generators.
RELION = {
    "C1": [], "C5": [(5, (0, 0, 1))], "D2": [(2, (0, 0, 1)), (2, (1, 0, 0))], "D7": [(7, (0, 0, 1)), (2, (1, 0, 0))],
    "T": [(3, (0, 0, 1)), (2, (0, 0.816496, 0.577350))],
    "O": [(3, (0.5773502, 0.5773502, 0.5773502)), (4, (0, 0, 1))],
    "I": [(2, (0, 0, 1)), (5, (0.525731114, 0, 0.850650807)), (3, (0, 0.356822076, 0.934172364))],
}  # fmt: skip
ORDERS = {"C1": 1, "C5": 5, "D2": 4, "D7": 14, "T": 12, "O": 24, "I": 60}


def closure(generators):
    """All products of the generators, found by multiplying until nothing new comes."""
    elements = [np.eye(3)]
    turns = [
        Rotation.from_rotvec(2 * np.pi / fold * np.array(axis) / np.linalg.norm(axis)).as_matrix()
        for fold, axis in generators
    ]
    while True:
        new = [
            product for element in elements for turn in turns
            if not any(np.allclose(product := element @ turn, known, atol=1e-4) for known in elements)
        ]  # fmt: skip
        if not new:
            return elements
        for product in new:
            if not any(np.allclose(product, known, atol=1e-4) for known in elements):
                elements.append(product)


@pytest.mark.parametrize("name", RELION)
def test_groups_are_those_that_relions_generators_generate(name):
    ours = Rotation.from_quat(symmetry.group(name)).as_matrix()
    theirs = closure(RELION[name])
    assert len(ours) == len(theirs) == ORDERS[name]
    assert all(any(np.allclose(one, other, atol=1e-4) for other in theirs) for one in ours)
    np.testing.assert_allclose(ours[0], np.eye(3), atol=1e-12)


@pytest.mark.parametrize("name", ["", "C0", "D", "X3", "C61", "I5", "D2; DROP"])
def test_what_names_no_group_is_refused(name):
    with pytest.raises(InputError, match=r"^symmetry is .*wanted C1, Cn or Dn"):
        symmetry.group(name)


def test_names_may_be_written_small():
    assert symmetry.check_group(" d7 ") == "D7"


def test_distance_is_the_smallest_over_the_group(rng):
    elements = symmetry.group("D7")
    a, b = (Rotation.random(50, rng=rng) for _ in range(2))
    by_definition = np.min([(Rotation.from_quat(g) * a * b.inv()).magnitude() for g in elements], axis=0)
    ours = symmetry.symmetric_distance(a.as_quat(), b.as_quat(), elements)
    np.testing.assert_allclose(ours, by_definition, atol=1e-7)
    moved = (Rotation.from_quat(elements[3]) * a).as_quat()
    np.testing.assert_allclose(symmetry.symmetric_distance(a.as_quat(), moved, elements), 0, atol=1e-6)


@pytest.mark.parametrize(("name", "order"), [("D2", 24), ("D3", 12), ("D7", 28), ("T", 24), ("O", 24), ("I", 60)])
def test_the_normaliser_is_the_group_that_maps_the_group_onto_itself(name, order):
    """Of D2 and T that is the group of the cube, of Dn D2n, of O and I they themselves."""
    elements = symmetry.group(name)
    result = symmetry.normaliser(elements)
    assert len(result) == order
    rotation = Rotation.from_quat(result)
    assert (np.abs(result @ result.T) > 1 - 1e-9).sum() == order, "all different"
    for n in rotation:
        conjugates = (n * Rotation.from_quat(elements) * n.inv()).as_quat()
        np.testing.assert_allclose(np.abs(conjugates @ elements.T).max(axis=1), 1, atol=1e-9)


def test_the_normaliser_of_a_cyclic_group_turns_about_its_axis_and_turns_it_over():
    axis = Rotation.from_quat(symmetry.normaliser(symmetry.group("C5"), steps=8)).apply([0, 0, 1])
    np.testing.assert_allclose(axis[:, 2], np.repeat([1, -1], 8), atol=1e-12)


def test_without_symmetry_random_poses_are_as_far_apart_as_theory_has_it(rng):
    # Miles, Biometrika 52 (1965): the angle of a uniform rotation has the distribution (t - sin t) / pi.
    chance = symmetry.chance_distance(symmetry.NO_SYMMETRY)
    assert (chance - np.sin(chance)) / np.pi == pytest.approx(0.5, abs=1e-12)
    assert chance == pytest.approx(np.median(Rotation.random(200_000, rng=rng).magnitude()), rel=3e-3)


@pytest.mark.parametrize("name", ["T", "O", "I"])
def test_with_symmetry_the_group_divides_the_volume(name):
    # As long as the balls of that radius about the elements do not meet, their volumes add up.
    chance = symmetry.chance_distance(symmetry.group(name))
    assert ORDERS[name] * (chance - np.sin(chance)) / np.pi == pytest.approx(0.5, rel=0.03)


def test_random_poses_of_a_cyclic_group_are_as_far_apart_as_drawn_ones(rng):
    elements = symmetry.group("C5")
    first, second = (Rotation.random(20_000, rng=rng).as_quat() for _ in range(2))
    drawn = np.median(symmetry.symmetric_distance(first, second, elements))
    assert symmetry.chance_distance(elements) == pytest.approx(drawn, rel=0.02)
