"""Poses and shifts as RELION 3.1 ``.star`` tables, by starfile.

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

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import starfile
from numpy.typing import NDArray
from starfile.parser import StarParser

from ..base.errors import InputError
from ..base.files import writing
from ..base.texts import read_text, require_unicode
from ..geometry import rotations
from ..imaging.ctf import ContrastTransfer

ERROR_COLUMN = "poselabAngleErrorDegrees"
_ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
_ORIGINS = ["rlnOriginXAngst", "rlnOriginYAngst"]
_NOT_IN_A_NAME = set(" \t\r\n\"'#@")


@dataclass(frozen=True)
class Particles:
    """The content of a ``.star`` of n images.

    Attributes
    ----------
    poses
        (n, 3, 3), float64, image frame to object frame.
    shifts_px
        (n, 2), float64, (x, y): displacement of the content in pixels.
    pixel_size
        Å per pixel.
    image_size
        pixels along a side.
    image_names
        n names, ``000001@stack.mrcs``.
    """

    poses: NDArray[np.floating]
    shifts_px: NDArray[np.float64]
    pixel_size: float
    image_size: int
    image_names: list[str]


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
    columns: dict[str, Any] = dict(zip(_ANGLES, rotations.to_euler(poses).T, strict=True))
    # 0 - 0 is 0, where -0 would be written as -0.000000
    return columns | dict(zip(_ORIGINS, ((0.0 - shifts_px) * pixel_size).T, strict=True))


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


def read_star(path: str | Path) -> Particles:
    """Read a RELION 3.1 ``.star`` with one pixel size and image size; origins are zero where the columns are missing.

    Raises
    ------
    InputError
        for a file that cannot be read, is not RELION 3.1, lacks a column, or mixes pixel sizes.
    """
    # Bytes that are not UTF-8 become U+FFFD: pandas does not read lone surrogates.
    text = read_text(path, str(path), "RELION .star").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        blocks = _Parser(text, ["rlnImageName", "rlnOpticsGroupName"]).data_blocks
    except (ValueError, IndexError, TypeError) as error:
        raise InputError(f"{path} is not a .star table: {error}") from error
    if not {"optics", "particles"} <= blocks.keys():
        names = ", ".join(f"data_{name}" for name in blocks) or "no data block"
        raise InputError(f"{path} has {names}; wanted RELION 3.1's data_optics and data_particles")
    columns = _Columns(path, blocks)
    pixel_size = columns.single("optics", "rlnImagePixelSize")
    angles = columns.numbers("particles", _ANGLES)
    has_origins = set(_ORIGINS) <= set(blocks["particles"])
    origins = columns.numbers("particles", _ORIGINS) if has_origins else np.zeros((len(angles), 2))
    return Particles(
        poses=rotations.from_euler(angles),
        shifts_px=(0.0 - origins) / pixel_size,
        pixel_size=pixel_size,
        image_size=int(columns.single("optics", "rlnImageSize")),
        image_names=columns.text("particles", "rlnImageName"),
    )


def _star_text(blocks: dict[str, pd.DataFrame]) -> str:
    """The file's text, the same for the same content: RELION's version marks instead of starfile's dated first line."""
    text = starfile.to_string(blocks)
    for name in blocks:
        text = text.replace(f"\ndata_{name}\n", f"\n# version 30001\n\ndata_{name}\n", 1)
    return text.split("\n", 1)[1].lstrip("\n")


class _Parser(StarParser):
    """starfile's parser, of a text: by itself it reads files through linecache, as Python source in UTF-8."""

    def __init__(self, text: str, parse_as_string: list[str]) -> None:
        self._lines = [line.strip() for line in io.StringIO(text, newline=None)]
        self.data_blocks: dict[str, pd.DataFrame | Mapping[str, Any]] = {}
        self.n_lines_in_file, self.n_blocks_to_read, self.current_line_number = len(self._lines), None, 0
        self.parse_as_string = parse_as_string
        self.parse_file()

    @property
    def current_line(self) -> str:
        """The line with the current number, counted from 1; empty if there is none."""
        return self._lines[self.current_line_number - 1] if 0 < self.current_line_number <= len(self._lines) else ""


@dataclass(frozen=True)
class _Columns:
    """Checked columns of a file's data blocks; starfile reads a block that was written without loop_ as a mapping."""

    path: str | Path
    blocks: Mapping[str, pd.DataFrame | Mapping[str, Any]]

    def text(self, block: str, name: str) -> list[str]:
        if name not in self.blocks[block]:
            raise InputError(f"{self.path}: data_{block} has no {name}; wanted a RELION 3.1 .star of particles")
        values = [str(value) for value in np.atleast_1d(np.asarray(self.blocks[block][name]))]
        if not values:
            raise InputError(f"{self.path}: data_{block} has no rows; wanted one a particle")
        stray = next((value for value in values if "\ufffd" in value), None)
        if stray is not None:
            raise InputError(f"{self.path}: {name} has {stray!r}, which has bytes that are not UTF-8; wanted UTF-8")
        return values

    def numbers(self, block: str, names: list[str]) -> NDArray[np.float64]:
        columns = {name: self.text(block, name) for name in names}
        for name, values in columns.items():
            wrong = next((value for value in values if not _is_finite_number(value)), None)
            if wrong is not None:
                raise InputError(f"{self.path}: {name} has {wrong!r}; wanted numbers")
        return np.array(list(columns.values()), dtype=float).T

    def single(self, block: str, name: str) -> float:
        values = np.unique(self.numbers(block, [name]))
        if len(values) != 1 or not values[0] > 0:
            listed = ", ".join(f"{value:g}" for value in values)
            raise InputError(f"{self.path}: {name} is {listed}; wanted one value, above zero")
        return float(values[0])


def _is_finite_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
