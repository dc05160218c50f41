"""A new experiment: the default is ready, everything can be changed, one press runs it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine import launch
from engine.archives import is_archived
from engine.config import Config, config_from_dict, config_to_toml
from engine.errors import InputError
from engine.rotations import PUBLISHED_COVERAGES, euler_region
from engine.volume import BUILT_IN, load_volume
from pages import _form, _state, _text

_OTHER, _OWN = "other", "own"
_ANGLES = ("rot", "tilt", "psi")
_OPTIONS_OF_METHOD = {
    "siamese": ("distance.head", "distance.feature_dim"),
    "perturbed": ("distance.perturbation_variance",),
    "euclidean": ("distance.calibration",),
}
_ELSEWHERE = {key for keys in _OPTIONS_OF_METHOD.values() for key in keys} | {
    "projections.coverage", "projections.noise_variance", "projections.snr",
}  # fmt: skip


def _volume() -> dict[str, Any]:
    names = [*BUILT_IN, _OTHER]
    captions = [*BUILT_IN.values(), "a file on this machine, an EMDB map or a PDB model"]
    chosen = st.radio(
        "Protein", names, captions=captions, key="protein", label_visibility="collapsed", persist_state="session"
    )
    if chosen != _OTHER:
        return {"volume.source": chosen}
    source = st.text_input(
        "Source", key="source", placeholder="maps/5j0n.mrc, emdb:3400, pdb:5j0n", persist_state="session",
        help="A path to .mrc, .map, .ccp4, .pdb or .cif, gzipped or not (from PoseLab's folder); or emdb:ID, pdb:ID.",
    )  # fmt: skip
    return {"volume.source": source.strip()}


def _coverage() -> dict[str, Any]:
    help_text = "Which Euler angles occur; half and quarter are those of the published experiments."
    chosen = _form.choice("Coverage", [*PUBLISHED_COVERAGES, _OWN], "full", "coverage", help_text)
    if chosen != _OWN:
        intervals = zip(_ANGLES, euler_region(chosen), strict=True)
        st.caption(", ".join(f"{name} {low:g}–{high:g}°" for name, (low, high) in intervals))
        return {"projections.coverage": chosen}
    return {"projections.coverage": [_interval(*named) for named in zip(_ANGLES, euler_region("full"), strict=True)]}


def _interval(name: str, bounds: tuple[float, float]) -> list[float | None]:
    ends = zip(st.columns(2), ("from", "to"), bounds, strict=True)
    return [
        column.number_input(
            f"{name}, {end} (°)", value=value, format="%g", key=f"{name} {end}", persist_state="session"
        )
        for column, end, value in ends
    ]


def _noise() -> dict[str, Any]:
    help_text = "White Gaussian noise, by its variance or by signal variance over noise variance."
    kind = _form.choice("Noise", ["none", "variance", "SNR"], "none", "noise", help_text)
    if kind == "variance":
        return _form.fields("projections.noise_variance", initial={"projections.noise_variance": 16.0})
    if kind == "SNR":
        return _form.fields("projections.snr", initial={"projections.snr": 0.1})
    return {}


def _settings() -> dict[str, Any]:
    """The configuration's keys and values as the widgets have them."""
    left, middle, right = st.columns(3)
    with left.container(border=True, height="stretch"):
        st.markdown("**Protein**")
        values = _volume()
    with middle.container(border=True, height="stretch"):
        st.markdown("**Projections**")
        values |= _form.fields("projections.count") | _coverage() | _form.fields("projections.sampling") | _noise()
        values |= _form.fields("projections.max_shift")
    with right.container(border=True, height="stretch"):
        st.markdown("**Distances**")
        values |= _form.fields("distance.method")
        values |= _form.fields(*_OPTIONS_OF_METHOD.get(values["distance.method"], ()))
        values |= _form.fields("seed")
    with st.expander("All other settings", icon=":material/tune:"):
        return values | _form.remaining(_ELSEWHERE | set(values))


def _configuration(values: dict[str, Any]) -> Config | None:
    """What the widgets ask for; where that is no experiment, None after having said why."""
    try:
        return config_from_dict(_form.nested(values))
    except InputError as error:
        _state.show_error(error)
        return None


def _run(config: Config, name: str) -> None:
    try:
        if not is_archived(config.volume.source):
            load_volume(config.volume)  # so that a file which will not do is told of here, beside the form
        run_id = launch.start(config, _state.runs_dir(), name)
    except InputError as error:
        _state.show_error(error)
    else:
        _state.go_to_run(run_id)


_state.require_navigation()
head = st.container()
values = _settings()
with head:
    title, name_column, button = st.columns([4, 4, 2], vertical_alignment="center")
    title.subheader("New experiment", anchor=False)
    name = name_column.text_input(
        "Name", key="name", placeholder="a name for it, if you like", label_visibility="collapsed"
    )
    config = _configuration(values)
    pressed = button.button(
        "Run", type="primary", icon=":material/play_arrow:", disabled=config is None, width="stretch"
    )
    if config is not None:
        st.caption(_text.escaped(_text.experiment(config)))
        if pressed:
            _run(config, name)
if config is not None:
    command, toml = st.tabs(["The same from the command line", "The whole configuration"])
    command.code(_text.command_line(config), language="bash", wrap_lines=True)
    toml.code(config_to_toml(config), language="toml")
