"""All runs: search, filter, sort, compare, annotate, archive; the queue is shown above them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from engine.analysis.comparison import title
from engine.base.errors import InputError
from engine.config.schema import Config
from engine.dispatch import backends, runqueue
from engine.record.events import latest_progress
from engine.record.runrecord import clock_ahead
from engine.service import runs as service
from pages._runs import queue
from pages._shared import runactions, runtable, selection, state, text
from pages._shared.runtable import COLUMNS, FACETS, NAME, Column, Row, View

_REFRESH_S = 2.0  # and less than one in _state.runs: what others do is seen within 3 s
_TABLE, _STAR, _OPEN = "runs-table", "runs-star", "runs-open"
_ADDRESS = "runs-address"
_LONG, _HEIGHT = 18, 690  # lines; px


def _controls(rows: list[Row]) -> tuple[View, list[str], bool]:
    """The view, the columns, and whether archived runs are shown; all of it is in the address."""
    linked: dict[str, Any] = {"bind": "query-params", "persist_state": "session"}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        search = st.text_input(
            "Search", key="search", placeholder="name, id, note, tag, protein", icon=":material/search:", width=260,
            label_visibility="collapsed", type="search", **linked,
        )  # fmt: skip
        with st.popover("Filter", icon=":material/filter_alt:"):
            with st.container(horizontal=True, vertical_alignment="center"):
                starred = st.toggle("Starred only", key="starred", **linked)
                st.space("stretch")
                st.button("Clear", icon=":material/filter_alt_off:", on_click=_clear_filters, type="tertiary")
            with st.container(horizontal=True, width=520):
                facets = {facet: _facet(rows, facet, linked) for facet in FACETS}
        with st.popover("Columns", icon=":material/view_column:"):
            columns = st.multiselect(
                "Columns", list(COLUMNS), runtable.SHOWN, key="columns", width=420, **linked
            )  # fmt: skip
        sort = st.selectbox(
            "Sort by", [NAME, *COLUMNS], list(COLUMNS).index("started") + 1, key="sort", width=170,
            label_visibility="collapsed", icon=":material/sort:", **linked,
        )  # fmt: skip
        ascending = st.toggle("Ascending", key="ascending", **linked)
        folded = st.toggle("Fold seeds", key="fold", help="Runs that differ only in seed become one line.", **linked)
        archived = st.toggle("Archived", key="archive", help="Show the archived runs instead.", **linked)
    return View(search or "", facets, starred, sort, ascending, folded), columns, archived


def _restore_address() -> None:
    """Restore the previous view for a user who comes back from a run or a comparison with the browser's back button.

    On the way there, st.switch_page (Streamlit 1.67) replaced this page's parameters by those of the other page.
    """
    if state.RUN in st.query_params or state.RUNS in st.query_params:
        st.query_params.from_dict(st.session_state.get(_ADDRESS, {}))
        st.rerun()
    st.session_state[_ADDRESS] = {key: st.query_params.get_all(key) for key in st.query_params}


def _clear_filters() -> None:
    st.session_state.update({f"only-{facet}": [] for facet in FACETS}, search="", starred=False)


def _facet(rows: list[Row], facet: str, linked: dict[str, Any]) -> list[str]:
    key = f"only-{facet}"
    asked = st.query_params.get_all(key)  # a linked filter is kept even if no run matches it
    options = [*dict.fromkeys([*runtable.labels(rows, facet), *asked])]
    choice = linked | {"disabled": not options, "select_all": False}
    return st.multiselect(facet.capitalize(), options, key=key, placeholder="any", width=244, **choice)


def _config(key: str, column: Column) -> Any:
    named: dict[str, Any] = {"label": column.label, "help": column.help, "width": column.width}
    match column.kind:
        case "number" | "measure":
            return st.column_config.NumberColumn(format=column.format, **named)
        case "time":
            return st.column_config.DatetimeColumn(format=column.format, **named)
        case "tags":
            return st.column_config.ListColumn(**named)
        case _:
            return st.column_config.TextColumn(**named)


def _column_configs() -> dict[str, Any]:
    configs = {key: _config(key, column) for key, column in COLUMNS.items()}
    for key, column in COLUMNS.items():
        if column.kind == "measure":
            configs[f"{key} sd"] = st.column_config.NumberColumn(
                "± sd", format=column.format, help=f"{column.label}: standard deviation over the seeds"
            )
    configs["n"] = st.column_config.NumberColumn("n", help="number of runs in the line", width=50)
    configs[NAME] = st.column_config.ButtonColumn(
        "name",
        type="tertiary",
        key=_OPEN,
        pinned=True,
        alignment="left",
        width=200,
        help="Click a name to open its run.",
    )
    configs["star"] = st.column_config.ButtonColumn("", type="tertiary", key=_STAR, on_click=_star, width=40)
    return configs


def _star() -> None:
    """Star or unstar the runs of the line whose star was clicked."""
    by_id = {row["run_id"]: row for row in state.runs().rows}
    line = selection.line(_TABLE, st.session_state[_STAR]["row"])
    for run_id in line:
        if run_id in by_id:
            runactions.toggle_star(by_id[run_id])


def _open(line: Sequence[str]) -> None:
    """Open the run, or the comparison of the runs, of the line whose name was clicked."""
    if len(line) == 1:
        state.go_to_run(line[0])
    elif line:
        state.go_to_compare(line[: state.MOST_COMPARED])


@st.fragment(run_every=_REFRESH_S)
def _show_runs(view: View, columns: list[str], archived: bool, none_yet: bool) -> None:
    folder = state.runs_dir()
    try:
        rows = state.runs().rows
    except InputError as error:
        state.show_error(error)
        return
    state.show_notices()
    if (not rows and not state.waiting()) != none_yet:
        st.rerun()
    try:
        queue.show(runqueue.waiting(folder))
    except InputError as error:  # what is wrong with the queue hides no run
        state.show_error(error)
    if none_yet:
        _welcome()
        return
    groups = view.groups(row for row in rows if row["archived"] == archived)
    if click := st.session_state.get(_OPEN):
        _open(selection.line(_TABLE, click["row"]))
    ticked = selection.follow(_TABLE, [[row["run_id"] for row in group] for group in groups])
    by_id = {row["run_id"]: row for row in rows}
    status_line = _how_many(rows, groups, view, archived, len(backends.starting(folder)))
    runactions.show([by_id[run_id] for run_id in ticked], archived, _TABLE, status_line)
    if not groups:
        st.info("No run matches the filters: remove one." if str(view) else "The archive is empty.")
        return
    running = [row["run_id"] for group in groups for row in group if row["status"] == "running"]
    st.dataframe(
        runtable.lines(groups, columns, {run_id: _progress(run_id) for run_id in running}, view.folded),
        column_config=_column_configs(),
        hide_index=True,
        height="content" if len(groups) < _LONG else _HEIGHT,
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="–",
        key=_TABLE,
        alt="Runs",
    )
    shown = [row for group in groups for row in group]
    if ahead := [row for row in shown if clock_ahead(row["created"])]:
        names = text.some([title(row) for row in ahead])
        st.caption(text.escaped(f"{names}: started by the clock of a machine that is ahead of this one."))


def _progress(run_id: str) -> str:
    progress = latest_progress(state.runs_dir() / run_id)
    return "starting" if progress is None else f"{progress.stage} {progress.fraction:.0%}"


def _how_many(rows: list[Row], groups: list[list[Row]], view: View, archived: bool, starting: int) -> str:
    here = [row for row in rows if row["archived"] == archived]
    running = sum(row["status"] == "running" for row in here)
    status_line = (
        f"{len(here):,} {'archived ' if archived else ''}run{'' if len(here) == 1 else 's'}, {running} running"
    )
    status_line += f", {starting} starting" if starting else ""
    if asked := str(view):
        status_line = f"{sum(len(group) for group in groups):,} of {status_line}, {text.escaped(asked)}"
    return status_line + (f", in {len(groups):,} lines: mean and standard deviation over seeds" if view.folded else "")


def _welcome() -> None:
    """Show how to start, while there are no runs."""
    st.info("No runs yet. The default experiment is ready: run it, or open **New experiment** and press **Run**.")
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Run the default experiment", type="primary", icon=":material/play_arrow:"):
            try:
                (run_id,) = service.submit(state.actor(), state.runs_dir(), [Config()])
            except InputError as error:
                state.show_error(error)
            else:
                state.go_to_run(run_id)
        st.page_link(state.EXPERIMENT_PAGE, label="New experiment", icon=":material/add_circle:")


def _show_page() -> None:
    head = st.container(horizontal=True, vertical_alignment="center")
    head.title("Runs", anchor=False)
    try:
        rows = state.runs().rows
        none_yet = not rows and not state.waiting()
    except InputError as error:
        state.show_error(error)
        return
    if none_yet:
        _show_runs(View(), [], False, none_yet)
        return
    with head:
        with st.popover("Queue", icon=":material/low_priority:"):
            queue.set_at_a_time()
        st.page_link(state.EXPERIMENT_PAGE, label="New experiment", icon=":material/add_circle:")
    _show_runs(*_controls(rows), none_yet)


state.require_navigation()
_restore_address()
_show_page()
