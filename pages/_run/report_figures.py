"""Interactive figures in a file that needs no server: HTML, and one script in the same file that draws it."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from pages._shared import linked


def script() -> str:
    """Plotly's JavaScript and the linking of cameras, included once for the whole report."""
    text: str = get_plotlyjs()
    return f"{text}\n{linked.SCRIPT}"


def as_html(figure: go.Figure, key: str) -> str:
    """A figure as an element with this id, on a white page."""
    html: str = go.Figure(figure).update_layout(template="plotly_white").to_html(
        full_html=False, include_plotlyjs=False, div_id=key, default_width="100%",
        default_height=f"{figure.layout.height}px", config={"displaylogo": False, "responsive": True},
    )  # fmt: skip
    return html
