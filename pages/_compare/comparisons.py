"""The comparison's sections of figures: each shows the available results, and names the runs without them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from engine.analysis.comparison import Row, on_particles
from engine.analysis.comparison_table import Compared
from engine.analysis.figures import compare, levels
from engine.analysis.figures.compare import Training
from engine.analysis.figures.directions import by_solid_angle, on_spheres
from engine.analysis.measures import recorded
from engine.base.errors import InputError
from engine.config.schema import Config
from engine.experiment import artefacts
from engine.experiment.metrics import DISTANCE_MAE
from engine.geometry.rotations import viewing_directions
from engine.record.events import FILENAME as EVENTS
from engine.record.runrecord import read_run
from pages._compare import compare_figures
from pages._compare.compare_table import View
from pages._shared import charts, level_figures, sphere_figures, state, text
from pages._shared.live import curve_arrays
from pages._shared.state import Arrays

_ALONE = 560  # px, the width of a single panel of distances
_MOST_DIRECTIONS = 4000  # of all spheres together: each is an element of the page
_TRAINED = ("siamese",)


def left(row: Row, growing: bool) -> tuple[tuple[str, int], ...]:
    """The files that a run has written for its figures, and when; ``growing``: also the events of a running one."""
    path = state.runs_dir() / row["run_id"]
    events = artefacts.modified_ns(path / EVENTS) if growing and row["status"] == "running" else None
    return (*artefacts.left(path), *(() if events is None else ((EVENTS, events),)))


def show_distances(view: View) -> None:
    """Distance-versus-distance panels on one scale."""
    arrays_by_letter = _read(view.runs, "distances.npz", "distances", "counts", "edges")
    if not arrays_by_letter:
        return
    first = next(iter(arrays_by_letter.values()))["edges"]
    alike = {letter: one for letter, one in arrays_by_letter.items() if len(one["edges"]) == len(first)}
    if others := [run for run in view.runs if run.letter in arrays_by_letter.keys() - alike.keys()]:
        st.caption(text.escaped(f"Not shown: {by_reason(others, lambda run: 'bins of another width')}."))
    counts = {letter: one["counts"] for letter, one in alike.items()}
    errors = {run.letter: recorded(run.row, DISTANCE_MAE.name) for run in view.runs if run.letter in alike}
    data = levels.distances(counts, first, errors, "Distances, % of the run's pairs in a cell")
    beside = level_figures.beside(len(counts))
    with st.container(width=_ALONE if beside == 1 else "stretch"):
        draw = partial(level_figures.distance_panels_figure, beside=beside)
        charts.show_abreast(draw, "compare-distances", data, beside)


def show_angle_errors(view: View) -> None:
    """Histograms and cumulative curves, overlaid."""
    arrays_by_letter = _read(view.runs, "poses.npz", "poses", "errors", of_particles="frame.npz")
    if not arrays_by_letter:
        return
    logarithmic = st.toggle("Logarithmic angles", key="log", bind="query-params")
    errors = {letter: one["errors"] for letter, one in arrays_by_letter.items()}
    data = compare.angle_errors(view.runs, errors, logarithmic)
    charts.show(compare_figures.angle_errors_figure(data, view.runs), "compare-angle-errors", data)
    _say_reference(view.runs, errors)


def show_losses(view: View) -> None:
    """Training and recovery, overlaid."""
    curves = {run.letter: curve for run in view.runs if (curve := _training(run)) is not None}
    kept = _read(view.runs, "recovery.npz", "recovery loss", "loss_curve")
    left_, right = st.columns(2) if curves and kept else (st.container(), st.container())
    with left_:
        if curves:
            trainings = compare.trainings(view.runs, curves)
            charts.show(compare_figures.training_figure(trainings, view.runs), "compare-training", trainings)
        untrained = [run for run in view.runs if run.letter not in curves]
        if untrained:
            st.caption(text.escaped(f"No training: {by_reason(untrained, _why_untrained)}."))
    with right:
        if kept:
            losses = {letter: one["loss_curve"] for letter, one in kept.items()}
            recoveries = compare.recoveries(view.runs, losses)
            charts.show(compare_figures.recovery_figure(recoveries, view.runs), "compare-recovery", recoveries)


def _training(run: Compared) -> Training | None:
    """The whole curve or, if the training is running or was stopped, the part that its events have recorded."""
    path = state.runs_dir() / run.row["run_id"]
    try:
        arrays = state.arrays(path / "training.npz")
        if arrays is not None:
            return Training(*arrays["curve"].T)
        if run.row["distance_method"] not in _TRAINED or _model(run) is not None:
            return None
        record = read_run(path)
        curve = curve_arrays(state.feed(record, record.config if isinstance(record.config, Config) else Config()).curve)
    except (InputError, KeyError, TypeError) as error:
        _warn(f"{run.label}: the training curve cannot be shown: {error}")
        return None
    return Training(*curve) if curve.size else None


def _model(run: Compared) -> Any:
    """The run whose network was applied; None where the run trained its own."""
    training = (run.row["config"] or {}).get("training")
    return training.get("model") if isinstance(training, Mapping) else None


def _why_untrained(run: Compared) -> str:
    method = run.row["distance_method"]
    if (model := _model(run)) is not None:
        return f"network of run {model}"
    return f"{method} distances" if method and method not in _TRAINED else str(run.row["status"])


def show_projections(view: View) -> None:
    """Clean projections and the same as given, one row per run."""
    arrays_by_letter = _read(view.runs, "projections.npz", "projections", "clean", "images")
    if not arrays_by_letter:
        return
    labels = {run.letter: run.label for run in view.runs}
    for column, name, title in zip(
        st.columns(2), ("clean", "images"), ("Projections, clean", "The same, as given"), strict=True
    ):
        images = {labels[letter]: one[name] for letter, one in arrays_by_letter.items()}
        with column:
            data = levels.projections(images, title=title)
            charts.show(level_figures.projections_by_level_figure(data), f"compare-{name}", data)


def show_directions(view: View) -> None:
    """True viewing directions with their errors on spheres, and how many there are on maps."""
    arrays_by_letter = _read(view.runs, "poses.npz", "poses", "true", "errors", of_particles="frame.npz")
    if not arrays_by_letter:
        return
    _say_reference(view.runs, arrays_by_letter)
    each = max(100, _MOST_DIRECTIONS // len(arrays_by_letter))
    directions = {letter: viewing_directions(one["true"]) for letter, one in arrays_by_letter.items()}
    errors = {letter: one["errors"][:each] for letter, one in arrays_by_letter.items()}
    left, right = st.columns(2)
    with left:
        some = {letter: vectors[:each] for letter, vectors in directions.items()}
        spheres = on_spheres(some, errors, title="True viewing directions")
        globes = sphere_figures.sphere_figure(spheres)
        charts.show(globes, "compare-spheres", spheres)
        if any(len(vectors) > each for vectors in directions.values()):
            st.caption(f"The first {each:,} projections of each run, coloured by their angle errors.")
    with right:
        labelled = {run.label: directions[run.letter] for run in view.runs if run.letter in arrays_by_letter}
        maps = by_solid_angle(labelled)
        drawn = sphere_figures.direction_heatmap_figure(maps, sphere_figures.map_height(globes, len(arrays_by_letter)))
        charts.show(drawn, "compare-maps", maps)


def _say_reference(runs: Sequence[Compared], shown: Collection[str]) -> None:
    letters = [run.letter for run in runs if run.letter in shown and on_particles(run.row)]
    if letters:
        st.caption(
            f"{', '.join(letters)}: recorded particles, against the poses that came with them, in the frame of the "
            "map, not aligned."
        )


def _read(
    runs: Sequence[Compared], filename: str, what: str, *keys: str, of_particles: str | None = None
) -> dict[str, Arrays]:
    """The file's arrays by letter; a caption or warning names the runs for which they are not available.

    Of runs on recorded particles they are those of the file ``of_particles``, if there is one, where reference poses
    stand for the true ones; that they lack what needs the truth is no damage.
    """
    arrays_by_letter: dict[str, Arrays] = {}
    missing = []
    for run in runs:
        try:
            recorded_ones = on_particles(run.row)
            name = of_particles if recorded_ones and of_particles is not None else filename
            arrays = state.arrays(state.runs_dir() / run.row["run_id"] / name)
            if arrays is not None and "reference" in arrays:
                arrays = arrays | {"true": arrays["reference"]}
            if arrays is None or (recorded_ones and not arrays.keys() >= set(keys)):
                missing.append(run)
            elif lacking := [key for key in keys if key not in arrays]:
                raise InputError(f"{filename} has no array {lacking[0]!r}")
            else:
                arrays_by_letter[run.letter] = arrays
        except InputError as error:
            _warn(f"{run.label}: {error}")
    if missing:
        st.caption(text.escaped(f"No {what}: {by_reason(missing, status)}."))
    return arrays_by_letter


def by_reason(runs: Sequence[Compared], why: Callable[[Compared], str]) -> str:
    """The runs' letters, grouped by reason."""
    groups: dict[str, list[str]] = {}
    for run in runs:
        groups.setdefault(why(run), []).append(run.letter)
    return "; ".join(f"{', '.join(letters)} ({reason})" for reason, letters in groups.items())


def status(run: Compared) -> str:
    """The run's state, the reason why most results are missing; of particles there is no truth."""
    if run.row["status"] == "finished" and on_particles(run.row):
        return "recorded particles"
    return str(run.row["status"])


def _warn(message: str) -> None:
    st.warning(text.escaped(message), icon=":material/broken_image:")
