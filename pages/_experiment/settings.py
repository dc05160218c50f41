"""Form fields from the configuration's schema: labels, defaults, bounds and help are read from it. No Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.base.quantities import EXACT, Range, digits
from engine.config.schema import Config
from engine.config.settings import if_not_given, key_range

Kind = Literal["choice", "integer", "number", "interval", "flag", "text"]

_KINDS: dict[str, Kind] = {"integer": "integer", "number": "number", "boolean": "flag"}
_SPELT = {"snr": "SNR", "on": "Trained on", "half": "Half set"}
_UNITS = {
    "pixels": "px", "rad": "rad", "rad^2": "rad²", "Å": "Å", "Å per voxel": "Å", "Å per pixel": "Å",
    "kV": "kV", "mm": "mm",
}  # at the start of descriptions  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One key of the configuration. ``limits`` are the values that a number can have.

    An ``interval`` is one number or a list of two.
    """

    key: str
    kind: Kind
    default: Any
    description: str
    choices: tuple[str, ...] = ()
    limits: Range | None = None

    @property
    def label(self) -> str:
        """The key's last part in words, and the unit."""
        word = self.key.split(".")[-1]
        unit = _UNITS.get(self.description.partition(";")[0])
        return _SPELT.get(word, word.replace("_", " ").capitalize()) + (f" ({unit})" if unit else "")

    @property
    def if_empty(self) -> str:
        """What an empty field means."""
        return if_not_given(self.key) if self.default is None or self.limits is None else digits(self.default)

    @property
    def minimum(self) -> float | None:
        """The least number that it can be, in the type of the others."""
        if self.limits is None:
            return None
        return 0 * self.limits.least if self.limits.or_zero else self.limits.least

    @property
    def maximum(self) -> float | None:
        """The largest number that it can be."""
        return None if self.limits is None else self.limits.most

    @property
    def typed(self) -> bool:
        """Whether its field has to hold text: for an interval, or integers that JavaScript rounds."""
        large = self.limits is not None and self.limits.whole and self.limits.most >= EXACT
        return large or self.kind == "interval"

    @property
    def help(self) -> str:
        """What it is, and which numbers it can be."""
        return f"{self.description}. {str(self.limits).capitalize()}." if self.limits else self.description


@dataclass(frozen=True)
class Section:
    """One table of the configuration: its name, its description, its settings by key."""

    name: str
    description: str
    settings: dict[str, Setting]


def sections() -> dict[str, Section]:
    """The tables of the configuration, in order; ``""`` holds the settings outside any table (the seed)."""
    schema = Config.model_json_schema()
    tables: dict[str, Section] = {"": Section("", "", {})}
    for name, entry in schema["properties"].items():
        if "$ref" not in entry:
            tables[""].settings[name] = _setting(name, entry)
            continue
        table = schema["$defs"][entry["$ref"].rpartition("/")[2]]
        settings = {f"{name}.{key}": _setting(f"{name}.{key}", value) for key, value in table["properties"].items()}
        tables[name] = Section(name, table.get("description", ""), settings)
    return tables


def listed(values: Sequence[str] | str) -> str:
    """A list of strings in the form of its text field, which a configuration can read; a string is left as it is."""
    return values if isinstance(values, str) else ", ".join(values)


def _setting(key: str, entry: dict[str, Any]) -> Setting:
    kinds = [kind for kind in entry.get("anyOf", [entry]) if kind.get("type") != "null"]
    choices = tuple(word for kind in kinds for word in kind.get("enum", [kind["const"]] if "const" in kind else []))
    kind: Kind = "choice" if choices else _KINDS.get(kinds[0].get("type"), "text")
    if [one.get("type") for one in kinds] == ["number", "array"]:
        kind = "interval"
    if kinds[0].get("type") == "array" and kind == "text":
        return Setting(key, kind, listed(entry.get("default", [])), entry.get("description", ""))
    numeric = float if kind == "number" else int
    default = entry.get("default")
    if kind in ("integer", "number") and default is not None:
        default = numeric(default)
    return Setting(key, kind, default, entry.get("description", ""), choices, key_range(key))
