"""Actions on the runs ticked in the table: compare, open, star, annotate, archive, delete."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from engine.record.annotations import LONGEST_NOTE
from engine.service import notes
from pages._shared import selection, state
from pages._shared.runtable import Row

_EDITED, _SAVED, _ARCHIVED = "edited", "saved lately", "archived lately"
_SAVED_S, _UNDO_S = 6.0, 60.0


def show(rows: Sequence[Row], archived: bool, table: str, status_line: str) -> None:
    """Show the buttons for the ticked ``rows`` of the table with the key ``table``, and ``status_line``."""
    ids = [row["run_id"] for row in rows]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        compare = st.button(
            "Compare",
            type="primary",
            icon=":material/compare_arrows:",
            disabled=not 2 <= len(ids) <= state.MOST_COMPARED,
            help=f"Tick 2 to {state.MOST_COMPARED} runs",
        )
        opened = st.button("Open", icon=":material/monitoring:", disabled=len(ids) != 1, help="Or click a run's name")
        edit(rows)
        if archived:
            _button("Restore", ":material/unarchive:", ids, table, _restore)
            with st.popover("Delete", icon=":material/delete:", disabled=not ids):
                st.markdown(f"Delete {_runs(ids)} with all files? This cannot be undone.")
                _button("Delete for good", ":material/delete_forever:", ids, table, _delete)
        else:
            _button("Archive", ":material/archive:", ids, table, _archive)
            _offer_undo()
        hint = f"**{len(ids):,} ticked**" if ids else "Click a name to open it, tick runs to compare them"
        st.caption(f"{status_line} · {hint}")
    if compare:
        state.go_to_compare(ids)
    if opened:
        state.go_to_run(ids[0])


def toggle_star(row: Row) -> None:
    """Star a run, or remove its star."""
    state.attempt(note, row["run_id"], starred=not row["starred"])


def _button(label: str, icon: str, ids: list[str], table: str, action: Callable[[str], None]) -> None:
    def act() -> None:
        st.session_state.pop(_ARCHIVED, None)
        for run_id in ids:
            state.attempt(action, run_id)
        selection.clear(table)

    st.button(label, icon=icon, disabled=not ids, on_click=act)


def note(run_id: str, **changes: Any) -> None:
    """Change the annotations of a run."""
    notes.annotate(state.actor(), state.runs_dir(), run_id, **changes)
    state.forget_runs()


def _archive(run_id: str) -> None:
    note(run_id, archived=True)
    _, ids = st.session_state.get(_ARCHIVED, (0.0, []))
    st.session_state[_ARCHIVED] = time.monotonic(), [*ids, run_id]


def _restore(run_id: str) -> None:
    note(run_id, archived=False)


def _offer_undo() -> None:
    """Offer for a minute to restore the runs that were archived last."""
    when, ids = st.session_state.get(_ARCHIVED, (0.0, []))
    if not ids or time.monotonic() - when > _UNDO_S:
        return

    def undo() -> None:
        del st.session_state[_ARCHIVED]
        for run_id in ids:
            state.attempt(_restore, run_id)

    st.caption(f"Archived {_runs(ids)}.", width="content")
    st.button("Undo", icon=":material/undo:", on_click=undo)


def _delete(run_id: str) -> None:
    notes.delete(state.actor(), state.runs_dir(), run_id)
    state.forget_runs()


def edit(rows: Sequence[Row]) -> None:
    """Show a button that opens a form for one run's name, tags, note and star; for several, their tags and stars.

    Only fields changed in the form are written, so that changes made by others meanwhile are kept.
    """
    help_ = "Name, tags, note, star"
    with st.popover("Edit", icon=":material/edit:", disabled=not rows, help=help_, key=_EDITED, on_change="rerun"):
        if rows:
            _show_form(rows)
    when, saved = st.session_state.get(_SAVED, (0.0, ""))
    if saved and time.monotonic() - when < _SAVED_S:
        st.caption(f":material/check: {saved}", width="content")


def _show_form(rows: Sequence[Row]) -> None:
    first = rows[0]
    of = first["run_id"] if len(rows) == 1 else f"{len(rows)} {hash(tuple(row['run_id'] for row in rows))}"
    common = [tag for tag in first["tags"] if all(tag in row["tags"] for row in rows)]
    with st.form(f"edit {of}", border=False):
        if len(rows) == 1:
            st.text_input("Name", first["name"] or "", key=f"name {of}", placeholder=first["run_id"])
        label = "Tags" if len(rows) == 1 else f"Tags of all {len(rows)}"
        tags = [*dict.fromkeys(tag for row in state.runs().rows for tag in row["tags"])]
        st.multiselect(label, tags, common, key=f"tags {of}", accept_new_options=True, placeholder="type a new one")
        st.checkbox("Star", all(row["starred"] for row in rows), key=f"star {of}")
        if len(rows) == 1:
            st.text_area("Note", first["note"], key=f"note {of}", max_chars=LONGEST_NOTE)
        st.form_submit_button("Save", type="primary", on_click=lambda: _save(rows, of, common))


def _save(rows: Sequence[Row], of: str, common: Sequence[str]) -> None:
    fields = {"name": "name", "tags": "tags", "starred": "star", "note": "note"}
    session = st.session_state
    given = {key: session[f"{field} {of}"] for key, field in fields.items() if f"{field} {of}" in session}
    saved = True
    for row in rows:
        kept = [tag for tag in row["tags"] if tag in given["tags"] or tag not in common]
        wanted = given | {"tags": [*dict.fromkeys([*kept, *given["tags"]])]}
        changes = {key: value for key, value in wanted.items() if value != (row[key] or type(value)())}
        if changes:
            saved = state.attempt(note, row["run_id"], **changes) and saved
    if saved:
        session[_EDITED] = False
        # No toast: in a fragment, Streamlit (1.67) replaces the app's styles with it.
        session[_SAVED] = time.monotonic(), "Saved." if len(rows) == 1 else f"Saved {_runs(rows)}."


def _runs(some: Sequence[Any]) -> str:
    return "1 run" if len(some) == 1 else f"{len(some):,} runs"
