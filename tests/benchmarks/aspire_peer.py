"""ASPIRE, the independent package that PoseLab is measured against: the door to it for benchmarks.

Arrays go in and out in our conventions. They are ASPIRE's too: volumes [z, y, x], images [y, x], poses that take the
image frame into the object frame (``tests/test_particles.py`` and ``tests/test_benchmarks.py`` check this). Its
projections are sums over voxels divided by the box's side.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.base.quiet import silenced_stderr

Images = NDArray[np.float32]
Poses = NDArray[np.floating]

METHODS = ("CLSyncVoting", "CLSync3N")
_CLASSIFICATIONS, _ITS_ATTEMPTS = 4, 3  # ASPIRE itself tries three seeds, one after the other


def import_aspire() -> ModuleType:
    """The package with its submodules.

    Importing it plainly puts ``logs/`` into the working directory, prints its log on standard output, draws bars and
    replaces the interpreter's exception hook and disables every logger there is; all of that is kept away.
    """
    hook, level = sys.excepthook, logging.root.level
    enabled = [
        logger
        for logger in logging.root.manager.loggerDict.values()
        if isinstance(logger, logging.Logger) and not logger.disabled
    ]
    handlers = list(logging.root.handlers)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        contextlib.chdir(folder),
        warnings.catch_warnings(),
        silenced_stderr(),  # one of ASPIRE's dependencies loads TensorFlow where it finds it
    ):
        warnings.simplefilter("ignore")
        import aspire
        import aspire.abinitio
        import aspire.basis
        import aspire.classification
        import aspire.denoising
        import aspire.source
        import aspire.utils
        import aspire.volume

        for handler in set(logging.root.handlers) - set(handlers):
            logging.root.removeHandler(handler)
            handler.close()
    logging.root.setLevel(level)
    for logger in enabled:
        logger.disabled = False
    sys.excepthook = hook
    aspire.config["logging"]["tqdm_disable"] = True
    return aspire


@dataclass(frozen=True)
class Oriented:
    """Poses (n, 3, 3) that a method found, and what it took: wall and CPU seconds of this process."""

    poses: Poses
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class ClassAverages:
    """Averaged images (n, size, size) and the image (n,) each class was gathered around, whose pose is the class's."""

    images: Images
    references: NDArray[np.int64]
    wall_s: float
    cpu_s: float


def orient(images: Images, method: str, seed: int) -> Oriented:
    """Poses by common lines between all images (n, size, size); no shift is searched for.

    ``CLSyncVoting``: synchronisation of relative rotations found by voting (Shkolnisky & Singer, 2012); ``CLSync3N``:
    its successor (Greenberg & Shkolnisky, 2017), with the synchronisation of handedness computed for all triangles at
    once: as shipped it visits them one by one in Python, for minutes already at N = 100.
    """
    aspire = import_aspire()
    clocks = _clocks()
    source = aspire.source.ArrayImageSource(images, pixel_size=1.0)
    if method == "CLSync3N":
        estimator = aspire.abinitio.CLSync3N(source, max_shift=0, seed=seed, disable_gpu=True)
        estimator.J_sync._signs_times_v = _triangles_at_once(len(images))
    else:
        estimator = aspire.abinitio.CLSyncVoting(source, max_shift=0, disable_gpu=True)
    estimator.estimate_rotations()
    return Oriented(np.asarray(estimator.rotations, dtype=float), *_elapsed(clocks))


def class_averages(images: Images, size: int, count: int, neighbours: int, seed: int) -> ClassAverages:
    """The ``count`` best class averages of images (n, full, full) reduced to ``size`` pixels.

    ASPIRE's rotationally invariant classification (Zhao & Singer, 2014) with its defaults, the classes of the greatest
    contrast chosen as its ``LegacyClassAvgSource`` does. Images are centred, so no shift is searched for. Its random
    choice of bispectrum components fails for some seeds, and others are tried then; the clocks count that.
    """
    aspire = import_aspire()
    clocks = _clocks()
    source = aspire.source.ArrayImageSource(images, pixel_size=1.0).downsample(size).cache()
    for attempt in range(_CLASSIFICATIONS):
        classifier = aspire.classification.RIRClass2D(
            source, fspca_components=400, bispectrum_components=300, n_nbor=neighbours, nn_implementation="sklearn",
            seed=seed + attempt * _ITS_ATTEMPTS,
        )  # fmt: skip
        averages = aspire.denoising.LegacyClassAvgSource(source, classifier=classifier)
        try:
            poses = averages.images[:count].asnumpy().astype(np.float32)
            break
        except RuntimeError as error:
            if "bispec" not in str(error) or attempt == _CLASSIFICATIONS - 1:
                raise
    references = averages.class_indices[averages.selection_indices[:count], 0]
    return ClassAverages(poses, np.asarray(references, dtype=np.int64), *_elapsed(clocks))


def own_registration_errors(poses: Poses, true: Poses) -> NDArray[np.float64]:
    """Angle errors (n,) in rad after ASPIRE's own registration: a rotation from the left, and handedness."""
    rotation = import_aspire().utils.Rotation
    estimated, known = rotation(poses), rotation(true)
    registered = estimated.apply_registration(*estimated.find_registration(known))
    cosine = (np.einsum("nij,nij->n", registered, known.matrices) - 1) / 2
    return np.arccos(np.clip(cosine, -1, 1))


def triangle_signs(relative: Poses, count: int) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """For all triangles i < j < k: their pairs (ij, jk, ik) (t, 3), and whether the hands of pairs agree (t, 3).

    ``relative`` (n (n - 1) / 2, 3, 3) are rotations of pairs, each of an arbitrary hand (conjugated by J or not). Of
    the four ways of choosing hands in a triangle the one is taken for which ``R_ij R_jk = R_ik`` holds best; signs are
    of (ij, jk), (ik, jk), (ij, ik): what ASPIRE's ``JSync`` finds triangle by triangle.
    """
    index = np.zeros((count, count), dtype=np.int64)
    first, second = np.triu_indices(count, 1)
    index[first, second] = np.arange(len(first))
    i, j, k = (axis.astype(np.int64) for axis in _triangles(count))
    pairs = np.stack([index[i, j], index[j, k], index[i, k]], axis=1)
    hand = np.diag([1.0, 1.0, -1.0])
    mirrored = hand @ relative @ hand
    configurations = np.array([[1, 1, 1], [-1, 1, -1], [-1, -1, 1], [1, -1, -1]], dtype=np.int8)
    signs = np.empty((len(pairs), 3), dtype=np.int8)
    for start in range(0, len(pairs), 100_000):
        block = slice(start, start + 100_000)
        ij, jk, ik = pairs[block].T
        plain = relative[ij] @ relative[jk]
        misfits = [
            np.square(product - target).sum(axis=(1, 2))
            for product, target in (
                (plain, relative[ik]),
                (mirrored[ij] @ relative[jk], relative[ik]),
                (relative[ij] @ mirrored[jk], relative[ik]),
                (plain, mirrored[ik]),
            )
        ]
        signs[block] = configurations[np.argmin(misfits, axis=0)]
    return pairs, signs


def _triangles_at_once(count: int) -> Callable[[Poses, NDArray[np.float64]], NDArray[np.float64]]:
    """``JSync._signs_times_v``: the signs depend on the rotations alone, so one look serves all of its iterations."""
    known: list[Any] = []

    def signs_times_v(relative: Poses, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        if not known:
            known.extend(triangle_signs(relative, count))
        (ij, jk, ik), (ij_jk, ik_jk, ij_ik) = known[0].T, known[1].T
        product = np.zeros_like(vector, dtype=float)
        for pair, value in (
            (ij, ij_jk * vector[jk] + ij_ik * vector[ik]),
            (jk, ij_jk * vector[ij] + ik_jk * vector[ik]),
            (ik, ij_ik * vector[ij] + ik_jk * vector[jk]),
        ):
            product += np.bincount(pair, value, minlength=len(vector))
        return product

    return signs_times_v


def _triangles(count: int) -> tuple[NDArray[np.intp], ...]:
    ordinal = np.arange(count)
    return np.nonzero((ordinal[:, None, None] < ordinal[:, None]) & (ordinal[:, None] < ordinal))


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _elapsed(clocks: tuple[float, float]) -> tuple[float, float]:
    return time.perf_counter() - clocks[0], time.process_time() - clocks[1]
