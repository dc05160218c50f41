from __future__ import annotations

import numpy as np
import pytest

from engine.imaging import fourier
from tests.imaging_testing import direct_transform, relative_error


def test_transform_agrees_with_the_direct_sum(toy_density, rng):
    frequencies = rng.uniform(-0.5, 0.5, (3, 200)).astype(np.float32)
    expected = direct_transform(toy_density, frequencies)
    assert relative_error(fourier.transform(toy_density, frequencies), expected) < 1e-4


def test_adjoint_is_the_adjoint(toy_density, rng):
    frequencies = rng.uniform(-0.5, 0.5, (3, 500)).astype(np.float32)
    values = (rng.standard_normal(500) + 1j * rng.standard_normal(500)).astype(np.complex64)
    forward = np.vdot(values, fourier.transform(toy_density, frequencies))
    backward = np.vdot(fourier.adjoint_transform(values, frequencies, toy_density.shape), toy_density)
    assert forward == pytest.approx(backward, rel=1e-3)
