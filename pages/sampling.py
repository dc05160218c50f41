"""Sampling in both senses: how orientations of projections are drawn, and which pairs the network is trained on."""

from __future__ import annotations

import streamlit as st

from engine.analysis.factors import ORIENTATIONS, PAIRS
from engine.analysis.figures.data import Figure
from engine.analysis.figures.distributions import pair_strategies
from engine.base.errors import InputError
from engine.config.schema import Config
from engine.config.settings import config_from_dict
from engine.experiment.strategies import MOST_PROJECTIONS, strategy_distances
from pages._factors import distribution_figures, factor
from pages._shared import charts, state, text

_PAIRS_FAMILY = "pairs-family"  # the URL parameter


@st.cache_resource(max_entries=16, show_spinner="Drawing pairs of simulated projections …")
def _strategies(config: Config) -> Figure:
    shares = strategy_distances(config, state.input_volume(config.volume))
    return pair_strategies(shares, symmetric=config.volume.symmetry != "C1")


def _show_orientations() -> None:
    if (shown := factor.show(ORIENTATIONS)) is not None:
        factor.draw_orientations(shown)


def _show_pairs() -> None:
    shown = factor.show(PAIRS, _PAIRS_FAMILY)
    config = Config()
    try:
        if shown is not None:
            row = next(iter(shown.levels.values())).rows[0]
            config = config_from_dict(row["config"])
            if config.distance.method != "siamese":
                st.info(
                    f"These runs have {config.distance.method} distances: no network is trained and no pairs are drawn."
                )
        data = _strategies(config)
    except InputError as error:
        state.show_error(error)
        return
    charts.show(distribution_figures.strategy_figure(data), f"{PAIRS.study}-strategies", data)
    of = "the first of these runs" if shown is not None else "the default experiment"
    count = min(config.training.projections, MOST_PROJECTIONS)
    explanation = (
        f"Pairs drawn as in the training of {of}: batches of {config.training.batch_size} from {count:,} clean "
        f"projections of {text.source_name(config.volume.given_source)}; the {config.pairs.neighbours} neighbours are "
        "nearest by the distance between images."
    )
    if config.training.volumes:
        explanation += " The runs themselves were trained on other proteins."
    if config.volume.symmetry != "C1":
        explanation += f" Distances are the smallest over the group {config.volume.symmetry}."
    st.caption(text.escaped(explanation))


state.require_navigation()
st.title("Sampling", anchor=False)
orientations, pairs = st.tabs(["Orientations", "Pairs"], key="tab", bind="query-params")
if orientations.open:
    with orientations:
        _show_orientations()
if pairs.open:
    with pairs:
        _show_pairs()
