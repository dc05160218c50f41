"""A new experiment or a sweep: the form starts with the defaults, and one button runs it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.base.errors import InputError
from engine.config.numeric import check_frame, is_at_hand, volume_of
from engine.experiment.kept_network import find_network
from engine.geometry.rotations import PUBLISHED_COVERAGES, euler_region
from engine.io import library
from engine.io.library import Entry
from engine.service import runs
from pages._experiment import (
    ambiguity,
    form,
    origin,
    particle_source,
    particles_panel,
    plan,
    preview_panel,
    protein,
    sweep_form,
)  # fmt: skip
from pages._experiment.form_values import (
    ANGLES,
    IMAGES,
    MODEL,
    NOISES,
    OWN,
    RECORDED,
    SIMULATED,
    SWEEP,
    VARIED,
    Vary,
    without_meaning,
)  # fmt: skip
from pages._experiment.plan import Plan
from pages._shared import state, text

_OPTIONS_OF_METHOD = {
    "siamese": ("distance.head", "distance.feature_dim"),
    "perturbed": ("distance.perturbation_variance",),
    "euclidean": ("distance.calibration",),
}
_SYMMETRY = ("volume.symmetry", "volume.symmetrize")
_MAIN = {
    "volume.source", *_SYMMETRY, "projections.count", "projections.coverage", "projections.sampling",
    "projections.max_shift", "projections.noise_spectrum", "projections.defocus", "distance.method", "seed", "device",
    *NOISES,
    *(key for keys in _OPTIONS_OF_METHOD.values() for key in keys),
}  # fmt: skip
_OF_PARTICLES = (
    "particles.limit", "seed", "particles.max_shift", "particles.pixel_size", "particles.half",
)  # fmt: skip
_SHOWN_RUNS = 500
_HEAD = "experiment-head"  # stays in view by pages.css


def _proteins() -> list[Entry]:
    try:
        return library.list_volumes(state.runs_dir())
    except InputError as error:
        state.show_error(error)
        return []


def _coverage(disabled: bool) -> dict[str, Any]:
    help_text = "Which Euler angles occur; half and quarter are those of the published experiments."
    chosen = form.choice("Coverage", [*PUBLISHED_COVERAGES, OWN], "full", "coverage", help_text, disabled)
    if disabled:
        return {}
    if chosen != OWN:
        intervals = zip(ANGLES, euler_region(chosen), strict=True)
        st.caption(", ".join(f"{name} {low:g}–{high:g}°" for name, (low, high) in intervals))
        return {"projections.coverage": chosen}
    return {"projections.coverage": [_interval(*named) for named in zip(ANGLES, euler_region("full"), strict=True)]}


def _interval(name: str, bounds: tuple[float, float]) -> list[float | None]:
    interval: list[float | None] = []
    for column, end, first in zip(st.columns(2), ("from", "to"), bounds, strict=True):
        key = f"{name} {end}"
        interval.append(
            column.number_input(f"{name}, {end} (°)", format="%g", step=1.0, key=form.hold(key, float(first)))
        )
        form.keep(key)
    return interval


def _noise(varied: frozenset[str]) -> dict[str, Any]:
    help_text = "Gaussian noise, by its variance or by signal variance over noise variance."
    disabled = bool(varied & set(NOISES))
    kind = form.choice("Noise", ["none", "variance", "SNR"], "none", "noise", help_text, disabled)
    if kind == "none" or disabled:
        return {}
    level, spectrum = st.columns(2)
    with level:
        values = form.fields(NOISES[0] if kind == "variance" else NOISES[1])
    with spectrum:
        return values | form.fields("projections.noise_spectrum", varied=varied)


def _simulated(varied: frozenset[str]) -> dict[str, Any]:
    count, seed = st.columns(2)
    with count:
        values = form.fields("projections.count", varied=varied)
    with seed:
        values |= form.fields("seed", varied=varied)
    values |= _coverage("projections.coverage" in varied)
    values |= form.fields("projections.sampling", varied=varied) | _noise(varied)
    shift, defocus = st.columns(2)
    with shift:
        values |= form.fields("projections.max_shift", varied=varied)
    with defocus:
        values |= form.fields("projections.defocus", varied=varied)
    return values


def _recorded(varied: frozenset[str]) -> dict[str, Any]:
    values: dict[str, Any] = {"particles.source": particle_source.choose()}
    columns = st.columns(2)
    for number, key in enumerate(_OF_PARTICLES):
        with columns[number % 2]:
            values |= form.fields(key, varied=varied)
    return values | form.fields("training.on", varied=varied)


def _method(varied: frozenset[str]) -> dict[str, Any]:
    values = form.fields("distance.method", varied=varied)
    for method in [values["distance.method"]] if values else list(_OPTIONS_OF_METHOD):
        values |= form.fields(*_OPTIONS_OF_METHOD.get(method, ()), varied=varied)
    return values


def _settings(proteins: list[Entry]) -> tuple[dict[str, Any], Vary | None]:
    """The values of the configuration's keys in the widgets, and the keys that the sweep varies."""
    images = form.value_of(IMAGES, SIMULATED)
    varied_model = form.value_of(SWEEP, False) and MODEL in form.value_of(VARIED, [])
    hidden = without_meaning(images, trains=not (form.value_of(MODEL) or varied_model))
    varied = sweep_form.varied_keys(hidden)
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        st.header("Protein", anchor=False)
        files = [entry for entry in proteins if entry.kind != "built-in"]
        source = protein.choose(files, "volume.source" in varied)
        values: dict[str, Any] = {} if "volume.source" in varied else {"volume.source": source}
        values |= form.fields(*_SYMMETRY, varied=varied)
    with right.container(border=True, height="stretch"):
        st.header("Projections" if images == SIMULATED else "Particles", anchor=False)
        form.choice(
            "Images", [SIMULATED, RECORDED], SIMULATED, IMAGES,
            "Projections that are simulated, or particles that a microscope recorded.",
        )  # fmt: skip
        values |= _simulated(varied) if images == SIMULATED else _recorded(varied)
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        st.header("Distances", anchor=False)
        if images == SIMULATED:
            values |= _method(varied)
        else:
            values |= form.fields(*_OPTIONS_OF_METHOD["siamese"], varied=varied)
        values |= form.fields("device", varied=varied)
    with right.container(border=True, height="stretch"):
        st.header("Sweep", anchor=False)
        vary = sweep_form.fields(proteins, hidden)
    with st.expander("All other settings", icon=":material/tune:"):
        return values | form.remaining(
            {*_MAIN, "particles.source", "training.on", *_OF_PARTICLES, *hidden}, varied
        ), vary


def _planned(values: dict[str, Any], vary: Vary | None, name: str) -> Plan | None:
    """The plan for the widgets' values; None, after showing the reason, if they are not a valid experiment."""
    if vary is None:
        return None
    if values.get("particles.source") == "":
        st.info("Choose a table or a stack of particles, or upload one.", icon=":material/blur_on:")
        return None
    if values.get("volume.source") == "" and values.get("training.on", "reference") != "reference":
        values = {key: value for key, value in values.items() if key != "volume.source"}
    if values.get("volume.source") == "":
        st.info("Choose a protein, upload one, or give its id or path.", icon=":material/deployed_code:")
        return None
    try:
        return plan.plan(form.nested(values), vary, name)
    except InputError as error:
        state.show_error(error)
        return None


def _submit(plan: Plan) -> None:
    """Submit the plan to the queue, then open the run or the list of the sweep's runs."""
    for config in {(config.volume.source, config.particles): config for config in plan.configs}.values():
        if config.particles.source is not None:
            particles_panel.stack_of(config)
        elif is_at_hand(config.volume):  # so that an unusable file is reported here, beside the form
            check_frame(config.projections, volume_of(config.volume))
    for config in plan.configs:
        find_network(config, state.runs_dir())
    sweep = plan.new_sweep_id()
    run_ids = runs.submit(state.actor(), state.runs_dir(), plan.configs, [name for name, _ in plan.runs], sweep)
    if sweep is None:
        state.go_to_run(run_ids[0])
    st.switch_page(state.RUNS_PAGE, query_params={"only-sweep": sweep})


def _show_runs(plan: Plan) -> None:
    """A table of the sweep's runs and the values that set each apart."""
    rows = []
    for name, config in plan.runs[:_SHOWN_RUNS]:
        flat = text.flat(config.model_dump())
        rows.append({"run": name} | {key: "none" if flat[key] is None else str(flat[key]) for key in plan.vary})
    st.dataframe(rows, hide_index=True, height="content" if len(rows) <= 12 else 420)


state.require_navigation()
proteins = _proteins()
origin.open_address(proteins)
head = st.container(key=_HEAD)
fields, previews = st.columns([7, 5], gap="medium")
with fields:
    values, vary = _settings(proteins)
with head:
    title, start_column, name_column, button = st.columns([3, 3, 4, 2], vertical_alignment="center")
    title.title("New experiment", anchor=False)
    with start_column:
        origin.choose_start(proteins)
    name = name_column.text_input(
        "Name", key=form.hold("name", ""), placeholder="name (optional)", label_visibility="collapsed"
    )
    form.keep("name")
    planned = _planned(values, vary, name.strip() or origin.name_of_study())
    label = "Run" if planned is None or not planned.vary else f"Run all {len(planned.runs):,}"
    nothing = planned is None or not planned.runs
    pressed = button.button(
        label,
        type="primary",
        icon=":material/play_arrow:",
        disabled=nothing,
        width="stretch",
        key="experiment-run",  # it too stays in view
    )
    notes, problem = st.container(), False
    if planned is not None:
        origin.write_address(planned.config, planned.vary)
        with notes:
            origin.show_origin(planned.config, planned.vary)
        if pressed:
            try:
                _submit(planned)
            except InputError as error:
                state.show_error(error)
                problem = True
if planned is not None:
    with fields:
        labels = ["The same from the command line", "As a file (TOML)", *(["Its runs"] if planned.vary else [])]
        tabs = st.tabs(labels)
        tabs[0].code(planned.command_line, language="bash", wrap_lines=True)
        tabs[1].code(planned.toml, language="toml")
        if planned.vary:
            with tabs[2]:
                _show_runs(planned)
    with previews:
        try:
            costs, first = preview_panel.cost(planned.configs), text.escaped(text.experiment(planned.configs[0]))
            notes.caption(
                f"**{len(planned.runs):,} runs**, {text.escaped(costs)}. The first, previewed here: {first}"
                if planned.vary
                else f"{first} · {text.escaped(costs)}"
            )
            if preview_panel.show(planned.configs[0]):
                with notes:
                    for line in state.input_volume(planned.configs[0].volume).warnings:
                        state.show_warning(line)
                    ambiguity.warn(planned.configs[0].volume)
        except InputError as error:
            if not problem:
                state.show_error(error)
