"""Mismatch: how errors grow where images are not what the network is trained for."""

from __future__ import annotations

import streamlit as st

from engine.analysis.factors import DEFOCUS_ERROR, NOISE_FACTOR, REFERENCE_MISSING, Factor
from pages._factors import factor
from pages._factors.factor_runs import FAMILY
from pages._shared import state

_TABS: dict[str, tuple[Factor, str, str]] = {
    "Defocus": (
        DEFOCUS_ERROR,
        FAMILY,
        "The defocus that is known of the projections is another than their own (projections.defocus_error): the "
        "network is trained for it, and phases are flipped by it.",
    ),
    "Noise": (
        NOISE_FACTOR,
        "noise-family",
        "Training projections have another noise than those of the test, so many times the variance "
        "(training.noise_factor).",
    ),
    "Reference": (
        REFERENCE_MISSING,
        "reference-family",
        "Training projections are of a part of the protein: one end of it is cut off, with this share of the mass "
        "(training.reference_missing). For other proteins altogether there is training.volumes.",
    ),
}
"""For each tab: the factor, the URL parameter that holds its family, and an explanation."""


state.require_navigation()
st.title("Mismatch", anchor=False)
for tab, (one, parameter, about) in zip(
    st.tabs(list(_TABS), key="tab", bind="query-params"), _TABS.values(), strict=True
):
    if tab.open:
        with tab:
            st.caption(about)
            factor.show(one, parameter)
