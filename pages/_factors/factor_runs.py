"""Which runs the page of a factor shows: those in the address, or a family picked from a list."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import streamlit as st

from engine.analysis import factors
from engine.analysis.comparison import Row
from engine.analysis.factors import Factor, Level
from engine.analysis.level_table import run_title
from engine.base.errors import InputError
from engine.record.runrecord import check_run_id
from pages._factors.families import family_names
from pages._shared import state, text
from pages._shared.state import RUNS

FAMILY, SWEEP = "family", "sweep"  # the URL parameters, beside ?runs=
_LINKED = ""  # the choice of the runs in the address, ?runs= or ?sweep=
_MOST_LINKS = 60
LeftOut = tuple[str, str, str]
"""Name, id and reason."""


class Chosen(NamedTuple):
    """Runs to compare, restricted to those that agree with ``like`` if it is given; and those left out."""

    rows: list[Row]
    like: Row | None
    left_out: list[LeftOut]


def choose(factor: Factor, rows: Sequence[Row], parameter: str) -> Chosen | None:
    """The runs chosen by the address or in the list of families; None if no two runs differ only in the factor."""
    linked = _linked(rows)
    here = [row for row in rows if not row["archived"]]
    families = factors.families(here, factor)
    # Identified by their oldest runs, because newer ones are inserted before them.
    by_token = {family[-1]["run_id"]: family for family in families}
    names = dict(zip(by_token, family_names(families, factor), strict=True))
    if linked is not None:
        names = {_LINKED: f"{len(linked.rows) + len(linked.left_out)} runs in the address"} | names
    if not names:
        return None
    key = f"{parameter} of {factor.name}"
    if st.session_state.get(key) not in names:
        st.session_state[key] = _asked_family(families, parameter, factor) or next(iter(names))
    token = st.selectbox(
        "Runs that agree in all but this and the seed", list(names), format_func=lambda one: names[one], key=key
    )
    _write(parameter, token)
    if token == _LINKED:
        return linked
    return Chosen(here, by_token[token][-1], [])


def show_links(levels: Mapping[str, Level]) -> None:
    """Show links to each run of these levels, and to the comparison of as many of them as it can show."""
    # One run of each level, then a second of each: no level is left out if not all can be compared.
    turns = itertools.zip_longest(*(level.rows for level in levels.values()))
    ids = [row["run_id"] for turn in turns for row in turn if row is not None]
    st.page_link(
        state.COMPARE_PAGE, label="Compare these runs", icon=":material/compare_arrows:",
        query_params={RUNS: ",".join(ids[: state.MOST_COMPARED])},
        help=f"{state.MOST_COMPARED} of the {len(ids)}" if len(ids) > state.MOST_COMPARED else None,
    )  # fmt: skip
    with st.popover("Open a run", icon=":material/monitoring:"):
        each = [(words, row) for words, level in levels.items() for row in level.rows]
        for words, row in each[:_MOST_LINKS]:
            label = text.escaped(f"{words}: {run_title(row)}")
            st.page_link(state.RUN_PAGE, label=label, query_params={state.RUN: row["run_id"]})
        if len(each) > _MOST_LINKS:
            st.caption(f"The first {_MOST_LINKS} of {len(each):,}.")


def _asked_family(families: Sequence[Sequence[Row]], parameter: str, factor: Factor) -> str | None:
    asked = st.query_params.get(parameter, "").strip()
    if not asked:
        return None
    for family in families:
        if asked in {row["run_id"] for row in family}:
            return str(family[-1]["run_id"])
    _warn(f"No finished run differs from {asked[:80]!r} in {factor.name} only; others are shown instead.")
    return None


def _write(parameter: str, token: str) -> None:
    if token == _LINKED:
        st.query_params.pop(parameter, None)
    elif st.query_params.get(parameter) != token:
        st.query_params[parameter] = token


def _linked(rows: Sequence[Row]) -> Chosen | None:
    """The runs of ``?runs=`` or ``?sweep=``, None if there are none."""
    if asked := st.query_params.get(RUNS, "").strip():
        return _linked_runs([word.strip() for word in asked.split(",") if word.strip()], rows)
    if asked := st.query_params.get(SWEEP, "").strip():
        return _linked_sweep(asked, rows)
    return None


def _linked_runs(asked: Iterable[str], rows: Sequence[Row]) -> Chosen | None:
    by_id = {row["run_id"]: row for row in rows}
    linked: list[Row] = []
    left_out: list[LeftOut] = []
    for run_id in dict.fromkeys(asked):
        if run_id in by_id:
            linked.append(by_id[run_id])
            continue
        try:
            left_out.append(("", check_run_id(run_id), "there is no such run"))
        except InputError as error:
            _warn(f"{error}.")
    if linked:
        return Chosen(linked, None, left_out)
    _warn("None of the runs in the address is here.")
    return None


def _linked_sweep(asked: str, rows: Sequence[Row]) -> Chosen | None:
    linked = [row for row in rows if row["sweep"] == asked]
    left_out = [(row["name"] or "", row["run_id"], "it is archived") for row in linked if row["archived"]]
    left_out += [
        (queued.name or "", queued.run_id, "it waits for its turn")
        for queued in state.waiting()
        if queued.sweep == asked
    ]
    if linked or left_out:
        return Chosen([row for row in linked if not row["archived"]], None, left_out)
    _warn(f"There is no sweep {asked[:80]!r} here.")
    return None


def _warn(message: str) -> None:
    st.warning(text.escaped(message), icon=":material/search_off:")
