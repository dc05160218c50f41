"""One run: its progress while it is running, its results afterwards."""

from __future__ import annotations

import streamlit as st

from engine.analysis.verdict import of_run
from engine.base.errors import InputError
from engine.config.schema import Config
from engine.dispatch import backends, runqueue
from engine.dispatch.backend import StartStatus
from engine.record.runrecord import RunRecord
from engine.service import runs
from pages._run import results, watch
from pages._shared import runactions, state, summary, text


def _show_header(record: RunRecord) -> None:
    noted = record.annotations
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(text.escaped(record.name or record.run_id), anchor=False, width="content")
        st.badge(
            record.status,
            icon=text.STATUS_ICONS[record.status],
            color=text.STATUS_COLOURS.get(record.status, "orange"),
        )
        if (verdict := of_run(record)) is not None:
            st.badge(verdict, icon=text.VERDICT_ICONS[verdict], color=text.VERDICT_COLOURS[verdict])
        if noted.archived:
            st.badge("archived", icon=":material/archive:", color="gray")
        for tag in noted.tags:
            st.badge(text.escaped(tag), icon=":material/label:", color="violet")
        st.space("stretch")
        _show_actions(record)
    if isinstance(record.config, Config):
        st.markdown(text.escaped(text.experiment(record.config)))
    facts = [record.run_id] if record.name else []
    st.caption(text.escaped(" · ".join([*facts, *summary.facts(record)])))
    if noted.note:
        st.text(noted.note)


def _show_actions(record: RunRecord) -> None:
    noted = record.annotations
    row = {"run_id": record.run_id, "name": record.name, "tags": list(noted.tags), "starred": noted.starred}
    row["note"] = noted.note
    st.button(
        "", key="star", type="tertiary", on_click=runactions.toggle_star, args=(row,),
        icon=":material/star:" if noted.starred else ":material/star_outline:",
        help="Remove the star" if noted.starred else "Star this run",
    )  # fmt: skip
    runactions.edit([row])
    if record.status == "running":
        if st.button("Cancel", icon=":material/stop_circle:", help="Stops within seconds; finished stages are kept."):
            _cancel(record)
        return

    def archive_or_restore() -> None:
        state.attempt(runactions.note, record.run_id, archived=not noted.archived)

    label, icon = ("Restore", ":material/unarchive:") if noted.archived else ("Archive", ":material/archive:")
    st.button(label, icon=icon, on_click=archive_or_restore)
    if isinstance(record.config, Config):
        _link_to_clone(record.run_id)
        if st.button(
            "Run again", icon=":material/replay:", help="Runs the same experiment again; finished stages are reused."
        ):
            _run_again(record.config, record.name)


def _link_to_clone(run_id: str) -> None:
    st.page_link(
        state.EXPERIMENT_PAGE, label="Clone and edit", icon=":material/content_copy:",
        query_params={state.CLONE: run_id},
    )  # fmt: skip


def _cancel(record: RunRecord) -> None:
    try:
        runs.cancel(state.actor(), state.runs_dir(), record.run_id)
        st.toast("Cancelling: the run completes its record first.")
    except InputError as error:
        state.show_error(error)


def _run_again(config: Config, name: str | None) -> None:
    try:
        (run_id,) = runs.submit(state.actor(), state.runs_dir(), [config], [name])
    except InputError as error:
        state.show_error(error)
    else:
        state.go_to_run(run_id)


def _show_queued(run: runqueue.QueuedRun) -> None:
    st.title(text.escaped(run.name or run.run_id), anchor=False)
    st.markdown(text.escaped(text.experiment(run.config)))
    facts = [*([run.run_id] if run.name else []), f"submitted {text.moment(run.submitted)} by {run.launched_by}"]
    st.caption(text.escaped(" · ".join(facts)))
    state.show_notices()
    _watch_queue(run.run_id)


@st.fragment(run_every=watch.REFRESH_S)
def _watch_queue(run_id: str) -> None:
    """Show the place in the queue until the run starts."""
    folder = state.runs_dir()
    waiting = runqueue.waiting(folder)
    place = next((run.position for run in waiting if run.run_id == run_id), None)
    if place is None:
        st.rerun()
    runs.ensure_worker(folder)  # the machine may have been restarted since it was submitted
    number = runqueue.at_a_time(folder)
    together = f"{number} {'run' if number == 1 else 'runs'} at a time"
    st.info(f"Queued, {text.ordinal(place)} of {len(waiting)}; {together}.", icon=":material/hourglass_top:")

    def to_front() -> None:
        state.attempt(runs.move_to_front, state.actor(), folder, run_id)

    with st.container(horizontal=True):
        st.button("To the front", icon=":material/vertical_align_top:", disabled=place == 1, on_click=to_front)
        if st.button(
            "Withdraw", icon=":material/close:", help="Removes the run from the queue; nothing of it is kept."
        ):
            _withdraw(run_id)
        _link_to_clone(run_id)


def _withdraw(run_id: str) -> None:
    try:
        runs.withdraw(state.actor(), state.runs_dir(), [run_id])
    except InputError as error:
        state.show_error(error)
    else:
        st.switch_page(state.RUNS_PAGE)


@st.fragment(run_every=0.5)
def _watch_start(run_id: str) -> None:
    """Show the start until the run has a record: its volume is being loaded or downloaded."""
    if backends.status(state.runs_dir(), run_id).state != "starting":
        st.rerun()
    st.info("Starting: the volume is being loaded.", icon=":material/hourglass_top:")
    if printed := backends.output(state.runs_dir(), run_id):
        st.code(printed[-4000:], language=None, wrap_lines=True)


def _show_end(record: RunRecord) -> None:
    """Show why a run has no complete results, and what to do about it."""
    if record.status == "finished":
        if record.message:
            st.warning(text.escaped(record.message))
        return
    box = st.info if record.status == "cancelled" else st.error
    reason = record.message if record.message and record.status != "cancelled" else f"This run was {record.status}."
    message = text.escaped(reason)
    box(f"{message}\n\n{text.WHAT_TO_DO[record.status]}", icon=text.STATUS_ICONS[record.status])


state.require_navigation()
run_id = state.requested_run()
opened = state.open_run(run_id)
st.set_page_config(page_title=f"{getattr(opened, 'name', None) or run_id} · PoseLab")
if isinstance(opened, runqueue.QueuedRun):
    _show_queued(opened)
    st.stop()
if isinstance(opened, StartStatus):
    st.title(text.escaped(run_id), anchor=False)
    if opened.state == "starting":
        _watch_start(run_id)
    else:
        state.show_error(f"The run could not start: {opened.message.removeprefix('error: ')}")
        st.page_link(state.EXPERIMENT_PAGE, label="Back to the experiment", icon=":material/arrow_back:")
    st.stop()
_show_header(opened)
state.show_notices()
config = opened.config if isinstance(opened.config, Config) else Config()
feed = state.feed(opened, config)
for warning in feed.warnings:
    state.show_warning(warning)
if opened.status == "running":
    watch.watch(opened, config, feed.finished_stages)
else:
    _show_end(opened)
    if opened.status != "finished":
        watch.show_log(feed)
results.show(opened)
if opened.status == "finished":
    watch.show_log(feed, expanded=False)
