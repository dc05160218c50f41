"""Figures on a page, with their data for download."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from engine.analysis.figures.data import Figure as Data
from engine.analysis.figures.data import Panel
from pages._shared import downloads
from pages._shared.style import Figure

_CHART = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}


def show(drawn: Figure, name: str, data: Data) -> None:
    """Show a figure and its data; ``name`` is unique on the page."""
    st.plotly_chart(drawn, key=name, config=_CHART, alt=data.title)
    _offer_data(name, data)


def show_abreast(draw: Callable[[Data], Figure], name: str, data: Data, columns: int) -> None:
    """Show the panels of a figure in columns, each drawn by itself, so that a narrow screen stacks them.

    The title is above the first column; one download has the data of all.
    """
    for number, (place, part) in enumerate(zip(st.columns(columns), parts(data, columns), strict=False)):
        with place:
            st.plotly_chart(draw(part), key=f"{name} {number}", config=_CHART, alt=data.title)
    _offer_data(name, data)


def show_halves(draw: Callable[[Data], Figure], name: str, data: Data) -> None:
    """Show a figure in two columns: the first half of each panel's series, and the second half."""
    halves: list[list[Panel]] = [[], []]
    for panel in data.panels:
        middle = -(-len(panel.series) // 2)
        for half, series in zip(halves, (panel.series[:middle], panel.series[middle:]), strict=True):
            if series:
                half.append(replace(panel, series=series))
    filled = [tuple(half) for half in halves if half]
    for number, (place, panels) in enumerate(zip(st.columns(len(filled)), filled, strict=True)):
        with place:
            drawn = draw(replace(data, panels=panels, title="" if number else data.title))
            st.plotly_chart(drawn, key=f"{name} {number}", config=_CHART, alt=data.title)
    _offer_data(name, data)


def parts(data: Data, count: int) -> list[Data]:
    """A figure's panels in at most ``count`` groups of equal size but for the last; the first group has the title."""
    size = -(-len(data.panels) // count)
    groups = [data.panels[start : start + size] for start in range(0, len(data.panels), size)]
    return [replace(data, panels=group, title="" if number else data.title) for number, group in enumerate(groups)]


def _offer_data(name: str, data: Data) -> None:
    with st.container(horizontal=True):
        downloads.figure_data(data.to_csv, name)
