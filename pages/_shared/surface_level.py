"""The level at which a page shows the surface of a density: a slider, kept in the address."""

from __future__ import annotations

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from engine.imaging import shape

_LEVEL = "level"  # the URL parameter
_LEVELS = (0.5, 10.0)


def slider(density: NDArray[np.floating], name: str) -> float:
    """The level in standard deviations above the mean: from the address, the slider, or else the density's default.

    ``name`` tells the densities of a session apart: each keeps its own level.
    """
    usual = round(min(max(shape.surface_level(density), _LEVELS[0]), _LEVELS[1]), 1)
    key = f"level of {name}"
    if key not in st.session_state:
        st.session_state[key] = _number(st.query_params.get(_LEVEL), usual)
    level: float = st.slider("Surface (σ above the mean)", *_LEVELS, step=0.1, key=key)
    if level != usual:
        st.query_params[_LEVEL] = f"{level:g}"
    elif _LEVEL in st.query_params:
        del st.query_params[_LEVEL]
    return level


def _number(text: str | None, default: float) -> float:
    """The level in the address if it is valid, else the default."""
    try:
        value = float(text or default)
    except ValueError:
        return default
    return round(value, 1) if _LEVELS[0] <= value <= _LEVELS[1] else default
