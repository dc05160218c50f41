"""Surfaces: of a ball, whose radius, area and place are known; nothing where there is none; small enough to send."""

from __future__ import annotations

import numpy as np
import pytest

from engine.io.loading import load_volume
from pages._shared import surface_figures

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
    vertices, faces = surface_figures.surface(density, VOXEL, half(density), most)
    radii = np.linalg.norm(vertices - center, axis=1)
    assert abs(radii.mean() - RADIUS) < tolerance
    assert area(vertices, faces) == pytest.approx(4 * np.pi * RADIUS**2, rel=0.02)
    assert len(vertices) <= most
    assert len(vertices) - 3 * len(faces) // 2 + len(faces) == 2  # closed, without a hole (Euler)


def test_axes_are_x_y_z():
    density = ball(center_xyz=(10.0, 0.0, -5.0))
    vertices, _ = surface_figures.surface(density, VOXEL, half(density), 100_000)
    shift = np.array([41 // 2 - 47 // 2, 41 // 2 - 44 // 2, 0]) * VOXEL
    assert vertices.mean(axis=0) == pytest.approx(np.array([10.0, 0.0, -5.0]) + shift, abs=0.1)


def test_an_object_that_touches_the_box_is_closed():
    density = np.zeros((8, 8, 8), np.float32)
    density[:, :, :4] = 1
    vertices, faces = surface_figures.surface(density, 1.0, half(density), 10_000)
    assert len(vertices) - 3 * len(faces) // 2 + len(faces) == 2
    assert vertices[:, 0].max() == pytest.approx(3.5 - 4)  # halfway between voxels 3 and 4
    assert np.abs(vertices).max() <= 4.5


def test_figures_show_each_density_on_one_scale():
    density = ball()
    figure = surface_figures.isosurface_figure(
        {"input": (density, 2.5), "reconstruction": (2 * density + 1, 5.0)}, level=half(density)
    )
    first, second = figure.data
    assert [mesh.name for mesh in figure.data] == ["input", "reconstruction"]
    assert np.ptp(first.x) == pytest.approx(2 * RADIUS, abs=1.0)
    assert np.ptp(second.x) == pytest.approx(4 * RADIUS, abs=2.0)  # other units of density change nothing
    assert figure.layout.scene.xaxis.range == figure.layout.scene2.zaxis.range == (-117.5, 117.5)
    assert figure.layout.scene.xaxis.title.text == "x (Å)"
    assert [note.text for note in figure.layout.annotations] == ["input", "reconstruction"]


def test_where_the_level_is_not_reached_the_figure_says_so():
    figure = surface_figures.isosurface_figure({"a": (ball(), VOXEL)}, level=40)
    assert len(figure.data[0].x) == 0
    assert figure.layout.annotations[0].text == "no surface at 40 σ"


def test_a_large_noisy_density_stays_small(rng):
    densities = {
        name: (rng.standard_normal((130, 120, 140), dtype=np.float32), 1.0) for name in ("input", "reconstruction")
    }
    figure = surface_figures.isosurface_figure(densities, level=0.5)
    assert all(0 < len(mesh.x) <= 12_000 for mesh in figure.data)
    assert len(figure.to_json()) < 1_000_000


def test_a_protein_is_small_too():
    volume = load_volume("1bd2")
    figure = surface_figures.isosurface_figure({"1bd2": (volume.density, volume.voxel_size)})
    assert len(figure.data[0].x) > 1000
    assert len(figure.to_json()) < 400_000
