"""All runs: search, filter, sort, compare, annotate, archive; the queue is shown above them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from engine.analysis.comparison import title
from engine.analysis.resolutions import AT_BEST
from engine.analysis.runs_csv import runs_csv
from engine.base.errors import InputError
from engine.config.schema import Config
from engine.dispatch import backends, runqueue
from engine.record import catalogue
from engine.record.events import latest_progress
from engine.record.runrecord import clock_ahead
from engine.service import runs as service
from pages._runs import keyboard, queue
from pages._shared import columns, runactions, runtable, selection, state, text
from pages._shared.runtable import COLUMNS, FACETS, NAME, Column, Row, View

_REFRESH_S = 2.0  # and less than one in _state.runs: what others do is seen within 3 s
_TABLE, _STAR, _OPEN = "runs-table", "runs-star", "runs-open"
_ADDRESS = "runs-address"
_SORT, _ASCENDING = "sort", "ascending"  # also the URL parameters
_CLICKED = "runs-head"
_NAME_WIDTH = 190  # px; leaves room for a metric, the star and the sign of the state on a narrow screen
_LONG, _HEIGHT = 18, 690  # lines; px
# The second to fourth entries of a column's menu: Streamlit would sort numbers as texts, without changing the address.
_STYLE = """
[data-testid=stDataFrameColumnMenu] [role=menu]:has(> :nth-child(4):not([role])) > :nth-child(n+2):nth-child(-n+4)
{display: none}
"""


def _controls(rows: list[Row]) -> tuple[View, list[str], bool]:
    """The view, the columns, and whether archived runs are shown; all of it is in the address."""
    linked: dict[str, Any] = {"bind": "query-params", "persist_state": "session"}
    if head := st.session_state.pop(_CLICKED, None):
        _sort_by(head)
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
            shown = st.multiselect(
                "Columns", list(COLUMNS), runtable.SHOWN, key="columns", width=420, **linked
            )  # fmt: skip
        sort = st.selectbox(
            "Sort by", [NAME, *COLUMNS], list(COLUMNS).index("started") + 1, key=_SORT, width=170,
            label_visibility="collapsed", icon=":material/sort:", on_change=_order_naturally, **linked,
        )  # fmt: skip
        ascending = st.toggle("Ascending", key=_ASCENDING, **linked)
        folded = st.toggle("Fold seeds", key="fold", help="Runs that differ only in seed become one line.", **linked)
        archived = st.toggle("Archived", key="archive", help="Show the archived runs instead.", **linked)
    return View(search or "", facets, starred, sort, ascending, folded), shown, archived


def _restore_address() -> None:
    """Restore the previous view for a user who comes back from a run or a comparison with the browser's back button.

    On the way there, st.switch_page (Streamlit 1.67) replaced this page's parameters by those of the other page.
    """
    if state.RUN in st.query_params or state.RUNS in st.query_params:
        st.query_params.from_dict(st.session_state.get(_ADDRESS, {}))
        st.rerun()
    st.session_state[_ADDRESS] = {key: st.query_params.get_all(key) for key in st.query_params}


def _order_naturally() -> None:
    """Set the default order of the chosen column."""
    chosen = st.session_state[_SORT]
    st.session_state[_ASCENDING] = chosen == NAME or COLUMNS[chosen].ascends


def _sort_by(head: str) -> None:
    """Sort by the column whose heading was clicked or, if that is so already, reverse the order."""
    if st.session_state.get(_SORT) == head:
        st.session_state[_ASCENDING] = not st.session_state[_ASCENDING]
    else:
        st.session_state[_SORT] = head
        _order_naturally()


def _clear_filters() -> None:
    st.session_state.update({f"only-{facet}": [] for facet in FACETS}, search="", starred=False)


def _facet(rows: list[Row], facet: str, linked: dict[str, Any]) -> list[str]:
    key = f"only-{facet}"
    asked = st.query_params.get_all(key)  # a linked filter is kept even if no run matches it
    options = [*dict.fromkeys([*runtable.labels(rows, facet), *asked])]
    choice = linked | {"disabled": not options, "select_all": False}
    return st.multiselect(facet.capitalize(), options, key=key, placeholder="any", width=244, **choice)


def _config(key: str, column: Column, head: str, cells: Sequence[Any]) -> Any:
    if column.measure is not None:
        return columns.numbers(head, cells, column.help)
    named: dict[str, Any] = {"label": head, "help": column.help, "width": column.width}
    if column.kind == "text" and column.width is None:
        named["width"] = columns.width(head, cells)
    match column.kind:
        case "number":
            return st.column_config.NumberColumn(format=column.format, **named)
        case "time":
            return st.column_config.DatetimeColumn(format=column.format, **named)
        case "tags":
            return st.column_config.ListColumn(**named)
        case _:
            return st.column_config.TextColumn(**named)


def _column_configs(table: Mapping[str, Sequence[Any]], view: View) -> dict[str, Any]:
    """The configuration of the table's columns; an arrow in the heading marks the one that the table is sorted by."""
    arrow = " ↑" if view.ascending else " ↓"
    configs: dict[str, Any] = {}
    for key, column in COLUMNS.items():
        if key in table:
            configs[key] = _config(key, column, column.label + (arrow if view.sort == key else ""), table[key])
        if column.measure is not None and f"{key} sd" in table:
            explained = f"{column.label}: standard deviation over the seeds"
            configs[f"{key} sd"] = columns.numbers(column.measure.column(" sd"), table[f"{key} sd"], explained)
    configs["n"] = st.column_config.NumberColumn("n", help="number of runs in the line", width=50)
    configs[NAME] = st.column_config.ButtonColumn(
        f"name{arrow if view.sort == NAME else ''}", type="tertiary", key=_OPEN, pinned=True, alignment="left",
        width=_NAME_WIDTH, help="Click a name, or press Enter on it, to open its run. The space bar ticks a line.",
    )  # fmt: skip
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
def _show_runs(view: View, shown: list[str], archived: bool, none_yet: bool) -> None:
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
    if (head := selection.clicked_head(_TABLE)) in (NAME, *COLUMNS):
        st.session_state[_CLICKED] = head
        st.rerun()
    ticked = selection.follow(_TABLE, [[row["run_id"] for row in group] for group in groups])
    by_id = {row["run_id"]: row for row in rows}
    status_line = _how_many(rows, groups, view, archived, len(backends.starting(folder)))
    runactions.show([by_id[run_id] for run_id in ticked], archived, _TABLE, status_line)
    if not groups:
        st.info("No run matches the filters: remove one." if str(view) else "The archive is empty.")
        return
    running = [row["run_id"] for group in groups for row in group if row["status"] == "running"]
    progress = {run_id: _progress(run_id) for run_id in running}
    table = runtable.lines(groups, shown, progress, view.folded, state.bounds)
    st.dataframe(
        table,
        column_config=_column_configs(table, view),
        hide_index=True,
        height="content" if len(groups) < _LONG else _HEIGHT,
        on_select="rerun",
        selection_mode=["multi-row", "single-column"],
        placeholder="–",
        key=_TABLE,
        alt="Runs",
    )
    listed = [row for group in groups for row in group]
    if ahead := [row for row in listed if clock_ahead(row["created"])]:
        names = text.some([title(row) for row in ahead])
        st.caption(text.escaped(f"{names}: started by the clock of a machine that is ahead of this one."))
    if any(str(cell).startswith(AT_BEST) for cells in table.values() for cell in cells):
        st.caption(f"{AT_BEST.strip()}: at best, for the FSC stays above its threshold up to Nyquist's frequency.")


def _offer_table(view: View, archived: bool) -> None:
    """Show the download of the table, outside of the fragment that is redrawn: a redrawing would cancel it."""
    folder = state.runs_dir()
    st.download_button(
        "Table (CSV)", lambda: _csv(view, archived, folder), "runs.csv", "text/csv", on_click="ignore", type="tertiary",
        icon=":material/table:", help="These runs with names, ids, metrics with all digits, and all settings",
    )  # fmt: skip


def _csv(view: View, archived: bool, folder: Path) -> str:
    groups = view.groups(row for row in catalogue.list_runs(folder) if row["archived"] == archived)
    return runs_csv(groups, {row["run_id"]: state.bounds(row) for group in groups for row in group})


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
    st.html(f"<style>{_STYLE}</style>")
    keyboard.reach_table()
    with head:
        with st.popover("Queue", icon=":material/low_priority:"):
            queue.set_at_a_time()
        st.page_link(state.EXPERIMENT_PAGE, label="New experiment", icon=":material/add_circle:")
    view, shown, archived = _controls(rows)
    _show_runs(view, shown, archived, none_yet)
    _offer_table(view, archived)


state.require_navigation()
_restore_address()
_show_page()
