from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.base import isolation

NUMERIC = {"OMP_NUM_THREADS": "3", "OPENBLAS_CORETYPE": "Prescott", "MKL_CBWR": "COMPATIBLE", "NPY_NO_LOOKUP": "1"}
NETWORK = {"TF_ENABLE_ONEDNN_OPTS": "0", "XLA_FLAGS": "--x", "NVIDIA_TF32_OVERRIDE": "1", "DNNL_MAX_CPU_ISA": "SSE41"}
KEPT = {"CUDA_VISIBLE_DEVICES": "0", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true", "HOME": "/here"}


@pytest.fixture
def settings(monkeypatch):
    """Those of a user; what code under test takes away comes back."""
    monkeypatch.setattr(os, "environ", os.environ | NUMERIC | NETWORK | KEPT)
    return os.environ


def test_variables_that_change_digits_are_away_for_a_while(settings):
    before = dict(settings)

    def fail_within():
        with isolation.ignoring_environment():
            assert not (NUMERIC | NETWORK).keys() & settings.keys()
            assert settings.items() >= KEPT.items()
            settings["OMP_NUM_THREADS"] = "5"  # by who needs it so
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail_within()
    assert dict(settings) == before | {"OMP_NUM_THREADS": "5"}


def test_variables_of_the_network_are_forgotten_for_good(settings):
    isolation.forget_network_environment()
    assert not NETWORK.keys() & settings.keys()
    assert settings.items() >= (NUMERIC | KEPT).items()


def test_linear_algebra_has_the_same_number_of_threads_whatever_it_had():
    """In a process of its own: other packages that tests import bring libraries of one thread."""
    program = (
        "import json; from threadpoolctl import threadpool_info; from engine.base import isolation\n"
        "with isolation.steady_threads():\n"
        "    print(json.dumps([[one['filepath'], one['num_threads']] for one in threadpool_info()]))"
    )
    for count in ("1", "3"):
        environ = os.environ | {"OPENBLAS_NUM_THREADS": count, "OMP_NUM_THREADS": count}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=Path(__file__).parents[2], env=environ, capture_output=True, text=True
        )
        within = json.loads(done.stdout)
        assert {threads for path, threads in within if "blas" in path.lower()} == {isolation.THREADS}
        assert sum("openblas" in path.lower() for path, _ in within) >= 2, "NumPy's and SciPy's"


def test_the_arithmetic_does_not_depend_on_threads_and_tells_other_roundings_apart(monkeypatch):
    here = isolation.arithmetic.__wrapped__()
    program = "from engine.base import isolation; print(isolation.arithmetic())"
    for count in ("1", "3"):
        environ = os.environ | {"OPENBLAS_NUM_THREADS": count, "OMP_NUM_THREADS": count}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=Path(__file__).parents[2], env=environ, capture_output=True, text=True
        )
        assert done.stdout.strip() == here, done.stderr
    exact = np.sin
    monkeypatch.setattr(np, "sin", lambda values: np.nextafter(exact(values), 2, dtype=values.dtype))
    assert isolation.arithmetic.__wrapped__() != here
