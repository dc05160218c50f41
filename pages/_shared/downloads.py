"""Downloads of what a page shows."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st


def figure_data(csv: Callable[[], str], name: str) -> None:
    """Show a small button beneath a figure for its data; ``csv`` is called when it is pressed.

    ``name`` is the file's name without its extension, unique on the page.
    """
    st.space("stretch")
    st.download_button(
        "Data (CSV)", csv, f"{name}.csv", "text/csv", key=f"data {name}", on_click="ignore", type="tertiary",
        icon=":material/table:", help="The numbers that this figure shows",
    )  # fmt: skip
