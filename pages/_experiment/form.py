"""Widgets for the configuration, made from its schema. A key's widget has the key itself as its session key.

Values survive leaving the page, and being hidden for a while: before a widget is made its value is put into the
session, from :func:`fill` or from the last time it was shown.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import streamlit as st

from pages._experiment.form_values import NUMERIC, SETTINGS, held, read_typed
from pages._experiment.settings import Section, Setting, sections

_SECTIONS = sections()
_IN_A_ROW = 4
_FEW = 4  # choices that fit side by side
_KEPT = "kept values of the form"


def fill(values: Mapping[str, Any]) -> None:
    """Set the widgets to these values, by their keys; to be called before any of them is made."""
    st.session_state[_KEPT] = dict(values)
    for key in values:
        # Values are put there by hold() only: one under the key of a widget that is not made would reappear later.
        st.session_state.pop(key, None)


def filled() -> bool:
    """Whether the form has been filled in this session."""
    return _KEPT in st.session_state


def value_of(key: str, default: Any = None) -> Any:
    """The value of that key's widget now, or when it was last shown."""
    if key not in st.session_state:
        return st.session_state.get(_KEPT, {}).get(key, default)
    return st.session_state[key]


def hold(key: str, default: Any) -> str:
    """Make sure the session has a value for the key, and return the key: widgets are made with ``key=hold(...)``."""
    if key not in st.session_state:  # setting it counts as a change and overwrites what is being typed
        st.session_state[key] = value_of(key, default)
    return key


def keep(*keys: str) -> None:
    """Remember the values of these widgets; to be called after they were made."""
    st.session_state.setdefault(_KEPT, {}).update({key: st.session_state[key] for key in keys})


def fields(*keys: str, varied: Collection[str] = (), narrow: bool = False) -> dict[str, Any]:
    """Make the widgets of these keys and return their values, without empty ones and those that a sweep varies."""
    values = {key: _widget(SETTINGS[key], key in varied, narrow) for key in keys}
    return {key: value for key, value in values.items() if value is not None and key not in varied}


def remaining(shown: Collection[str], varied: Collection[str] = ()) -> dict[str, Any]:
    """Make the widgets, by section, of all keys except those in ``shown``."""
    values: dict[str, Any] = {}
    for section in _SECTIONS.values():
        if keys := [key for key in section.settings if key not in shown]:
            values |= _section(section, keys, varied)
    return values


def choice(label: str, options: Sequence[str], default: str, key: str, help_text: str, disabled: bool = False) -> str:
    """Make a widget for a choice among a few words, and return the chosen one."""
    chosen = st.segmented_control(
        label, options, key=hold(key, default), help=help_text, required=True, disabled=disabled
    )
    keep(key)
    return chosen or default


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert dotted keys to the nested tables of a configuration."""
    tables: dict[str, Any] = {}
    for key, value in values.items():
        section, _, leaf = key.rpartition(".")
        (tables.setdefault(section, {}) if section else tables)[leaf] = value
    return tables


def _section(section: Section, keys: list[str], varied: Collection[str]) -> dict[str, Any]:
    st.subheader(section.name.capitalize(), anchor=False, help=section.description)
    values: dict[str, Any] = {}
    for start in range(0, len(keys), _IN_A_ROW):
        columns = st.columns(_IN_A_ROW, vertical_alignment="top")
        for column, key in zip(columns, keys[start : start + _IN_A_ROW], strict=False):
            with column:
                values |= fields(key, varied=varied, narrow=True)
    return values


def _widget(setting: Setting, disabled: bool, narrow: bool) -> Any:
    if setting.kind == "choice" and len(setting.choices) <= _FEW and not narrow:
        return choice(setting.label, setting.choices, setting.default, setting.key, setting.description, disabled)
    common: dict[str, Any] = {"help": setting.help or None, "disabled": disabled}
    common["key"] = hold(setting.key, held(setting, setting.default))
    value: Any
    if setting.kind == "choice":
        value = st.selectbox(setting.label, setting.choices, **common)
    elif setting.kind == "flag":
        value = st.checkbox(setting.label, **common)
    elif setting.typed:
        value = read_typed(st.text_input(setting.label, placeholder=setting.if_empty, **common), setting)
    elif setting.kind in NUMERIC:
        value = _number(setting, common)
    else:
        value = st.text_input(setting.label, placeholder=setting.if_empty, **common) or None
    keep(setting.key)
    return value


def _number(setting: Setting, common: dict[str, Any]) -> float | None:
    bounds = {"min_value": setting.minimum, "max_value": setting.maximum, "placeholder": setting.if_empty}
    if setting.kind == "integer":
        return st.number_input(setting.label, step=1, **common | bounds)
    return st.number_input(setting.label, step=_step(setting.default), format="%g", **common | bounds)


def _step(value: float | None) -> float:
    """The step of the + button: one unit of the leading digit."""
    return 10.0 ** math.floor(math.log10(value)) if value else 1.0
