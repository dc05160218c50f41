"""TensorFlow and Keras as this wing uses them, whatever the user has set for other programs: the only way to them.

Keras reads ``keras.json`` and variables of the environment, and writes that file where there is none; TensorFlow reads
variables for as long as it runs. Nothing of that is looked at here, no file of the user's is touched.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from ..base.errors import InputError
from ..base.isolation import THREADS, forget_network_environment, ignoring_environment
from ..base.quiet import silenced_stderr

log = logging.getLogger(__name__)

_BACKEND = "tensorflow"


@contextmanager
def _keras_as_delivered() -> Iterator[None]:
    """A home for Keras that holds no settings and takes none; its backend is chosen for the import alone."""
    os.environ |= {"KERAS_HOME": os.devnull, "KERAS_BACKEND": _BACKEND}
    try:
        yield
    finally:
        del os.environ["KERAS_HOME"], os.environ["KERAS_BACKEND"]


with ignoring_environment(), _keras_as_delivered(), silenced_stderr():
    import keras
    import tensorflow as tf
    from keras import layers

if keras.config.backend() != _BACKEND:
    raise InputError(
        f"Keras was imported in this process before, with the backend {keras.config.backend()!r}; wanted "
        f"{_BACKEND!r}: start a new process, with KERAS_BACKEND={_BACKEND} where it imports Keras itself"
    )
forget_network_environment()
try:
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    for _gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(_gpu, True)  # ASTRA needs some of it too
except RuntimeError:
    log.warning(
        "TensorFlow was used in this process before, with other threads: trainings in it may differ from others in the "
        "last digits"
    )

__all__ = ["gpus", "keras", "layers", "own_settings", "tf"]


@contextmanager
def own_settings(on_gpu: bool | None = None) -> Iterator[None]:
    """Keras and TensorFlow set as they are delivered, without TensorFloat-32; what was set before comes back.

    ``on_gpu``: on the GPU that TensorFlow sees, or on none; where the surrounding code is when not given.
    """
    before = (keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format())
    policy, tf32 = keras.config.dtype_policy(), tf.config.experimental.tensor_float_32_execution_enabled()
    eager = tf.config.functions_run_eagerly()
    _set("float32", 1e-7, "channels_last", "float32", False, False)
    try:
        with tf.device("/CPU:0") if on_gpu is False else nullcontext():
            yield
    finally:
        _set(*before, policy, tf32, eager)


def gpus() -> list[str]:
    """The names of the GPUs that TensorFlow sees."""
    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return [str(one.get("device_name", "GPU")) for one in details]


def _set(floatx: str, epsilon: float, data_format: str, policy: Any, tf32: bool, eager: bool) -> None:
    keras.config.set_floatx(floatx)
    keras.config.set_epsilon(epsilon)
    keras.config.set_image_data_format(data_format)
    keras.config.set_dtype_policy(policy)
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    tf.config.run_functions_eagerly(eager)
