from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

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


PROGRAM = """
import hashlib, sys
import numpy as np
from engine.imaging import fourier
rng = np.random.default_rng(3)
density, frequencies = rng.standard_normal((20, 22, 24)), rng.uniform(-0.5, 0.5, (3, 40000)).astype(np.float32)
forward = fourier.transform(density, frequencies)
backward = fourier.adjoint_transform(forward, frequencies, density.shape)
print(*(hashlib.sha256(each).hexdigest() for each in (forward, backward)))
"""


@pytest.mark.parametrize(
    "settings",
    [
        {"OMP_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "7"},
        {"OMP_NUM_THREADS": "4,2"},  # as OpenMP allows for regions within regions
        {"OMP_DYNAMIC": "true", "OMP_THREAD_LIMIT": "1"},  # which ended the process
    ],
)
def test_settings_of_openmp_change_no_digit(settings):
    rng = np.random.default_rng(3)
    density, frequencies = rng.standard_normal((20, 22, 24)), rng.uniform(-0.5, 0.5, (3, 40000)).astype(np.float32)
    forward = fourier.transform(density, frequencies)
    backward = fourier.adjoint_transform(forward, frequencies, density.shape)
    environ = {name: text for name, text in os.environ.items() if not name.startswith("OMP_")} | settings
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=Path(__file__).parents[2], env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [hashlib.sha256(each).hexdigest() for each in (forward, backward)]
    assert done.stderr == ""
