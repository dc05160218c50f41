"""Numbers that depend on the experiment alone, not on what this user or machine has set for the libraries.

Linear algebra, transforms and the network's library read dozens of environment variables: how many threads add up a
sum, which instructions they may use, how precise a product is. Each changes the last digits, a training makes more of
them. So these variables are taken out of the way, and what has to be chosen is chosen here.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

THREADS = 2
"""Threads of every library whose digits depend on their number: the same on all machines, whatever they have."""

_NUMERIC = (
    "BLIS_", "DUCC0_", "GOMP_", "GOTO_", "KERAS_", "KMP_", "LIBOMP_", "MKL_", "NPY_", "NUMEXPR_", "OMP_", "OPENBLAS_",
    "SCIPY_", "SKLEARN_", "VECLIB_",
)  # fmt: skip
_NETWORK = (
    "CUBLAS_", "CUBLASLT_", "CUDNN_", "DNNL_", "HIPBLASLT_", "MIOPEN_", "MKLDNN_", "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_", "ROCBLAS_", "TF2_", "TF_", "XLA_",
)  # fmt: skip
_HARMLESS = ("TF_CPP_", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_GPU_ALLOCATOR")
"""What is logged, and how memory is taken."""


@contextmanager
def ignoring_environment() -> Iterator[None]:
    """Without the variables that change the digits of numeric libraries, which read them when they are imported.

    They are there again afterwards, for the other programs of this process.
    """
    removed = {name: os.environ.pop(name) for name in _named(_NUMERIC + _NETWORK)}
    try:
        yield
    finally:
        os.environ.update({name: text for name, text in removed.items() if name not in os.environ})


def forget_network_environment() -> None:
    """Take the variables of TensorFlow and what it stands on out of this process: it reads them whenever it needs
    them, long after it was imported.
    """
    for name in _named(_NETWORK):
        del os.environ[name]


@contextmanager
def steady_threads() -> Iterator[None]:
    """With :data:`THREADS` threads in the linear algebra of NumPy and SciPy, whatever was set."""
    import scipy.linalg  # noqa: F401 - brings a BLAS of its own, which has to be there to be set
    from threadpoolctl import threadpool_limits

    with threadpool_limits(THREADS):
        yield


@functools.cache
def arithmetic() -> str:
    """A digest of what this process makes of a few sums, products and functions: the same where digits are the same.

    It tells processors, instruction sets and kernels of linear algebra apart that round differently.
    """
    import numpy as np

    values = np.random.default_rng(0).standard_normal((120, 121))
    single = values.astype(np.float32)
    sha256 = hashlib.sha256()
    with steady_threads():
        for array in (
            np.exp(values), np.sin(values), np.exp(single), np.sin(single), np.arccos(np.tanh(values)),
            values @ values.T, single @ single.T, np.linalg.eigvalsh(values @ values.T), np.sqrt(values**2).sum(axis=0),
            values[0] @ values[1],
        ):  # fmt: skip
            sha256.update(np.ascontiguousarray(array).data)
    return sha256.hexdigest()[:16]


def _named(prefixes: tuple[str, ...]) -> list[str]:
    return [name for name in os.environ if name.startswith(prefixes) and not name.startswith(_HARMLESS)]
