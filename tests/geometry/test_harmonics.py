"""Characters and their averages against closed forms; kernels as inner products; distances made from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.geometry import harmonics, rotations
from engine.geometry.symmetry import group
from engine.poses import distance, pairs


def traces_between(poses, elements):
    """tr(R_i^T g R_j), (|G|, n, n)."""
    moved = rotations.from_quaternion(elements)[:, None] @ poses
    return np.einsum("iab,gjab->gij", poses, moved)


@pytest.mark.parametrize("degree", [1, 2, 3, 7])
def test_character_is_the_closed_form(degree, rng):
    angle = rng.uniform(0.01, np.pi, 100)
    expected = np.sin((2 * degree + 1) * angle / 2) / np.sin(angle / 2)
    np.testing.assert_allclose(harmonics.character(1 + 2 * np.cos(angle), degree), expected, atol=1e-9)


# Numbers of invariants: Dn and Cn by counting cosines; T, O, I by their Molien series (e.g. Meyer, 1954).
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("C1", [3, 5, 7, 9, 11, 13]),
        ("C2", [1, 3, 3, 5, 5, 7]),
        ("C4", [1, 1, 1, 3, 3, 3]),
        ("D2", [0, 2, 1, 3, 2, 4]),
        ("D3", [0, 1, 1, 2, 1, 3]),
        ("T", [0, 0, 1, 1, 0, 2]),
        ("O", [0, 0, 0, 1, 0, 1]),
        ("I", [0, 0, 0, 0, 0, 1]),
    ],
)
def test_multiplicity_counts_the_functions_that_a_group_leaves_alone(name, counts):
    assert [harmonics.multiplicity(group(name), degree) for degree in range(1, 7)] == counts


def test_the_kernel_without_symmetry_is_a_third_of_the_trace(rng):
    poses = rotations.sample_orientations(5, rng)
    traces = traces_between(poses, group("C1"))
    np.testing.assert_allclose(3 * harmonics.kernel(traces, 1, 3), traces[0])


@pytest.mark.parametrize(
    ("name", "degree"), [("C1", 1), ("C1", 2), ("C4", 4), ("D2", 2), ("D2", 4), ("T", 3), ("O", 4)]
)
def test_a_kernel_is_the_inner_product_of_as_many_features_as_are_counted(name, degree, rng):
    elements = group(name)
    count = harmonics.multiplicity(elements, degree)
    gram = harmonics.kernel(traces_between(rotations.sample_orientations(150, rng), elements), degree, count)
    values = np.linalg.eigvalsh(gram)[::-1]
    assert values[-1] > -1e-9
    assert np.sum(values > 1e-6 * values[0]) == count * (2 * degree + 1)
    np.testing.assert_allclose(np.diag(gram), 1)


def test_a_kernel_is_the_same_for_poses_that_the_object_cannot_tell_apart(rng):
    elements = group("D3")
    poses = rotations.sample_orientations(6, rng)
    moved = poses.copy()
    moved[2] = Rotation.from_quat(elements[4]).as_matrix() @ poses[2]
    one, other = (harmonics.kernel(traces_between(p, elements), 3, 1) for p in (poses, moved))
    np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("size", [4, 5, 9, 16])
def test_of_the_trace_alone_there_are_as_many_features_as_asked_for(size):
    (degree,) = harmonics.degrees_of(group("C1"), size)
    assert (degree.degree, degree.size) == (1, size)


def test_without_symmetry_the_features_are_all_functions_of_three_degrees():
    assert [degree.size for degree in harmonics.degrees_of(group("C1"))] == [3**2, 5**2, 7**2]


@pytest.mark.parametrize("name", ["C2", "C4", "D2", "D7", "T", "O", "I"])
def test_the_degrees_chosen_give_the_distance_where_one_alone_does_not(name, rng):
    elements = group(name)
    quaternions = rotations.to_quaternion(rotations.sample_orientations(300, rng))
    every = pairs.all_pairs(300)
    first, second = every.first, every.second
    exact = distance.exact_distances(quaternions, every, elements).values.astype(float)
    traces = traces_between(rotations.from_quaternion(quaternions), elements)[:, first, second]

    def misfit(degrees):
        columns = np.stack([harmonics.kernel(traces, d.degree, d.multiplicity) for d in degrees], axis=1)
        even, odd = slice(None, None, 2), slice(1, None, 2)
        coefficients = harmonics.fit_distances(columns[even], exact[even])
        result = harmonics.distances_from_kernels(columns, coefficients)
        assert harmonics.distances_from_kernels(np.ones((1, len(degrees))), coefficients) == pytest.approx(0, abs=1e-6)
        return np.sqrt(np.mean((result[odd] - exact[odd]) ** 2))

    chosen = harmonics.degrees_of(elements)
    alone = min(misfit([degree]) for degree in chosen)
    assert misfit(chosen) < min(0.015, alone / 2)


def test_features_made_of_kernels_give_the_symmetric_distance(rng):
    """Coordinates of which the Gram matrices are the kernels, put side by side as the network does."""
    elements = group("D2")
    poses = rotations.sample_orientations(300, rng)
    degrees = harmonics.degrees_of(elements)
    parts = []
    for degree in degrees:
        gram = harmonics.kernel(traces_between(poses, elements), degree.degree, degree.multiplicity)
        values, vectors = np.linalg.eigh(gram)
        parts.append((vectors * np.sqrt(np.maximum(values, 0)))[:, -degree.size :])
    features = np.concatenate(parts, axis=1).astype(np.float32)
    exact = distance.exact_distances(rotations.to_quaternion(poses), pairs.all_pairs(300), elements)
    calibration = distance.fit_feature_calibration(features, exact, "cosine", degrees)
    result = distance.learned_distances(features, exact, "cosine", degrees, calibration)
    assert np.abs(result.values - exact.values).mean() < 0.01
