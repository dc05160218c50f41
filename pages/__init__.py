"""The app's pages, listed by ``app.py``: entry files here, and a folder for each page or family of pages.

A folder imports itself, ``_shared`` and the engine. What can be tested without a browser is kept apart and knows no
streamlit: modules whose names end in ``figures`` draw with Plotly what :mod:`engine.analysis.figures` gives them;
tables and words come from ``runtable``, ``compare_table``, ``families``, ``summary`` and ``text``.
"""
