"""PoseLab in the browser: ``streamlit run app.py``, from any directory. Only the list of pages."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

PAGES = Path(__file__).parent / "pages"

# Before the navigation, whose icons Streamlit would otherwise fetch from the internet as the browser's icon.
st.set_page_config(page_title="PoseLab", page_icon=str(PAGES / "icon.svg"), layout="wide")
st.logo(str(PAGES / "logo.svg"))
st.html(PAGES / "pages.css")
page = st.navigation(
    [
        st.Page(PAGES / "runs.py", title="Runs", icon=":material/table_rows:", url_path="home", default=True),
        st.Page(PAGES / "experiment.py", title="New experiment", icon=":material/add_circle:"),
        st.Page(PAGES / "run.py", title="Run", icon=":material/monitoring:"),
        st.Page(PAGES / "compare.py", title="Compare", icon=":material/compare_arrows:"),
        st.Page(PAGES / "coverage.py", title="Coverage", icon=":material/explore:"),
        st.Page(PAGES / "noise.py", title="Noise", icon=":material/grain:"),
        st.Page(PAGES / "sampling.py", title="Sampling", icon=":material/scatter_plot:"),
        st.Page(PAGES / "recovery.py", title="Recovery", icon=":material/route:"),
        st.Page(PAGES / "mismatch.py", title="Mismatch", icon=":material/rule:"),
        st.Page(PAGES / "volumes.py", title="Volumes", icon=":material/deployed_code:"),
        # Streamlit (1.67) would redirect /runs to /, which adds an entry to the browser's history.
        st.Page(PAGES / "runs.py", title="Runs", icon=":material/table_rows:", url_path="runs", visibility="hidden"),
    ],
    position="top",
)
st.set_page_config(page_title=f"{page.title} · PoseLab", page_icon=str(PAGES / "icon.svg"), layout="wide")
page.run()
