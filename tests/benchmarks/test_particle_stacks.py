"""The benchmark of generated stacks: its commands are ones that the engine takes; it goes on where it was stopped."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from engine.cli.generate_arguments import read_arguments
from engine.config.settings import load_config
from tests.benchmark_testing import FACTS, read_csv
from tests.benchmarks import particle_stacks
from tests.benchmarks.measuring import Store

ROW = particle_stacks.ROWS[0]


def test_commands_are_ones_that_the_engine_takes(tmp_path, capsys):
    assert particle_stacks.main(["--commands", "--out", str(tmp_path)]) == 0
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    made = [read_arguments(words[4:]) for words in lines if words[3] == "generate"]
    runs = [load_config(None, words[5::2]) for words in lines if words[3] == "run"]
    assert [(request.count, request.particles.size, request.noise_variance) for request in made] == [
        *3 * [(1650, 116, 16.0)], (10_000, 64, 0.0),
    ]  # fmt: skip
    assert {request.seed for request in made[:3]} == {config.seed for config in runs[:3]} == {0, 1, 2}
    assert [Path(request.paths[2]) for request in (*made, made[-1])] == [Path(c.particles.source) for c in runs]
    assert [config.training.on for config in runs] == [*3 * ["reference"], "particles", "reconstruction"]
    assert not list(tmp_path.iterdir())


def test_what_was_measured_is_kept_and_a_changed_setting_begins_anew(tmp_path):
    made, ran = [], []

    def generate(arguments, log):
        made.append(arguments)
        Path(arguments[arguments.index("-out") + 1]).touch()

    def run(settings, log):
        ran.append(settings)
        metrics = {"frame_angle_error_median": 0.1 + 0.01 * len(ran), "frame_share_below_10_degrees": 0.7}
        return {"status": "finished", "message": "", "metrics": metrics, "wall_s": 9.0, "cpu_s": 8.0,
                "peak_memory_mb": 900.0, **FACTS}  # fmt: skip

    store = Store(tmp_path)
    for extra in ([], [], ["training.steps=9"]):
        particle_stacks.measure([ROW], 2, store, extra, generate, run)
    assert (len(made), len(ran)) == (2, 4)
    text = particle_stacks.write_tables(store, [ROW], 2, ["training.steps=9"])
    assert "| 5j0n-1650 | frame_angle_error_median | 0.15 | 0.135 ± 0.007 |" in text
    assert [line["frame_angle_error_median"] for line in read_csv((tmp_path / "particle_stacks.csv").read_text())] == [
        "0.13", "0.14",
    ]  # fmt: skip


def test_a_failed_run_is_counted_and_tried_again(tmp_path):
    def run(settings, log):
        return {"status": "failed", "message": "no disk", "metrics": {}, "wall_s": 1.0, "cpu_s": 1.0, **FACTS}

    store = Store(tmp_path)
    particle_stacks.measure([ROW], 1, store, [], lambda arguments, log: None, run)
    assert "1 (1 failed)" in particle_stacks.write_tables(store, [ROW], 1, [])


def test_a_map_that_is_not_there_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(particle_stacks.MAPS, "5j0n", tmp_path / "none.mrc")
    assert particle_stacks.main(["--out", str(tmp_path)]) == 2
    assert "none.mrc is not there; it lies beside the project on some machines" in capsys.readouterr().err


def test_wrong_arguments_are_refused(capsys):
    with pytest.raises(SystemExit):
        particle_stacks.main(["--rows", "6j0n"])
    assert "invalid choice: '6j0n'" in capsys.readouterr().err
