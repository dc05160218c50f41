"""TensorFlow and Keras as this wing uses them, whatever the user has set for other programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.learning import libraries, network
from engine.learning.libraries import keras, own_settings, tf

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def settings() -> tuple[object, ...]:
    return (
        keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format(),
        keras.config.dtype_policy().name, tf.config.experimental.tensor_float_32_execution_enabled(),
        tf.config.functions_run_eagerly(),
    )  # fmt: skip


@pytest.fixture
def set_otherwise():
    """As a notebook may have set them before it uses ours."""
    before = settings()
    libraries._set("float16", 0.5, "channels_first", "mixed_float16", True, True)
    yield settings()
    libraries._set(*before)


def test_what_was_set_comes_back_also_after_an_error(set_otherwise):
    delivered = ("float32", 1e-7, "channels_last", "float32", False, False)
    with own_settings():
        assert settings() == delivered
    assert settings() == set_otherwise

    def fail_within():
        with own_settings(on_gpu=False):
            assert settings() == delivered
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail_within()
    assert settings() == set_otherwise


def test_a_network_is_the_same_whatever_keras_is_set_to(set_otherwise, tmp_path):
    from engine.geometry.harmonics import degrees_of
    from engine.geometry.symmetry import NO_SYMMETRY

    images = np.random.default_rng(1).standard_normal((5, 24, 24)).astype(np.float32)

    def features():
        keras.backend.clear_session()
        model = network.build_network(24, 10.0, degrees_of(NO_SYMMETRY), "cosine", np.random.default_rng(0), True)
        network.save_model(model, tmp_path / "m.keras")
        return network.embed(model, images), network.embed(network.load_model(tmp_path / "m.keras"), images)

    otherwise = features()
    libraries._set("float32", 1e-7, "channels_last", "float32", False, False)
    for one, other in zip(otherwise, features(), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other)


PROGRAM = """
import os
before = dict(os.environ)
from engine.learning.libraries import keras, tf
print(keras.config.backend(), keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format())
print(tf.config.threading.get_intra_op_parallelism_threads())
print(sorted(before.items() - os.environ.items()))
"""


def imported(home: Path, program: str = PROGRAM, **environ: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"HOME": str(home)} | environ
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True)


DELIVERED = ["tensorflow float32 1e-07 channels_last", "2"]


@pytest.mark.parametrize(
    "written",
    [
        {"backend": "theano", "floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first"},
        {"floatx": "float8", "epsilon": "small"},
        ["no table"],
    ],
)
def test_the_users_file_is_neither_read_nor_written(tmp_path, written):
    (tmp_path / ".keras").mkdir()
    file = tmp_path / ".keras" / "keras.json"
    file.write_text(json.dumps(written))
    done = imported(tmp_path)
    assert done.stdout.splitlines()[:2] == DELIVERED, done.stderr
    assert json.loads(file.read_text()) == written


def test_where_there_is_no_file_none_is_made_and_variables_do_not_matter(tmp_path):
    environ = {"KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path / "elsewhere"), "KERAS_NNX_ENABLED": "1"}
    network_only = {"TF_NUM_INTRAOP_THREADS": "1", "TF_ENABLE_ONEDNN_OPTS": "0", "TF_USE_LEGACY_KERAS": "1"}
    done = imported(tmp_path, **environ, **network_only, OMP_NUM_THREADS="7")
    assert done.stdout.splitlines()[:2] == DELIVERED, done.stderr
    assert not (tmp_path / ".keras").exists()
    assert not (tmp_path / "elsewhere").exists()
    assert done.stdout.splitlines()[2] == str(sorted(network_only.items())), "the others are there again"


def test_keras_on_another_backend_in_the_same_process_is_refused_in_a_line(tmp_path):
    program = """
import sys, types
sys.modules["keras"] = types.ModuleType("keras")
sys.modules["keras"].config = types.SimpleNamespace(backend=lambda: "jax")
sys.modules["keras"].layers = None
from engine.base.errors import InputError
try:
    import engine.learning.libraries
except InputError as error:
    print(error)
"""
    done = imported(tmp_path, program)
    assert done.stdout.startswith("Keras was imported in this process before, with the backend 'jax'; wanted"), done
    assert len(done.stdout.splitlines()) == 1
