"""Where the form's values come from: the address (a run to clone, a study, settings), or a study that is picked.

The address always describes what the form shows: ``?clone=`` or ``?study=`` as long as that is unchanged, else each
setting that differs from the default, as ``?set=`` and ``?vary=`` in the syntax of the command line.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.base.errors import InputError
from engine.config.schema import Config
from engine.config.settings import config_from_dict, with_whole_paths
from engine.dispatch import runqueue
from engine.experiment import sweep
from engine.io.library import Entry
from engine.record.runrecord import read_run, run_path
from pages._experiment import form
from pages._experiment.form_values import Vary, from_address, normal, to_address, widget_values
from pages._shared import state, text
from pages._shared.state import CLONE

STUDY, SET, VARY = "study", "set", "vary"
_DEFAULT = "the default experiment"
_WRITTEN, _OPENED = "address of the form", "what the form was opened with"
Address = dict[str, list[str]]


def experiment_link(source: str) -> None:
    """Show a link to the form with this protein."""
    config = config_from_dict({"volume": {"source": source}})
    st.page_link(
        state.EXPERIMENT_PAGE, label="New experiment with this one", icon=":material/add_circle:",
        query_params=to_address(config, {}),
    )  # fmt: skip


def open_address(files: Sequence[Entry]) -> None:
    """Fill the form from the address if that has changed; to be called before any widget is made."""
    asked = _asked()
    if asked == st.session_state.get(_WRITTEN) or (not asked and form.filled()):
        return
    try:
        config, vary = _meant(asked)
    except InputError as error:
        st.warning(text.escaped(str(error)), icon=":material/search_off:")
        if form.filled():
            return
        asked, config, vary = {}, Config(), {}
    _fill(config, vary, files, asked)


def write_address(config: Config, vary: Vary) -> None:
    """Update the address so that it opens the form as it is now."""
    settings = to_address(config, vary)
    asked, meant = st.session_state.get(_OPENED, ({}, {}))
    wanted = asked if settings == meant and {CLONE, STUDY} & set(asked) else settings
    if wanted != _asked():
        others = {key: st.query_params.get_all(key) for key in st.query_params if key not in (CLONE, STUDY, SET, VARY)}
        st.query_params.from_dict(others | wanted)
    st.session_state[_WRITTEN] = wanted


def choose_start(files: Sequence[Entry]) -> None:
    """Show a list of the studies; picking one replaces the values in the form."""
    st.selectbox(
        "Start from", [_DEFAULT, *sweep.studies()], index=None, key="start", placeholder="Start from a study …",
        label_visibility="collapsed", on_change=_start, args=(files,),
    )  # fmt: skip


def name_of_study() -> str:
    """The name of the study that the form was filled from, or an empty string."""
    asked, _ = st.session_state.get(_OPENED, ({}, {}))
    return next(iter(asked.get(STUDY, [])), "")


def show_origin(config: Config, vary: Vary) -> None:
    """Show which run or study the form was filled from, and whether it has been changed since."""
    asked, meant = st.session_state.get(_OPENED, ({}, {}))
    changed = "" if to_address(config, vary) == meant else ", changed"
    if CLONE in asked:
        st.caption(f"Cloned from {text.escaped(asked[CLONE][0])}{changed}.")
    elif STUDY in asked:
        study = sweep.studies()[asked[STUDY][0]]
        st.caption(f"Study **{text.escaped(study.name)}**{changed}: {text.escaped(study.description)}")


def _start(files: Sequence[Entry]) -> None:
    name, st.session_state["start"] = st.session_state["start"], None
    if name is not None:
        asked = {} if name == _DEFAULT else {STUDY: [name]}
        _fill(*_meant(asked), files, asked)


def _fill(config: Config, vary: Vary, files: Sequence[Entry], asked: Address) -> None:
    form.fill(widget_values(config, vary, [entry.source for entry in files]))
    st.session_state[_OPENED] = asked, to_address(config, vary)


def _asked() -> Address:
    return {name: st.query_params.get_all(name) for name in (CLONE, STUDY, SET, VARY) if name in st.query_params}


def _meant(asked: Address) -> tuple[Config, Vary]:
    kinds = [name for name in (CLONE, STUDY) if name in asked]
    if len(kinds) + bool({SET, VARY} & set(asked)) > 1 or any(len(asked[name]) > 1 for name in kinds):
        given = ", ".join(f"{name} {len(values)} times" for name, values in asked.items())
        raise InputError(f"this address has {given}; wanted one run to clone, one study, or settings")
    if CLONE in asked:
        return with_whole_paths(_clone(asked[CLONE][0].strip())), {}
    if STUDY in asked:
        return _study(asked[STUDY][0].strip())
    return from_address(asked.get(SET, []), asked.get(VARY, []))


def _clone(run_id: str) -> Config:
    if (queued := runqueue.find(state.runs_dir(), run_id)) is not None:
        return queued.config
    record = read_run(run_path(state.runs_dir(), run_id))
    if not isinstance(record.config, Config):
        why = record.message or "its configuration is missing"
        raise InputError(f"run {run_id} cannot be cloned: {why}; the default experiment is shown instead")
    return record.config


def _study(name: str) -> tuple[Config, Vary]:
    study = sweep.study(name)
    return config_from_dict(study.base), normal(study.vary)
