from __future__ import annotations

import numpy as np
import pytest

from engine.imaging import fsc


def test_fsc_of_a_density_with_itself_is_one_and_with_its_negative_minus_one(rng):
    density = rng.standard_normal((12, 15, 16)).astype(np.float32)
    _, same = fsc.fourier_shell_correlation(density, density, 1.0)
    _, opposite = fsc.fourier_shell_correlation(density, -density, 1.0)
    np.testing.assert_allclose(same, 1, atol=1e-12)
    np.testing.assert_allclose(opposite, -1, atol=1e-12)


def test_fsc_agrees_with_a_full_transform_shell_by_shell(rng):
    a, b = rng.standard_normal((2, 11, 14, 12))
    b += a
    k = np.stack(np.meshgrid(*[np.fft.fftfreq(n) for n in a.shape], indexing="ij"))
    shell = np.round(np.linalg.norm(k, axis=0) * 14).astype(int)
    fa, fb = np.fft.fftn(a), np.fft.fftn(b)
    expected = [
        np.sum((fa * fb.conj())[shell == s]).real
        / np.sqrt(np.sum(np.abs(fa[shell == s]) ** 2) * np.sum(np.abs(fb[shell == s]) ** 2))
        for s in range(1, 8)
    ]
    frequencies, found = fsc.fourier_shell_correlation(a, b, 2.0)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(frequencies, np.arange(1, 8) / 28)


def test_resolution_is_where_the_curve_first_falls_below():
    frequencies = np.array([0.1, 0.2, 0.3, 0.4])
    assert fsc.resolution_at(frequencies, np.array([1, 0.75, 0.25, 0.9]), 0.5) == pytest.approx(4.0)
    assert fsc.resolution_at(frequencies, np.array([1, 0.9, 0.8, 0.7]), 0.5) == pytest.approx(2.5)
    assert fsc.resolution_at(frequencies, np.array([0.1, 0.9, 0.8, 0.7]), 0.5) == np.inf
