"""Coverage: which viewing directions occur, and what that does to the errors."""

from __future__ import annotations

import streamlit as st

from engine.factors import COVERAGE
from pages import _factor, _state

_state.require_navigation()
st.subheader("Coverage", anchor=False)
if (shown := _factor.show(COVERAGE)) is not None:
    _factor.draw_orientations(shown)
