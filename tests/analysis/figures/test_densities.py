"""Surfaces of a ball, whose radius, area and place are known; slices through the voxels that they name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.figures import densities
from engine.imaging.shape import surface_level
from engine.imaging.volume import Volume
from tests.figure_testing import assert_csv_holds, points_of

RADIUS, VOXEL = 30.0, 2.5  # Å


def ball(n: int = 41, voxel_size: float = VOXEL, center_xyz: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """A ball of 30 Å about a point in Å from voxel n // 2, its edge linear over two voxels: the surface is at 0.5."""
    z, y, x = (voxel_size * (axis - n // 2) for axis in np.indices((n, n + 3, n + 6)))
    cx, cy, cz = center_xyz
    distance = np.sqrt((x + 0 - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2)
    return np.clip((RADIUS - distance) / (2 * voxel_size) + 0.5, 0, 1).astype(np.float32)


def half(density: np.ndarray) -> float:
    """The level 0.5 in standard deviations above the mean."""
    return float((0.5 - density.mean()) / density.std())


def area(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]].astype(float) for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


@pytest.mark.parametrize(("most", "tolerance"), [(100_000, 0.1), (1000, 0.6)])
def test_a_ball_has_its_radius_area_and_place(most, tolerance):
    density = ball()
    # voxel n // 2 of each axis, not the cube's centre, is the origin
    assert density.shape == (41, 44, 47)
    center = np.array([0.0, (41 // 2 - 44 // 2) * VOXEL, (41 // 2 - 47 // 2) * VOXEL])[::-1]
    vertices, faces = densities.surface(density, VOXEL, half(density), most)
    radii = np.linalg.norm(vertices - center, axis=1)
    assert abs(radii.mean() - RADIUS) < tolerance
    assert area(vertices, faces) == pytest.approx(4 * np.pi * RADIUS**2, rel=0.02)
    assert len(vertices) <= most
    assert len(vertices) - 3 * len(faces) // 2 + len(faces) == 2  # closed, without a hole (Euler)


def test_axes_are_x_y_z():
    density = ball(center_xyz=(10.0, 0.0, -5.0))
    vertices, _ = densities.surface(density, VOXEL, half(density), 100_000)
    shift = np.array([41 // 2 - 47 // 2, 41 // 2 - 44 // 2, 0]) * VOXEL
    assert vertices.mean(axis=0) == pytest.approx(np.array([10.0, 0.0, -5.0]) + shift, abs=0.1)


def test_an_object_that_touches_the_box_is_closed():
    density = np.zeros((8, 8, 8), np.float32)
    density[:, :, :4] = 1
    vertices, faces = densities.surface(density, 1.0, half(density), 10_000)
    assert len(vertices) - 3 * len(faces) // 2 + len(faces) == 2
    assert vertices[:, 0].max() == pytest.approx(3.5 - 4)  # halfway between voxels 3 and 4
    assert np.abs(vertices).max() <= 4.5


def test_each_density_has_a_surface_on_axes_of_one_scale():
    density = ball()
    figure = densities.isosurfaces(
        {"input": (density, 2.5), "reconstruction": (2 * density + 1, 5.0)}, level=half(density), title="Both"
    )
    first, second = (points_of(panel["vertices"], "x", "y", "z") for panel in figure.panels)
    assert [panel.title for panel in figure.panels] == ["input", "reconstruction"]
    assert np.ptp(first[:, 0]) == pytest.approx(2 * RADIUS, abs=1.0)
    assert np.ptp(second[:, 0]) == pytest.approx(4 * RADIUS, abs=2.0)  # other units of density change nothing
    for panel in figure.panels:
        assert panel.x.range == panel.y.range == panel.z.range == (-117.5, 117.5)  # half of 47 voxels of 5 Å
        assert (panel.x.title, panel.z.title) == ("x (Å)", "z (Å)")
        vertices, faces = points_of(panel["vertices"], "x", "y", "z"), points_of(panel["faces"], "i", "j", "k")
        expected = 4 * np.pi * RADIUS**2 * (1 if panel.title == "input" else 4)
        assert area(vertices, faces.astype(int)) == pytest.approx(expected, rel=0.02)
    assert figure.values == dict.fromkeys(("input", "reconstruction"), half(density))
    assert_csv_holds(figure)


def test_the_usual_level_is_each_densitys_own():
    density = ball()
    figure = densities.isosurfaces({"a": (density, VOXEL), "b": (np.sqrt(density), VOXEL)})
    assert figure.values == {"a": surface_level(density), "b": surface_level(np.sqrt(density))}
    assert len(set(figure.values.values())) == 2


def test_where_the_level_is_not_reached_there_is_no_surface():
    figure = densities.isosurfaces({"a": (ball(), VOXEL)}, level=40)
    assert [len(series) for series in figure.panel.series] == [0, 0]
    assert figure.values == {"a": 40}


def test_all_surfaces_together_are_small(rng):
    noisy = {
        name: (rng.standard_normal((130, 120, 140), dtype=np.float32), 1.0) for name in ("input", "reconstruction")
    }
    figure = densities.isosurfaces(noisy, level=0.5)
    assert all(0 < len(panel["vertices"]) <= 12_000 for panel in figure.panels)


# Slices --------------------------------------------------------------------------------------------------------------


def test_slices_go_through_the_centre(rng):
    density, reference = rng.standard_normal((2, 6, 7, 8))
    figure = densities.slices(density, "reconstruction", reference, np.array([3.4, 2.0, 4.6]), 2.5)
    for whose, volume, panels in (
        ("input", reference, figure.panels[:3]),
        ("reconstruction", density, figure.panels[3:]),
    ):
        expected = {"xy": volume[5], "xz": volume[:, 2], "yz": volume[:, :, 3]}
        for panel in panels:
            pixels = panel[whose]
            np.testing.assert_array_equal(pixels.grid("density"), expected[panel.title])
            assert (panel.x.title, panel.y.title) == tuple(f"{letter} (Å)" for letter in panel.title)
            place = dict(zip(panel.title, points_of(pixels, "x", "y").T, strict=True))
            through = {"z": 5, "y": 2, "x": 3}
            z, y, x = (np.rint(place.get(axis, 2.5 * n) / 2.5).astype(int) for axis, n in through.items())
            np.testing.assert_array_equal(pixels.columns["density"], volume[z, y, x])
            assert panel.colour.range == pytest.approx(tuple(np.percentile(volume, [0.5, 99.8])))
    assert figure.title == "Central slices, 2.5 Å per voxel"
    assert_csv_holds(figure)
    assert len(densities.slices(density, "reconstruction", None, np.array([3, 2, 4]), 2.5).panels) == 3


def test_a_centre_outside_is_brought_to_the_nearest_slice(rng):
    density = rng.standard_normal((6, 7, 8))
    xy, *_ = densities.slices(density, "a", None, np.array([3.0, 2.0, 17.0]), 1.0).panels
    np.testing.assert_array_equal(xy["a"].grid("density"), density[5])


def test_slices_of_a_large_volume_are_small(rng):
    volume = Volume(rng.random((10, 12, 300), dtype=np.float32), 1.5, np.zeros(3), "large")
    figure = densities.volume_slices(volume)
    assert max(max(panel[""].grid("density").shape) for panel in figure.panels) == 100  # by three voxels
    assert figure.values == {"voxel_size": 4.5}
    assert figure.title == "Central slices, 1.5 Å per voxel"
    small = replace(volume, density=volume.density[:, :, :20])
    assert densities.volume_slices(small).panels[0][""].grid("density").shape == (12, 20)


def test_a_low_pass_keeps_what_is_coarse_and_takes_what_is_fine():
    x = np.arange(32) * 2.0  # Å
    coarse, fine = np.cos(2 * np.pi * x / 32), np.cos(2 * np.pi * x / 8)
    density = np.broadcast_to(coarse + fine + 1, (4, 5, 32))
    passed = densities.low_passed(density, 2.0, 16.0)
    assert np.allclose(passed, np.broadcast_to(coarse + 1, (4, 5, 32)), atol=1e-5)
    assert np.allclose(densities.low_passed(density, 2.0, 1.0), density, atol=1e-5)
