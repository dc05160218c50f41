"""Projections and their angles as HDF5 (``.h5``), in the layout of the published data, by h5py."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


def write_projections(
    path: Path,
    shape: tuple[int, int, int],
    parts: Iterable[tuple[slice, NDArray[np.float32]]],
    angles_rad: NDArray[np.float64],
    attributes: Mapping[str, Any],
) -> None:
    """Write ``Projections`` (n, size, size), float32, which come in parts, and ``Angles`` (n, 3) in radians.

    Raises OSError with the system's own reason, such as a full disk.
    """
    try:
        with h5py.File(path, "w") as file:
            file.attrs.update(attributes)
            file.create_dataset("Angles", data=angles_rad)
            projections = file.create_dataset("Projections", shape=shape, dtype=np.float32)
            for chunk, part in parts:
                projections[chunk] = part
    except (OSError, RuntimeError) as error:
        # HDF5 names the system's reason only within lines of its own, and on closing raises RuntimeError for it.
        reason = re.search(r"errno = (\d+)", str(error))
        if reason is None:
            raise
        raise OSError(int(reason[1]), os.strerror(int(reason[1]))) from error
