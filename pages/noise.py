"""Noise, its spectrum, and the CTF: how they affect the projections and the errors."""

from __future__ import annotations

import streamlit as st

from engine.analysis.factors import DEFOCUS, NOISE, SPECTRUM, Factor
from engine.analysis.figures import levels
from pages._factors import factor
from pages._factors.factor import Shown
from pages._factors.factor_runs import FAMILY
from pages._shared import charts, level_figures, state

_TABS: dict[str, tuple[Factor, str, str]] = {
    "Level": (NOISE, FAMILY, ""),
    "Spectrum": (
        SPECTRUM,
        "spectrum-family",
        "White noise has the same power at all frequencies; coloured noise, of the same variance, is five times as "
        "strong at low frequencies as at high ones (projections.noise_spectrum).",
    ),
    "Defocus": (
        DEFOCUS,
        "defocus-family",
        "With a defocus, projections are multiplied by the microscope's contrast transfer function "
        "(projections.defocus), and phase-flipped before they are compared.",
    ),
}
"""For each tab: the factor, the URL parameter that holds its family, and an explanation."""
_SHOWN = 8  # projections per level


def _draw_projections(shown: Shown) -> None:
    kept = factor.read(shown, "projections.npz", "images", first_only=True)
    if kept:
        data = levels.projections({name: each[0]["images"] for name, each in kept.items()}, _SHOWN)
        charts.show_halves(level_figures.projections_by_level_figure, f"{shown.factor.study}-projections", data)


state.require_navigation()
st.title("Noise", anchor=False)
for tab, (one, parameter, about) in zip(
    st.tabs(list(_TABS), key="tab", bind="query-params"), _TABS.values(), strict=True
):
    if tab.open:
        with tab:
            if about:
                st.caption(about)
            if (shown := factor.show(one, parameter)) is not None:
                _draw_projections(shown)
