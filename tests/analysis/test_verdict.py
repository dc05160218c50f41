"""The verdict on a run: poses assigned at random are near chance, whatever their number, coverage and symmetry."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis import verdict
from engine.analysis.verdict import Verdict
from engine.geometry.rotations import sample_orientations
from engine.geometry.symmetry import group
from engine.poses.alignment import align_poses


@pytest.mark.parametrize("symmetry", ["C1", "C2", "D7", "I"])
@pytest.mark.parametrize("coverage", ["full", "half"])
@pytest.mark.parametrize("count", [60, 200])
def test_poses_at_random_are_near_chance_after_alignment(symmetry, coverage, count, rng):
    true = sample_orientations(count, rng, coverage, "so3")
    at_random = sample_orientations(count, rng, "full", "so3")
    aligned = align_poses(at_random, true, rng, elements=group(symmetry))
    assert verdict.verdict(float(np.median(aligned.errors)), symmetry) is Verdict.CHANCE


def test_true_poses_given_to_the_wrong_projections_are_near_chance(rng):
    true = sample_orientations(200, rng, "quarter", "so3")
    aligned = align_poses(true[rng.permutation(len(true))], true, rng)
    assert verdict.verdict(float(np.median(aligned.errors))) is Verdict.CHANCE


@pytest.mark.parametrize(
    ("degrees", "symmetry", "expected"),
    [
        (0.7, "C1", Verdict.RECOVERED), (13.2, "C1", Verdict.RECOVERED), (13.3, "C1", Verdict.ROUGH),
        (66.1, "C1", Verdict.ROUGH), (66.3, "C1", Verdict.CHANCE), (118.0, "C1", Verdict.CHANCE),
        (118.0, "C9", Verdict.CHANCE), (20.0, "I", Verdict.CHANCE), (0.0, "I", Verdict.RECOVERED),
    ],
)  # fmt: skip
def test_the_error_is_judged_by_its_share_of_the_chance_level(degrees, symmetry, expected):
    assert verdict.verdict(np.radians(degrees), symmetry) is expected


@pytest.mark.parametrize(
    "metrics", [None, {}, {"angle_error_median": None}, {"angle_error_median": float("nan")},
                {"angle_error_median": 10**400}, {"angle_error_median": "small"}, {"angle_error_median": True}],
)  # fmt: skip
def test_without_a_known_angle_there_is_no_verdict(metrics):
    assert verdict.of_row({"metrics": metrics, "config": {}}) is None


@pytest.mark.parametrize(
    "config", [{}, {"volume": None}, {"volume": {"symmetry": 5}}, {"volume": {"symmetry": "C1"}}, "no table"]
)
def test_a_damaged_configuration_is_judged_without_symmetry(config):
    assert verdict.of_row({"metrics": {"angle_error_median": 0.1}, "config": config}) is Verdict.RECOVERED


def test_an_unknown_group_has_no_verdict():
    row = {"metrics": {"angle_error_median": 0.1}, "config": {"volume": {"symmetry": "X9"}}}
    assert verdict.of_row(row) is None
