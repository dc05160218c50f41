"""Coverage: which viewing directions occur, and how that affects the errors."""

from __future__ import annotations

import streamlit as st

from engine.analysis.factors import COVERAGE
from pages._factors import factor
from pages._shared import state

state.require_navigation()
st.title("Coverage", anchor=False)
if (shown := factor.show(COVERAGE)) is not None:
    factor.draw_orientations(shown)
