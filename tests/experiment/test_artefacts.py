"""What runs leave is held against what its stages say of it; whose metrics are numbers."""

from __future__ import annotations

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.experiment import artefacts
from engine.experiment.stages import stages
from engine.record.arrays import Shape, read_arrays
from engine.record.reading import NUMBERS


def test_the_record_knows_the_metrics_of_all_stages():
    assert {metric.name for stage in stages() for metric in stage.metrics} == NUMBERS


def test_every_file_of_arrays_says_what_it_holds():
    files = [one for stage in stages() for one in stage.artefacts if one.filename.endswith(".npz")]
    assert len(files) > 6
    assert all(one.arrays for one in files)


@pytest.mark.parametrize(
    ("array", "shape", "problem"),
    [
        (np.zeros((3, 2)), Shape(("n", 2)), ""),
        (np.zeros((3, 2)), Shape(("n", 3)), "is 3 x 2; wanted 3 x 3"),
        (np.zeros(0), Shape(("n",)), "is 0; wanted 1"),
        (np.float64(1.0), Shape(()), ""),
        (np.zeros(1), Shape(()), "is 1; wanted a single number"),
        (np.array(["a"]), Shape(("n",)), "holds <U1; wanted numbers"),
        (np.zeros(3), Shape(("n",), whole=True), "holds float64; wanted whole numbers"),
        (np.array([1.0, np.nan]), Shape(("n",)), "not finite"),
        (np.array([1.0, np.nan]), Shape(("n",), gaps=True), ""),
        (np.array([1.0, 1e31]), Shape(("n",)), "beyond"),
        (np.eye(3)[None], Shape(("n", 3, 3), rotations=True), ""),
        (-np.eye(3)[None], Shape(("n", 3, 3), rotations=True), "no rotation matrix"),
    ],
)
def test_an_array_is_what_it_should_be_or_its_file_is_damaged(tmp_path, array, shape, problem):
    np.savez(tmp_path / "x.npz", value=array)
    if problem:
        with pytest.raises(InputError, match=f"x.npz of this run is damaged: value .*{problem}"):
            read_arrays(tmp_path / "x.npz", {"value": shape})
    else:
        assert not read_arrays(tmp_path / "x.npz", {"value": shape})["value"].flags.writeable


def test_the_sides_of_arrays_in_a_file_fit_together(tmp_path):
    shapes = {"edges": Shape(("b+1",)), "counts": Shape(("b", "b"), whole=True)}
    np.savez(tmp_path / "x.npz", edges=np.arange(5.0), counts=np.zeros((4, 4), int))
    read_arrays(tmp_path / "x.npz", shapes)
    np.savez(tmp_path / "x.npz", edges=np.arange(4.0), counts=np.zeros((4, 4), int))
    with pytest.raises(InputError, match="counts is 4 x 4; wanted 3 x 3"):
        read_arrays(tmp_path / "x.npz", shapes)


def test_a_file_that_is_not_there_is_missing_and_nothing_else(tmp_path):
    with pytest.raises(FileNotFoundError):
        artefacts.read_arrays(tmp_path / "poses.npz")
    (tmp_path / "poses.npz").mkdir()
    with pytest.raises(InputError, match=r"poses.npz of this run cannot be read: Is a directory"):
        artefacts.read_arrays(tmp_path / "poses.npz")
    assert artefacts.left(tmp_path)[0][0] == "poses.npz"
    assert artefacts.modified_ns(tmp_path / "gone") is None
