from __future__ import annotations

import csv
import json
import re
import time
from pathlib import Path

import pytest

from engine.base.errors import InputError
from engine.cli.main import main
from engine.config.schema import Config
from engine.config.settings import config_from_dict
from engine.dispatch import runqueue
from engine.experiment import estimate
from engine.experiment.sweep import Sweep, changed, expand, load_sweep, new_id, studies, study, sweep_to_toml
from engine.io.loading import load_volume
from engine.record.runrecord import read_run

ROOT = Path(__file__).parents[2]
QUICK = [
    "--set", "projections.count=30", "--set", "projections.size=40", "--set", "distance.method=exact", "--set",
    "volume.resolution=12", "--set", "volume.voxel_size=5", "--set", "reconstruction.enabled=false",
    "--set", "recovery.restarts=5",
]  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


# Expanding ----------------------------------------------------------------------------------------------------------


def test_every_combination_is_a_run_and_the_last_key_varies_fastest():
    sweep = Sweep("two", "", {"projections": {"count": 50}}, {"projections.noise_variance": [0, 16.5], "seed": [3, 4]})
    runs = expand(sweep)
    assert [name for name, _ in runs] == [
        "two: noise_variance=0, seed=3", "two: noise_variance=0, seed=4", "two: noise_variance=16.5, seed=3",
        "two: noise_variance=16.5, seed=4",
    ]  # fmt: skip
    assert [config for _, config in runs] == [
        config_from_dict({"seed": seed, "projections": {"count": 50, "noise_variance": noise}})
        for noise in (0, 16.5)
        for seed in (3, 4)
    ]
    assert sweep.base == {"projections": {"count": 50}}, "expanding changes nothing"


def test_without_varied_keys_there_is_one_run():
    assert expand(Sweep("one")) == [("one", Config())]


def test_what_may_be_left_out_can_be_one_of_the_values():
    sweep = Sweep("", "", {"projections": {"snr": 3.0}}, {"projections.snr": [None, 0.1]})
    assert [(name, config.projections.snr) for name, config in expand(sweep)] == [("snr=none", None), ("snr=0.1", 0.1)]


def test_keys_with_the_same_last_part_are_told_apart():
    vary = {"reconstruction.iterations": [5], "refinement.iterations": [2]}
    assert [name for name, _ in expand(Sweep("s", "", {}, vary))] == [
        "s: reconstruction.iterations=5, refinement.iterations=2"
    ]


@pytest.mark.parametrize(
    ("base", "vary", "message"),
    [
        (
            {},
            {"projections.cuont": [1]},
            "unknown key 'projections.cuont'; the nearest known one is 'projections.count",
        ),
        ({}, {"projections": [1]}, "unknown key 'projections'"),
        ({}, {"seed": []}, "sweep over seed: no values"),
        ({}, {"seed": 5}, r"sweep over seed: 5; wanted a list of values such as \[0, 16\]"),
        ({}, {"seed": "0:9"}, "sweep over seed: '0:9'; wanted a list"),
        ({}, {"seed": [0, -1]}, r"run seed=-1: seed is -1; wanted a whole number from 0 to 9,223"),
        ({}, {"projections.coverage": ["full", "whole"]}, "run coverage=whole: "),
        ({}, {"seed": [1, 2, 1]}, "runs seed=1 and seed=1 are the same experiment"),
        ({"projections": {"snr": 1}}, {"projections.noise_variance": [2]}, "are both given"),
        ({"projections": 3}, {"projections.count": [5]}, "projections is 3; wanted a table"),
        ({"projections": {"cuont": 3}}, {}, "nearest known one is 'projections.count'"),
        ({}, {"seed": list(range(50)), "recovery.restarts": list(range(1, 22))}, r"50 x 21 = 1,050 runs; wanted at m"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_named(base, vary, message):
    with pytest.raises(InputError, match=message) as error:
        expand(Sweep("s", "", base, vary))
    assert "\n" not in str(error.value)


def test_a_thousand_runs_are_allowed():
    runs = expand(Sweep("s", "", {}, {"seed": list(range(1000))}))
    assert [config.seed for _, config in runs] == list(range(1000))


# Files --------------------------------------------------------------------------------------------------------------


def test_a_sweep_is_read_and_written_back_equal(written):
    sweep = load_sweep(
        written("""
name = "a"
description = 'says "what"'
[base]
seed = 3
projections.count = 50
[vary]
"projections.snr" = ["none", 0.1]
projections.coverage = ["half", [[0, 90], [0, 45], [0, 10]]]
seed = [0, 1]
""")
    )
    assert sweep.base == {"seed": 3, "projections": {"count": 50}}
    assert sweep.vary == {
        "projections.snr": [None, 0.1], "projections.coverage": ["half", [[0, 90], [0, 45], [0, 10]]], "seed": [0, 1],
    }  # fmt: skip
    assert len(expand(sweep)) == 8
    assert load_sweep(written(sweep_to_toml(sweep))) == sweep


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[vary", "mine.toml is not TOML"),
        ("name = 3\n[vary]\nseed = [1]", "name is 3; wanted a text"),
        ("vary = 3", "vary is 3; wanted a table"),
        ("[varry]\nseed = [1]", r"unknown part 'varry'; wanted name, description, \[base\] and \[vary\]"),
        ("[vary]\nseed = []", "mine.toml: sweep over seed: no values"),
        ("[vary]\nsede = [1]", "mine.toml: unknown key 'sede'; the nearest known one is 'seed'"),
    ],
)
def test_a_file_that_is_no_sweep_is_told(written, text, message):
    with pytest.raises(InputError, match=message):
        load_sweep(written(text))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"none.toml: No such file"):
        load_sweep(tmp_path / "none.toml")


def test_a_sweep_without_a_name_has_its_files(written):
    assert load_sweep(written("[vary]\nseed = [1]")).name == "mine"


def test_what_is_set_is_not_varied_and_what_is_varied_anew_replaces():
    sweep = Sweep("s", "d", {"seed": 1}, {"projections.noise_variance": [0, 5], "seed": [1, 2]})
    other = changed(sweep, ["seed=7", "projections.count=40"], ["projections.noise_variance=[16]"])
    assert other.base == {"seed": 7, "projections": {"count": 40}}
    assert other.vary == {"projections.noise_variance": [16]}
    assert changed(sweep, [], ['projections.snr=["none", 2]']).vary["projections.snr"] == [None, 2]
    assert (sweep.base, sweep.vary["seed"]) == ({"seed": 1}, [1, 2])
    for vary, message in (
        ("seed", r"wanted section.key=\[value, value\]"),
        ("seed=[1", "wanted a list such as"),
        ("seed=3", "sweep over seed: 3; wanted a list"),
        ("sede=[3]", "nearest known one is 'seed'"),
    ):
        with pytest.raises(InputError, match=message):
            changed(sweep, [], [vary])


def test_ids_of_sweeps_are_plain_and_differ():
    ids = {new_id(Sweep(name)) for name in ("../Noise & <b>", "../Noise & <b>", "", "x" * 300)}
    assert len(ids) == 4
    assert all(re.fullmatch(r"[a-z0-9-]{1,40}-[0-9]{8}-[0-9]{6}-[0-9a-f]{4}", word) for word in ids)
    assert sum(word.startswith("noise-b-") for word in ids) == 2


# Studies ------------------------------------------------------------------------------------------------------------


def published(kind: str) -> list[dict[str, str]]:
    lines = (ROOT / "engine/data/published-results.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return [row for row in rows if row["experiment"].startswith(kind) and row["protein"] == "5j0n"]


def test_the_studies_repeat_the_published_experiments():
    assert {name: len(expand(study)) for name, study in studies().items()} == {
        "noise": 6, "shift": 5, "feature-dimension": 8, "distance-head": 2, "perturbed-distances": 9, "coverage": 3,
        "orientation-sampling": 2, "pair-sampling": 4, "recovery-pairs": 4, "close-pairs": 6, "initialisation": 12,
        "unseen": 9, "symmetry": 3, "defocus": 5, "noise-spectrum": 2, "mismatch-defocus": 5, "mismatch-noise": 5,
        "mismatch-reference": 5,
    }  # fmt: skip
    for name, result in studies().items():
        assert result.name == name
        assert result.description
        if name in ("unseen", "symmetry") or name.startswith("mismatch-"):  # of which nothing is published
            continue
        for _, config in expand(result):
            assert (config.volume.source, config.volume.resolution) == ("pdb:5j0n", 11)
            assert (config.projections.count, config.projections.size) == (1650, 116)
    assert [(c.volume.symmetry, c.volume.symmetrize) for _, c in expand(study("symmetry"))] == [
        ("C1", "oligomer"), ("C2", "oligomer"), ("D2", "oligomer"),
    ]  # fmt: skip
    assert study("shift").vary == {"projections.max_shift": [0, 5, 10, 15, 20]}
    assert study("feature-dimension").vary == {"distance.feature_dim": [4, 8, 16, 32, 64, 128, 256, 512]}
    assert study("pair-sampling").vary == {"pairs.strategy": ["random", "knn", "knn+random", "uniform"]}
    assert study("recovery-pairs").vary == {"recovery.pairs": ["all", "random", "knn", "knn+random"]}
    assert study("close-pairs").vary == {"recovery.max_distance": [0.8, 1.2, 1.6, 2.0, 2.4, None]}
    with pytest.raises(InputError, match="no study 'nois'; wanted one of close-pairs, coverage, "):
        study("nois")


@pytest.mark.parametrize(
    ("name", "key", "right"),
    [
        ("mismatch-defocus", "projections.defocus_error", 0), ("mismatch-noise", "training.noise_factor", 1),
        ("mismatch-reference", "training.reference_missing", 0),
    ],
)  # fmt: skip
def test_a_study_of_a_mismatch_is_cheap_and_has_a_run_without(name, key, right):
    runs = expand(study(name))
    assert list(study(name).vary) == [key]
    assert right in study(name).vary[key]
    assert len({config.model_dump_json() for _, config in runs}) == len(runs)
    for _, config in runs:
        assert (config.volume.source, config.training.steps, config.reconstruction.enabled) == ("1bd2", 800, False)
    assert estimate.total([config for _, config in runs]).seconds < 5 * 120


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("noise", "noise"), ("shift", "shift"), ("feature-dimension", "feature_dim"),
        ("distance-head", "distance_head"), ("perturbed-distances", "perturbed"),
    ],
)  # fmt: skip
def test_a_study_has_the_coverage_and_sampling_of_its_published_rows(name, kind):
    wanted = {(row["coverage"], row["orientation_sampling"]) for row in published(kind)}
    assert {(c.projections.coverage, c.projections.sampling) for _, c in expand(study(name))} == wanted


def test_the_noise_study_has_the_published_ratios_of_signal_to_noise(shared_data):
    from engine.base.randomness import stream
    from engine.config.numeric import acquisition_of
    from engine.imaging.simulation import preview

    _, clean = expand(study("noise"))[0]
    volume = load_volume(str(shared_data / "5j0n.mrc"), voxel_size=clean.volume.voxel_size)
    variances = [float(row["noise_variance"]) for row in published("noise")]
    assert variances == [0, 5, 10, 16, 20, 25]
    some = preview(volume, acquisition_of(clean.projections), 200, stream(1, "test projections"))
    signal = some.truth.clean.astype(float).var()
    ratios = [config.projections.snr for _, config in expand(study("noise"))]
    assert ratios[0] is None
    assert ratios[1:] == pytest.approx([signal / variance for variance in variances[1:]], rel=0.05)
    levels = [float(row["experiment"].partition("=")[2]) for row in published("perturbed")]
    assert study("perturbed-distances").vary == {"distance.perturbation_variance": levels}


# Command line -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_sweep_is_queued_run_and_recorded(runs_dir, capsys):
    assert main(["sweep", *QUICK, "--vary", "seed=[1, 2]"]) == 0
    printed = capsys.readouterr()
    run_ids = printed.out.split()
    assert len(run_ids) == 2
    assert "2 runs queued as sweep-" in printed.err
    until = time.monotonic() + 120
    while not all((runs_dir / run_id / "result.json").exists() for run_id in run_ids):
        assert time.monotonic() < until
        time.sleep(0.1)
    first, second = (read_run(runs_dir / run_id) for run_id in run_ids)
    assert (first.status, second.status) == ("finished", "finished")
    assert (first.name, second.name) == ("sweep: seed=1", "sweep: seed=2")
    assert first.sweep == second.sweep == re.search(r"queued as (\S+);", printed.err)[1]
    assert first.created < second.created
    assert main(["runs", "list", "--json"]) == 0
    assert {row["sweep"] for row in json.loads(capsys.readouterr().out)} == {first.sweep}


def test_the_queue_is_listed_and_changed(runs_dir, monkeypatch, capsys):
    monkeypatch.setattr(runqueue, "ensure_worker", lambda folder: None)
    assert main(["sweep", *QUICK, "--vary", "seed=[1, 2, 3]"]) == 0
    a, b, c = capsys.readouterr().out.split()
    assert main(["queue", "withdraw", b]) == 0
    assert main(["queue", "set", "2"]) == 0
    (runs_dir / runqueue.FOLDER / c / "job.json").write_text("{")
    capsys.readouterr()
    assert main(["queue", "list"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["1 waiting, 2 at a time", f"   1  {a}  sweep: seed=1"]
    assert printed.err.startswith(f"warning: queued run {c} is skipped: its job.json is damaged")
    assert main(["queue", "withdraw", b]) == 2
    assert "is not waiting in the queue" in capsys.readouterr().err


def test_a_dry_run_tells_the_runs_and_the_time_and_queues_nothing(runs_dir, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("POSELAB_CACHE", str(tmp_path / "cache"))
    assert main(["sweep", "--study", "noise", "--set", "projections.snr=1", "--vary", "seed=[1, 2]", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["noise: seed=1", "noise: seed=2"]
    assert re.match(r"2 runs; about \d+ min one after the other \(from other machines\), 1.\d GB; pdb:5j0n", lines[2])
    assert not runs_dir.exists()


def test_the_studies_are_listed(capsys):
    assert main(["sweep", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(studies())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep"], "nothing varies; give a STUDY.toml"),
        (["sweep", "none.toml"], "none.toml: No such file"),
        (["sweep", "none.toml", "--study", "noise"], "are both given"),
        (["sweep", "--vary", "seed=[1, -1]"], "run seed=-1: seed is -1"),
        (["queue", "set", "0"], "0 runs at a time; wanted 1 to 64"),
        (["queue", "withdraw", "../x"], "is not a run id"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(arguments, message, runs_dir, capsys):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not list(runs_dir.glob("2*"))


def test_the_study_of_unseen_proteins():
    runs = expand(study("unseen"))
    assert len(runs) == 9
    assert {result.volume.source for _, result in runs} == {"1bd2", "6msm", "1tii"}
    assert {result.training.volumes for _, result in runs} == {("random:1:10",), ("random:1:100",), ("random:1:400",)}
    assert runs[0][0] == "unseen: volumes=random:1:10, source=1bd2"
