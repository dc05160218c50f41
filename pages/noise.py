"""Noise: how it affects the projections and the errors."""

from __future__ import annotations

import streamlit as st

from engine.analysis.factors import NOISE
from engine.analysis.figures import levels
from pages._factors import factor
from pages._factors.factor import Shown
from pages._shared import level_figures, state


def _draw_projections(shown: Shown) -> None:
    kept = factor.read(shown, "projections.npz", "images", first_only=True)
    if kept:
        data = levels.projections({name: each[0]["images"] for name, each in kept.items()})
        factor.chart(NOISE, level_figures.projections_by_level_figure(data), "projections", data)


state.require_navigation()
st.title("Noise", anchor=False)
factor.show(NOISE, beside=_draw_projections)
