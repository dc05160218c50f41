"""What can be taken away of what a page shows."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st


def figure_data(csv: Callable[[], str], name: str) -> None:
    """A small button beneath a figure that offers its data; ``csv`` is called when somebody asks for them.

    ``name`` is the file's, without its ending, and unlike that of any other figure of the page.
    """
    st.space("stretch")
    st.download_button(
        "Data (CSV)", csv, f"{name}.csv", "text/csv", key=f"data {name}", on_click="ignore", type="tertiary",
        icon=":material/table:", help="The numbers that this figure shows",
    )  # fmt: skip
