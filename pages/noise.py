"""Noise: what it does to projections, and to the errors."""

from __future__ import annotations

import streamlit as st

from engine.analysis.factors import NOISE
from pages._factors import factor
from pages._factors.factor import Shown
from pages._shared import level_figures, state

_EACH = 4


def _draw_projections(shown: Shown) -> None:
    found = factor.read(shown, "projections.npz", "images", first_only=True)
    images = {name: arrays[0]["images"][:_EACH] for name, arrays in found.items()}
    if images:
        factor.chart(NOISE, level_figures.projections_by_level_figure(images, _EACH), "projections")


state.require_navigation()
st.subheader("Noise", anchor=False)
factor.show(NOISE, beside=_draw_projections)
