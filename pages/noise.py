"""Noise: how it affects the projections and the errors."""

from __future__ import annotations

import streamlit as st

from engine.analysis.factors import NOISE
from engine.analysis.figures import levels
from pages._factors import factor
from pages._factors.factor import Shown
from pages._shared import charts, level_figures, state

_SHOWN = 8  # projections per level


def _draw_projections(shown: Shown) -> None:
    kept = factor.read(shown, "projections.npz", "images", first_only=True)
    if kept:
        data = levels.projections({name: each[0]["images"] for name, each in kept.items()}, _SHOWN)
        charts.show_halves(level_figures.projections_by_level_figure, f"{NOISE.study}-projections", data)


state.require_navigation()
st.title("Noise", anchor=False)
if (shown := factor.show(NOISE)) is not None:
    _draw_projections(shown)
