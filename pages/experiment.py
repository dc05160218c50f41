"""A new experiment, or many at once: the default is ready, everything can be changed, one press runs it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine import library, runqueue
from engine.archives import is_archived
from engine.errors import InputError
from engine.library import Entry
from engine.rotations import PUBLISHED_COVERAGES, euler_region
from engine.volume import load_volume
from pages import _ambiguity, _form, _origin, _plan, _preview_panel, _protein, _state, _sweep_form, _text
from pages._form_values import ANGLES, NOISES, OWN, Vary
from pages._plan import Plan

_OPTIONS_OF_METHOD = {
    "siamese": ("distance.head", "distance.feature_dim"),
    "perturbed": ("distance.perturbation_variance",),
    "euclidean": ("distance.calibration",),
}
_SYMMETRY = ("volume.symmetry", "volume.symmetrize")
_MAIN = {
    "volume.source", *_SYMMETRY, "projections.count", "projections.coverage", "projections.sampling",
    "projections.max_shift", "distance.method", "seed", *NOISES,
    *(key for keys in _OPTIONS_OF_METHOD.values() for key in keys),
}  # fmt: skip
_SHOWN_RUNS = 500


def _proteins() -> list[Entry]:
    try:
        return library.list_volumes(_state.runs_dir())
    except InputError as error:
        _state.show_error(error)
        return []


def _coverage(disabled: bool) -> dict[str, Any]:
    help_text = "Which Euler angles occur; half and quarter are those of the published experiments."
    chosen = _form.choice("Coverage", [*PUBLISHED_COVERAGES, OWN], "full", "coverage", help_text, disabled)
    if disabled:
        return {}
    if chosen != OWN:
        intervals = zip(ANGLES, euler_region(chosen), strict=True)
        st.caption(", ".join(f"{name} {low:g}–{high:g}°" for name, (low, high) in intervals))
        return {"projections.coverage": chosen}
    return {"projections.coverage": [_interval(*named) for named in zip(ANGLES, euler_region("full"), strict=True)]}


def _interval(name: str, bounds: tuple[float, float]) -> list[float | None]:
    found: list[float | None] = []
    for column, end, first in zip(st.columns(2), ("from", "to"), bounds, strict=True):
        key = f"{name} {end}"
        found.append(
            column.number_input(f"{name}, {end} (°)", format="%g", step=1.0, key=_form.hold(key, float(first)))
        )
        _form.keep(key)
    return found


def _noise(varied: frozenset[str]) -> dict[str, Any]:
    help_text = "White Gaussian noise, by its variance or by signal variance over noise variance."
    disabled = bool(varied & set(NOISES))
    kind = _form.choice("Noise", ["none", "variance", "SNR"], "none", "noise", help_text, disabled)
    if kind == "none" or disabled:
        return {}
    return _form.fields(NOISES[0] if kind == "variance" else NOISES[1])


def _method(varied: frozenset[str]) -> dict[str, Any]:
    values = _form.fields("distance.method", varied=varied)
    for method in [values["distance.method"]] if values else list(_OPTIONS_OF_METHOD):
        values |= _form.fields(*_OPTIONS_OF_METHOD.get(method, ()), varied=varied)
    return values


def _settings(proteins: list[Entry]) -> tuple[dict[str, Any], Vary | None]:
    """The configuration's keys and values as the widgets have them, and what a sweep varies."""
    varied = _sweep_form.varied_keys()
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        st.markdown("**Protein**")
        files = [entry for entry in proteins if entry.kind != "built-in"]
        source = _protein.choose(files, "volume.source" in varied)
        values: dict[str, Any] = {} if "volume.source" in varied else {"volume.source": source}
        values |= _form.fields(*_SYMMETRY, varied=varied)
    with right.container(border=True, height="stretch"):
        st.markdown("**Projections**")
        values |= _form.fields("projections.count", varied=varied) | _coverage("projections.coverage" in varied)
        values |= _form.fields("projections.sampling", varied=varied) | _noise(varied)
        values |= _form.fields("projections.max_shift", varied=varied)
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        st.markdown("**Distances**")
        values |= _method(varied) | _form.fields("seed", varied=varied)
    with right.container(border=True, height="stretch"):
        st.markdown("**Sweep**")
        vary = _sweep_form.fields(proteins)
    with st.expander("All other settings", icon=":material/tune:"):
        return values | _form.remaining(_MAIN, varied), vary


def _planned(values: dict[str, Any], vary: Vary | None, name: str) -> Plan | None:
    """What the widgets ask for; where that is no experiment, None after having said why."""
    if vary is None:
        return None
    if values.get("volume.source") == "":
        st.info("Choose a protein, upload one, or give its id or path.", icon=":material/deployed_code:")
        return None
    try:
        return _plan.plan(_form.nested(values), vary, name)
    except InputError as error:
        _state.show_error(error)
        return None


def _submit(plan: Plan) -> None:
    """Into the queue; away to the run, or to the list of the sweep's runs."""
    for source in {config.volume.source: config.volume for config in plan.configs}.values():
        if not is_archived(source.source):
            load_volume(source)  # so that a file which will not do is told of here, beside the form
    sweep = plan.new_sweep_id()
    run_ids = runqueue.submit(plan.configs, _state.runs_dir(), names=[name for name, _ in plan.runs], sweep=sweep)
    if sweep is None:
        _state.go_to_run(run_ids[0])
    st.switch_page(_state.RUNS_PAGE, query_params={"only-sweep": sweep})


def _show_runs(plan: Plan) -> None:
    """Each run of the sweep, with what is its own."""
    rows = []
    for name, config in plan.runs[:_SHOWN_RUNS]:
        flat = _text.flat(config.model_dump())
        rows.append({"run": name} | {key: "none" if flat[key] is None else str(flat[key]) for key in plan.vary})
    st.dataframe(rows, hide_index=True, height="content" if len(rows) <= 12 else 420)


_state.require_navigation()
proteins = _proteins()
_origin.open_address(proteins)
head = st.container()
form, previews = st.columns([7, 5], gap="medium")
with form:
    values, vary = _settings(proteins)
with head:
    title, start_column, name_column, button = st.columns([3, 3, 4, 2], vertical_alignment="center")
    title.subheader("New experiment", anchor=False)
    with start_column:
        _origin.choose_start(proteins)
    name = name_column.text_input(
        "Name", key=_form.hold("name", ""), placeholder="a name for it, if you like", label_visibility="collapsed"
    )
    _form.keep("name")
    plan = _planned(values, vary, name.strip() or _origin.name_of_study())
    label = "Run" if plan is None or not plan.vary else f"Run all {len(plan.runs):,}"
    pressed = button.button(
        label, type="primary", icon=":material/play_arrow:", disabled=plan is None or not plan.runs, width="stretch"
    )
    said, problem = st.container(), False
    if plan is not None:
        _origin.write_address(plan.config, plan.vary)
        with said:
            _origin.show_origin(plan.config, plan.vary)
        if pressed:
            try:
                _submit(plan)
            except InputError as error:
                _state.show_error(error)
                problem = True
if plan is not None:
    with form:
        labels = ["The same from the command line", "As a file (TOML)", *(["Its runs"] if plan.vary else [])]
        tabs = st.tabs(labels)
        tabs[0].code(plan.command_line, language="bash", wrap_lines=True)
        tabs[1].code(plan.toml, language="toml")
        if plan.vary:
            with tabs[2]:
                _show_runs(plan)
    with previews:
        try:
            costs, first = _preview_panel.cost(plan.configs), _text.escaped(_text.experiment(plan.configs[0]))
            said.caption(
                f"**{len(plan.runs):,} runs**, {_text.escaped(costs)}. The first, previewed here: {first}"
                if plan.vary
                else f"{first} · {_text.escaped(costs)}"
            )
            if _preview_panel.show(plan.configs[0]):
                with said:
                    _ambiguity.warn(plan.configs[0].volume)
        except InputError as error:
            if not problem:
                _state.show_error(error)
