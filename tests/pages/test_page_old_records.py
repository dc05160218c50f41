"""Records that earlier versions left, in the app: they open, compare and can be cloned as what they were."""

from __future__ import annotations

import shutil
import tomllib

import pytest

from engine.analysis import comparison
from engine.config.history import ADDED, SCIENCE
from engine.config.schema import Config
from engine.config.settings import config_from_dict, config_to_dict
from engine.record.runlog import RunWriter
from engine.record.runrecord import read_run
from pages._compare import compare_table
from tests.app_testing import ROOT, page, texts

RECORDS = ROOT / "tests" / "data" / "records"
IDS = sorted(path.name for path in RECORDS.iterdir())

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


@pytest.fixture
def old(runs_dir):
    """The directory of all old records."""
    return shutil.copytree(RECORDS, runs_dir)


@pytest.mark.parametrize("run_id", IDS)
def test_an_old_run_opens_with_who_launched_it(old, run_id):
    app = page("run", run_id)
    assert "by student on lab" in texts(app.caption)
    assert not app.error


@pytest.mark.parametrize("run_id", IDS)
def test_a_clone_is_what_the_old_run_used_not_todays_default(old, run_id):
    app = page("experiment", clone=run_id)
    assert not app.warning
    cloned, kept = config_from_dict(tomllib.loads(app.code[1].value)), read_run(old / run_id).config
    differences = comparison.differences([{"config": config_to_dict(config)} for config in (cloned, kept)])
    assert differences.keys() <= {"distance.feature_dim"}, "the network's, which the form has for no other distances"
    table = tomllib.loads((old / run_id / "config.toml").read_text())
    assert cloned.recovery.calibrate is table["recovery"].get("calibrate", ADDED["recovery.calibrate"])


def test_old_runs_are_compared_with_one_of_today(old):
    config = read_run(old / IDS[-1]).config
    assert isinstance(config, Config)
    with RunWriter.create(old, config, ["test"]) as run:
        run.finish({"distance_mae": 0.2})
    app = page("compare", runs=",".join([*IDS, run.run_id]))
    assert not app.error
    assert not app.warning
    (parameters,) = (table.value for table in app.dataframe if "parameter" in table.value.columns)
    versions = parameters[parameters["parameter"] == "science version"].iloc[0].tolist()[1:]
    assert [value.removeprefix(compare_table.DIFFERS) for value in versions] == ["1"] * len(IDS) + [str(SCIENCE)]
    assert versions[-1].startswith(compare_table.DIFFERS)
