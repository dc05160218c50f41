"""The app's pages, listed by ``app.py``. Files that start with an underscore are helpers, shared by the pages.

Pages hold widgets and call helpers; they never import one another. What can be tested without a browser is kept apart:
``_figures``, ``_pictures``, ``_spheres``, ``_surfaces``, ``_level_figures``, ``_compare_figures`` (arrays to Plotly
figures), ``_level_table`` and ``_compare_table`` (runs to tables and CSV), ``_run_figures`` and ``_report`` (what a run
has left to figures and to a file), ``_summary`` and ``_text`` (values to words), ``_tables`` (to CSV),
``_live`` (events to progress), ``_settings`` (the configuration's schema to form fields) know no streamlit.
"""
