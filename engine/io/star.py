"""New RELION 3.1 ``.star`` tables, written by starfile; :mod:`io.particles` reads tables and writes them again.

RELION's columns, and PoseLab's conventions (:mod:`geometry.rotations`):

- ``rlnAngleRot``, ``rlnAngleTilt``, ``rlnAnglePsi``: the same intrinsic ZYZ angles, in degrees. RELION's matrix of
  them takes the reference into the observation; PoseLab's pose is its transpose.
- ``rlnOriginXAngst``, ``rlnOriginYAngst``: the shift that brings the observed content back to the centre, in Å.
  PoseLab's shifts are the displacement of the content, in pixels: the opposite sign.
- ``rlnImageName``: ``000001@stack.mrcs``, counted from one.

Plain projections have no contrast transfer function, and no defocus columns. RELION refuses an optics group without
voltage and spherical aberration: the 300 kV and 2.7 mm written there are the values that ``relion_project`` writes, and
describe no microscope.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import starfile
from numpy.typing import NDArray

from ..base.errors import InputError
from ..base.files import writing
from ..base.texts import require_unicode
from ..geometry import rotations
from ..imaging.ctf import ContrastTransfer

ERROR_COLUMN = "poselabAngleErrorDegrees"
ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
ORIGINS_ANGSTROM = ("rlnOriginXAngst", "rlnOriginYAngst")
_NOT_IN_A_NAME = set(" \t\r\n\"'#@")


def write_star(
    path: str | Path,
    poses: NDArray[np.floating],
    pixel_size: float,
    image_size: int,
    stack_name: str,
    shifts_px: NDArray[np.floating] | None = None,
    errors_rad: NDArray[np.floating] | None = None,
    ctf: ContrastTransfer | None = None,
) -> None:
    """Write poses as a RELION 3.1 ``.star`` with one optics group; angles to 1e-6 degrees, origins to 1e-6 Å.

    Parameters
    ----------
    poses
        (n, 3, 3), in the order of the images in the stack.
    pixel_size, image_size
        Å per pixel; pixels along a side.
    stack_name
        the ``.mrcs`` that the rows refer to, as seen from the folder of the ``.star``.
    shifts_px
        (n, 2), (x, y): displacement of the content in pixels; zero when not given.
    errors_rad
        (n,) angle error of each pose in radians, kept in degrees as a column of PoseLab's own
        (``poselabAngleErrorDegrees``), which RELION carries along unread.
    ctf
        of each image, all of them at one voltage, spherical aberration and amplitude contrast, without phase shift, B
        factor or distortion; None for plain projections.

    Raises
    ------
    InputError
        for a stack name that the format cannot hold.
    """
    shifts = np.zeros((len(poses), 2)) if shifts_px is None else np.asarray(shifts_px, dtype=float)
    columns = _pose_columns(poses, shifts, pixel_size) | _image_columns(stack_name, len(poses))
    if errors_rad is not None:
        columns[ERROR_COLUMN] = np.degrees(errors_rad)
    _write(path, _optics(ctf, pixel_size, image_size), columns | _defocus_columns(ctf))


def write_particles(
    path: str | Path,
    stack_name: str,
    pixel_size: float,
    image_size: int,
    halves: NDArray[np.integer],
    ctf: ContrastTransfer | None = None,
    poses: NDArray[np.floating] | None = None,
    shifts_px: NDArray[np.floating] | None = None,
) -> None:
    """Write the table of a stack as a RELION 3.1 ``.star`` with one optics group; poses and shifts only where given.

    Parameters
    ----------
    stack_name, pixel_size, image_size, ctf, poses, shifts_px
        as of :func:`write_star`.
    halves
        (n,) 1 or 2.

    Raises
    ------
    InputError
        for a stack name that the format cannot hold.
    """
    columns = _image_columns(stack_name, len(halves)) | _defocus_columns(ctf) | {"rlnRandomSubset": halves}
    if poses is not None:
        shifts = np.zeros((len(poses), 2)) if shifts_px is None else np.asarray(shifts_px, dtype=float)
        columns |= _pose_columns(poses, shifts, pixel_size)
    _write(path, _optics(ctf, pixel_size, image_size), columns)


def _pose_columns(poses: NDArray[np.floating], shifts_px: NDArray[np.floating], pixel_size: float) -> dict[str, Any]:
    columns: dict[str, Any] = dict(zip(ANGLES, rotations.to_euler(poses).T, strict=True))
    # 0 - 0 is 0, where -0 would be written as -0.000000
    return columns | dict(zip(ORIGINS_ANGSTROM, ((0.0 - shifts_px) * pixel_size).T, strict=True))


def _image_columns(stack_name: str, count: int) -> dict[str, Any]:
    check_stack_name(stack_name)
    return {
        "rlnImageName": [f"{number:06d}@{stack_name}" for number in range(1, count + 1)],
        "rlnOpticsGroup": np.ones(count, dtype=int),
    }


def _defocus_columns(ctf: ContrastTransfer | None) -> dict[str, Any]:
    if ctf is None:
        return {}
    defocus = dict(zip(("rlnDefocusU", "rlnDefocusV"), ctf.defocus_angstrom.T, strict=True))
    return {**defocus, "rlnDefocusAngle": ctf.astigmatism_degrees}


def _optics(ctf: ContrastTransfer | None, pixel_size: float, image_size: int) -> dict[str, Any]:
    microscope = {"rlnVoltage": 300.0, "rlnSphericalAberration": 2.7}
    if ctf is not None:
        microscope = {
            "rlnVoltage": float(ctf.voltage_kv[0]),
            "rlnSphericalAberration": float(ctf.spherical_aberration_mm[0]),
            "rlnAmplitudeContrast": float(ctf.amplitude_contrast[0]),
        }
    images = {"rlnImagePixelSize": float(pixel_size), "rlnImageSize": int(image_size), "rlnImageDimensionality": 2}
    return {"rlnOpticsGroup": 1, "rlnOpticsGroupName": "opticsGroup1", **microscope, **images}


def _write(path: str | Path, optics: Mapping[str, Any], columns: Mapping[str, Any]) -> None:
    text = _star_text({"optics": pd.DataFrame([optics]), "particles": pd.DataFrame(columns)})
    with writing(Path(path)) as aside:
        aside.write_text(text, encoding="utf-8")


def check_stack_name(name: str) -> None:
    """Raise InputError for a file name that ``rlnImageName`` cannot hold: RELION splits it at spaces and at @."""
    if not name or _NOT_IN_A_NAME & set(name):
        raise InputError(f"{name!r} cannot be a stack's name in a .star; wanted one without spaces, quotes, # and @")
    require_unicode(name, "the stack's name")


def _star_text(blocks: dict[str, pd.DataFrame]) -> str:
    """The file's text, the same for the same content: RELION's version marks instead of starfile's dated first line."""
    text = starfile.to_string(blocks)
    for name in blocks:
        text = text.replace(f"\ndata_{name}\n", f"\n# version 30001\n\ndata_{name}\n", 1)
    return text.split("\n", 1)[1].lstrip("\n")
