from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.main import main

ROOT = Path(__file__).parents[2]
QUICK = [
    "--set", "projections.count=40", "--set", "projections.size=40", "--set", "distance.method=exact", "--set",
    "volume.resolution=12", "--set", "volume.voxel_size=5",
]  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    runs_dir = tmp_path_factory.mktemp("runs")
    result = subprocess.run(
        [sys.executable, "-m", "engine", "run", *QUICK, "--runs-dir", runs_dir, "--json", "--name", "first"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return runs_dir, result


@pytest.mark.slow
def test_json_is_one_object_on_standard_output_and_progress_elsewhere(done):
    _, result = done
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert set(printed) >= {"run_id", "status", "metrics", "seconds", "peak_memory_mb", "reused"}
    assert printed["status"] == "finished"
    assert {
        "distance_mae", "distance_rmse", "recovery_loss", "angle_error_median", "angle_error_mean",
        "fsc_0.5_angstrom", "fsc_0.143_angstrom",
    } <= set(printed["metrics"])  # fmt: skip
    assert {"projections", "distance", "recovery", "alignment", "reconstruction", "total"} <= set(printed["seconds"])
    assert printed["seconds"]["total"] >= sum(v for k, v in printed["seconds"].items() if k != "total") - 0.01
    assert "recovery" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_runs_can_be_listed_shown_exported_and_rebuilt(done, capsys, tmp_path):
    runs_dir, result = done
    run_id = json.loads(result.stdout)["run_id"]
    at = ["--runs-dir", str(runs_dir)]
    assert main(["runs", "list", *at]) == 0
    assert run_id in capsys.readouterr().out
    assert main(["runs", "show", run_id, "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == json.loads(result.stdout)["metrics"]
    assert main(["runs", "export", run_id, str(tmp_path / "out"), *at]) == 0
    assert (tmp_path / "out" / "poses.star").exists()
    (runs_dir / "catalogue.duckdb").unlink()
    assert main(["runs", "rebuild", *at]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 runs in the catalogue")


def test_an_empty_list_says_what_to_do(tmp_path, capsys):
    assert main(["runs", "list", "--runs-dir", str(tmp_path / "none")]) == 0
    assert "no runs yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--set", "projections.cuont=4"], "nearest known one is 'projections.count'"),
        (["run", "--set", "volume.source=nothing.mrc"], "nothing.mrc"),
        (["run", "nowhere.toml"], "nowhere.toml"),
        (["run", "--set", "projections.coverage=[[0, 360], [90, 10], [0, 360]]"], "empty or reversed"),
        (["run", "--set", "projections.snr=1", "--set", "projections.noise_variance=1"], "both given"),
        (["runs", "show", "../../etc/passwd"], "is not a run id"),
        (["runs", "show", "20260101-000000-x-000000"], "no run 20260101-000000-x-000000"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(arguments, message, tmp_path, capsys):
    runs_dir = tmp_path / "runs"
    assert main([*arguments, "--runs-dir", str(runs_dir)]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert not runs_dir.exists()


def test_an_unwritable_runs_directory_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["run", *QUICK, "--runs-dir", str(tmp_path / "file" / "runs")]) == 2
    assert "cannot write to the runs directory" in capsys.readouterr().err


def test_help_names_every_command_and_loads_no_heavy_library():
    code = (
        "import sys, engine.cli.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([x for x in ('tensorflow', 'scipy', 'duckdb', 'pandas') if x in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    assert all(word in result.stdout for word in ("run", "generate", "runs"))
