"""The app's pages, listed by ``app.py``: entry files here, and a folder for each page or family of pages.

A folder imports itself, ``_shared`` and the engine. What can be tested without a browser is kept apart and does
not import Streamlit: modules whose names end in ``figures`` draw data from :mod:`engine.analysis.figures` with Plotly;
tables and texts come from ``runtable``, ``compare_table``, ``families``, ``summary`` and ``text``.
"""
