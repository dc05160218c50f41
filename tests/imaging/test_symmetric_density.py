from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.geometry import rotations, symmetry
from engine.imaging import projection, symmetric_density
from engine.imaging.volume import Volume


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
        "so poses are ambiguous: no method can distinguish them; give symmetry"
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
