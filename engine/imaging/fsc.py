"""Fourier shell correlation of two densities, and the resolution at a threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Density = NDArray[np.float32]


def fourier_shell_correlation(
    first: Density, second: Density, voxel_size: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FSC of two densities (nz, ny, nx): spatial frequencies (shells,) in 1/Å, up to Nyquist's, and correlations
    (shells,).

    ``FSC(s) = Re sum F1 conj(F2) / sqrt(sum |F1|^2 sum |F2|^2)`` over the shell (Harauz & van Heel, 1986). Shells are
    one Fourier voxel of the longest axis wide. No mask is applied.
    """
    shape = first.shape
    k = np.meshgrid(np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]), np.fft.rfftfreq(shape[2]), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in k))
    longest = max(shape)
    shell = np.round(radius * longest).astype(int)
    # A half spectrum: all columns but the first (and Nyquist's) stand for two.
    weight = np.broadcast_to(np.where((k[2] == 0) | (k[2] == 0.5), 1.0, 2.0), radius.shape).ravel()
    a, b = fft.rfftn(first.astype(float)), fft.rfftn(second.astype(float))

    def shell_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.bincount(shell.ravel(), weights=weight * values.ravel())[1 : longest // 2 + 1]
        return sums.astype(np.float64)

    cross = shell_sum((a * b.conj()).real)
    power = shell_sum(np.abs(a) ** 2) * shell_sum(np.abs(b) ** 2)
    correlation = np.divide(cross, np.sqrt(power), out=np.zeros_like(cross), where=power > 0)
    return np.arange(1, longest // 2 + 1) / longest / voxel_size, correlation


def resolution_at(frequencies: NDArray[np.floating], correlation: NDArray[np.floating], threshold: float) -> float:
    """Resolution in Å where an FSC first falls below a threshold, linear between shells.

    Nyquist's (the finest that can be determined) where it never falls; infinite where it is below from the start.
    """
    below = np.flatnonzero(correlation < threshold)
    if len(below) == 0:
        return float(1 / frequencies[-1])
    at = below[0]
    if at == 0:
        return float("inf")
    fraction = (correlation[at - 1] - threshold) / (correlation[at - 1] - correlation[at])
    return float(1 / (frequencies[at - 1] + fraction * (frequencies[at] - frequencies[at - 1])))
