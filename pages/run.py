"""One run: how it advances while it does, what came of it afterwards."""

from __future__ import annotations

import streamlit as st

from engine import launch, runqueue
from engine.config import Config
from engine.errors import InputError
from engine.runrecord import RunRecord
from pages import _results, _runactions, _state, _summary, _text, _watch


def _show_header(record: RunRecord) -> None:
    noted = record.annotations
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(_text.escaped(record.name or record.run_id), anchor=False, width="content")
        st.badge(
            record.status,
            icon=_text.STATUS_ICONS[record.status],
            color=_text.STATUS_COLOURS.get(record.status, "orange"),
        )
        if noted.archived:
            st.badge("archived", icon=":material/archive:", color="gray")
        for tag in noted.tags:
            st.badge(_text.escaped(tag), icon=":material/label:", color="violet")
        st.space("stretch")
        _show_actions(record)
    if isinstance(record.config, Config):
        st.markdown(_text.escaped(_text.experiment(record.config)))
    facts = [record.run_id] if record.name else []
    st.caption(_text.escaped(" · ".join([*facts, *_summary.facts(record)])))
    if noted.note:
        st.text(noted.note)


def _show_actions(record: RunRecord) -> None:
    noted = record.annotations
    row = {"run_id": record.run_id, "name": record.name, "tags": list(noted.tags), "starred": noted.starred}
    row["note"] = noted.note
    st.button(
        "", key="star", type="tertiary", on_click=_runactions.toggle_star, args=(row,),
        icon=":material/star:" if noted.starred else ":material/star_outline:",
        help="Take the star away" if noted.starred else "Star this run",
    )  # fmt: skip
    with st.popover("Edit", icon=":material/edit:", help="Name, tags, note, star"):
        _runactions.edit([row])
    if record.status == "running":
        if st.button("Cancel", icon=":material/stop_circle:", help="Ends within seconds; what is finished is kept."):
            _cancel(record)
        return

    def archive_or_restore() -> None:
        _state.attempt(_runactions.note, record.run_id, archived=not noted.archived)

    label, icon = ("Restore", ":material/unarchive:") if noted.archived else ("Archive", ":material/archive:")
    st.button(label, icon=icon, on_click=archive_or_restore)
    if isinstance(record.config, Config):
        _link_to_clone(record.run_id)
        if st.button("Run again", icon=":material/replay:", help="The same once more; finished stages are reused."):
            _run_again(record.config, record.name)


def _link_to_clone(run_id: str) -> None:
    st.page_link(
        _state.EXPERIMENT_PAGE, label="Clone and edit", icon=":material/content_copy:",
        query_params={_state.CLONE: run_id},
    )  # fmt: skip


def _cancel(record: RunRecord) -> None:
    try:
        launch.cancel(_state.runs_dir(), record.run_id)
        st.toast("Cancelling: the run ends its record first.")
    except InputError as error:
        _state.show_error(error)


def _run_again(config: Config, name: str | None) -> None:
    try:
        (run_id,) = runqueue.submit([config], _state.runs_dir(), [name])
    except InputError as error:
        _state.show_error(error)
    else:
        _state.go_to_run(run_id)


def _show_queued(run: runqueue.QueuedRun) -> None:
    st.subheader(_text.escaped(run.name or run.run_id), anchor=False)
    st.markdown(_text.escaped(_text.experiment(run.config)))
    facts = [*([run.run_id] if run.name else []), f"submitted {_text.moment(run.submitted)} by {run.user}"]
    st.caption(_text.escaped(" · ".join(facts)))
    _state.show_told()
    _watch_queue(run.run_id)


@st.fragment(run_every=_watch.REFRESH_S)
def _watch_queue(run_id: str) -> None:
    """Until it is the run's turn."""
    folder = _state.runs_dir()
    waiting = runqueue.waiting(folder)
    place = next((run.position for run in waiting if run.run_id == run_id), None)
    if place is None:
        st.rerun()
    runqueue.ensure_worker(folder)  # the machine may have been restarted since it was submitted
    number = runqueue.at_a_time(folder)
    together = f"{number} {'run' if number == 1 else 'runs'} at a time"
    st.info(f"Queued, {_text.ordinal(place)} of {len(waiting)}; {together}.", icon=":material/hourglass_top:")

    def to_front() -> None:
        _state.attempt(runqueue.move_to_front, folder, run_id)

    with st.container(horizontal=True):
        st.button("To the front", icon=":material/vertical_align_top:", disabled=place == 1, on_click=to_front)
        if st.button("Withdraw", icon=":material/close:", help="Takes it out of the queue; nothing of it is kept."):
            _withdraw(run_id)
        _link_to_clone(run_id)


def _withdraw(run_id: str) -> None:
    try:
        runqueue.withdraw(_state.runs_dir(), [run_id])
    except InputError as error:
        _state.show_error(error)
    else:
        st.switch_page(_state.RUNS_PAGE)


@st.fragment(run_every=0.5)
def _watch_start(run_id: str) -> None:
    """Until the run has a record of its own: its volume is being loaded or downloaded."""
    if launch.start_status(_state.runs_dir(), run_id).state != "starting":
        st.rerun()
    st.info("Starting: the volume is being loaded.", icon=":material/hourglass_top:")
    if said := launch.output(_state.runs_dir(), run_id):
        st.code(said[-4000:], language=None, wrap_lines=True)


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
if isinstance(opened, runqueue.QueuedRun):
    _show_queued(opened)
    st.stop()
if isinstance(opened, launch.StartStatus):
    st.subheader(_text.escaped(run_id), anchor=False)
    if opened.state == "starting":
        _watch_start(run_id)
    else:
        _state.show_error(f"The run could not start: {opened.message.removeprefix('error: ')}")
        st.page_link(_state.EXPERIMENT_PAGE, label="Back to the experiment", icon=":material/arrow_back:")
    st.stop()
_show_header(opened)
_state.show_told()
config = opened.config if isinstance(opened.config, Config) else Config()
feed = _state.feed(opened, config)
for warning in feed.warnings:
    _state.show_warning(warning)
if opened.status == "running":
    _watch.watch(opened, config, feed.finished_stages)
else:
    _show_end(opened)
    if opened.status != "finished":
        _watch.show_log(feed)
_results.show(opened)
if opened.status == "finished":
    _watch.show_log(feed, expanded=False)
