"""Densities as references for matching and training: with what is noise taken away, or with a part taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .fsc import fourier_shell_correlation
from .volume import Volume

Density = NDArray[np.float32]

REFERENCE_RADIUS = 0.45
"""Of the ball, in sides of the box: a particle hardly reaches further."""
_HELD = 0.99  # of what two halves have in common
_EDGE = 4.0  # voxels over which the ball's surface is soft


def filtered_reference(
    density: Density,
    halves: tuple[Density, Density],
    made_of: Literal["all", "half"],
    radius: float,
    center: NDArray[np.floating],
) -> Density:
    """The density (nz, ny, nx) within a soft ball, each Fourier shell weighted by what of it is signal.

    Signal and noise are told apart by the correlation ``FSC`` of two densities from half sets, within the ball: a half
    has ``FSC`` of its power from the signal, and the density from all images ``2 FSC / (1 + FSC)`` (Rosenthal &
    Henderson, J. Mol. Biol. 333 (2003) 721). These are the factors of Wiener's filter, which comes nearest to the
    density that one would have without noise.

    Parameters
    ----------
    made_of
        of which images the density is: of all, or of a half of them. Images are better matched with a reference that
        they have no part in: they would be drawn to the poses that their own noise went into.
    radius, center
        of the ball: voxels, and the voxel index (x, y, z).
    """
    ball = soft_ball(density.shape, radius, center)
    frequencies, correlation = fourier_shell_correlation(halves[0] * ball, halves[1] * ball, 1.0)
    signal = np.clip(correlation, 0, 1)
    share = signal if made_of == "half" else 2 * signal / (1 + signal)
    nz, ny, nx = density.shape
    k_z, k_y, k_x = np.meshgrid(np.fft.fftfreq(nz), np.fft.fftfreq(ny), np.fft.rfftfreq(nx), indexing="ij")
    radii = np.sqrt(k_z**2 + k_y**2 + k_x**2)
    factors = np.interp(radii, np.concatenate([[0.0], frequencies]), np.concatenate([[1.0], share]))
    filtered = fft.irfftn(fft.rfftn(density * ball) * factors.astype(np.float32), s=density.shape)
    return np.asarray(filtered * ball, dtype=np.float32)


def without_part(volume: Volume, share: float) -> Volume:
    """The volume without ``share`` of the mass of its positive density: that with the largest x, cut off by a plane.

    Of the voxels that the plane meets a part remains. It turns about the same point as before.
    """
    profile = np.maximum(volume.density, 0).sum(axis=(0, 1), dtype=np.float64)
    mass = np.concatenate([[0.0], np.cumsum(profile)])  # up to each face between two layers of voxels
    face = np.interp((1 - share) * mass[-1], mass, np.arange(len(mass)))
    kept = np.clip(face - np.arange(len(profile)), 0, 1).astype(np.float32)
    center = tuple(float(index) for index in volume.center_index)
    return replace(volume, density=volume.density * kept, center=center)  # type: ignore[arg-type]


def common_radius(halves: tuple[Density, Density], center: NDArray[np.floating]) -> float:
    """Voxels from the index ``center`` (x, y, z) within which two densities (nz, ny, nx) have in common what they have.

    The radius of the ball that holds 99 % of the sum of their products, each shell of Fourier space weighted by its
    correlation as by :func:`filtered_reference`. Noise of one is not in the other and adds up to nothing, so a ball
    that is hardly larger than the particle is found, and leaves out most of the noise around it. At most
    ``REFERENCE_RADIUS`` of the box.
    """
    most = REFERENCE_RADIUS * min(halves[0].shape)
    first, second = (filtered_reference(half, halves, "half", most, center) for half in halves)
    distance = _distance(first.shape, center).ravel()
    order = np.argsort(distance, kind="stable")
    common = np.cumsum((first * second).ravel()[order], dtype=float)
    return float(min(most, distance[order][np.argmax(common >= _HELD * common.max())]))


def soft_ball(shape: tuple[int, ...], radius: float, center: NDArray[np.floating]) -> Density:
    """A mask (nz, ny, nx): 1 within ``radius`` voxels of the index ``center`` (x, y, z), falling to 0 like a cosine.

    Or one (ny, nx) of pixels, about the index (x, y).
    """
    beyond = (_distance(shape, center) - radius) / _EDGE
    return np.asarray((1 + np.cos(np.pi * np.clip(beyond, 0, 1))) / 2, dtype=np.float32)


def _distance(shape: tuple[int, ...], center: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of each voxel (nz, ny, nx) from the index ``center`` (x, y, z)."""
    axes = (index - middle for index, middle in zip(np.indices(shape), np.asarray(center)[::-1], strict=True))
    return np.asarray(np.sqrt(sum(axis**2 for axis in axes)))
