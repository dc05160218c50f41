"""The contents of figures as data: one function each, from arrays to a :class:`analysis.figures.data.Figure`."""
