"""Which runs are compared: those in the address, which picking changes; problems with others; a key to the runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape
from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.analysis.comparison import Row, title
from engine.analysis.comparison_table import Compared
from engine.dispatch import backends
from engine.record.runrecord import RUN_ID
from pages._compare import compare_table
from pages._shared import state, text
from pages._shared.state import MOST_COMPARED, RUNS
from pages._shared.style import Stroke

_PICKED, _BASELINE = "compared", "compared-baseline"
BASELINE = "baseline"  # the URL parameter
_ADDRESS = "address of the comparison"
_STRIPES = {
    "solid": (1,), "dash": (8, 4), "dot": (3, 3), "dashdot": (8, 3, 3, 3), "longdash": (13, 4),
    "longdashdot": (13, 3, 3, 3),
}  # fmt: skip


class Asked(NamedTuple):
    """The runs in an address, in its order, and a message for each kind of problem with the others."""

    rows: list[Row]
    problems: list[str]


def read_address(address: str, rows: Sequence[Row], waiting: Collection[str] = ()) -> Asked:
    """Look up the ids of ``?runs=`` among these rows; ``waiting`` are the ids of runs that have not started."""
    words = list(dict.fromkeys(word.strip() for word in address.split(",") if word.strip()))
    by_id = {row["run_id"]: row for row in rows}
    known = [by_id[word] for word in words if word in by_id]
    missing = [word for word in words if word not in by_id and RUN_ID.fullmatch(word)]
    queued = [word for word in missing if word in waiting]
    gone = [word for word in missing if word not in waiting]
    malformed = [repr(word[:40]) for word in words if word not in by_id and not RUN_ID.fullmatch(word)]
    problems = []
    if malformed:
        problems.append(f"Not shown: {text.some(malformed)}; wanted run ids, such as {_EXAMPLE}.")
    if gone:
        problems.append(f"Not shown: {text.some(gone)} {_is(gone)} not here; deleted, or recorded on another machine.")
    if queued:
        problems.append(f"Not started yet; shown as soon as there are results: {text.some(queued)}.")
    if len(known) > MOST_COMPARED:
        problems.append(
            f"The first {MOST_COMPARED} of {len(known)} runs are shown; more cannot be distinguished in the figures."
        )
    return Asked(known[:MOST_COMPARED], problems)


_EXAMPLE = "20261122-173015-1bd2-3f9c1a"


def _is(words: Sequence[str]) -> str:
    return "is" if len(words) == 1 else "are"


def restore_address() -> None:
    """Restore the previous comparison for a user who comes back: Streamlit (1.67) loses the page's parameters."""
    kept = st.session_state.get(_ADDRESS, {})
    if RUNS in kept and RUNS not in st.query_params:
        for key in kept.keys() - st.session_state.keys():  # existing widgets still have their values
            st.query_params[key] = kept[key]
        st.rerun()
    st.session_state[_ADDRESS] = {key: st.query_params.get_all(key) for key in st.query_params}


def asked() -> Asked:
    """The runs in this page's current address."""
    address, waiting = st.query_params.get(RUNS, ""), set()
    if address:
        waiting = {run.run_id for run in state.waiting()} | set(backends.starting(state.runs_dir()))
    return read_address(address, state.runs().rows, waiting)


def pick(chosen: Asked, head: DeltaGenerator) -> None:
    """Show the field with the runs, and problems with the address, which alone decides which runs are compared.

    The field is in a popover in ``head`` once there are runs.
    """
    ids = [row["run_id"] for row in chosen.rows]
    by_id = {row["run_id"]: row for row in state.runs().rows}
    if st.session_state.get(_PICKED) != ids:
        st.session_state[_PICKED] = ids
    options = [run_id for run_id, row in by_id.items() if not row["archived"] or run_id in ids]
    where = head.popover("Choose runs", icon=":material/checklist:") if ids else st.container()
    where.multiselect(
        "Runs", options, key=_PICKED, max_selections=MOST_COMPARED, on_change=_write_picked,
        format_func=lambda run_id: _option(by_id[run_id]), placeholder=f"Pick up to {MOST_COMPARED} runs",
        label_visibility="collapsed",
    )  # fmt: skip
    for problem in chosen.problems:
        st.warning(text.escaped(problem), icon=":material/search_off:")


def _write_picked() -> None:
    if picked := st.session_state[_PICKED]:
        st.query_params[RUNS] = ",".join(picked)
    else:
        st.query_params.pop(RUNS, None)
        del st.session_state[_ADDRESS]  # otherwise it would be restored


def _option(row: Row) -> str:
    """The run's label in the list, which is unique."""
    return f"{row['name']} · {row['run_id']}" if row["name"] else str(row["run_id"])


def pick_baseline(runs: Sequence[Compared]) -> int:
    """The index of the run that the others are compared with: the one in the address, else the first."""
    ids = [run.row["run_id"] for run in runs]
    wanted = st.query_params.get(BASELINE, ids[0])
    if wanted not in ids:
        st.query_params.pop(BASELINE)
        wanted = ids[0]
    if st.session_state.get(_BASELINE) != wanted:
        st.session_state[_BASELINE] = wanted
    labels = {run.row["run_id"]: run.label for run in runs}
    st.selectbox(
        "Baseline", ids, key=_BASELINE, format_func=labels.__getitem__, on_change=_write_baseline, width=320,
        label_visibility="collapsed", icon=":material/flag:", help="The others are compared with this run.",
    )  # fmt: skip
    return ids.index(wanted)


def _write_baseline() -> None:
    st.query_params[BASELINE] = st.session_state[_BASELINE]


def show_key(runs: Sequence[Compared]) -> None:
    """Show a line per run: letter, colour and line style, name, state if it has not finished, distinctive settings."""
    strokes = compare_table.strokes(runs)
    own = compare_table.particulars(runs)
    lines = "".join(_key(run, strokes[run.letter], words) for run, words in zip(runs, own, strict=True))
    st.html(f"<style>{_STYLE}</style><div class='compared'>{lines}</div>")


_STYLE = """
.compared {display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); gap: 2px 24px}
.compared > div {display: flex; align-items: center; gap: 8px; min-width: 0; white-space: nowrap; font-size: 0.9rem}
.compared a {color: inherit; overflow: hidden; text-overflow: ellipsis; flex: 0 1 auto; min-width: 5em}
.compared span {opacity: 0.75; overflow: hidden; text-overflow: ellipsis; flex: 1 4 0; min-width: 0}
.compared b, .compared em {flex: none}
.compared b {width: 1em}
.compared i {flex: none; width: 34px; height: 4px}
"""


def _stripes(stroke: Stroke) -> str:
    """A line of this style as a CSS background: Streamlit removes inline pictures from HTML."""
    stops, at = [], 0
    for number, length in enumerate(_STRIPES[stroke.dash]):
        stops.append(f"{'transparent' if number % 2 else stroke.colour} {at}px {at + length}px")
        at += length
    return f"repeating-linear-gradient(90deg, {', '.join(stops)})"


def _key(run: Compared, stroke: Stroke, own: str) -> str:
    row = run.row
    status = "" if row["status"] == "finished" else f"<em>{escape(row['status'])}</em>"
    detail = escape(row["message"] if row["status"] != "finished" and row["message"] else own)
    name = escape(title(row))
    return (
        f"<div><b>{run.letter}</b><i style='background: {_stripes(stroke)}'></i>"
        f"<a href='run?run={row['run_id']}' target='_self' title='{name}'>{name}</a>{status}"
        f"<span title='{detail}'>{detail}</span></div>"
    )
