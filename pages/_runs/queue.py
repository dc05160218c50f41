"""The queue of waiting runs: reorder or withdraw them, and set how many run at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from engine.dispatch import runqueue
from engine.service import runs
from pages._shared import selection, state, text

_AT_A_TIME, _TABLE = "at-a-time", "queue"


def set_at_a_time() -> None:
    """A field for the number of runs at a time, showing the value in force even if somebody else set it."""
    folder = state.runs_dir()
    st.session_state[_AT_A_TIME] = runqueue.at_a_time(folder)

    def keep() -> None:
        state.attempt(runs.set_at_a_time, state.actor(), folder, st.session_state[_AT_A_TIME])

    st.number_input(
        "Runs at a time",
        1,
        runqueue.MOST_AT_A_TIME,
        key=_AT_A_TIME,
        on_change=keep,
        help="They share the same cores.",
    )


def show(waiting: Sequence[runqueue.QueuedRun]) -> None:
    """Show the queue as a table with selectable rows, or only its damaged entries if no run is waiting.

    Makes sure that the queue's worker is running.
    """
    folder = state.runs_dir()
    _show_damaged(folder)
    if not waiting:
        return
    runs.ensure_worker(folder)  # the machine may have been restarted since they were submitted
    ids = selection.follow(_TABLE, [[run.run_id] for run in waiting])

    def to_front() -> None:
        state.attempt(runs.move_to_front, state.actor(), folder, ids[0])

    def withdraw() -> None:
        state.attempt(runs.withdraw, state.actor(), folder, ids)
        selection.clear(_TABLE)

    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**Queue**, {len(waiting):,} waiting", width="content")
            st.space("stretch")
            st.button("To the front", icon=":material/vertical_align_top:", disabled=len(ids) != 1, on_click=to_front)
            clone = st.button("Clone and edit", icon=":material/content_copy:", disabled=len(ids) != 1)
            st.button("Withdraw", icon=":material/close:", disabled=not ids, on_click=withdraw)
        st.dataframe(
            {
                "place": list(range(1, len(waiting) + 1)),
                "name": [run.name or run.run_id for run in waiting],
                "experiment": [text.experiment(run.config) for run in waiting],
                "by": [run.launched_by for run in waiting],
            },
            column_config={"place": st.column_config.NumberColumn("place", width=60, alignment="left")},
            hide_index=True,
            height="content" if len(waiting) < 6 else 210,
            on_select="rerun",
            selection_mode="multi-row",
            key=_TABLE,
            alt="Runs that wait for their turn",
        )
    if clone:
        st.switch_page(state.EXPERIMENT_PAGE, query_params={state.CLONE: ids[0]})


def _show_damaged(folder: Path) -> None:
    """Show entries that cannot be read, and a button that removes them."""
    damaged = runqueue.problems(folder)
    for problem in damaged.values():
        state.show_error(problem)

    def withdraw() -> None:
        state.attempt(runs.withdraw, state.actor(), folder, list(damaged))

    if damaged:
        label = "Withdraw the damaged one" if len(damaged) == 1 else f"Withdraw the {len(damaged):,} damaged ones"
        st.button(label, icon=":material/close:", on_click=withdraw)
