"""The sweep part of the form: which settings are varied, and their values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import streamlit as st

from engine.base.errors import InputError
from engine.base.quantities import digits
from engine.geometry.rotations import PUBLISHED_COVERAGES
from engine.io.library import Entry
from pages._experiment import form
from pages._experiment.form_values import (
    MODEL,
    NOISES,
    NUMERIC,
    SETTINGS,
    SWEEP,
    VARIED,
    Vary,
    read_values,
    several_key,
)
from pages._shared import state, text

# What the published experiments vary comes first; everything else can be varied as well.
_USUAL = (
    "projections.coverage", "projections.noise_variance", "projections.max_shift", "projections.sampling", "seed",
    "pairs.strategy", "distance.head", "distance.feature_dim", "distance.method", "distance.perturbation_variance",
    "recovery.pairs", "projections.count", "projections.snr", "projections.defocus", "projections.noise_spectrum",
    "volume.source",
)  # fmt: skip
_NAMES = ("particles.source", "particles.data_dir", MODEL)  # varied only where an address says so
_FIRST: dict[str, Any] = {
    "projections.coverage": list(PUBLISHED_COVERAGES),
    "projections.noise_variance": "0, 5, 10, 16, 20, 25",
    "projections.snr": "1, 0.1, 0.01",
    "projections.max_shift": "0, 5, 10, 15, 20",
    "projections.defocus": ["none", "10000", "20000", "30000", "[8000, 30000]"],
    "projections.count": "500, 1000, 2000",
    "distance.feature_dim": "4, 8, 16, 32, 64, 128, 256, 512",
    "distance.perturbation_variance": "0, 0.2, 0.4, 0.6, 0.8",
    "seed": "0:2",
    "training.volumes": ["random:1:1", "random:1:10", "random:1:100"],
    "projections.defocus_error": "0, 1000, 2000, 4000",
    "training.noise_factor": "0.25, 0.5, 1, 2, 4",
    "training.reference_missing": "0, 0.1, 0.2, 0.4",
}


def varied_keys(hidden: Collection[str] = ()) -> frozenset[str]:
    """The keys that the sweep varies, which the rest of the form disables; both noise keys if either is varied.

    Those in ``hidden`` are not varied.
    """
    if not form.value_of(SWEEP, False):
        return frozenset()
    keys = frozenset(form.value_of(VARIED, [])) - set(hidden)
    return keys | frozenset(NOISES if keys & frozenset(NOISES) else ())


def fields(proteins: Sequence[Entry], hidden: Collection[str] = ()) -> Vary | None:
    """Show the widgets of the sweep and return the values of each varied key, of which none is in ``hidden``.

    Empty without a sweep; None, after showing the errors, if a value is not valid.
    """
    on = st.toggle("Sweep: several values, one run for each combination", key=form.hold(SWEEP, False))
    form.keep(SWEEP)
    if not on:
        return {}
    held = form.value_of(VARIED, [])
    if not set(held).isdisjoint(hidden):
        st.session_state[VARIED] = [key for key in held if key not in hidden]
    offered = [key for key in (*_USUAL, *SETTINGS) if key not in hidden and (key not in _NAMES or key in held)]
    keys = st.multiselect(
        "Settings to vary", list(dict.fromkeys(offered)),
        format_func=_label, key=form.hold(VARIED, []), placeholder="coverage, noise, seed …",
    )  # fmt: skip
    form.keep(VARIED)
    vary: Vary = {}
    problems = []
    for key in keys:
        try:
            vary[key] = read_values(SETTINGS[key], _several(key, proteins))
        except InputError as error:
            problems.append(error)
    if len(set(keys) & set(NOISES)) == 2:
        problems.append(InputError("noise variance and SNR both set the noise; vary only one of them"))
    for problem in problems:
        state.show_error(problem)
    if not keys:
        st.caption("Choose at least one setting to vary.")
    return None if problems else vary


def _label(key: str) -> str:
    section, _, _ = key.rpartition(".")
    label = SETTINGS[key].label
    word = label if label.isupper() else label[0].lower() + label[1:]
    return f"{section.capitalize()}: {word}" if section else label


def _several(key: str, proteins: Sequence[Entry]) -> Any:
    """Show the widget for several values of a key, and return its content."""
    setting, widget = SETTINGS[key], several_key(key)
    shown: Any
    if setting.kind in NUMERIC:
        first = _FIRST.get(key, "" if setting.default is None else digits(setting.default))
        shown = st.text_input(
            _label(key), key=form.hold(widget, first), help=f"{setting.help} Such as 0, 5, 10 or 0:20:5."
        )
    else:
        options = _options(key, proteins)
        held = form.value_of(widget, _FIRST.get(key, options))
        form.hold(widget, held)
        shown = st.multiselect(
            _label(key), [*options, *(value for value in held if value not in options)], key=widget,
            format_func=lambda value: text.source_name(str(value)) if key == "volume.source" else str(value),
            help=setting.description, accept_new_options=key == "training.volumes" or setting.kind == "interval",
        )  # fmt: skip
    form.keep(widget)
    return shown


def _options(key: str, proteins: Sequence[Entry]) -> list[Any]:
    if key == "projections.coverage":
        return list(PUBLISHED_COVERAGES)
    if key == "volume.source":
        return [entry.source for entry in proteins]
    if SETTINGS[key].kind == "interval":
        return list(_FIRST[key])
    return [True, False] if SETTINGS[key].kind == "flag" else list(SETTINGS[key].choices)
