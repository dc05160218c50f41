"""Results of stages as named arrays, and back: frozen dataclasses of arrays, numbers, texts and other such dataclasses.

A field of an inner dataclass is named ``outer.inner``; a field that is None has no array.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np


def pack(result: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """The fields of a dataclass as arrays by name; TypeError for one that cannot be stored without pickle."""
    arrays: dict[str, np.ndarray] = {}
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if dataclasses.is_dataclass(value):
            arrays |= pack(value, f"{prefix}{field.name}.")
        elif value is not None:
            array = np.asarray(value)
            if array.dtype.hasobject:
                raise TypeError(
                    f"{type(result).__name__}.{field.name} is {type(value).__name__}; wanted array or number"
                )
            arrays[f"{prefix}{field.name}"] = array
    return arrays


def unpack(kind: type, arrays: Mapping[str, np.ndarray], prefix: str = "") -> Any:
    """The dataclass ``kind`` from its packed fields; KeyError where one is missing that cannot be None."""
    values = {}
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        inner, optional = _without_none(hints[field.name])
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(inner):
            present = any(key.startswith(f"{name}.") for key in arrays)
            values[field.name] = unpack(inner, arrays, f"{name}.") if present else None  # type: ignore[arg-type]
        elif name in arrays:
            array = arrays[name]
            values[field.name] = inner(array[()]) if inner in (int, float, bool, str) else array
        elif not optional:
            raise KeyError(name)
    return kind(**values)


def _without_none(hint: Any) -> tuple[Any, bool]:
    """The type of a hint without None, and whether it may be None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        return members[0], len(members) < len(typing.get_args(hint))
    return hint, False
