from __future__ import annotations

import numpy as np
import pytest

from engine.imaging import filters, fourier
from engine.imaging.ctf import ContrastTransfer, transfer
from engine.imaging.projection import project
from engine.imaging.simulation import sample_orientations
from engine.poses.shifts import matched

SIZE = 32


def filtered(images, factors):
    return np.fft.irfft2(np.fft.rfft2(images) * factors, s=images.shape[1:])


@pytest.fixture
def scene(toy_volume, rng):
    """Projections, the transfer functions of as many images, and the power of coloured noise."""
    clean = project(toy_volume, sample_orientations(12, rng), SIZE)
    ctf = transfer(ContrastTransfer.of(np.linspace(8000, 20000, 12)), fourier.half_plane_frequencies(SIZE, 4.0))
    return clean, ctf, 0.3 + 4 * np.exp(-((np.linalg.norm(fourier.half_plane_frequencies(SIZE), axis=-1) / 0.1) ** 2))


def test_shifts_are_found_to_a_fraction_of_a_pixel(scene, rng):
    clean, ctf, power = scene
    shifts = rng.uniform(-3, 3, (12, 2))
    images = filters.shift_images(filtered(clean, ctf).astype(np.float32), shifts)
    found = matched(images, clean, ctf, power, 4.0)
    assert np.abs(found.shifts - shifts).max() < 0.3
    assert np.median(np.abs(found.shifts - shifts)) < 0.1
    assert np.abs(matched(images, clean, ctf, power, 1.4).shifts).max() <= 1.4
    assert not matched(images, clean, ctf, power, 0.0).shifts.any()


@pytest.mark.parametrize("with_ctf", [True, False])
def test_correlations_are_those_of_whitened_pixels(scene, rng, with_ctf):
    """NumPy's correlation coefficient in real space, the projection moved by whole pixels."""
    clean, ctf, power = scene
    ctf = ctf if with_ctf else None
    seen = clean if ctf is None else filtered(clean, ctf)
    moved = np.roll(seen, (2, -1), axis=(1, 2))
    noise = filtered(rng.standard_normal(clean.shape), np.sqrt(power))
    images = (7 + moved + 0.3 * moved.std() * noise).astype(np.float32)
    found = matched(images, clean, ctf, power, 3.0)
    np.testing.assert_array_equal(np.round(found.shifts), np.broadcast_to([-1, 2], (12, 2)))
    whitened = (filtered(one, 1 / np.sqrt(power)) for one in (images, moved))
    expected = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(*whitened, strict=True)]
    np.testing.assert_allclose(found.correlations, expected, atol=1e-5)
    assert 0.1 < min(expected) < max(expected) < 0.99


def test_images_without_contrast_match_nothing(scene):
    clean, ctf, power = scene
    assert not matched(np.full_like(clean, 3), clean, ctf, power, 2.0).correlations.round(5).any()
    assert not matched(clean, np.zeros_like(clean), ctf, power, 2.0).correlations.any()
