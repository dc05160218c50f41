"""What the figures of all pages share: colours that can be seen on both themes, labels of logarithmic axes."""

from __future__ import annotations

import tomllib

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.colors import sample_colorscale

from engine.analysis.figures.data import Axis
from pages._shared import style
from tests.app_testing import ROOT

THEME = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]


def luminance(colour: str) -> float:
    """The relative luminance of ``#RRGGBB`` as WCAG 2.2 defines it."""
    channels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """The ratio of contrast as WCAG 2.2 defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)  # the best known near miss of 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_of_the_scale_stands_out_from_the_background(theme):
    background = THEME[theme]["backgroundColor"]
    between = sample_colorscale(style.SCALE, np.linspace(0, 1, 101).tolist(), colortype="tuple")
    shown = ["#" + "".join(f"{round(255 * part):02X}" for part in colour) for colour in between]
    assert min(contrast(colour, background) for colour in [*style.SCALE, *shown]) >= 3


def test_the_scale_grows_lighter_from_low_to_high():
    assert np.all(np.diff([luminance(colour) for colour in style.SCALE]) > 0)


def test_a_logarithmic_axis_labels_more_than_decades():
    figure = go.Figure().update_yaxes(type="log")
    style.styled(figure.update_xaxes(title="step"), "", 300)
    assert figure.layout.yaxis.dtick is None
    assert figure.layout.yaxis.tickformat == "~g"
    assert figure.layout.xaxis.tickformat is None
    assert figure.layout.xaxis.tickfont.size >= 12


@pytest.mark.parametrize(
    ("low", "high", "dtick"),
    [(1.0, 300.0, None), (1e-3, 0.5, None), (2e-6, 1e-5, None), (1e-6, 5.0, 2), (1e-15, 0.1, 3), (1e-6, 1e-3, 1)],
)
def test_labels_of_an_axis_over_many_decades_are_a_few_powers(low, high, dtick):
    layout = style.scale(Axis("error", log=True, range=(low, high)))
    figure = style.styled(go.Figure().update_yaxes(**layout), "", 300)
    assert figure.layout.yaxis.dtick == dtick
    assert figure.layout.yaxis.tickformat == ("~g" if dtick is None else None)
    assert figure.layout.yaxis.exponentformat == "power"
