"""Widgets for the configuration, made from its schema. A key's widget is kept in the session under the key itself."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import streamlit as st

from pages._settings import Section, Setting, sections

_WEB_INTEGER = 2**53 - 1  # the largest that a browser counts to
_SECTIONS = sections()
_SETTINGS = {key: setting for section in _SECTIONS.values() for key, setting in section.settings.items()}
_IN_A_ROW = 4
_FEW = 4  # choices that can stand side by side


def fields(*keys: str, initial: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Widgets of these keys and their values; what was left empty is not among them.

    ``initial`` are values to begin with, where not the schema's default.
    """
    values = {key: _widget(_SETTINGS[key], (initial or {}).get(key, _SETTINGS[key].default)) for key in keys}
    return {key: value for key, value in values.items() if value is not None}


def remaining(shown: Collection[str]) -> dict[str, Any]:
    """Widgets, by section, of all keys but those in ``shown``."""
    values: dict[str, Any] = {}
    for section in _SECTIONS.values():
        if keys := [key for key in section.settings if key not in shown]:
            values |= _section(section, keys)
    return values


def choice(label: str, options: Sequence[str], default: str, key: str, help_text: str) -> str:
    """One of a few words."""
    chosen: str = st.segmented_control(
        label, options, default=default, key=key, help=help_text, required=True, persist_state="session"
    )
    return chosen


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys to the tables that a configuration is made of."""
    tables: dict[str, Any] = {}
    for key, value in values.items():
        section, _, leaf = key.rpartition(".")
        (tables.setdefault(section, {}) if section else tables)[leaf] = value
    return tables


def _section(section: Section, keys: list[str]) -> dict[str, Any]:
    st.markdown(f"**{section.name.capitalize()}**", help=section.description)
    values: dict[str, Any] = {}
    for start in range(0, len(keys), _IN_A_ROW):
        columns = st.columns(_IN_A_ROW, vertical_alignment="top")
        for column, key in zip(columns, keys[start : start + _IN_A_ROW], strict=False):
            with column:
                values |= fields(key)
    return values


def _widget(setting: Setting, value: Any) -> Any:
    common: dict[str, Any] = {"key": setting.key, "help": setting.description or None, "persist_state": "session"}
    if setting.kind == "choice":
        if len(setting.choices) > _FEW:
            return st.selectbox(setting.label, setting.choices, index=setting.choices.index(value), **common)
        return choice(setting.label, setting.choices, value, setting.key, setting.description)
    if setting.kind == "flag":
        return st.checkbox(setting.label, value=value, **common)
    if setting.kind == "text":
        return st.text_input(setting.label, value=value, **common) or None
    common |= {"value": value, "placeholder": "automatic", "min_value": setting.minimum, "max_value": setting.maximum}
    if setting.kind == "integer":
        return st.number_input(setting.label, step=1, **common | {"max_value": setting.maximum or _WEB_INTEGER})
    return st.number_input(setting.label, step=_step(value), format="%g", **common)


def _step(value: float | None) -> float:
    """What a press on + adds: one in the leading digit."""
    return 10.0 ** math.floor(math.log10(value)) if value else 1.0
