"""The same experiment in processes that a user has set differently: the same digits, and the cache may serve them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SETTINGS = [
    "projections.count=30", "projections.noise_variance=4", "projections.max_shift=2", "volume.resolution=16",
    "training.projections=150", "training.validation_projections=24", "training.batch_size=16", "training.steps=6",
    "training.image_size=24", "pairs.strategy=knn+random", "recovery.restarts=3", "reconstruction.iterations=2",
]  # fmt: skip
KEPT = ("projections.npz", "training.npz", "distances.npz", "recovery.npz", "poses.npz", "fsc.npz")
_OF_THE_CLOCK = ("seconds",)
KERAS = {"backend": "theano", "floatx": "float16", "epsilon": 0.01, "image_data_format": "channels_first"}
ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1",
}  # fmt: skip
# Several at once: where all together change no digit, none of them does.
SET = {
    "keras.json, one thread on one core": ONE_THREAD,
    "variables, many threads, other kernels": {
        "KERAS_BACKEND": "torch", "KERAS_MAX_EPOCHS": "1", "KERAS_NNX_ENABLED": "true",
        "OMP_NUM_THREADS": "5", "OPENBLAS_NUM_THREADS": "5", "TF_NUM_INTRAOP_THREADS": "5",
        "TF_ENABLE_ONEDNN_OPTS": "0", "XLA_FLAGS": "--xla_cpu_enable_fast_math=true", "TF_DETERMINISTIC_OPS": "0",
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit", "ONEDNN_MAX_CPU_ISA": "SSE41",
        "ONEDNN_DEFAULT_FPMATH_MODE": "ANY", "NVIDIA_TF32_OVERRIDE": "1", "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3", "OMP_DYNAMIC": "true", "OMP_THREAD_LIMIT": "1",
    },
}  # fmt: skip


def run(folder: Path, home: Path, environ: dict[str, str], *, cores: int | None = None):
    """Summary and kept arrays of one run in a process of its own."""
    ours = {
        name: text for name, text in os.environ.items()
        if not name.startswith(("OMP_", "OPENBLAS_", "TF_", "KERAS_", "XLA_"))
    }  # fmt: skip
    command = [sys.executable, "-m", "engine", "run", "--json", "--runs-dir", str(folder)]
    command += [part for setting in SETTINGS for part in ("--set", setting)]
    taskset = ["taskset", "-c", str(min(os.sched_getaffinity(0)))] if cores == 1 else []
    done = subprocess.run(
        [*taskset, *command], cwd=ROOT, env=ours | {"HOME": str(home)} | environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    arrays = {}
    for name in KEPT:
        with np.load(folder / summary["run_id"] / name) as stored:
            arrays |= {f"{name}: {key}": stored[key] for key in stored.files if key not in _OF_THE_CLOCK}
    return summary, arrays


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run of a user who has set nothing, and where it is."""
    folder = tmp_path_factory.mktemp("plain")
    return folder, *run(folder / "runs", folder, {})


@pytest.mark.parametrize("name", SET)
def test_what_a_user_has_set_changes_no_digit(plain, tmp_path, name):
    has_file = name.startswith("keras.json")
    if has_file and not (shutil.which("taskset") and hasattr(os, "sched_getaffinity")):
        pytest.skip("needs taskset")
    if has_file:
        (tmp_path / ".keras").mkdir()
        (tmp_path / ".keras" / "keras.json").write_text(json.dumps(KERAS))
    _, expected, arrays = plain
    summary, digits = run(tmp_path / "runs", tmp_path, SET[name], cores=1 if has_file else None)
    assert summary["reused"] == [] == expected["reused"]
    assert summary["metrics"] == expected["metrics"]
    assert digits.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(digits[key], array, err_msg=key)
    kept = tmp_path / ".keras" / "keras.json"
    assert json.loads(kept.read_text()) == KERAS if has_file else not kept.exists()


def test_the_results_of_one_user_serve_another(plain):
    folder, expected, _ = plain
    summary, _ = run(folder / "runs", folder, ONE_THREAD)
    assert summary["reused"] == ["projections", "training", "distance", "recovery", "reconstruction"]
    assert summary["metrics"] == expected["metrics"]
