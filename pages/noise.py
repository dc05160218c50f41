"""Noise: what it does to projections, and to the errors."""

from __future__ import annotations

import streamlit as st

from engine.factors import NOISE
from pages import _factor, _level_figures, _state
from pages._factor import Shown

_EACH = 4


def _draw_projections(shown: Shown) -> None:
    found = _factor.read(shown, "projections.npz", "images", first_only=True)
    images = {name: arrays[0]["images"][:_EACH] for name, arrays in found.items()}
    if images:
        _factor.chart(_level_figures.projections_by_level_figure(images, _EACH), "projections")


_state.require_navigation()
st.subheader("Noise", anchor=False)
_factor.show(NOISE, beside=_draw_projections)
