"""The library's access to records and files: run an experiment, read a run, read and write tables of poses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import environment
from .base.paths import absolute
from .config.schema import Config
from .config.settings import config_from_dict
from .geometry.arguments import checked_rotations
from .imaging import limits
from .io import particles, star
from .io.particle_table import ParticleTable
from .record.runrecord import RunRecord, default_runs_dir, run_path
from .record.runrecord import read_run as _read_run


def read_particles(
    source: str | Path,
    data_dir: str | Path | None = None,
    pixel_size: float | None = None,
    warn: Callable[[str], None] | None = None,
) -> ParticleTable:
    """What a table of particles says: of RELION 3.0, 3.1 or 5, of cryoSPARC, or of a stack alone.

    The images are not read, and need not be there.

    Parameters
    ----------
    source
        a ``.star``; a ``.cs``, with its passthrough file beside it; or a stack, ``.mrcs`` or ``.mrc``.
    data_dir
        the folder in which stacks are looked for first.
    pixel_size
        Å per pixel, taken for the table's.
    warn
        is called with each doubt, on a line; a RuntimeWarning when not given.

    Returns
    -------
    arrays of n particles, among them ``poses`` (n, 3, 3), ``shifts_px`` (n, 2) and ``halves`` (n,), which are None
    where the table has none, ``ctf``, ``pixel_size`` (n,) in Å and ``remarks``.

    Raises
    ------
    InputError
        naming the file, and the column or row.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/poses.star"
    >>> write_star(path, np.stack([np.eye(3)[[1, 2, 0]]] * 3), 2.0, 64, "particles.mrcs")
    >>> doubts = []
    >>> read_particles(path, warn=doubts.append)
    ParticleTable(3 particles in 1 stack (RELION 3.1): 64 px of 2 Å, no CTF (rlnDefocusU missing), poses, no half sets)
    >>> len(doubts)
    1
    """
    return particles.read_particles(source, data_dir, pixel_size, warn=warn)


def write_star(
    path: str | Path,
    poses: ArrayLike,
    pixel_size: float,
    image_size: int,
    stack_name: str,
    shifts_px: NDArray[np.floating] | None = None,
) -> None:
    """Write poses as a RELION 3.1 ``.star`` with one optics group; see :mod:`io.star` for its columns.

    Parameters
    ----------
    poses
        (n, 3, 3), in the order of the images in the stack.
    pixel_size, image_size
        Å per pixel; pixels along a side.
    stack_name
        the ``.mrcs`` that the rows refer to.
    shifts_px
        (n, 2): displacement of the content in pixels (x, y); zero when not given.

    Raises
    ------
    InputError
        for poses that are not rotation matrices, a name that RELION could not read, a file that cannot be written.

    Examples
    --------
    See :func:`read_particles`.
    """
    limits.VOXEL_SIZE.check(pixel_size, "pixel_size")
    limits.SIZE.check(image_size, "image_size")
    star.write_star(path, checked_rotations(poses, "poses"), pixel_size, image_size, stack_name, shifts_px)


def run_experiment(
    config: Config | dict[str, Any] | None = None, runs_dir: str | Path | None = None, name: str | None = None
) -> RunRecord:
    """Run an experiment in this process and leave its record, as the command line does.

    Parameters
    ----------
    config
        a configuration or nested tables of one; the default experiment when not given.
    runs_dir
        where runs are recorded; ``runs/``, or the value of POSELAB_RUNS_DIR, when not given.
    name
        by which people recognise the run.

    Returns
    -------
    the record: ``metrics``, ``path`` and ``arrays("poses.npz")`` among others.

    Raises
    ------
    InputError
        for a wrong configuration or input, and a folder that cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> tables = {"distance": {"method": "exact"}, "projections": {"count": 20, "size": 16},
    ...           "volume": {"resolution": 20}, "recovery": {"restarts": 3}}
    >>> run = run_experiment(tables, tempfile.mkdtemp())
    >>> run.arrays("poses.npz")["aligned"].shape
    (20, 3, 3)
    """
    from .service import runs
    from .service.actor import Actor

    settings = config if isinstance(config, Config) else config_from_dict(config or {})
    folder = absolute(runs_dir) if runs_dir is not None else default_runs_dir()
    command: Sequence[str] = [f"{environment.PACKAGE}.run_experiment"]
    return runs.run(Actor.of_this_process(), folder, settings, command, name=name)


def read_run(run_id: str, runs_dir: str | Path | None = None) -> RunRecord:
    """A recorded run, in any state.

    Raises InputError for an invalid run id, or an unknown one.

    Examples
    --------
    >>> read_run("20261122-173015-1bd2-3f9c1a", "/nowhere")
    Traceback (most recent call last):
    ...
    poselab.base.errors.InputError: no run 20261122-173015-1bd2-3f9c1a in /nowhere; `runs list` shows those there are
    """
    return _read_run(run_path(absolute(runs_dir) if runs_dir is not None else default_runs_dir(), run_id))
