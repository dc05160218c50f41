"""The common part of the factors' pages: the runs, their results by level, and which were left out and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from engine.analysis import factors, level_table
from engine.analysis.comparison import level_of
from engine.analysis.factors import (
    CLOSE_PAIRS,
    DEFOCUS_ERROR,
    METRICS,
    NOISE,
    NOISE_FACTOR,
    REFERENCE_MISSING,
    Factor,
    Level,
    Study,
)
from engine.analysis.figures import directions, distributions, levels
from engine.analysis.level_table import Line
from engine.base.errors import InputError
from engine.experiment.metrics import DISTANCE_MAE
from engine.geometry.rotations import viewing_directions
from pages._factors import distribution_figures, recovery_figures
from pages._factors.factor_runs import FAMILY, LeftOut, choose, show_links
from pages._shared import charts, columns, level_figures, sphere_figures, state, text
from pages._shared.state import Arrays

_AXES = {
    NOISE.name: "variance of the noise",
    DEFOCUS_ERROR.name: "known less true defocus (Å)",
    NOISE_FACTOR.name: "variance of the noise in training, over that of the images",
    REFERENCE_MISSING.name: "share of its mass that the reference lacks",
    CLOSE_PAIRS.name: "largest estimated distance of a pair that is used (°); no limit: 180",
}
_FEW = 4  # levels, up to which measures and angle errors fit side by side


class Shown(NamedTuple):
    """A study on its page, and the data of its figures; ``levels`` are keyed by their labels.

    ``problems`` are the messages shown for unreadable files, so that each is shown once.
    """

    factor: Factor
    study: Study
    levels: dict[str, Level]
    problems: set[str]


def show(factor: Factor, parameter: str = FAMILY) -> Shown | None:
    """Show the part that all factors share; None, after explaining what to do, if there is nothing to compare.

    ``parameter`` is the URL parameter that holds the chosen family.
    """
    try:
        rows = state.runs().rows
        chosen = choose(factor, rows, parameter)
    except InputError as error:
        state.show_error(error)
        return None
    state.show_notices()
    if chosen is None:
        _explain_how_to_begin(factor)
        return None
    study = factors.study(chosen.rows, factor, chosen.like)
    left_out = chosen.left_out + [(row["name"] or "", row["run_id"], reason) for row, reason in study.left_out]
    if not study.levels:
        st.warning("None of these runs can be shown.", icon=":material/search_off:")
        _show_left_out(left_out)
        _explain_how_to_begin(factor)
        return None
    shown = Shown(factor, study, {level_table.label(factor, level): level for level in study.levels}, set())
    if len(study.levels) == 1:
        st.info(text.escaped(f"These runs have one level of {factor.name} only: {next(iter(shown.levels))}."))
    _show_left_out(left_out)
    lines = level_table.lines(study, factor)
    _show_table(lines, shown)
    left, right = st.columns(2) if len(study.levels) <= _FEW else (st.container(), st.container())
    with left:
        title = "Errors by level" if factor.metrics == METRICS else "Errors and cost of the recovery by level"
        axis = _AXES.get(factor.name, factor.name)
        data = levels.measures(lines, axis, title)
        measures = level_figures.metrics_figure(data)
        charts.show(measures, f"{factor.study}-metrics", data)
    with right:
        _draw_errors(shown, measures.layout.height)
    if factor.metrics == METRICS:
        _draw_distances(shown)
    else:
        _draw_losses(shown)
    return shown


def read(shown: Shown, name: str, *keys: str, first_only: bool = False) -> dict[str, list[Arrays]]:
    """For each level, the artefact of each run (or of the first run only) that has it; other levels are omitted.

    Files that are damaged or lack one of the arrays ``keys`` are reported and skipped.
    """
    arrays_by_level: dict[str, list[Arrays]] = {}
    for words, level in shown.levels.items():
        for row in level.rows:
            path = state.runs_dir() / row["run_id"] / name
            try:
                arrays = state.arrays(path)
                if arrays is not None and (lacking := [key for key in keys if key not in arrays]):
                    raise InputError(f"{path}: no array {lacking[0]}; it is not shown")
            except InputError as error:
                if str(error) not in shown.problems:
                    shown.problems.add(str(error))
                    st.warning(text.escaped(str(error)), icon=":material/broken_image:")
                continue
            if arrays is not None and not (first_only and words in arrays_by_level):
                arrays_by_level.setdefault(words, []).append(arrays)
    return arrays_by_level


def poses(shown: Shown, first_only: bool = False) -> dict[str, NDArray[np.floating]]:
    """True poses (n, 3, 3) by level."""
    arrays_by_level = read(shown, "poses.npz", "true", first_only=first_only)
    return {name: np.concatenate([one["true"] for one in each]) for name, each in arrays_by_level.items()}


def _explain_how_to_begin(factor: Factor) -> None:
    st.info(
        f"No two finished runs differ only in {factor.name}. Start the study **{factor.study}**, "
        "or any sweep over it, and come back when it has finished."
    )
    st.page_link(
        state.EXPERIMENT_PAGE, label=f"Open the study {factor.study}", icon=":material/add_circle:",
        query_params={"study": factor.study},
    )  # fmt: skip


def _show_left_out(left_out: Sequence[LeftOut]) -> None:
    if left_out:
        one = len(left_out) == 1
        with st.expander(
            f"{len(left_out):,} run{'' if one else 's'} left out, and why", icon=":material/filter_alt_off:"
        ):
            columns = zip(*sorted(left_out, key=lambda entry: len(entry[2])), strict=True)
            st.dataframe(
                dict(zip(("run", "id", "reason"), columns, strict=True)), hide_index=True,
                height="content" if len(left_out) <= 10 else 380,
                column_config={"reason": st.column_config.TextColumn(width="large")},
            )  # fmt: skip


# Results ---------------------------------------------------------------------------------------------------------


def _show_table(lines: Sequence[Line], shown: Shown) -> None:
    factor = shown.factor
    rows = level_table.table(lines, factor)
    not_shown = {"variance"} if any(line.published for line in lines) else {"variance", "whose"}
    words, configs = _in_words(pd.DataFrame(rows), factor)
    st.dataframe(
        words, hide_index=True, height="content" if len(rows) <= 14 else 530, placeholder="–",
        column_config=configs, column_order=[key for key in rows[0] if key not in not_shown],
        key=f"{factor.name} table",
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "These numbers as CSV", level_table.to_csv(lines, factor), f"{factor.study}.csv", "text/csv",
            icon=":material/download:", key=f"{factor.name} csv",
        )  # fmt: skip
        show_links(shown.levels)
    for sentence in _about_published(lines, shown):
        st.caption(sentence)


def _in_words(table: pd.DataFrame, factor: Factor) -> tuple[Any, dict[str, Any]]:
    """The table with numbers formatted as text, which still sort as numbers; and the configuration of its columns."""
    configs: dict[str, Any] = {
        "level": st.column_config.TextColumn("level", pinned=True),
        "runs": st.column_config.NumberColumn("runs", help="number of these runs, one per seed", width=44),
    }
    words = table.style.format("{:.0f}", na_rep="–", subset=["runs"])  # published figures have none
    for measure in map(level_table.measure, factor.metrics):
        metric = measure.metric
        explained = {"": metric.meaning, " sd": "standard deviation over the seeds"}
        for what, meaning in explained.items():
            name = measure.column(what)
            cells = [None if math.isnan(value) else metric.cell(value) for value in table[name].astype(float)]
            configs[name] = st.column_config.NumberColumn(name, help=meaning, width=columns.width(name, cells))
            words = words.format(metric.cell, na_rep="–", subset=[name])
    return words, configs


def _about_published(lines: Sequence[Line], shown: Shown) -> list[str]:
    if not any(line.published for line in lines):
        return [
            "No published figures vary this factor at the coverage, sampling, noise, shift and distances of these runs."
        ]
    sentences = [
        "Published figures (arXiv:2104.06237) are of 1,650 projections of the protein named, by another network. "
        "Apart from the factor, coverage, sampling, noise, shift and kind of distances are those of these runs."
    ]
    if shown.factor.is_noise:
        sentences.append(
            "Their noise variance is in the units of their own map; it is plotted where these runs have the same SNR."
        )
    return sentences


def _draw_distances(shown: Shown) -> None:
    counts, edges = _distance_counts(shown)
    if edges is None:
        st.caption("These runs have no recorded distances.")
        return
    spreads = {name: level.spread(DISTANCE_MAE.name) for name, level in shown.levels.items()}
    errors = {name: None if (spread := spreads[name]) is None else spread.mean for name in counts}
    data = levels.distances(counts, edges, errors)
    beside = level_figures.beside(len(counts))
    draw = partial(level_figures.distance_panels_figure, beside=beside)
    charts.show_abreast(draw, f"{shown.factor.study}-distances", data, beside)


def _distance_counts(shown: Shown) -> tuple[dict[str, NDArray[np.integer]], NDArray[np.floating] | None]:
    """Pairs by [true, estimated] distance and level, summed over seeds, and the edges of their bins in rad."""
    kept = read(shown, "distances.npz", "counts", "edges")
    return levels.pooled_counts({name: [(one["counts"], one["edges"]) for one in each] for name, each in kept.items()})


def _draw_losses(shown: Shown) -> None:
    kept = read(shown, "recovery.npz", "loss_curve")
    if kept:
        data = levels.recovery_losses({name: [one["loss_curve"] for one in each] for name, each in kept.items()})
        charts.show(recovery_figures.losses_figure(data), f"{shown.factor.study}-losses", data)


def _draw_errors(shown: Shown, height: int) -> None:
    kept = read(shown, "poses.npz", "errors")
    if not kept:
        st.caption("These runs have no recorded poses.")
        return
    data = levels.angle_errors({name: np.concatenate([one["errors"] for one in each]) for name, each in kept.items()})
    if len(shown.levels) <= _FEW:
        charts.show(level_figures.error_panels_figure(data, height), f"{shown.factor.study}-errors", data)
    else:
        beside = level_figures.beside(len(data.panels))
        charts.show_abreast(level_figures.error_panels_figure, f"{shown.factor.study}-errors", data, beside)


def draw_orientations(shown: Shown) -> None:
    """Show the true viewing directions, on spheres and maps, and the distributions of angles and distances."""
    study = shown.factor.study
    one_seed = {name: viewing_directions(rotations) for name, rotations in poses(shown, first_only=True).items()}
    if not one_seed:
        return
    left, right = st.columns(2)
    with left:
        spheres = directions.on_spheres(one_seed, title="Viewing directions of one seed")
        globes = sphere_figures.sphere_figure(spheres)
        charts.show(globes, f"{study}-spheres", spheres)
    with right:
        maps = directions.by_solid_angle(one_seed, "Viewing directions of one seed, by solid angle")
        drawn = sphere_figures.direction_heatmap_figure(maps, sphere_figures.map_height(globes, len(one_seed)))
        charts.show(drawn, f"{study}-direction-map", maps)
    every = poses(shown)
    counts, edges = _distance_counts(shown)
    left, right = st.columns(2)
    if edges is not None:
        with left:
            true = {name: pairs.sum(axis=1) for name, pairs in counts.items()}
            first = next(iter(shown.levels.values())).rows[0]
            symmetric = level_of(first, ("volume.symmetry",)) != "C1"
            angles = distributions.orientations(every, true, edges, symmetric)
            charts.show(distribution_figures.orientation_figure(angles), f"{study}-angles", angles)
    with right:
        components = distributions.quaternion_components(every)
        charts.show(distribution_figures.quaternion_figure(components), f"{study}-quaternions", components)
