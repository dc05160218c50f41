"""Symmetry of a density that makes its poses ambiguous, computed once for all visitors and shown on the pages."""

from __future__ import annotations

import streamlit as st

from engine.config.schema import VolumeConfig
from engine.imaging import symmetric_density
from pages._shared import state

_SETTING = "volume.symmetry"
_MOST_TURNED = 1e7  # voxels: takes some seconds. For larger densities the run itself reports it.
Axis = tuple[int, str, float]


@st.cache_data(max_entries=32, show_spinner="Looking for symmetry …")
def axes(config: VolumeConfig) -> list[Axis]:
    """See :func:`engine.imaging.symmetric_density.apparent_symmetry`."""
    volume = state.input_volume(config)
    return symmetric_density.apparent_symmetry(volume.density, volume.center_index)


@st.cache_data(max_entries=32, show_spinner="Looking for symmetry …")
def _remark(config: VolumeConfig) -> symmetric_density.Remark | None:
    volume = state.input_volume(config)
    return symmetric_density.remark(volume.density, volume.center_index, config.symmetry, _SETTING)


def warn(config: VolumeConfig) -> None:
    """Warn if a density lacks the symmetry that the experiment sets, or has one that it does not set."""
    voxels = state.input_volume(config).density.size
    if voxels * symmetric_density.turns_looked_at(config.symmetry) > _MOST_TURNED:
        return
    remark = _remark(config)
    if remark is not None and remark.doubtful:
        state.show_warning(remark.text)
