"""PoseLab in the browser: ``streamlit run app.py``, from any directory. Only the list of pages."""

from __future__ import annotations

import streamlit as st

st.set_page_config(page_title="PoseLab", page_icon=":material/hub:", layout="wide")
st.navigation(
    [
        st.Page("pages/runs.py", title="Runs", icon=":material/table_rows:"),
        st.Page("pages/experiment.py", title="New experiment", icon=":material/add_circle:", default=True),
        st.Page("pages/run.py", title="Run", icon=":material/monitoring:"),
    ],
    position="top",
).run()
