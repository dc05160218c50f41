"""Compare: runs side by side, in numbers and in figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from engine.analysis.comparison_table import Compared, compared
from engine.base.errors import InputError
from pages._compare import compare_overview, compared_runs, comparisons
from pages._compare.compare_table import View
from pages._shared import state

_REFRESH_S = 3.0
_SEEN, _TAB = "compared-seen", "section"
_SECTIONS: dict[str, Callable[[View], None]] = {
    "Overview": compare_overview.show_overview,
    "Distances": comparisons.show_distances,
    "Angle errors": comparisons.show_angle_errors,
    "Losses": comparisons.show_losses,
    "Projections": comparisons.show_projections,
    "Directions": comparisons.show_directions,
}


def _show_page() -> None:
    head = st.container(horizontal=True, vertical_alignment="center")
    head.title("Compare", anchor=False)
    try:
        if not state.runs().rows:
            state.no_runs()
        asked = compared_runs.asked()
        compared_runs.pick(asked, head)
    except InputError as error:
        state.show_error(error)
        return
    state.show_notices()
    runs = compared(asked.rows)
    if not runs:
        st.info("Nothing to compare yet: pick runs above, or tick them on **Runs** and press **Compare**.")
        st.page_link(state.RUNS_PAGE, label="All runs", icon=":material/table_rows:")
    else:
        _show_comparison(runs)
    st.session_state[_SEEN] = _seen()
    _follow()


def _show_comparison(runs: list[Compared]) -> None:
    compared_runs.show_key(runs)
    with st.container(horizontal=True, vertical_alignment="center"):
        baseline = compared_runs.pick_baseline(runs)
        only = st.toggle("Only differences", True, key="differences", bind="query-params")
        folded = st.toggle(
            "Mean over seeds",
            True,
            key="average",
            bind="query-params",
            help="Runs that differ only in seed become one line.",
        )
    view = View(runs, baseline, only, folded)
    for name, tab in zip(_SECTIONS, st.tabs(list(_SECTIONS), key=_TAB, bind="query-params"), strict=True):
        if tab.open:
            with tab:
                _SECTIONS[name](view)


@st.fragment(run_every=_REFRESH_S)
def _follow() -> None:
    """Rerun the page soon after a run writes new results or somebody changes a run."""
    if _seen() != st.session_state[_SEEN]:
        st.rerun()


def _seen() -> Any:
    """A value that changes whenever the page has something new to show."""
    try:
        asked = compared_runs.asked()
    except InputError as error:
        return str(error)
    losses = st.session_state.get(_TAB) == "Losses"
    rows = [(row["run_id"], row["status"], row["name"], comparisons.left(row, losses)) for row in asked.rows]
    return asked.problems, rows


state.require_navigation()
compared_runs.restore_address()
_show_page()
