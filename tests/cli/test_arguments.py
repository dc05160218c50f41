"""What is typed: numbers below zero however they are written, empty texts, complaints of one line."""

from __future__ import annotations

import argparse

import pytest

from engine.base.errors import InputError
from engine.cli.arguments import Once, Strict, require_once
from engine.cli.main import main


@pytest.mark.parametrize("typed", ["-1", "-1.", "-.5", "-0.5", "-1e-3", "-1.e3", "-1E+3", "-1_000", "-inf", "-NaN"])
def test_a_negative_number_is_a_value(typed):
    parser = Strict(prog="x")
    parser.add_argument("-in", "--input")
    parser.add_argument("-shift", type=float, action="append")
    parsed = parser.parse_args(["-shift", typed, "-in", "a", "-shift", typed])
    assert [f"{value:g}" for value in parsed.shift] == [f"{float(typed):g}"] * 2


@pytest.mark.parametrize("typed", ["-1a", "-e3", "-", "--1", "-1e"])
def test_what_only_begins_like_a_number_is_none(typed):
    parser = Strict(prog="x")
    parser.add_argument("-shift", type=float)
    with pytest.raises(InputError, match=r"^x: "):
        parser.parse_args(["-shift", typed])


def test_what_is_given_several_times_is_counted():
    parser = Strict(prog="x")
    parser.add_argument("-n", "--number", action=Once)
    for times in (0, 1):
        require_once(parser.parse_args(["-n", "5"] * times))
    with pytest.raises(InputError, match=r"^-n/--number is given 3 times; wanted it once$"):
        require_once(parser.parse_args(["-n", "5", "--number=6", "-n", "5"]))
    assert isinstance(parser.parse_args([]), argparse.Namespace)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "command line: the following arguments are required"),
        (["rnu"], "command line: argument {run,sweep,queue,generate,runs}: invalid choice: 'rnu'"),
        (["run", "--jsno"], "command line: unrecognized arguments: --jsno"),
        (["run", "--set"], "run: argument --set: expected one argument; see python -m engine run --help"),
        (["queue", "set", "many"], "queue set: argument N: invalid int value: 'many'"),
        (["queue", "set", "-1e3"], "queue set: argument N: invalid int value: '-1e3'"),
        (["queue", "set", "-1"], "-1 runs at a time; wanted 1 to 64"),
        (["run", ""], "CONFIG.toml is empty; wanted a path"),
        (["run", "--runs-dir", " "], "--runs-dir is empty; wanted a path"),
        (["runs", "list", "--runs-dir", ""], "--runs-dir is empty; wanted a path"),
        (["runs", "export", "20260101-000000-x-000000", ""], "DIR is empty; wanted a path"),
        (["sweep", ""], "STUDY.toml is empty; wanted a path"),
        (["sweep", "--study", ""], "no study ''; wanted one of"),
        (["run", "--set", ""], "--set '': wanted section.key=value"),
        (["run", "--set", "volume.source="], "volume.source is ''"),
        (["run", "--set", "volume.source= "], "volume.source is ''"),
        (
            ["run", "--set", "training.volumes=['', 'a.mrc']"],
            "training.volumes has ''; wanted a protein's name",
        ),
        (["run", "a\nb\x1b[2J.toml"], "a\\nb\\x1b[2J.toml: No such file or directory"),
        (["run", "--set", "volume.source=https://files.rcsb.org/1bd2.cif"], "fetch the file and give its path"),
        (["run", "--set", "seed=" + 5000 * "9"], "seed is '999"),
        (["run", "--set", "projections.max_shift=-1."], "projections.max_shift is "),
    ],
)
def test_every_complaint_is_one_line(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("POSELAB_RUNS_DIR", str(tmp_path / "runs"))
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_names_longer_than_a_file_may_have_are_said(tmp_path, capsys):
    long = str(tmp_path / (300 * "x"))
    for arguments in (
        ["runs", "list", "--runs-dir", long],
        ["runs", "show", "20260101-000000-x-000000", "--runs-dir", long],
        ["run", "--set", f"volume.source={long}.mrc", "--runs-dir", str(tmp_path)],
        ["run", long],
        ["generate", "-in", "1bd2", "-num", "2", "-out", f"{long}.h5"],
    ):
        assert main(arguments) == 2, arguments
        printed = capsys.readouterr().err
        assert printed.splitlines()[-1].startswith("error: "), arguments
        assert "File name too long" in printed or "no run" in printed, arguments
