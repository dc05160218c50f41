"""One run: how it advances while it does, what came of it afterwards."""

from __future__ import annotations

import time
from pathlib import Path

import plotly.graph_objects as go
import streamlit as st

from engine import launch
from engine.config import Config
from engine.errors import InputError
from engine.runrecord import RunRecord, read_run
from pages import _figures, _record, _results, _state, _text
from pages._live import Curve, RunFeed, Stage

_LONG_LOG = 9  # lines


def _show_header(record: RunRecord) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(_text.escaped(record.name or record.run_id), anchor=False, width="content")
        st.badge(
            record.status,
            icon=_text.STATUS_ICONS[record.status],
            color=_text.STATUS_COLOURS.get(record.status, "orange"),
        )
        st.space("stretch")
        if record.status == "running":
            if st.button(
                "Cancel", icon=":material/stop_circle:", help="Ends within seconds; what is finished is kept."
            ):
                _cancel(record)
        elif isinstance(record.config, Config) and st.button(
            "Run again", icon=":material/replay:", help="The same experiment once more; finished stages are reused."
        ):
            _run_again(record.config, record.name)
    if isinstance(record.config, Config):
        st.markdown(_text.escaped(_text.experiment(record.config)))
    facts = [record.run_id] if record.name else []
    facts.append(f"started {_text.moment(record.created)}")
    if record.user:
        facts.append(f"by {record.user} on {record.host}")
    if record.total_seconds is not None:
        facts.append(f"took {_text.duration(record.total_seconds)}")
    if record.peak_memory_mb is not None:
        facts.append(f"peak memory {record.peak_memory_mb:,.0f} MB")
    if record.reused:
        facts.append(f"reused from an earlier run: {', '.join(record.reused)}")
    st.caption(_text.escaped(" · ".join(facts)))


def _cancel(record: RunRecord) -> None:
    try:
        launch.cancel(_state.runs_dir(), record.run_id)
        st.toast("Cancelling: the run ends its record first.")
    except InputError as error:
        _state.show_error(error)


def _run_again(config: Config, name: str | None) -> None:
    try:
        run_id = launch.start(config, _state.runs_dir(), name)
    except InputError as error:
        _state.show_error(error)
    else:
        _state.go_to_run(run_id)


@st.fragment(run_every=0.5)
def _watch_start(run_id: str) -> None:
    """Until the run has a record of its own: its volume is being loaded or downloaded."""
    if launch.start_status(_state.runs_dir(), run_id).state != "starting":
        st.rerun()
    st.info("Starting: the volume is being loaded.", icon=":material/hourglass_top:")
    if said := launch.output(_state.runs_dir(), run_id):
        st.code(said[-4000:], language=None, wrap_lines=True)


@st.fragment(run_every=1.0)
def _watch(record: RunRecord, config: Config, finished_stages: int) -> None:
    """Stages, losses and log of a running experiment; the whole page again when a stage has left its results."""
    feed = _state.feed(record, config)
    if feed.finished_stages != finished_stages or read_run(record.path).status != "running":
        st.rerun()
    left, right = st.columns(2)
    with left:
        for name, stage in feed.stages.items():
            _show_stage(name, stage)
    with right:
        if feed.curve:
            st.plotly_chart(_training_figure(record.path, len(feed.curve), feed.curve), key="training-live")
        elif "training" in feed.stages:
            st.caption("The loss appears here once the network trains.")
    _show_log(feed)


@st.cache_resource(max_entries=16, show_spinner=False)
def _training_figure(path: Path, points: int, _curve: Curve) -> go.Figure:
    """Drawn once for all who watch the run."""
    return _figures.training_figure(*_results.curve_arrays(_curve))


def _show_stage(name: str, stage: Stage) -> None:
    said = {
        "waiting": "",
        "done": _text.duration(stage.seconds),
        "reused": "reused from an earlier run",
        "failed": "stopped",
    }
    text = said.get(stage.state, "")
    if stage.state == "done" and stage.seconds is None:
        text = "done"
    if stage.state == "running":
        left = stage.seconds_left(time.time())
        text = f"{stage.fraction:.0%}" + ("" if left is None else f", about {_text.duration(round(left))} left")
        if "step" in stage.values:
            text += f", step {stage.values['step']:,.0f}"
    fraction = 1.0 if stage.state in ("done", "reused") else stage.fraction
    st.progress(fraction, text=f"{name.capitalize()}" + (f": {text}" if text else ""))


def _show_log(feed: RunFeed, expanded: bool = True) -> None:
    with (
        st.expander("Log", expanded=expanded, icon=":material/notes:"),
        st.container(height="content" if len(feed.lines) < _LONG_LOG else 240, border=False, autoscroll=True),
    ):
        st.code("\n".join(feed.lines) or "Nothing yet.", language=None, wrap_lines=True)


def _show_end(record: RunRecord) -> None:
    """Why a run has no complete results, and what to do about it."""
    if record.status == "finished":
        if record.message:
            st.warning(_text.escaped(record.message))
        return
    box = st.info if record.status == "cancelled" else st.error
    told = record.message if record.message and record.status != "cancelled" else f"This run was {record.status}."
    message = _text.escaped(told)
    box(f"{message}\n\n{_text.WHAT_TO_DO[record.status]}", icon=_text.STATUS_ICONS[record.status])


_state.require_navigation()
run_id = _state.requested_run()
opened = _state.open_run(run_id)
if isinstance(opened, launch.StartStatus):
    st.subheader(_text.escaped(run_id), anchor=False)
    if opened.state == "starting":
        _watch_start(run_id)
    else:
        _state.show_error(f"The run could not start: {opened.message.removeprefix('error: ')}")
        st.page_link(_state.EXPERIMENT_PAGE, label="Back to the experiment", icon=":material/arrow_back:")
    st.stop()
_show_header(opened)
config = opened.config if isinstance(opened.config, Config) else Config()
feed = _state.feed(opened, config)
if opened.status == "running":
    _watch(opened, config, feed.finished_stages)
else:
    _show_end(opened)
    if opened.status != "finished":
        _show_log(feed)
_results.show(opened, feed)
if opened.status != "running":
    _record.show(opened)
if opened.status == "finished":
    _show_log(feed, expanded=False)
