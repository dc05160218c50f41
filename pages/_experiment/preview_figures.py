"""A preview of an experiment, as Plotly figures and in words. No Streamlit, no files."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from engine.analysis.figures.data import Figure
from engine.imaging.particles import ParticleSet, Truth
from pages._shared import picture_figures, text

SHOWN = 4  # projections
MEASURED = 16  # projections from which the signal's variance is estimated


def before_and_after_figure(data: Figure) -> go.Figure:
    """The first clean projections and, beneath each, the same with shift and noise.

    ``data`` is from :func:`engine.analysis.figures.projections.before_and_after`.
    """
    figure = picture_figures.projections_figure(data, columns=len(data.panel.series) // 2, rows=2)
    for label, y in (("clean", 0.75), ("as recorded", 0.25)):
        figure.add_annotation(
            text=label, x=0, xref="x domain", xanchor="right", xshift=-4, y=y, yref="y domain", yanchor="middle",
            textangle=-90, showarrow=False,
        )  # fmt: skip
    return at_the_top(figure).update_layout(margin={"l": 28, "r": 8, "t": 44, "b": 4}, height=300)


def gallery_figure(data: Figure) -> go.Figure:
    """Clean projections, from :func:`engine.analysis.figures.projections.gallery`."""
    return at_the_top(picture_figures.projections_figure(data)).update_layout(margin={"l": 0, "r": 0, "t": 44, "b": 4})


def at_the_top(figure: go.Figure) -> go.Figure:
    """Move pictures up to the title: a narrow screen would leave empty space above and below them."""
    return figure.update_yaxes(constraintoward="top")


def slices_figure(data: Figure) -> go.Figure:
    """Slices through a volume, from :func:`engine.analysis.figures.densities.volume_slices`."""
    return at_the_top(picture_figures.slices_figure(data)).update_layout(height=240)


def noise_text(projections: ParticleSet) -> str:
    """The noise level expressed in both ways: ``SNR 0.052 (noise variance 16, signal variance 0.83)``."""
    noise = projections.noise
    if noise.variance == 0:
        signal = float(np.var(truth_of(projections).clean, dtype=np.float64))
        return f"no noise (signal variance {text.number(signal)})"
    signal = noise.signal_variance
    return (
        f"SNR {text.number(noise.snr)} (noise variance {text.number(noise.variance)}, "
        f"signal variance {text.number(signal)})"
    )


def truth_of(projections: ParticleSet) -> Truth:
    """The ground truth of simulated projections."""
    assert projections.truth is not None, "simulated projections have their truth"
    return projections.truth


def memory_text(size: float) -> str:
    """A number of bytes as text: ``640 MB`` or ``1.4 GB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
