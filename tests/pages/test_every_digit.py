"""A seed that neither a float nor a browser holds, and floats to their last digit, from the command line to a clone."""

from __future__ import annotations

import json
import tomllib

import pytest

from engine.cli.main import main
from engine.config.settings import config_from_dict
from engine.experiment.stage import Source
from engine.experiment.stages import stage_keys
from engine.record import catalogue
from engine.record.runrecord import read_run
from pages._shared import runtable
from tests.app_testing import page, shown

SEED, SHIFT = 2**63 - 1, 0.1 + 0.2
SETTINGS = [
    f"seed={SEED}", f"projections.max_shift={SHIFT!r}", "projections.count=20", "projections.size=16",
    "volume.resolution=20", "distance.method=exact", "reconstruction.enabled=false", "recovery.restarts=2",
]  # fmt: skip


def test_two_seeds_that_are_one_float_share_no_result():
    source = Source("toy", 16, 16**3, 5.0)
    one, other = (stage_keys(config_from_dict({"seed": seed}), source) for seed in (SEED - 1, SEED))
    assert float(SEED - 1) == float(SEED)
    assert not set(one.values()) & set(other.values())


@pytest.mark.slow
@pytest.mark.usefixtures("visited_server")
def test_a_run_keeps_every_digit_from_the_command_line_to_its_clone(runs_dir, capsys):
    assert main(["run", "--json", *(word for text in SETTINGS for word in ("--set", text))]) == 0
    printed = json.loads(capsys.readouterr().out)
    record = read_run(runs_dir / printed["run_id"])
    assert (record.config.seed, record.config.projections.max_shift) == (SEED, SHIFT)
    assert json.loads((record.path / "run.json").read_text())["seed"] == SEED
    assert tomllib.loads((record.path / "config.toml").read_text())["seed"] == SEED

    (row,) = catalogue.list_runs(runs_dir)
    assert (row["seed"], row["config"]["seed"], row["max_shift"]) == (SEED, SEED, SHIFT)
    groups = runtable.View(sort="seed").groups([row, row | {"seed": SEED - 1}, row | {"seed": None}])
    assert [group[0]["seed"] for group in groups] == [SEED, SEED - 1, None]
    cells = runtable.lines(groups, ["seed", "shift"], {}, folded=False, bounds=lambda row: ())
    assert cells["seed"] == [str(SEED), str(SEED - 1), None]
    assert runtable.FACETS["shift"](row) == ["0.30000000000000004 px"]
    assert main(["runs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["seed"] == SEED

    app = page("experiment", clone=record.run_id)
    assert app.text_input(key="seed").value == str(SEED)
    assert app.number_input(key="projections.max_shift").value == SHIFT
    assert config_from_dict(tomllib.loads(app.code[1].value)) == record.config
    app.text_input(key="seed").set_value(str(SEED - 1))
    shown(app)
    assert {f"seed={SEED - 1}", f"projections.max_shift={SHIFT!r}"} < set(app.query_params["set"])
    app.text_input(key="seed").set_value("1e3")
    assert "seed is '1e3'; wanted a whole number from 0 to" in shown(app).error[0].value.replace("\\", "")
