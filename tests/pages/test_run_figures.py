"""All figures of a run: each has data, a way to be drawn, and a table with its numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.base.errors import InputError
from pages._run import run_data, run_figures
from tests.figure_testing import assert_csv_holds

READING = run_data.direct_reading()
IN_SECTIONS, OF_PARTICLES = (
    {key for rows in sections.values() for columns in rows for column in columns for key in column}
    for sections in (run_data.SECTIONS, run_data.OF_PARTICLES)
)
WITHOUT = {"training", "refined", "refined-fsc"}
"""What a run without network and refinement has not."""


def test_everything_that_is_shown_has_data_and_is_drawn():
    assert run_data.DATA.keys() == run_figures.DRAWN.keys() == IN_SECTIONS | OF_PARTICLES | {"distances-points"}


@pytest.mark.parametrize("key", sorted((IN_SECTIONS | {"distances-points"}) - WITHOUT))
def test_the_table_of_a_figure_has_its_numbers(finished, key):
    data = run_data.figure_data(key, finished, READING)
    assert_csv_holds(data)
    assert run_data.csv(key, finished, READING) == data.to_csv()
    assert data.name == key.removesuffix("-points")
    assert data.caption.endswith(".")
    drawn = run_figures.draw(key, finished, READING)
    assert drawn.layout.title.text == data.title


@pytest.mark.parametrize("key", sorted(WITHOUT | (OF_PARTICLES - IN_SECTIONS)))
def test_a_figure_that_a_run_has_not_is_neither_drawn_nor_a_table(finished, key):
    assert run_figures.draw(key, finished, READING) is None
    with pytest.raises(InputError, match=f"{key.replace('-', ' ')}: the run's file is no longer there"):
        run_data.csv(key, finished, READING)


def test_the_curve_of_a_training_is_the_one_that_the_run_left(finished):
    steps = np.array([[10, 1.5, np.nan], [20, 0.5, 0.2]])
    np.savez(finished.path / "training.npz", curve=steps)
    loss, validation = (panel.series[0] for panel in run_data.figure_data("training", finished, READING).panels)
    assert loss.columns["y"].tolist() == [1.5, 0.5]
    assert validation.columns["y_rad"].tolist() == [0.2]


def test_refined_poses_stand_above_those_before(finished):
    poses = dict(np.load(finished.path / "poses.npz"))
    np.savez(finished.path / "refined.npz", **poses | {"errors": np.full(60, 0.001)})
    after, before = run_data.figure_data("refined", finished, READING).panels
    assert (after.title, before.title) == ("after refinement", "before refinement")
    assert after["median"].columns["x"][0] == pytest.approx(np.degrees(0.001))
    assert before["median"].columns["x"][0] == pytest.approx(np.degrees(np.median(poses["errors"])), abs=1e-6)


@pytest.mark.parametrize("key", ["nearest-by-pose", "nearest-by-estimate", "recall"])
def test_without_poses_there_are_no_neighbours_and_the_spectrum_of_the_estimate(finished, key):
    (finished.path / "poses.npz").unlink()
    assert run_data.figure_data(key, finished, READING) is None
    spectrum = run_data.figure_data("spectrum", finished, READING).panel
    assert [series.name for series in spectrum.series if series.kind == "bars"] == ["estimated distances"]


def test_the_reconstruction_is_in_another_colour_than_the_input(finished):
    both = run_figures.draw("surface", finished, READING)
    assert [mesh.name for mesh in both.data] == ["input", "reconstruction"]
    alone = run_figures.draw("surface", replace(finished, config=None), READING)
    assert [mesh.name for mesh in alone.data] == ["reconstruction"]
    assert alone.data[0].color == both.data[1].color != both.data[0].color


def test_a_file_of_another_version_is_named(finished):
    np.savez(finished.path / "distances.npz", something=np.zeros(3))
    with pytest.raises(InputError, match="distances: the run's file lacks 'exact'"):
        run_figures.draw("distances", finished, READING)
