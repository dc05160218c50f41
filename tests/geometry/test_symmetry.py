from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.base.errors import InputError
from engine.geometry import rotations, symmetry
from engine.imaging import projection, symmetric_density
from engine.imaging.volume import Volume
from engine.io.loading import load_volume

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
    found = [np.eye(3)]
    turns = [
        Rotation.from_rotvec(2 * np.pi / fold * np.array(axis) / np.linalg.norm(axis)).as_matrix()
        for fold, axis in generators
    ]
    while True:
        new = [
            product for element in found for turn in turns
            if not any(np.allclose(product := element @ turn, known, atol=1e-4) for known in found)
        ]  # fmt: skip
        if not new:
            return found
        for product in new:
            if not any(np.allclose(product, known, atol=1e-4) for known in found):
                found.append(product)


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


@pytest.mark.parametrize("name", ["C3", "D2"])
def test_a_symmetrised_density_looks_the_same_from_equivalent_poses(toy_density, rng, name):
    elements = symmetry.group(name)
    padded = np.pad(toy_density, 6)
    center = np.array([n // 2 for n in padded.shape[::-1]], dtype=float)
    assert symmetric_density.symmetry_correlation(padded, center, elements) < 0.8
    made = symmetric_density.symmetrised(padded, center, elements)
    assert symmetric_density.symmetry_correlation(made, center, elements) > 0.98
    volume = Volume(density=made, voxel_size=1.0, origin=np.zeros(3), name="made")
    on_axis = slice(None) if name == "D2" else slice(2)  # where C3 has its centre on its axis is its own affair
    np.testing.assert_allclose(volume.center_index[on_axis], center[on_axis], atol=0.1)
    pose = rotations.sample_orientations(1, rng)
    equivalent = Rotation.from_quat(elements).as_matrix() @ pose
    images = projection.project_slices(volume, equivalent, volume.diagonal).reshape(len(elements), -1)
    assert np.corrcoef(images).min() > 0.99


def test_turning_is_a_rotation_of_coordinates():
    """A blob on x goes where the matrix takes it."""
    density = np.zeros((31, 31, 31), dtype=np.float32)
    density[15, 15, 24] = 1
    center = np.array([15.0, 15.0, 15.0])
    turn = Rotation.from_euler("zy", [90, 30], degrees=True).as_matrix()
    made = symmetric_density.rotated(density, center, turn)
    z, y, x = np.unravel_index(made.argmax(), made.shape)
    np.testing.assert_allclose(np.array([x, y, z]) - center, turn @ [9, 0, 0], atol=0.6)


def test_symmetry_about_the_axes_of_the_box_is_seen(toy_volume):
    density, center = toy_volume.density, toy_volume.center_index
    assert symmetric_density.apparent_symmetry(density, center) == []
    assert symmetric_density.remark(density, center, "C1") is None
    made = symmetric_density.oligomer(density, center, symmetry.group("D2"))
    middle = np.full(3, made.shape[0] // 2, dtype=float)
    assert [entry[:2] for entry in symmetric_density.apparent_symmetry(made, middle)] == [(2, "x"), (2, "y"), (2, "z")]
    told = symmetric_density.remark(made, middle, "C1")
    assert told.doubtful
    assert told.text == (
        "the density looks the same turned by 1/2 about x, 1/2 about y, 1/2 about z (correlation 1.000 at least), "
        "so poses are ambiguous: no method can tell them apart; give symmetry"
    )
    assert not symmetric_density.remark(made, middle, "D2").doubtful
    assert (symmetric_density.turns_looked_at("D2"), symmetric_density.turns_looked_at("C1")) == (3, 6)


def test_a_density_that_lacks_its_symmetry_is_told_of(toy_density):
    center = np.array([n // 2 for n in toy_density.shape[::-1]], dtype=float)
    told = symmetric_density.remark(toy_density, center, "C4")
    assert told.doubtful
    assert "so it is not symmetric; check symmetry and the axes" in told.text


@pytest.mark.parametrize("name", ["C3", "D2", "D4"])
def test_an_oligomer_has_as_many_copies_apart_from_each_other(toy_volume, name):
    elements = symmetry.group(name)
    made = symmetric_density.oligomer(toy_volume.density, toy_volume.center_index, elements)
    assert made.shape[0] == made.shape[1] == made.shape[2]
    middle = np.full(3, made.shape[0] // 2, dtype=float)
    assert symmetric_density.symmetry_correlation(made, middle, elements) > 0.97
    assert made.sum() == pytest.approx(len(elements) * toy_volume.density.sum(), rel=0.02)
    assert made.max() < 1.3 * toy_volume.density.max(), "copies hardly overlap"


def test_a_volume_can_be_made_symmetric():
    settings = {"resolution": 20.0, "symmetry": "D2"}
    whole, averaged = (load_volume("1bd2", symmetrize=how, **settings) for how in ("oligomer", "average"))
    plain = load_volume("1bd2", **settings)
    elements = symmetry.group("D2")
    assert symmetric_density.symmetry_correlation(plain.density, plain.center_index, elements) < 0.9
    assert symmetric_density.symmetry_correlation(whole.density, whole.center_index, elements) > 0.99
    assert averaged.density.shape == plain.density.shape
    assert whole.name == "1bd2, D2"


@pytest.mark.parametrize(("name", "order"), [("D2", 24), ("D3", 12), ("D7", 28), ("T", 24), ("O", 24), ("I", 60)])
def test_the_normaliser_is_the_group_that_maps_the_group_onto_itself(name, order):
    """Of D2 and T that is the group of the cube, of Dn D2n, of O and I they themselves."""
    elements = symmetry.group(name)
    found = symmetry.normaliser(elements)
    assert len(found) == order
    rotation = Rotation.from_quat(found)
    assert (np.abs(found @ found.T) > 1 - 1e-9).sum() == order, "all different"
    for n in rotation:
        conjugates = (n * Rotation.from_quat(elements) * n.inv()).as_quat()
        np.testing.assert_allclose(np.abs(conjugates @ elements.T).max(axis=1), 1, atol=1e-9)


def test_the_normaliser_of_a_cyclic_group_turns_about_its_axis_and_turns_it_over():
    axis = Rotation.from_quat(symmetry.normaliser(symmetry.group("C5"), steps=8)).apply([0, 0, 1])
    np.testing.assert_allclose(axis[:, 2], np.repeat([1, -1], 8), atol=1e-12)
