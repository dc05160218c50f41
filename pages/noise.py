"""Noise."""

from __future__ import annotations

import streamlit as st

from pages import _state

_state.require_navigation()
st.subheader("Noise", anchor=False)
