"""Figures: what is drawn has the values that went in, in the units that the axes name."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.figures.angles import angle_errors
from engine.analysis.figures.distances import distance_versus_distance
from engine.analysis.figures.fsc import fourier_shell_correlations
from engine.analysis.figures.losses import recovery_curve, training_curve
from engine.poses.metrics import distance_histogram, error_by_distance
from pages._run import figures
from pages._shared import picture_figures


def trace(figure, name):
    (found,) = [trace for trace in figure.data if trace.name == name]
    return found


@pytest.fixture
def pairs(rng):
    exact = np.arccos(1 - 2 * rng.random(5000))
    estimated = np.clip(exact + 0.1 * rng.standard_normal(5000), 0, np.pi)
    return exact, estimated


def test_the_map_of_distances_counts_every_pair(pairs):
    exact, estimated = pairs
    counts, edges = distance_histogram(estimated, exact)
    figure = figures.distance_figure(distance_versus_distance(counts, edges, exact, estimated, 0.0785))
    heat = figure.data[0]
    drawn = np.where(np.isnan(heat.z), 0, 10.0 ** np.nan_to_num(heat.z))
    assert np.allclose(drawn, counts.T)  # estimated upwards, true to the right
    assert np.array_equal(heat.customdata, counts.T)
    bin_of_first = np.degrees(exact[0]) // 1.8, np.degrees(estimated[0]) // 1.8
    assert drawn[int(bin_of_first[1]), int(bin_of_first[0])] >= 1
    assert heat.x[0] == pytest.approx(0.9)
    assert heat.x[-1] == pytest.approx(179.1)
    assert list(heat.colorbar.ticktext)[:2] == ["1", "10"]
    diagonal = trace(figure, "estimated = true")
    assert list(diagonal.x) == list(diagonal.y) == [0, 180]
    assert "4.50°" in figure.layout.annotations[0].text
    assert "0.0785 rad" in figure.layout.annotations[0].text
    assert figure.layout.title.text == "Distances of 5,000 pairs of test projections"
    assert figure.layout.xaxis2.title.text == "true distance (°)"
    assert figure.layout.yaxis.title.text == "estimated distance (°)"


def test_single_pairs_are_drawn_when_asked_for(pairs):
    exact, estimated = pairs
    counts, edges = distance_histogram(estimated, exact)
    few = len(figures.distance_figure(distance_versus_distance(counts, edges, exact, estimated, 0.1)).data)
    figure = figures.distance_figure(distance_versus_distance(counts, edges, exact, estimated, 0.1), points=True)
    assert len(figure.data) == few + 1
    points = trace(figure, "1,000 single pairs")
    assert points.type == "scatter"  # not scattergl: a page has few WebGL contexts
    assert np.allclose(points.x, np.degrees(exact[:1000]))
    assert np.allclose(points.y, np.degrees(estimated[:1000]))


def test_the_error_beneath_is_that_of_all_pairs_where_the_run_has_kept_it(pairs):
    exact, estimated = pairs
    counts, edges = distance_histogram(estimated, exact)
    kept = np.radians(np.column_stack([np.full(18, -2.0), np.full(18, 1.0), np.full(18, 4.0), np.full(18, 3.0)]))
    kept[0] = np.nan
    figure = figures.distance_figure(distance_versus_distance(counts, edges, exact, estimated, 0.1, kept))
    assert np.allclose(trace(figure, "median").x, 15 + 10 * np.arange(17))
    assert np.allclose(trace(figure, "median").y, 1.0)
    assert np.allclose(trace(figure, "mean absolute").y, 3.0)
    assert np.allclose(trace(figure, "10–90 % of pairs").y, [4.0] * 17 + [-2.0] * 17)
    sampled = figures.distance_figure(distance_versus_distance(counts, edges, exact, estimated, 0.1))
    of_sample = np.degrees(error_by_distance(estimated, exact))
    assert np.allclose(trace(sampled, "median").y, of_sample[~np.isnan(of_sample[:, 1]), 1])
    assert trace(sampled, "10–90 % of sampled pairs")


def test_a_mean_error_of_the_sample_is_told_to_be_one(pairs):
    exact, estimated = pairs
    counts, edges = distance_histogram(estimated, exact)
    whole, sampled = (
        figures.distance_figure(distance_versus_distance(counts, edges, exact, estimated, mae)) for mae in (0.1, None)
    )
    assert whole.layout.annotations[0].text == "L<sub>DE</sub> 5.73° (0.100 rad)"
    mae = np.mean(np.abs(estimated - exact))
    said = f"L<sub>DE</sub> {np.degrees(mae):.3g}° ({mae:#.3g} rad) in a sample of {exact.size:,} pairs"
    assert sampled.layout.annotations[0].text == said


def test_histograms_of_angle_errors(rng):
    errors = np.radians(np.abs(rng.normal(1.0, 0.3, 997)))
    errors = np.concatenate([errors, np.radians([120.0, 150.0, 179.0])])
    before = np.radians(rng.uniform(0, 180, 1000))
    figure = figures.angle_error_figure(angle_errors(errors, before))
    bars_after, bars_before = (t for t in figure.data if t.type == "bar")
    assert sum(bars_after.y) == 997
    assert sum(bars_before.y) == 1000
    assert figure.layout.xaxis.range[1] < 4  # three outliers do not squeeze the others
    assert "3 of 1,000 beyond" in figure.layout.annotations[-1].text
    median, mean = (t for t in figure.data if t.showlegend and t.type == "scatter")
    assert median.x[0] == pytest.approx(np.degrees(np.median(errors)))
    assert mean.x[0] == pytest.approx(np.degrees(np.mean(errors)))
    assert median.name == f"median {np.degrees(np.median(errors)):#.3g}°"
    assert figure.layout.xaxis.title.text.endswith("(°)")


@pytest.mark.parametrize("errors", [np.zeros(5), np.full(5, 1e-9), np.array([np.pi])])
def test_histograms_of_errors_that_are_all_alike(errors):
    figure = figures.angle_error_figure(angle_errors(errors, np.full(len(errors), np.pi)))
    bars_after, bars_before = (t for t in figure.data if t.type == "bar")
    assert sum(bars_after.y) == sum(bars_before.y) == len(errors)


def test_training_curve_shows_validation_where_it_was_measured():
    step = np.array([10.0, 20, 30])
    figure = figures.training_figure(training_curve(step, np.array([1.0, 0.5, 0.2]), np.array([np.nan, 0.1, np.nan])))
    loss, validation = figure.data
    assert list(loss.y) == [1.0, 0.5, 0.2]
    assert list(validation.x) == [20.0]
    assert validation.y[0] == pytest.approx(np.degrees(0.1))
    assert figure.layout.yaxis.type == "log"


def test_recovery_loss_is_on_a_log_axis_unless_it_ends_in_zero():
    figure = figures.recovery_figure(recovery_curve(np.array([1.0, 1e-3, 1e-9])))
    assert list(figure.data[0].y) == [1.0, 1e-3, 1e-9]
    assert figure.layout.yaxis.type == "log"
    assert figures.recovery_figure(recovery_curve(np.array([1.0, 0.0]))).layout.yaxis.type == "linear"


def test_fsc_marks_each_threshold_on_its_own_curve():
    frequencies = np.linspace(0.01, 0.1, 10)
    to_input, halves = np.linspace(1, 0.1, 10), np.linspace(1, 0.01, 10)
    figure = figures.fsc_figure(fourier_shell_correlations(frequencies, to_input, halves, 18.0, 11.7))
    texts = [note.text for note in figure.layout.annotations]
    assert texts == ["0.5: 18.00 Å", "0.143: 11.70 Å"]
    assert [line.y0 for line in figure.layout.shapes] == [0.5, 0.143]
    marks = [t for t in figure.data if t.mode == "markers"]
    assert [(m.x[0], m.y[0]) for m in marks] == [(pytest.approx(1 / 18), 0.5), (pytest.approx(1 / 11.7), 0.143)]
    axis = figure.layout.xaxis
    assert [float(text) for text in axis.ticktext] == pytest.approx([1 / f for f in axis.tickvals])
    assert axis.ticktext[0] == "10"  # Nyquist's


def test_fsc_that_never_falls_says_so():
    frequencies, ones = np.array([0.1, 0.2]), np.ones(2)
    figure = figures.fsc_figure(fourier_shell_correlations(frequencies, ones, 0 * ones, 5.0, None))
    texts = [note.text for note in figure.layout.annotations]
    assert texts[0].endswith("not reached (Nyquist 5.00 Å)")
    assert texts[1].endswith("below from the start")
    assert not [t for t in figure.data if t.mode == "markers"]


def test_a_montage_holds_each_projection_in_its_place(rng):
    images = rng.standard_normal((16, 40, 40)).astype(np.float32)
    montage = np.asarray(picture_figures.projections_figure(images, "x").data[0].z)
    assert montage.shape == (81, 163)
    for number, (top, left) in {0: (0, 0), 3: (0, 123), 5: (41, 41)}.items():
        part, image = montage[top : top + 40, left : left + 40], images[number]
        low, high = np.quantile(image, [0.005, 0.995])
        assert np.allclose(part, np.clip((image - low) / (high - low), 0, 1), atol=1e-6)
    assert np.isnan(montage[40]).all()


def test_a_montage_of_few_and_of_blank_projections():
    montage = np.asarray(picture_figures.projections_figure(np.zeros((3, 8, 8)), "x").data[0].z)
    assert np.nanmax(montage) == 0
    assert np.isnan(montage[:, -8:]).all()


def test_slices_go_through_the_centre(rng):
    density, reference = rng.standard_normal((2, 6, 7, 8))
    figure = picture_figures.slices_figure(density, "reconstruction", reference, np.array([3.4, 2.0, 4.6]), 2.5)
    shown = [np.asarray(t.z) for t in figure.data]
    for volume, (xy, xz, yz) in zip((reference, density), (shown[:3], shown[3:]), strict=True):
        assert np.array_equal(xy, volume[5])
        assert np.array_equal(xz, volume[:, 2])
        assert np.array_equal(yz, volume[:, :, 3])
    assert figure.data[0].dx == 2.5
    assert len(picture_figures.slices_figure(density, "reconstruction", None, np.array([3, 2, 4]), 2.5).data) == 3


def test_a_low_pass_keeps_what_is_coarse_and_takes_what_is_fine():
    x = np.arange(32) * 2.0  # Å
    coarse, fine = np.cos(2 * np.pi * x / 32), np.cos(2 * np.pi * x / 8)
    density = np.broadcast_to(coarse + fine + 1, (4, 5, 32))
    assert np.allclose(
        picture_figures.low_passed(density, 2.0, 16.0), np.broadcast_to(coarse + 1, (4, 5, 32)), atol=1e-5
    )
    assert np.allclose(picture_figures.low_passed(density, 2.0, 1.0), density, atol=1e-5)
