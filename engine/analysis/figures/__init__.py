"""What each figure shows, as data: one function a figure, from arrays to a :class:`analysis.figures.data.Figure`."""
