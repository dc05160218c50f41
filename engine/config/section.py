"""What the tables of a configuration have in common: they are frozen, and their numbers are within ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from ..base.quantities import EXACT, Range


class RangeError(ValueError):
    """A value is not in the range of its key. The message is the reason, after a colon."""


class Section(BaseModel):
    """A table of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    ranges: ClassVar[Mapping[str, Range]] = {}
    """By field, of those that are numbers or intervals of numbers."""

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        cls.ranges = {
            name: entry
            for name, field in cls.model_fields.items()
            for entry in field.metadata
            if isinstance(entry, Range)
        }

    @field_validator("*", mode="before")
    @classmethod
    def _number_as_written(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what would silently become another number: true as 1, and 9007199254740993.0, which is even."""
        limits = cls.ranges.get(str(info.field_name))
        if limits is None or value is None:
            return value
        for number in _numbers_in(value):
            if isinstance(number, bool | np.bool_):
                raise RangeError(limits.reason(bool(number)))
            if isinstance(number, float) and limits.whole and abs(number) > EXACT:
                raise RangeError(": with a point or exponent such a large one loses its last digits, write all of them")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _number_in_range(cls, value: Any, info: ValidationInfo) -> Any:
        limits = cls.ranges.get(str(info.field_name))
        if limits is not None and value is not None:
            for number in _numbers_in(value):
                if number not in limits:
                    raise RangeError(limits.reason(number))
        return value


def _numbers_in(value: Any) -> list[Any] | tuple[Any, ...]:
    """A number, or the ends of an interval."""
    return value if isinstance(value, list | tuple) else (value,)
