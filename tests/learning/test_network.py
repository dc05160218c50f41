from __future__ import annotations

import zipfile

import numpy as np
import pytest

from engine.geometry import rotations
from engine.geometry.harmonics import degrees_of
from engine.geometry.symmetry import NO_SYMMETRY, group
from engine.imaging import filters, projection
from engine.learning import network

DEGREES = degrees_of(NO_SYMMETRY)
TRACE = degrees_of(NO_SYMMETRY, 9)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "mirrored"])
def untrained(request):
    return network.build_network(24, 10.0, TRACE, "cosine", np.random.default_rng(0), mirrored=request.param)


def test_an_in_plane_turn_leaves_three_features_and_turns_the_other_pairs(untrained, toy_volume):
    """R' = R Rz(90): the third column stays, (first, second) becomes (second, -first)."""
    poses = rotations.from_euler([[30.0, 60.0, 15.0], [30.0, 60.0, 105.0]])
    images = filters.standardise(projection.project(toy_volume, poses, 24))
    before, after = network.embed(untrained, images)
    np.testing.assert_allclose(after[:3], before[:3], atol=2e-3)
    np.testing.assert_allclose(after[3:6], before[6:], atol=2e-3)
    np.testing.assert_allclose(after[6:], -before[3:6], atol=2e-3)
    assert np.linalg.norm(before[3:]) > 0.1


def mirrored_images(toy_volume):
    """Images, and the projections from behind: R' = R diag(1, -1, -1)."""
    poses = rotations.from_euler([[30.0, 60.0, 15.0], [100.0, 20.0, 250.0]])
    behind = poses @ np.diag([1.0, -1.0, -1.0])
    return tuple(filters.standardise(projection.project(toy_volume, p, 24)) for p in (poses, behind))


def test_the_projection_from_behind_is_the_mirrored_image(toy_volume):
    image, behind = mirrored_images(toy_volume)
    np.testing.assert_allclose(behind[:, 1:], image[:, :0:-1], atol=1e-3)  # about the row of the origin


def test_seen_from_behind_one_column_of_a_pose_stays_and_two_change_their_sign(toy_volume):
    model = network.build_network(24, 10.0, TRACE, "cosine", np.random.default_rng(0), mirrored=True)
    image, behind = (network.embed(model, images) for images in mirrored_images(toy_volume))
    signs = np.repeat([-1, 1, -1], 3)  # features: third column, first, second
    np.testing.assert_allclose(behind, signs * image, atol=2e-3)
    assert np.abs(image).min(axis=0).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("symmetry", ["C1", "D2", "I"])
def test_distances_between_mirrored_images_are_those_between_images(symmetry, rng):
    degrees = degrees_of(group(symmetry))

    def inner(model, images):
        features = network.embed(model, images)
        assert features.shape == (2, sum(degree.size for degree in degrees))
        return features[0] @ features[1]

    images = filters.standardise(rng.standard_normal((2, 25, 25)).astype(np.float32))
    plain, mirrored = (
        network.build_network(25, 12.0, degrees, "cosine", np.random.default_rng(0), mirrored)
        for mirrored in (False, True)
    )
    assert inner(mirrored, images[:, ::-1]) == pytest.approx(inner(mirrored, images), abs=1e-5)
    assert abs(inner(plain, images[:, ::-1]) - inner(plain, images)) > 1e-2


@pytest.mark.parametrize("dim", [4, 5, 8, 9, 16])
@pytest.mark.parametrize("head", ["cosine", "euclidean"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_features_have_the_dimension_asked_for(dim, head, mirrored, rng):
    model = network.build_network(16, 7.0, degrees_of(NO_SYMMETRY, dim), head, rng, mirrored)
    features = network.embed(model, rng.standard_normal((3, 16, 16)).astype(np.float32))
    assert features.shape == (3, dim)
    if head == "cosine":
        np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)


def test_the_saved_model_holds_no_code(untrained, tmp_path):
    network.save_model(untrained, tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        described = archive.read("config.json").decode()
    assert "Lambda" not in described
    assert '"registered_name": null' in described
    assert "engine" not in described
