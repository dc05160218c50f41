"""Reads the arrays of a run (``.npz``) and checks their shapes and types."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..base.errors import ArgumentError, InputError, one_line
from ..base.files import opened
from ..geometry.arguments import checked_rotations

_MOST_BYTES = 2**32
_LARGEST = 1e30
"""Of a value, so that its square and sums of them are numbers in double and cubes in single precision."""


@dataclass(frozen=True)
class Shape:
    """The expected shape and type of an array.

    Attributes
    ----------
    sides
        a number, or a letter that stands for the same number, at least 1, in all arrays of the file; ``n+1`` for one
        more than that.
    whole
        whether it holds whole numbers.
    gaps
        whether what is not finite stands for what is not known.
    rotations
        whether it holds rotation matrices.
    """

    sides: tuple[int | str, ...]
    whole: bool = False
    gaps: bool = False
    rotations: bool = False


ROTATIONS = Shape(("n", 3, 3), rotations=True)


def read_arrays(
    path: Path, shapes: Mapping[str, Shape] | None = None, only: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz``, read-only: all, or those of the names in ``only`` that it has.

    Those that ``shapes`` names are checked against it, as far as they are there.

    Raises FileNotFoundError, and InputError for a file that is damaged or holds something else.
    """
    try:
        with opened(path) as file:
            arrays = _load(file, only)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path.name} of this run cannot be read: {one_line(error.strerror or error)}") from error
    except (
        Exception
    ) as error:  # the parsers of zip, deflate and NumPy raise whatever a damaged file makes them stumble on
        raise InputError(f"{path.name} of this run is damaged ({one_line(error, 120)})") from error
    sides: dict[str, int] = {}
    for name, shape in (shapes or {}).items():
        if name in arrays and (problem := _problem(arrays[name], shape, sides)):
            raise InputError(f"{path.name} of this run is damaged: {name} {problem}")
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def _load(file: BinaryIO, only: Collection[str] | None) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _MOST_BYTES:
        raise ValueError(f"it unpacks to {size / 1e9:.0f} GB; wanted at most {_MOST_BYTES / 1e9:.0f} GB")
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files if only is None or name in only}


def _problem(array: np.ndarray, shape: Shape, sides: dict[str, int]) -> str:
    """What is wrong with an array; empty where nothing is. ``sides`` learns what the letters stand for."""
    if array.dtype.kind not in ("iub" if shape.whole else "iubf"):
        return f"holds {array.dtype}; wanted {'whole ' if shape.whole else ''}numbers"
    if array.ndim != len(shape.sides) or any(
        length != _side(side, length, sides) for length, side in zip(array.shape, shape.sides, strict=True)
    ):
        wanted = " x ".join(str(sides.get(str(side), side)) for side in shape.sides)
        return f"is {' x '.join(map(str, array.shape)) or 'a single number'}; wanted {wanted or 'a single number'}"
    values = array[np.isfinite(array)] if shape.gaps else array
    if not np.all(np.isfinite(values)) or (values.size and np.abs(values.astype(float)).max() > _LARGEST):
        return f"holds values that are not finite or beyond ±{_LARGEST:g}"
    if shape.rotations:
        try:
            checked_rotations(array, "it")
        except ArgumentError as error:
            return f"is damaged, {error}"
    return ""


def _side(side: int | str, length: int, sides: dict[str, int]) -> int:
    """What a side has to be, given that it is ``length``."""
    if isinstance(side, int):
        return side
    letter, _, more = side.partition("+")
    return sides.setdefault(letter, max(1, length - int(more or 0))) + int(more or 0)
