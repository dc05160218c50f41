"""Runs on recorded particles in the table of runs, in comparisons and on the factors' pages, beside simulations."""

from __future__ import annotations

import pytest

from engine.experiment.pipeline import run_experiment
from engine.record import catalogue
from engine.service.actor import Actor
from tests.app_testing import QUICK, charts, page, texts

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]
ME = Actor("somebody")


@pytest.fixture
def mixed(on_particles, runs_dir) -> list[str]:
    """The ids of a simulation and of two runs on particles, the first with reference poses."""
    simulated = run_experiment(QUICK, runs_dir, ["engine"], name="simulated")
    catalogue.rebuild(runs_dir)
    return [simulated.run_id, on_particles["with"].run_id, on_particles["without"].run_id]


def test_the_table_of_runs_names_the_stack_and_the_error_in_the_frame(mixed):
    app = page("runs")
    assert not app.error
    (table,) = app.dataframe
    rows = table.value.set_index("name")
    assert rows.loc["with", "particles"] == rows.loc["without", "particles"] == "particles.star"
    assert rows.loc["with", "protein"] == "map.mrc"
    assert rows.loc["with", "noise"] == ""
    assert rows.loc["simulated", "noise"] == "none"
    assert rows.loc["with", "frame error"]
    assert not isinstance(rows.loc["without", "frame error"], str)


@pytest.mark.parametrize(
    ("section", "drawn", "said"),
    [
        ("Overview", 1, ""), ("Distances", 1, "No distances: B, C (recorded particles)."),
        ("Angle errors", 1, "B: recorded particles, against the poses that came with them"), ("Losses", 2, ""),
        ("Projections", 2, "No projections: B, C (recorded particles)."),
        ("Directions", 2, "B: recorded particles, against the poses that came with them"),
    ],
)  # fmt: skip
def test_they_are_compared_with_simulations(mixed, section, drawn, said):
    app = page("compare", runs=",".join(mixed), section=section)
    assert not app.error
    assert not app.warning
    assert len(charts(app)) == drawn
    assert said in texts(app.caption).replace("\\", "")


def test_a_setting_that_an_experiment_does_not_have_is_a_dash(mixed):
    app = page("compare", runs=",".join(mixed))
    table = next(frame.value for frame in app.dataframe if "parameter" in frame.value).set_index("parameter")
    count = [cell.removeprefix("≠ ") for cell in table.loc["projections.count"]]
    assert count == ["60", "–", "–"]
    assert [cell.removeprefix("≠ ") for cell in table.loc["particles.half"]] == ["–", "both", "both"]
    assert table.loc["particles.source"].iloc[0] == "none: simulated"


@pytest.mark.parametrize("name", ["coverage", "noise", "sampling", "recovery", "mismatch"])
def test_the_pages_of_factors_leave_them_out(mixed, name):
    app = page(name)
    assert not app.error
    assert not app.warning
