"""The levels of a factor: what is drawn is what the figures' data hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analysis import level_table
from engine.analysis.factors import CLOSE_PAIRS, COVERAGE, NOISE, study
from engine.analysis.figures import distributions, levels
from engine.analysis.figures.distributions import HAAR
from engine.analysis.figures.levels import DIAGONAL, MEAN, MEDIAN, PAIRS, PROJECTIONS, SINGLE
from engine.geometry.rotations import sample_orientations
from engine.poses.metrics import distance_histogram
from pages._factors import distribution_figures, recovery_figures
from pages._factors.families import family_names
from pages._shared import level_figures
from tests.analysis_testing import close, noisy, row


def traces(figure, **wanted):
    return [trace for trace in figure.data if all(getattr(trace, key) == value for key, value in wanted.items())]


def measures(rows, factor, axis="axis", title="Errors by level"):
    return levels.measures(level_table.lines(study(rows, factor), factor), axis, title)


def assert_drawn(traces, panels, name):
    """Each trace has the values of the series of this name in its panel."""
    assert len(traces) == len(panels)
    for trace, panel in zip(traces, panels, strict=True):
        columns = panel[name].columns
        assert list(trace.x) == list(columns["x"])
        assert list(trace.y) == list(columns["y"])
        if "sd" in columns and name == MEAN:
            np.testing.assert_array_equal(np.array(trace.error_y.array, dtype=float), columns["sd"])


def test_every_series_of_the_measures_is_drawn():
    rows = [
        noisy(1, 0, 0.1), noisy(2, 1, 0.3), noisy(3, 0, 0.4, noise_variance=8.0),
        noisy(4, 1, None, noise_variance=8.0),
    ]  # fmt: skip
    data = measures(rows, NOISE)
    figure = level_figures.metrics_figure(data)
    published = "published, 5J0N, Tesla K40c hours"
    for name in (MEAN, SINGLE, published):
        assert_drawn(traces(figure, name=name), data.panels, name)
    assert {trace.marker.color for trace in traces(figure, name=published)} == {"#7F7F7F"}
    assert [axis.title.text for axis in figure.select_yaxes()] == [
        "L<sub>DE</sub> (°)", "L<sub>OR</sub> (rad²)", "E<sub>OR</sub> (°)",
    ]  # fmt: skip
    assert traces(figure, name=MEAN)[0].customdata[0] == ["no noise", "11.5° (0.200 rad) ± 8.10° (0.141 rad), 2 runs"]
    assert traces(figure, name=SINGLE)[0].customdata[2][1] == "22.9° (0.400 rad)"


def test_words_are_a_category_in_the_order_of_the_levels():
    data = measures([row(1, 0.1), row(2, 0.2, projections={"coverage": "quarter"})], COVERAGE)
    figure = level_figures.metrics_figure(data)
    assert figure.layout.xaxis.type == "category"
    assert figure.layout.xaxis.categoryarray == ("full", "quarter")
    assert traces(figure, name=MEAN)[0].mode == "markers"
    assert_drawn(traces(figure, name=MEAN), data.panels, MEAN)
    # 5J0N and 5A1A were published at the two coverages: each stands by its own name.
    assert [list(trace.x) for trace in figure.data if str(trace.name).startswith("published")][:2] == [
        ["quarter"], ["full"],
    ]  # fmt: skip


def test_recoveries_have_a_panel_a_metric_against_the_largest_distance():
    rows = [close(1, 0, None, 6.0, 40), close(2, 0, 1.2, 2.0, 10), close(3, 1, 1.2, 4.0, 12), close(4, 0, 0.8, 1.0, 5)]
    data = measures(rows, CLOSE_PAIRS, "largest distance (°)", "Recoveries")
    figure = level_figures.metrics_figure(data)
    assert [axis.title.text for axis in figure.select_yaxes()] == [
        "E<sub>OR</sub> (°)", "L<sub>OR</sub> (rad²)", "time (s)", "pairs used",
    ]  # fmt: skip
    assert_drawn(traces(figure, name=MEAN), data.panels, MEAN)
    assert list(traces(figure, name=SINGLE)[3].y) == [5, 10, 12, 40]
    assert figure.layout.title.text == "Recoveries"
    assert figure.layout.xaxis4.title.text == "largest distance (°)"


def test_losses_have_a_colour_a_level_and_one_line_a_run():
    curves = {"all": [np.array([3.0, 1.0]), np.array([4.0, 2.0, 1.5])], "<b>": [np.array([5.0, 0.5])]}
    figure = recovery_figures.losses_figure(levels.recovery_losses(curves))
    assert [list(trace.y) for trace in figure.data] == [[3, 1], [4, 2, 1.5], [5, 0.5]]
    assert [trace.showlegend for trace in figure.data] == [True, False, True]
    first, second, third = (trace.line.color for trace in figure.data)
    assert first == second != third
    assert figure.data[2].name == "&lt;b&gt;"
    assert figure.layout.yaxis.type == "log"
    zero = levels.recovery_losses({"exact": [np.array([1.0, 0.0])]})
    assert recovery_figures.losses_figure(zero).layout.yaxis.type == "linear"


def test_families_of_one_name_are_distinguished_by_their_settings():
    both = [[row(n, training={"steps": s}, projections={"coverage": c}) for n, c in enumerate(("full", "half"))]
            for s in (10, 20)]  # fmt: skip
    assert family_names(both, COVERAGE) == [
        f"1bd2 · 1,000 projections · SO(3) sampling · no noise · siamese distances · training.steps={steps}: "
        "2 levels, 2 runs"
        for steps in (10, 20)
    ]


def test_distance_panels_share_a_scale_of_shares(rng):
    exact = rng.uniform(0, np.pi, 4000)
    few, edges = distance_histogram(exact[:100], exact[:100])
    many, _ = distance_histogram(np.clip(exact + rng.normal(0, 0.2, 4000), 0, np.pi), exact)
    data = levels.distances({"a": few, "<b>": many}, edges, {"a": 0.0, "<b>": 0.2})
    figure = level_figures.distance_panels_figure(data)
    maps = [trace for trace in figure.data if trace.type == "heatmap"]
    assert [trace.coloraxis for trace in maps] == ["coloraxis", "coloraxis"]
    for trace, panel, counts in zip(maps, data.panels, (few, many), strict=True):
        cells = panel[PAIRS].columns
        # Rows of the map are estimated distances, columns true ones.
        for at in rng.integers(0, 2500, 50):
            column, line = (int(np.flatnonzero(getattr(trace, axis) == cells[axis][at])[0]) for axis in "xy")
            assert trace.customdata[line][column] == pytest.approx(cells["percent"][at], rel=1e-6)
        coarse = counts.reshape(50, 2, 50, 2).sum(axis=(1, 3))
        np.testing.assert_allclose(trace.customdata, 100 * coarse.T / counts.sum(), rtol=1e-5)
        assert np.nansum(10.0 ** trace.z.astype(float)) == pytest.approx(1, rel=1e-5)
        np.testing.assert_allclose(trace.x, np.arange(1.8, 180, 3.6))
        assert panel[DIAGONAL].columns["x"].tolist() == [0, 180]
    assert [list(trace.x) for trace in figure.data if trace.type == "scatter"] == [[0, 180]] * 2
    assert figure.layout.coloraxis.cmin == pytest.approx(np.log10(1 / 4000))
    assert figure.layout.coloraxis.cmax == pytest.approx(np.log10(data.panels[0].colour.range[1] / 100))
    assert figure.layout.annotations[1].text == "&lt;b&gt;<br>L<sub>DE</sub> 11.5°"


def test_angle_errors_share_their_axes_and_say_their_medians():
    errors = {"low": np.radians(np.linspace(1, 5, 101)), "high": np.radians([*np.linspace(10, 20, 99), 170, 171])}
    data = levels.angle_errors(errors)
    figure = level_figures.error_panels_figure(data)
    assert_drawn([trace for trace in figure.data if trace.type == "bar"], data.panels, PROJECTIONS)
    assert_drawn(traces(figure, name=MEDIAN), data.panels, MEDIAN)
    bars = next(trace for trace in figure.data if trace.type == "bar")
    np.testing.assert_allclose(bars.width, bars.customdata[:, 1] - bars.customdata[:, 0])
    assert figure.layout.yaxis.range == figure.layout.yaxis2.range == data.panels[0].y.range
    assert [note.text for note in figure.layout.annotations] == [
        "low: median 3.00°", "high: median 15.1°", "2 of 101 beyond →",
    ]  # fmt: skip
    assert traces(figure, name=MEDIAN)[1].x[0] == pytest.approx(math.degrees(np.median(errors["high"])))


def assert_steps(trace, series):
    """A trace has the bins of a series: their lower ends, and the last one's upper end."""
    columns = series.columns
    np.testing.assert_array_equal(trace.x, [*columns["x_low"], columns["x_high"][-1]])
    np.testing.assert_array_equal(trace.y, [*columns["y"], columns["y"][-1]])
    np.testing.assert_array_equal(trace.customdata[0], [columns["x_low"][0], columns["x_high"][0]])


def test_distributions_are_drawn_as_steps_beside_their_closed_forms(rng):
    poses = {"one": sample_orientations(400, rng), "two": sample_orientations(300, rng)}
    edges = np.linspace(0, np.pi, 101)
    counts = {"two": rng.integers(0, 9, 100)}
    drawn = (
        (distributions.orientations(poses, counts, edges), distribution_figures.orientation_figure),
        (distributions.quaternion_components(poses), distribution_figures.quaternion_figure),
    )
    for data, draw in drawn:
        figure = draw(data)
        for number, panel in enumerate(data.panels, start=1):
            axis = "x" if number == 1 else f"x{number}"
            here = traces(figure, xaxis=axis)
            assert len(here) == len(panel.series)
            for trace, series in zip(here, panel.series, strict=True):
                if series.name == HAAR:
                    np.testing.assert_array_equal(trace.x, series.columns["x"])
                    np.testing.assert_array_equal(trace.y, series.columns["y"])
                else:
                    assert_steps(trace, series)
        colours = {name: {trace.line.color for trace in traces(figure, name=name)} for name in poses}
        assert [len(result) for result in colours.values()] == [1, 1], "also where a level has no distances"
        assert colours["one"] != colours["two"]
        assert sum(bool(trace.showlegend) for trace in figure.data) == 3


def test_strategies_are_drawn_as_shares_of_the_weight():
    data = distributions.pair_strategies({"random": np.full(36, 1 / 36), "knn": np.eye(36)[0]})
    figure = distribution_figures.strategy_figure(data)
    for name in ("random", "knn"):
        (trace,) = traces(figure, name=name)
        assert_steps(trace, data.panel[name])
    (form,) = traces(figure, name=f"any two poses {HAAR}")
    np.testing.assert_array_equal(form.y, data.panel[form.name].columns["y"])


def test_projections_have_a_row_a_level(rng):
    images = {"no noise": rng.standard_normal((4, 10, 10)), "variance 9": rng.standard_normal((2, 10, 10))}
    data = levels.projections(images)
    figure = level_figures.projections_by_level_figure(data)
    first, second = figure.data
    assert first.z.shape == second.z.shape == (10, 43)
    np.testing.assert_array_equal(first.z[:, 11:21], data.panels[0].series[1].grid("grey"))
    assert np.isnan(second.z[:, 22:]).all()
    assert np.nanmin(first.z) == 0
    assert np.nanmax(first.z) == 1
