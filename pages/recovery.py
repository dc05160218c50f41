"""Pose recovery: which pairs it uses, how far apart they may be, and where its search starts."""

from __future__ import annotations

import streamlit as st

from engine.analysis.factors import CLOSE_PAIRS, INITIALISATION, RECOVERY_PAIRS, Factor
from pages._factors import factor
from pages._factors.factor_runs import FAMILY
from pages._shared import state

_TABS: dict[str, tuple[Factor, str, str]] = {
    "Which pairs": (
        RECOVERY_PAIRS,
        FAMILY,
        "Of the pairs whose distance is estimated, the recovery may use all, some at random, or those of nearest "
        "neighbours (recovery.pairs, with recovery.pairs_per_projection).",
    ),
    "Close pairs": (
        CLOSE_PAIRS,
        "close-family",
        "Only pairs that are estimated to be closer than recovery.max_distance are used; large distances are the least "
        "certain ones, but without them poses far apart are tied together over several steps.",
    ),
    "Start": (
        INITIALISATION,
        "start-family",
        "Where the search for poses starts (recovery.initialisation): an embedding of the distances, or the best of "
        "random poses.",
    ),
}
"""For each tab: the factor, the URL parameter that holds its family, and an explanation."""


state.require_navigation()
st.title("Recovery", anchor=False)
for tab, (one, parameter, about) in zip(
    st.tabs(list(_TABS), key="tab", bind="query-params"), _TABS.values(), strict=True
):
    if tab.open:
        with tab:
            st.caption(about)
            if factor.show(one, parameter) is not None:
                st.caption(
                    "L_OR is a mean over the pairs that were used: where the pairs differ, compare E_OR, not L_OR, to "
                    "judge the poses. Times depend on how busy the machine was."
                )
