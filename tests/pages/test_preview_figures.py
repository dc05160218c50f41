"""What is shown before an experiment runs: few projections that are like the run's own, and words for their noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.figures import densities, projections
from engine.base.randomness import stream
from engine.imaging import simulation
from engine.imaging.noise import NoiseModel
from engine.imaging.simulation import Acquisition
from engine.imaging.volume import Volume
from pages._experiment import preview_figures
from tests.conftest import gaussians


@pytest.fixture(scope="module")
def large() -> Volume:
    """A smooth object of 4 Gaussians on 110 voxels a side: a preview looks at it with voxels twice as large."""
    density = gaussians((110, 110, 110), [(20, 0, 5), (-15, 10, 0), (0, -20, 10), (5, 5, -25)], [8] * 4, [1, 2, 1, 1.5])
    return Volume(density, 1.5, np.zeros(3), "large")


def test_a_preview_of_a_small_volume_is_what_a_run_simulates(toy_volume):
    settings = Acquisition(noise_variance=4.0, max_shift=2)
    seen = simulation.preview(toy_volume, settings, 6, stream(3, "test projections"))
    run = simulation.simulate(toy_volume, settings, 6, stream(3, "test projections"), shown=6)
    assert np.array_equal(seen.images, run.images)
    assert np.array_equal(seen.truth.clean, run.truth.clean)
    assert seen.noise == run.noise


def test_a_preview_of_a_large_volume_says_the_same_on_coarser_pixels(large):
    settings = Acquisition(noise_variance=400.0, max_shift=6)
    seen = simulation.preview(large, settings, 8, stream(3, "test projections"))
    run = simulation.simulate(large, settings, 8, stream(3, "test projections"), shown=8)
    assert seen.images.shape[-1] == large.diagonal // 2
    assert seen.truth.clean.max() == pytest.approx(run.truth.clean.max(), rel=0.02)  # in the same units
    assert seen.noise.variance == 400.0
    assert seen.noise.snr == pytest.approx(run.noise.snr, rel=0.03)
    assert np.abs(seen.shifts).max() == pytest.approx(np.abs(run.shifts).max())
    # White noise averaged over four pixels has a quarter of the variance.
    still = simulation.preview(large, replace(settings, max_shift=0.0), 8, stream(3, "test projections"))
    assert np.var(still.images - still.truth.clean) == pytest.approx(100.0, rel=0.05)


def test_an_snr_is_kept_on_coarser_pixels(large):
    seen = simulation.preview(large, Acquisition(snr=0.5), 8, stream(3, "test projections"))
    signal = np.var(seen.truth.clean, dtype=float)
    assert seen.noise.snr == pytest.approx(0.5)
    assert seen.noise.variance == pytest.approx(signal / 0.5, rel=1e-6)


def test_a_large_frame_is_previewed_on_coarser_pixels_too(toy_volume):
    seen = simulation.preview(toy_volume, Acquisition(size=1000), 2, stream(0, "test projections"))
    assert seen.images.shape[-1] <= 160


def test_each_projection_stands_above_what_is_recorded(toy_volume):
    images = simulation.preview(
        toy_volume, Acquisition(noise_variance=1.0), preview_figures.MEASURED, stream(0, "test projections")
    )
    data = projections.before_and_after(images.truth.clean, images.images, preview_figures.SHOWN)
    figure = preview_figures.before_and_after_figure(data)
    size = images.images.shape[-1]
    shown = np.asarray(figure.data[0].z)
    above, beneath = shown[:size, :size], shown[-size:, :size]
    assert np.corrcoef(above.ravel(), images.truth.clean[0].ravel())[0, 1] > 0.98
    assert np.corrcoef(beneath.ravel(), images.images[0].ravel())[0, 1] > 0.98
    assert {note.text for note in figure.layout.annotations} == {"clean", "as recorded"}


def test_noise_is_given_both_ways(toy_volume):
    images = simulation.preview(toy_volume, Acquisition(), 4, stream(0, "test projections"))
    quiet = replace(images, noise=NoiseModel())
    assert (
        preview_figures.noise_text(quiet)
        == f"no noise (signal variance {np.var(images.truth.clean, dtype=float):#.3g})"
    )
    noisy = replace(images, noise=NoiseModel(16.0, 0.05))
    assert preview_figures.noise_text(noisy) == "SNR 0.0500 (noise variance 16.0, signal variance 0.800)"


def test_slices_of_a_large_volume_are_small(large):
    figure = preview_figures.slices_figure(densities.volume_slices(large))
    assert len(figure.data) == 3
    assert np.shape(figure.data[0].z) == (110, 110)
    huge = replace(large, density=np.tile(large.density, (1, 1, 4)))
    figure = preview_figures.slices_figure(densities.volume_slices(huge))
    assert max(max(np.shape(trace.z)) for trace in figure.data) <= 128
    assert figure.data[0].dx == 1.5 * 4
    assert "1.5 Å per voxel" in figure.layout.title.text


@pytest.mark.parametrize(("size", "wanted"), [(6.4e8, "640 MB"), (1.44e9, "1.4 GB")])
def test_memory_in_words(size, wanted):
    assert preview_figures.memory_text(size) == wanted
