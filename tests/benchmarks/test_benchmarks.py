from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.config.settings import load_config
from engine.geometry import rotations
from engine.imaging.projection import project
from engine.imaging.volume import Volume
from engine.io.loading import load_volume
from engine.poses import pairs
from engine.poses.distance import exact_distances
from tests.benchmark_testing import FACTS, read_csv
from tests.benchmarks import measuring, projector, published, tables
from tests.benchmarks import recovery as recovery_benchmark
from tests.benchmarks.measuring import Store
from tests.benchmarks.rows import (
    COUNT,
    FINGERPRINT_5J0N,
    ROWS,
    SIGNAL_VARIANCE_5J0N,
    cramer_rao_bound,
    is_published_map,
    overrides,
)
from tests.benchmarks.rows import published as published_figures

BY_NAME = {row.name: row for row in ROWS}


class PublishedMap(Volume):
    """Stands for the published map, which is not part of the project."""

    fingerprint = FINGERPRINT_5J0N


@pytest.fixture
def published_map(toy_density) -> Volume:
    return PublishedMap(toy_density, 3.667, np.zeros(3), "5j0n")


def finished(error: float, mae: float = 0.02, wall_s: float = 100.0, **more: float):
    metrics = {"angle_error_median": error, "distance_mae": mae, "recovery_loss": 0.001, "fsc_0.5_angstrom": 8.0}
    cost = {"wall_s": wall_s, "cpu_s": 1.5 * wall_s, "peak_memory_mb": 2048.0}
    return {"status": "finished", "message": "", "metrics": metrics | more, **cost, **FACTS}


FAILED = {"status": "failed", "message": "no disk | left", "metrics": {}, "wall_s": 1.0, "cpu_s": 1.0, **FACTS}


# The rows


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_is_a_valid_experiment_of_1650_projections(row, published_map):
    config = load_config(None, [*overrides(row, "x.mrc", published_map), "seed=2"])
    assert (config.projections.count, config.seed, config.distance.method) == (COUNT, 2, row.distance)
    assert (config.projections.coverage, config.projections.sampling) == (row.coverage, row.sampling)
    assert (config.projections.noise_variance, config.projections.snr) == (row.noise_variance, None)
    assert config.projections.max_shift == row.max_shift_px


def test_all_rows_share_what_is_tuned(published_map):
    default = load_config()
    for row in ROWS:
        config = load_config(None, overrides(row, "x.mrc", published_map))
        assert (config.training, config.recovery, config.pairs) == (default.training, default.recovery, default.pairs)


def test_published_figures_are_those_of_the_issue():
    result = {row.name: published_figures(row).get("angle_error_median") for row in ROWS}
    assert result == {
        "full-so3": 0.1993, "full-so3-noise16": 0.2546, "full-euler": 0.2297, "half-euler": 0.159,
        "half-euler-noise16": 0.418, "half-euler-noise25": 0.725, "half-euler-shift10": 0.149,
        "half-euler-shift20": 0.132, "full-so3-noise16-shift10": None, "exact": 0.0028, "perturbed-0.8": 0.194,
    }  # fmt: skip
    first = published_figures(BY_NAME["full-so3"])
    assert (first["distance_mae"], first["recovery_loss"], first["fsc_0.5_angstrom"]) == (0.215, 0.0664, 12.2)


def test_bound_is_the_stated_one_and_grows_with_the_square_root():
    assert cramer_rao_bound(BY_NAME["full-so3-noise16"]) == pytest.approx(0.0207)
    assert cramer_rao_bound(BY_NAME["half-euler-noise25"]) == pytest.approx(0.0257)
    assert cramer_rao_bound(BY_NAME["full-so3-noise16-shift10"]) == pytest.approx(0.0207 * 1.03)
    four = tables.Row("four", (), noise_variance=4.0)
    assert cramer_rao_bound(four) == pytest.approx(0.0103, abs=2e-4)
    assert cramer_rao_bound(BY_NAME["full-so3"]) is None
    assert cramer_rao_bound(BY_NAME["perturbed-0.8"]) is None


def test_noise_on_another_volume_has_the_published_ratio(toy_volume, published_map):
    row = BY_NAME["full-so3-noise16"]
    other = load_config(None, overrides(row, "1bd2", toy_volume)).projections
    assert other.noise_variance is None
    assert other.snr == pytest.approx(SIGNAL_VARIANCE_5J0N / 16)
    assert load_config(None, overrides(row, "x.mrc", published_map)).projections.noise_variance == 16


def test_the_published_map_is_recognised_and_its_signal_is_as_stated(shared_data):
    volume = load_volume(str(shared_data / "5j0n.mrc"))
    assert is_published_map(volume)
    clean = project(volume, rotations.sample_orientations(64, np.random.default_rng(0)))
    assert clean.var() == pytest.approx(SIGNAL_VARIANCE_5J0N, rel=0.05)
    assert not is_published_map(load_volume("1bd2"))


# The tables


def test_mean_spread_and_ratio_in_the_tables():
    row = BY_NAME["full-so3-noise16"]
    runs = [finished(0.05, 0.08), finished(0.06, 0.08, 200.0), finished(0.07, 0.08, 300.0)]
    summary = tables.Summary(row, runs, comparable=True)
    assert summary.figures["angle_error_median"] == pytest.approx((0.06, 0.01))
    assert summary.ratio == pytest.approx(0.2546 / 0.06)
    errors, _, rest = tables.markdown([summary], "5j0n", []).partition("\n\n")
    assert errors.splitlines()[2] == (
        "| full, so3 | 16 | 0 | 0.278 | 0.0800 ± 0.0000 | 0.255 | 0.0600 ± 0.0100 | 4.24 | 0.0207 | 200 ± 100 |"
    )
    assert "| full-so3-noise16 | 0.075 | 0.042 | yes | 0.0945 |" in rest
    (result,) = read_csv(tables.comma_separated([summary], "5j0n", ["training.steps=50"]))
    assert float(result["angle_error_median_mean"]) == pytest.approx(0.06)
    assert float(result["angle_error_median_sd"]) == pytest.approx(0.01)
    assert float(result["published_over_ours"]) == pytest.approx(0.2546 / 0.06)
    assert (float(result["wall_s_mean"]), float(result["cpu_s_mean"])) == pytest.approx((200.0, 300.0))
    assert (result["met"], result["seeds"], result["failed"], result["cores"]) == ("yes", "3", "0", "2")
    assert (result["machine"], result["settings"]) == ("a CPU", "training.steps=50")


def test_other_figures_and_cost_have_tables_of_their_own():
    text = tables.markdown([tables.Summary(BY_NAME["full-so3"], [finished(0.01, 0.02)], True)], "5j0n", [])
    assert "| full-so3 | 0.02 | 0.005 | yes | 0.0664 | 0.00100 | 12.2 | 8.00 | 7.60 | – |" in text
    assert "| full-so3 | 1 | 100 | 150 | 2.00 |" in text
    assert "Measured on 2026-11-22, a CPU, cores: 2; poselab 0.1.0. Commit abc" in text


@pytest.mark.parametrize(
    ("run", "missed"),
    [
        (finished(0.021), ["E_OR is 0.0210 rad, wanted at most 0.02"]),
        (finished(0.01, mae=0.04), ["L_DE is 0.0400 rad, wanted at most 0.03"]),
        (finished(0.01, **{"fsc_0.5_angstrom": 9.5}), ["FSC 0.5 is 9.50 Å, wanted at most 9"]),
        (finished(0.01, wall_s=601.0), ["wall is 601 s, wanted at most 600"]),
        (finished(0.02, mae=0.03, wall_s=600.0), []),
        (FAILED, ["1 of 1 failed: no disk | left"]),
    ],
)
def test_bars_are_met_or_the_shortfall_is_said(run, missed):
    summary = tables.Summary(BY_NAME["full-so3"], [run], comparable=True)
    assert summary.shortfalls == missed
    assert read_csv(tables.comma_separated([summary], "5j0n", []))[0]["met"] == ("no" if missed else "yes")
    assert (f"- full-so3: {missed[0]}" if missed else " yes |") in tables.markdown([summary], "5j0n", [])


def test_a_failed_seed_is_told_and_does_not_enter_the_mean():
    summary = tables.Summary(BY_NAME["exact"], [finished(1e-7), FAILED], comparable=True)
    assert summary.figures["angle_error_median"][0] == 1e-7
    text = tables.markdown([summary], "5j0n", [])
    assert "| quarter, so3, exact distances | – | – | – | – | 0.00280 | 1.0e-07 | 28,000 | – | 100 |" in text
    assert "| exact | 0.0005 | – | no |" in text
    assert "2 (1 failed)" in text


def test_another_volume_is_compared_with_nothing_published():
    summary = tables.Summary(BY_NAME["full-so3"], [finished(0.5)], comparable=False)
    text = tables.markdown([summary], "1bd2", [])
    assert text.splitlines()[2] == "| full, so3 | 0 | 0 | – | 0.0200 | – | 0.500 | – | – | 100 |"
    assert "| full-so3 | – | – | – | – |" in text
    assert "not the published map" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.01234, "0.0123"), (0.99951, "1.00"), (7.2, "7.20"), (523.4, "523"), (1e-6, "1.0e-06"), (None, "–"),
     (math.nan, "–"), (71_234.0, "71,200")],
)  # fmt: skip
def test_numbers_have_three_digits(value, text):
    assert tables.number(value) == text


@pytest.mark.parametrize(
    ("figure", "text"),
    [((0.001188, 0.0000512), "0.00119 ± 0.00005"), ((405.3, 12.6), "405 ± 13"), ((7.43, 0.0), "7.43 ± 0.00"),
     ((6.04e-8, 1.2e-9), "6.0e-08 ± 1e-09"), ((0.0386, 2e-6), "0.0386 ± 2e-06"), ((0.5, math.nan), "0.500"),
     (None, "–")],
)  # fmt: skip
def test_spreads_have_the_decimals_of_their_mean(figure, text):
    assert tables.spread(figure) == text


# Recovery by itself


@pytest.mark.slow
def test_basins_counts_what_is_lost_and_goes_on(tmp_path: Path, monkeypatch, rng):
    poses = rotations.sample_orientations(30, rng)
    given = exact_distances(rotations.to_quaternion(poses), pairs.all_pairs(30))
    asked = []

    def problems(config, folder):
        def of_seed(seed):
            asked.append((config.projections.coverage, config.projections.noise_variance, seed))
            return dict.fromkeys(("exact", "learned"), (poses, given))

        return of_seed

    monkeypatch.setattr(recovery_benchmark, "problems", problems)
    monkeypatch.setattr(recovery_benchmark, "_COUNTS", (30,))
    recovery_benchmark.basins(1, "1bd2", 0.0, tmp_path)
    assert asked == [("full", 0, 0), ("half", 0, 0), ("quarter", 0, 0)]
    lost = recovery_benchmark.Outcome(loss=0.0212, best_loss=0.02, angle_error=0.3)
    monkeypatch.setattr(recovery_benchmark, "recover", lambda *problem: lost)
    recovery_benchmark.basins(2, "1bd2", 0.0, tmp_path)
    assert asked[3:] == [("full", 0, 1), ("half", 0, 1), ("quarter", 0, 1)]
    recovery_benchmark.basins(1, "1bd2", 16.0, tmp_path)
    assert asked[6:] == [("full", 16, 0), ("half", 16, 0), ("quarter", 16, 0)]
    assert "| 30 | 1 | 1 |" in (tmp_path / "noise-16" / "basins.md").read_text()
    _, _, *lines = (tmp_path / "basins.md").read_text().splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("| full, exact | 30 | 2 | 1 | 1.0600 | 0.15")


# Running and going on


class Runner:
    """Stands for the engine: notes what it is asked, and gives errors by seed."""

    def __init__(self, results):
        self.results, self.asked = results, []

    def __call__(self, settings, log: Path):
        self.asked.append(settings)
        return self.results.pop(0)


def test_finished_runs_are_kept_and_failed_ones_tried_again(tmp_path: Path, published_map):
    store, row = Store(tmp_path), BY_NAME["full-so3"]
    first = Runner([finished(0.01), FAILED])
    published.measure([row], 2, store, "x.mrc", published_map, [], first)
    assert [settings[-1] for settings in first.asked] == ["seed=0", "seed=1"]
    again = Runner([finished(0.03)])
    published.measure([row], 2, store, "x.mrc", published_map, [], again)
    assert [settings[-1] for settings in again.asked] == ["seed=1"]
    (line,) = read_csv((tmp_path / "published.csv").read_text())
    assert (float(line["angle_error_median_mean"]), line["failed"]) == (0.02, "0")
    assert "| 0.199 | 0.0200 ± 0.0141 | 9.96 |" in (tmp_path / "published.md").read_text()


def test_a_killed_benchmark_has_the_tables_of_what_is_done(tmp_path: Path, published_map):
    def killed(settings, log):
        if settings[-1] == "seed=1":
            raise KeyboardInterrupt
        return finished(0.01)

    with pytest.raises(KeyboardInterrupt):
        published.measure([BY_NAME["exact"]], 2, Store(tmp_path), "x.mrc", published_map, [], killed)
    (line,) = read_csv((tmp_path / "published.csv").read_text())
    assert (line["row"], line["seeds"]) == ("exact", "1")


def test_other_settings_begin_anew(tmp_path: Path, published_map):
    store, rows = Store(tmp_path), [BY_NAME["exact"]]
    published.measure(rows, 1, store, "x.mrc", published_map, [], Runner([finished(0.01)]))
    other = Runner([finished(0.02)])
    published.measure(rows, 1, store, "x.mrc", published_map, ["recovery.restarts=9"], other)
    assert "recovery.restarts=9" in other.asked[0]


@pytest.mark.slow
def test_a_real_run_is_measured_from_outside(tmp_path: Path):
    settings = ["projections.count=20", "projections.size=24", "distance.method=exact", "reconstruction.enabled=false"]
    result = measuring.run_engine(settings, tmp_path / "a.log", tmp_path / "runs")
    assert (result["status"], result["reused"]) == ("finished", [])
    assert result["metrics"]["angle_error_median"] < 1e-3
    assert result["wall_s"] > result["seconds"]["total"] > 0
    assert 0.1 < result["cpu_s"] < 60
    assert "recovery" in (tmp_path / "a.log").read_text()


def test_a_run_that_fails_says_why(tmp_path: Path):
    result = measuring.run_engine(["projections.count=3"], tmp_path / "a.log", tmp_path / "runs")
    assert result["status"] == "failed"
    assert result["message"].startswith("projections.count is 3; wanted")


def test_wrong_settings_are_refused_before_anything_runs(tmp_path: Path, capsys):
    arguments = ["--out", str(tmp_path / "out"), "--volume", "1bd2", "--set", "training.stepz=5"]
    assert published.main(arguments) == 2
    assert "nearest known one is 'training.steps'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_stopped_benchmark_says_how_to_go_on(tmp_path: Path, monkeypatch, capsys):
    def stopped(settings, log):
        raise KeyboardInterrupt

    monkeypatch.setattr(published, "run_afresh", stopped)
    assert published.main(["--out", str(tmp_path), "--volume", "1bd2", "--rows", "exact"]) == 1
    assert "the same command goes on from here" in capsys.readouterr().err


# The projector


def test_direct_sums_agree_with_a_discrete_transform_of_the_summed_density(toy_density):
    """Seen along z about voxel n // 2, a projection is the plain sum, padded; its transform is NumPy's."""
    nz, ny, nx = toy_density.shape
    size = 30
    image = np.zeros((size, size))
    image[size // 2 - ny // 2 :, size // 2 - nx // 2 :][:ny, :nx] = toy_density.sum(axis=0, dtype=float)
    result = projector.direct_spectrum(toy_density, np.array([nx // 2, ny // 2, nz // 2]), np.eye(3), size)
    np.testing.assert_allclose(result, np.fft.rfft2(np.fft.ifftshift(image)), atol=1e-9 * toy_density.sum())


def test_the_error_of_the_projector_is_small_and_of_a_wrong_pose_large(toy_volume, rng):
    poses = rotations.sample_orientations(2, rng)
    images = project(toy_volume, poses, 44)
    right = projector.relative_error(images, toy_volume.density, toy_volume.center_index, poses)
    assert right < 1e-3
    assert projector.relative_error(images, toy_volume.density, toy_volume.center_index, poses[::-1]) > 0.1
    assert projector.relative_error(1.01 * images, toy_volume.density, toy_volume.center_index, poses) == pytest.approx(
        0.01, abs=right
    )


def test_padding_keeps_the_middle_voxel_in_the_middle(toy_volume):
    cube = projector.padded_cube(toy_volume, 31)
    nz, ny, nx = toy_volume.density.shape
    assert cube[15, 15, 15] == toy_volume.density[nz // 2, ny // 2, nx // 2]
    assert cube.sum() == pytest.approx(toy_volume.density.sum())
    with pytest.raises(InputError, match="26 voxels wide; wanted at most --size, 20"):
        projector.padded_cube(toy_volume, 20)


def test_results_are_plain_json(tmp_path: Path):
    store = Store(tmp_path)
    store.put("a b/c", ["x=1"], {"status": "finished"})
    assert store.get("a b/c", ["x=1"]) == {"status": "finished"}
    assert store.get("a b/c", ["x=2"]) is None
    assert store.get("other", []) is None
    assert json.loads((tmp_path / "measured" / "a-b-c.json").read_text())["settings"] == ["x=1"]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux can keep a process to some cores")
def test_cores_are_kept_by_children(tmp_path: Path):
    program = (
        "import subprocess, sys; from tests.benchmarks.measuring import use_cores; use_cores(1); "
        "ask = 'import os; print(len(os.sched_getaffinity(0)))'; subprocess.run([sys.executable, '-c', ask])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "1"
