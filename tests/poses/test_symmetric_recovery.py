from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.spatial.distance import squareform
from scipy.spatial.transform import Rotation

from engine.base.errors import InputError
from engine.geometry import rotations, symmetry
from engine.poses import pairs, symmetric_start
from engine.poses.alignment import align_poses
from engine.poses.distance import exact_distances
from engine.poses.symmetric_recovery import (
    _descend,
    closest_elements,
    recover_symmetric_poses,
    spread_weights,
    symmetric_loss,
)


def problem(name, count, rng, error=0.0):
    elements = symmetry.group(name)
    poses = rotations.sample_orientations(count, rng)
    quaternions = rotations.to_quaternion(poses)
    exact = exact_distances(quaternions, pairs.all_pairs(count), elements)
    values = np.abs(exact.values.astype(float) + error * rng.standard_normal(len(exact)))
    return elements, poses, exact.with_values(values)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["C2", "C4", "D2", "D7"])
def test_exact_distances_give_exact_poses_modulo_the_group(name, rng):
    """Wanted: a median error of 0.005 rad at most."""
    elements, poses, given = problem(name, 60, rng)
    found = recover_symmetric_poses(given, elements, rng)
    assert found.loss < 1e-8
    aligned = align_poses(found.poses, poses, rng, elements=elements)
    assert np.median(aligned.errors) < 1e-4
    assert np.median(aligned.errors_before) > 0.1, "the frame of the recovery is arbitrary"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["C4", "D2", "T", "O"])
def test_noisy_distances_reach_a_loss_below_that_of_the_true_poses(name, rng):
    elements, poses, given = problem(name, 90, rng, error=0.1)
    found = recover_symmetric_poses(given, elements, rng)
    quaternions = rotations.to_quaternion(poses)
    exact = symmetry.symmetric_distance(quaternions[given.first], quaternions[given.second], elements)
    assert found.loss < np.mean((exact - given.values) ** 2)
    assert np.median(align_poses(found.poses, poses, rng, elements=elements).errors) < 0.05


def test_weights_are_inverse_variances(rng):
    given = rng.uniform(0, 2, 60_000)
    deviation = np.where(given < 1, 0.01, 0.1)
    weights = spread_weights(given, deviation * rng.standard_normal(len(given)))
    assert weights.mean() == pytest.approx(1)
    assert weights[given < 0.95].mean() / weights[given > 1.05].mean() == pytest.approx(100, rel=0.1)
    np.testing.assert_allclose(spread_weights(given, np.zeros(len(given))), 1)


@pytest.mark.slow
def test_where_small_distances_are_surer_than_large_ones_poses_are_better_than_the_least_loss_has_them(rng):
    elements, poses, given = problem("D2", 120, rng)
    errors = np.where(given.values < 0.8, 0.005, 0.1) * rng.standard_normal(len(given))
    given = given.with_values(np.abs(given.values + errors))
    found = recover_symmetric_poses(given, elements, rng)
    plain = _descend(rotations.to_quaternion(poses), squareform(given.values), symmetry.left_matrices(elements), 200)[0]
    weighted, unweighted = (
        np.median(align_poses(one, poses, rng, elements=elements).errors)
        for one in (found.poses, rotations.from_quaternion(plain))
    )
    assert weighted < 0.8 * unweighted


def test_distances_and_elements_are_those_of_the_group(rng):
    elements = symmetry.group("D3")
    q = rotations.to_quaternion(rotations.sample_orientations(20, rng))
    distances, choice = closest_elements(q, symmetry.left_matrices(elements))
    expected = symmetry.symmetric_distance(q[:, None], q[None], elements)
    np.testing.assert_allclose(distances, expected, atol=1e-6)
    moved = Rotation.from_quat(elements[choice[3, 7]]) * Rotation.from_quat(q[7])
    assert (Rotation.from_quat(q[3]) * moved.inv()).magnitude() == pytest.approx(distances[3, 7], abs=1e-6)


def test_gradient_agrees_with_finite_differences(rng):
    left = symmetry.left_matrices(symmetry.group("D2"))
    start = rotations.to_quaternion(rotations.sample_orientations(6, rng))
    six = pairs.all_pairs(6)
    first, second = six.first, six.second
    given = rng.uniform(0.2, 1.5, 15)
    partner = rng.integers(4, size=15) * 6 + second
    weights = rng.uniform(0.1, 2, 15)

    def at(flat):
        free = flat.reshape(-1, 4)
        norm = np.linalg.norm(free, axis=1, keepdims=True)
        return symmetric_loss(free / norm, first, partner, given, left, weights), norm

    assert check_grad(lambda x: at(x)[0][0], lambda x: (at(x)[0][1] / at(x)[1]).ravel(), start.ravel()) < 1e-6


def test_alignment_is_modulo_the_group(rng):
    elements = symmetry.group("D5")
    poses = rotations.sample_orientations(80, rng)
    each = Rotation.from_quat(elements[rng.integers(len(elements), size=80)])
    turned = (each * Rotation.from_matrix(poses) * Rotation.random(rng=rng)).as_matrix()
    assert np.max(align_poses(turned, poses, rng, elements=elements).errors) < 1e-6
    assert np.median(align_poses(turned, poses, rng).errors) > 0.3, "without the group they do not fit"


@pytest.mark.parametrize("name", ["C2", "C7", "D2", "D7", "T", "O", "I"])
def test_alignment_undoes_every_rotation_that_the_distances_cannot_tell(name, rng):
    """Each pose by itself turned by an element of the group; all of them by one that maps the group onto itself."""
    elements = symmetry.group(name)
    poses = rotations.sample_orientations(80, rng)
    for left in symmetry.normaliser(elements)[::7]:
        each = Rotation.from_quat(elements[rng.integers(len(elements), size=80)])
        turned = Rotation.from_quat(left) * each * Rotation.from_matrix(poses) * Rotation.random(rng=rng)
        noisy = Rotation.from_rotvec(rng.normal(0, 0.02, (80, 3))) * turned
        errors = align_poses(noisy.as_matrix(), poses, rng, elements=elements).errors
        assert np.median(errors) == pytest.approx(0.02 * 1.538, rel=0.3), "the noise: the median of a chi(3)"


def test_a_turn_about_the_axis_is_found_after_the_tilts(rng):
    """Turns of C4 change distances so little that the grid's heat bath leaves many in wrong places."""
    elements, poses, given = problem("C4", 40, rng)
    left = symmetry.left_matrices(elements)
    true = rotations.to_quaternion(poses)
    about_axis = Rotation.from_rotvec(np.outer(rng.uniform(0, 2 * np.pi / 4, 40), [0, 0, 1]))
    start = (about_axis * Rotation.from_quat(true)).as_quat()
    distances = squareform(given.values)
    before = np.sqrt(np.mean((closest_elements(start, left)[0] - distances) ** 2))
    found = symmetric_start.annealed_by_turns(start, distances, elements, rng)
    after = np.sqrt(np.mean((closest_elements(found, left)[0] - distances) ** 2))
    assert before > 0.08
    assert after < 0.02


def test_a_heat_bath_on_a_grid_finds_the_order_of_its_own_places(rng):
    elements = symmetry.group("T")
    grid = Rotation.random(400, rng=rng).as_quat()
    between = symmetric_start.smallest_distances(grid, grid, symmetry.left_matrices(elements))
    true = rng.permutation(400)[:50]
    wanted = between[np.ix_(true, true)].astype(float)
    np.fill_diagonal(wanted, 0)
    misfits = []
    for _ in range(4):
        places = symmetric_start.annealed_on_grid(between, wanted, rng)
        misfits.append(np.sqrt(np.mean((between[np.ix_(places, places)] - wanted) ** 2)))
    assert np.std(wanted) > 0.25
    assert min(misfits) < 0.15


def test_a_part_of_the_pairs_is_refused(rng):
    elements, _, given = problem("C2", 20, rng)
    with pytest.raises(InputError, match=r"distances are of 189 pairs; recovery of a symmetric object wants all 190"):
        recover_symmetric_poses(given[:-1], elements, rng)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_poses(rng):
    elements, _, given = problem("C3", 40, rng, error=0.05)
    one, two = (recover_symmetric_poses(given, elements, np.random.default_rng(2)) for _ in range(2))
    np.testing.assert_array_equal(one.poses, two.poses)
