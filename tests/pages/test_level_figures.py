from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from scipy.integrate import quad

from engine.analysis.factors import CLOSE_PAIRS, COVERAGE, INITIALISATION, METRICS, NOISE, study
from engine.geometry.rotations import sample_orientations
from engine.poses.metrics import distance_histogram
from pages._factors import distribution_figures, recovery_figures
from pages._shared import level_figures, level_table
from tests.analysis.test_factors import SIGNAL, noisy, row


def traces(figure, **wanted):
    return [trace for trace in figure.data if all(getattr(trace, key) == value for key, value in wanted.items())]


@pytest.fixture
def lines():
    """Two levels of noise with two seeds, one of them with one known value; beside what was published."""
    rows = [
        noisy(1, 0, 0.1), noisy(2, 1, 0.3), noisy(3, 0, 0.4, noise_variance=8.0),
        noisy(4, 1, None, noise_variance=8.0),
    ]  # fmt: skip
    return level_table.lines(study(rows, NOISE), NOISE)


def test_the_chart_has_the_means_and_deviations_of_the_runs(lines):
    figure = level_figures.metrics_figure(lines, "variance of the noise")
    mean = traces(figure, name="these runs, mean ± sd")[0]
    np.testing.assert_allclose(mean.x, [0.0, 8.0])
    np.testing.assert_allclose(mean.y, np.degrees([0.2, 0.4]))
    assert mean.error_y.array[0] == pytest.approx(math.degrees(math.sqrt(0.02)))
    assert mean.error_y.array[1] is None
    singles = traces(figure, name="single runs")[0]
    np.testing.assert_allclose(singles.x, [0.0, 0.0, 8.0])
    np.testing.assert_allclose(singles.y, np.degrees([0.1, 0.3, 0.4]))
    assert [axis.title.text for axis in figure.select_yaxes()] == [
        "L<sub>DE</sub> (°)", "L<sub>OR</sub> (rad²)", "E<sub>OR</sub> (°)",
    ]  # fmt: skip


def test_published_results_are_labelled_and_grey(lines):
    figure = level_figures.metrics_figure(lines, "variance of the noise")
    name = "published, 5J0N, Tesla K40c hours"
    angle = traces(figure, name=name)[2]
    np.testing.assert_allclose(angle.y, np.degrees([0.159, 0.189, 0.232, 0.418, 0.801, 0.725]))
    np.testing.assert_allclose(angle.x, np.array([0, 5, 10, 16, 20, 25]) * SIGNAL / 1.109)
    assert {trace.marker.color for trace in traces(figure, name=name)} == {"#7F7F7F"}


def test_chart_table_and_csv_have_the_same_numbers(lines):
    figure = level_figures.metrics_figure(lines, "variance of the noise")
    table = level_table.table(lines, NOISE)
    found = list(csv.DictReader(io.StringIO(level_table.to_csv(lines, NOISE).decode())))
    assert [entry["level"] for entry in found] == [entry["level"] for entry in table]
    for number, metric in enumerate(METRICS):
        measure = level_table.MEASURES[metric]
        column = f"{measure.short} ({measure.shown_unit})"
        told = [entry[column] for entry in table if entry[column] is not None]
        drawn = [y for name in dict.fromkeys(t.name for t in figure.data if t.name != "single runs")
                 for y in traces(figure, name=name)[number].y]  # fmt: skip
        assert sorted(told) == sorted(drawn), metric
        np.testing.assert_allclose([float(entry[column]) for entry in found if entry[column]], told, rtol=1e-8)
    degrees, rad = (np.array([float(e[f"L_DE ({unit})"]) for e in found if e["L_DE (°)"]]) for unit in ("°", "rad"))
    np.testing.assert_allclose(degrees, np.degrees(rad), rtol=1e-8)


def test_words_are_a_category_in_the_order_of_the_levels():
    rows = [row(1, 0.1), row(2, 0.2, projections={"coverage": "quarter"})]
    figure = level_figures.metrics_figure(level_table.lines(study(rows, COVERAGE), COVERAGE), "coverage")
    assert figure.layout.xaxis.type == "category"
    assert figure.layout.xaxis.categoryarray == ("full", "quarter")
    assert list(traces(figure, name="these runs, mean ± sd")[0].x) == ["full", "quarter"]
    # 5J0N and 5A1A were published at the two coverages: each stands by its own name.
    assert [list(trace.x) for trace in figure.data if str(trace.name).startswith("published")][:2] == [
        ["quarter"], ["full"],
    ]  # fmt: skip


def close(number, seed, limit, seconds, used, reused=()):
    """A run whose recovery used pairs up to a distance; its E_OR is a hundredth of the number of pairs, in rad."""
    recovery = {} if limit is None else {"max_distance": limit}
    one = row(number, seed=seed, recovery=recovery)
    metrics = {"angle_error_median": used / 100, "recovery_loss": 0.5, "recovery_pairs": used}
    return one | {"metrics": metrics, "seconds": {"recovery": seconds}, "reused": list(reused)}


@pytest.fixture
def close_pairs():
    rows = [close(1, 0, None, 6.0, 40), close(2, 0, 1.2, 2.0, 10), close(3, 1, 1.2, 4.0, 12), close(4, 0, 0.8, 1.0, 5)]
    return level_table.lines(study(rows, CLOSE_PAIRS), CLOSE_PAIRS)


def test_largest_distances_are_told_in_degrees_and_no_limit_comes_last(close_pairs):
    table = level_table.table(close_pairs, CLOSE_PAIRS)
    assert [entry["level"] for entry in table] == ["45.8° (0.8 rad)", "68.8° (1.2 rad)", "no limit"]
    assert [entry["pairs used"] for entry in table] == [5, 11, 40]
    assert [entry["time (s)"] for entry in table] == [1, 3, 6]
    assert table[1]["time sd (s)"] == pytest.approx(math.sqrt(2))
    assert [entry["E_OR (°)"] for entry in table] == pytest.approx(np.degrees([0.05, 0.11, 0.4]))
    assert "L_DE (°)" not in table[0], "the same at all levels"
    first = next(csv.DictReader(io.StringIO(level_table.to_csv(close_pairs, CLOSE_PAIRS).decode())))
    assert (first["E_OR (rad)"], first["pairs used"], first["time (s)"]) == ("0.05", "5", "1")


def test_recoveries_have_a_panel_a_metric_against_the_largest_distance(close_pairs):
    figure = level_figures.metrics_figure(close_pairs, "largest distance (°)", "Recoveries")
    assert [axis.title.text for axis in figure.select_yaxes()] == [
        "E<sub>OR</sub> (°)", "L<sub>OR</sub> (rad²)", "time (s)", "pairs used",
    ]  # fmt: skip
    means = traces(figure, name="these runs, mean ± sd")
    np.testing.assert_allclose(means[2].x, [math.degrees(0.8), math.degrees(1.2), 180])
    np.testing.assert_allclose(means[2].y, [1, 3, 6])
    np.testing.assert_allclose(means[3].y, [5, 11, 40])
    assert [list(one.y) for one in traces(figure, name="single runs")][3] == [5, 10, 12, 40]
    assert figure.layout.title.text == "Recoveries"


def test_a_recovery_that_was_reused_tells_no_time():
    rows = [close(1, 0, None, 6.0, 40, reused=["recovery"]), close(2, 1, None, 8.0, 40)]
    ((level,),) = [study(rows, CLOSE_PAIRS).levels]
    assert level.values("recovery_seconds") == [None, 8.0]


def test_starts_are_words():
    rows = [close(n, 0, None, 1.0, 9) | {"config": row(n, recovery={"initialisation": start})["config"]}
            for n, start in enumerate(("spectral", "isomap"))]  # fmt: skip
    lines = level_table.lines(study(rows, INITIALISATION), INITIALISATION)
    assert [(line.level, line.place) for line in lines] == [("isomap", "isomap"), ("spectral", "spectral")]


def test_losses_have_a_colour_a_level_and_one_line_a_run():
    curves = {"all": [np.array([3.0, 1.0]), np.array([4.0, 2.0, 1.5])], "<b>": [np.array([5.0, 0.5])]}
    figure = recovery_figures.losses_figure(curves)
    assert [list(trace.y) for trace in figure.data] == [[3, 1], [4, 2, 1.5], [5, 0.5]]
    assert [trace.showlegend for trace in figure.data] == [True, False, True]
    first, second, third = (trace.line.color for trace in figure.data)
    assert first == second != third
    assert figure.data[2].name == "&lt;b&gt;"
    assert figure.layout.yaxis.type == "log"
    assert recovery_figures.losses_figure({"exact": [np.array([1.0, 0.0])]}).layout.yaxis.type == "linear"


def test_a_level_of_noise_says_how_it_was_given():
    levels = study([noisy(1), noisy(2, snr=0.5), noisy(3, noise_variance=16)], NOISE).levels
    assert [level_table.label(NOISE, level) for level in levels] == [
        "no noise", "variance 5 (SNR 0.5)", "variance 16",
    ]  # fmt: skip


def test_families_of_one_name_are_told_apart_by_their_settings():
    both = [[row(n, training={"steps": s}, projections={"coverage": c}) for n, c in enumerate(("full", "half"))]
            for s in (10, 20)]  # fmt: skip
    assert level_table.family_names(both, COVERAGE) == [
        f"1bd2 · 1,000 projections · SO(3) sampling · no noise · siamese distances · training.steps={steps}: "
        "2 levels, 2 runs"
        for steps in (10, 20)
    ]


def test_distance_panels_share_a_scale_of_shares(rng):
    exact = rng.uniform(0, np.pi, 4000)
    few, edges = distance_histogram(exact[:100], exact[:100])
    many, _ = distance_histogram(np.clip(exact + rng.normal(0, 0.2, 4000), 0, np.pi), exact)
    figure = level_figures.distance_panels_figure({"a": few, "<b>": many}, edges, {"a": 0.0, "<b>": 0.2})
    maps = [trace for trace in figure.data if trace.type == "heatmap"]
    assert [trace.coloraxis for trace in maps] == ["coloraxis", "coloraxis"]
    for trace, counts in zip(maps, (few, many), strict=True):
        assert np.nansum(10.0 ** trace.z.astype(float)) == pytest.approx(1, rel=1e-5)
        coarse = counts.reshape(50, 2, 50, 2).sum(axis=(1, 3))
        # Rows of the map are estimated distances, columns true ones.
        np.testing.assert_allclose(trace.customdata, 100 * coarse.T / counts.sum(), rtol=1e-5)
        np.testing.assert_allclose(trace.x, np.arange(1.8, 180, 3.6))
    assert figure.layout.coloraxis.cmin == pytest.approx(np.log10(1 / 4000))
    assert "&lt;b&gt;" in figure.layout.annotations[1].text


def test_angle_errors_share_their_axes_and_say_their_medians():
    errors = {"low": np.radians(np.linspace(1, 5, 101)), "high": np.radians([*np.linspace(10, 20, 99), 170, 171])}
    figure = level_figures.error_panels_figure(errors)
    low, high = (trace for trace in figure.data if trace.type == "bar")
    np.testing.assert_array_equal(low.x, high.x)
    assert sum(low.y) == pytest.approx(100)
    assert sum(high.y) == pytest.approx(100 * 99 / 101)
    assert figure.layout.yaxis.range == figure.layout.yaxis2.range
    said = [note.text for note in figure.layout.annotations]
    assert said == ["low: median 3.00°", "high: median 15.1°", "2 of 101 beyond →"]
    assert traces(figure, name="median")[1].x[0] == pytest.approx(math.degrees(np.median(errors["high"])))


def test_closed_forms_are_densities():
    degrees = distribution_figures.haar_tilt, distribution_figures.haar_distance
    for form in degrees:
        assert quad(form, 0, 180)[0] == pytest.approx(1)
    assert quad(distribution_figures.haar_component, -1, 1)[0] == pytest.approx(1)


def test_uniform_poses_meet_the_closed_forms(rng):
    poses = {"uniform": sample_orientations(40_000, rng)}
    exact = _distances(poses["uniform"])
    counts, edges = distance_histogram(exact, exact)
    figures = (
        distribution_figures.orientation_figure(poses, {"uniform": counts.sum(axis=1)}, edges),
        distribution_figures.quaternion_figure(poses),
    )
    for figure in figures:
        drawn, forms = traces(figure, name="uniform"), traces(figure, name="uniform on SO(3)")
        assert len(drawn) == len(forms) == 4
        for one, form in zip(drawn, forms, strict=True):
            centres = (one.x[:-1] + one.x[1:]) / 2
            expected = np.interp(centres, form.x, form.y)
            np.testing.assert_allclose(one.y[:-1], expected, atol=0.08 * max(form.y))


def _distances(poses):
    from engine.geometry.rotations import geodesic_distance, to_quaternion

    quaternions = to_quaternion(poses)
    return geodesic_distance(quaternions[::2], quaternions[1::2])


def test_a_level_without_poses_is_only_left_out():
    poses = {"there": sample_orientations(10, np.random.default_rng(0))}
    edges = np.linspace(0, np.pi, 101)
    figure = distribution_figures.orientation_figure(poses, {"gone": np.ones(100, dtype=int)}, edges)
    assert {trace.name for trace in figure.data} == {"there", "uniform on SO(3)"}


def test_strategies_are_drawn_as_shares_of_the_weight():
    shares = {"random": np.full(36, 1 / 36), "knn": np.eye(36)[0]}
    figure = distribution_figures.strategy_figure(shares)
    (knn,) = traces(figure, name="knn")
    assert (knn.x[0], knn.x[1], knn.y[0], knn.y[1]) == (0, 5, 100, 0)
    assert list(knn.customdata[0]) == [0, 5]


def test_projections_have_a_row_a_level(rng):
    images = {"no noise": rng.standard_normal((4, 10, 10)), "variance 9": rng.standard_normal((2, 10, 10))}
    figure = level_figures.projections_by_level_figure(images)
    first, second = figure.data
    assert first.z.shape == second.z.shape == (10, 43)
    assert np.isnan(second.z[:, 22:]).all()
    assert np.nanmin(first.z) == 0
    assert np.nanmax(first.z) == 1
