from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest

from engine.analysis import comparison
from engine.config.settings import config_from_dict, config_to_dict, known_keys, optional_keys


def row(number, status="finished", **settings):
    config = config_from_dict(
        {name: dict(table) if isinstance(table, dict) else table for name, table in settings.items()}
    )
    return {
        "run_id": f"20260101-000000-1bd2-{number:06x}", "status": status, "config": config_to_dict(config),
        "noise_variance": config.projections.noise_variance, "metrics": {},
    }  # fmt: skip


def test_differences_name_each_key_and_every_value():
    rows = [
        row(1), row(2, seed=3, projections={"noise_variance": 16}),
        row(3, projections={"coverage": [[0, 90], [0, 45], [0, 360]]}),
    ]  # fmt: skip
    assert comparison.differences(rows) == {
        "seed": [0, 3, 0],
        "projections.coverage": ["full", "full", [[0.0, 90.0], [0.0, 45.0], [0.0, 360.0]]],
        "projections.noise_variance": [0.0, 16.0, 0.0],
    }
    assert comparison.differences([rows[0]] * 3) == {}


def test_a_setting_that_an_older_version_did_not_know_counts_as_what_its_runs_did():
    old = row(1)
    del old["config"]["recovery"]["calibrate"]
    assert comparison.differences([old, row(2)]) == {"recovery.calibrate": [False, True]}


def test_runs_of_other_science_differ_in_that_first_and_are_no_family():
    old, new = row(1) | {"science": 1}, row(2, seed=3) | {"science": 2}
    assert list(comparison.differences([old, new]).items()) == [("science version", [1, 2]), ("seed", [0, 3])]
    assert "science version" not in comparison.parameters([old, old])
    assert [len(group) for group in comparison.fold_seeds([old, new])] == [1, 1]
    noisy = row(3, projections={"noise_variance": 16}) | {"science": 2}
    keys = ("projections.noise_variance",)
    assert comparison.families([old, noisy], keys) == []
    assert comparison.families([old | {"science": 2}, noisy], keys) == [[old | {"science": 2}, noisy]]
    assert comparison.by_factor([new, noisy, old], keys).left_out == [(old, "science version is 1, not 2")]


def test_runs_fold_over_seeds_and_nothing_else():
    rows = [
        row(1, seed=1), row(2, projections={"noise_variance": 16}), row(3, seed=2), row(4, "failed", seed=3),
        row(5, seed=9, projections={"noise_variance": 16}),
    ]  # fmt: skip
    groups = [[one["run_id"][-1] for one in group] for group in comparison.fold_seeds(rows)]
    assert groups == [["1", "3"], ["2", "5"], ["4"]]


def test_mean_and_spread_are_those_of_pandas(rng):
    values = rng.standard_normal(7)
    ours, theirs = comparison.mean_and_spread(list(values)), pd.Series(values)
    assert ours == pytest.approx((theirs.mean(), theirs.std(), 7))
    assert comparison.mean_and_spread([2.0, None, float("nan")]) == (2.0, None, 1)
    assert comparison.mean_and_spread([None]) is None


def test_by_factor_takes_the_largest_group_that_agrees_and_says_why_the_others_are_out():
    noise = ("projections.noise_variance", "projections.snr")
    rows = [
        row(1), row(2, seed=1), row(3, projections={"noise_variance": 16}), row(4, projections={"noise_variance": 5}),
        row(5, projections={"noise_variance": 25, "count": 500}), row(6, "running", projections={"noise_variance": 9}),
        row(7, projections={"noise_variance": 25}, training={"steps": 10}),
    ]  # fmt: skip
    groups = comparison.by_factor(rows, noise)
    levels = {level: [one["run_id"][-1] for one in group] for level, group in groups.levels.items()}
    assert levels == {(0.0, None): ["1", "2"], (5.0, None): ["4"], (16.0, None): ["3"]}
    assert {one["run_id"][-1]: why for one, why in groups.left_out} == {
        "5": "projections.count is 500, not 1000",
        "6": "it is running",
        "7": "training.steps is 10, not automatic",
    }


def test_a_value_that_was_not_given_is_said_by_what_it_means():
    assert (
        comparison.in_words("projections.noise_variance", None)
        == comparison.in_words("projections.snr", None)
        == "none"
    )
    assert comparison.in_words("recovery.max_distance", None) == "no limit"
    assert comparison.in_words("training.steps", None) == "automatic"
    assert comparison.in_words("training.steps", 10) == "10"
    without = {key for key in known_keys() if comparison.in_words(key, None) != "automatic"}
    assert without <= {*optional_keys(), "volume.source", "volume.symmetry", "training.volumes"}


def test_levels_are_in_order():
    rows = [row(n, projections={"max_shift": shift}) for n, shift in enumerate([20, 0, 5, 10])]
    assert list(comparison.by_factor(rows, ["projections.max_shift"]).levels) == [0, 5, 10, 20]
    rows = [row(n, training={"steps": steps} if steps else {}) for n, steps in enumerate([20, None, 3])]
    assert list(comparison.by_factor(rows, ["training.steps"]).levels) == [None, 3, 20]


def test_nothing_to_compare_gives_no_levels():
    assert comparison.by_factor([], ["seed"]).levels == {}
    damaged = row(1) | {"config": {}}
    assert comparison.by_factor([damaged], ["seed"]).left_out == [(damaged, "its configuration cannot be read")]


def test_families_are_those_with_most_levels_first():
    rows = [
        row(1), row(2, projections={"coverage": "half"}), row(3, projections={"count": 50}),
        row(4, projections={"count": 50, "coverage": "half"}), row(5, projections={"count": 50, "coverage": "quarter"}),
        row(6, volume={"source": "1tii"}),
    ]  # fmt: skip
    groups = comparison.families(rows, ["projections.coverage"])
    assert [[one["run_id"][-1] for one in group] for group in groups] == [["3", "4", "5"], ["1", "2"]]


def test_noise_is_a_variance_however_it_was_given():
    assert comparison.noise_level(row(1)) == 0
    assert comparison.noise_level(row(1, projections={"noise_variance": 9})) == 9
    assert comparison.noise_level(row(1, projections={"snr": 0.1}) | {"metrics": {"noise_variance": 4.5}}) == 4.5


def test_published_results_are_those_of_the_file():
    with comparison.PUBLISHED_RESULTS.open() as file:
        lines = list(csv.DictReader(line for line in file if not line.startswith("#")))
    ours = comparison.published_results()
    assert len(ours) == len(lines) > 30
    for one, line in zip(ours, lines, strict=True):
        assert (one.protein, one.coverage, one.sampling) == (
            line["protein"],
            line["coverage"],
            line["orientation_sampling"],
        )
        expected = [float(line[name]) for name in ("L_DE_val", "L_OR", "E_OR", "fsc_0.5", "fsc_0.143") if line[name]]
        np.testing.assert_array_equal(list(one.metrics.values()), expected)
    headline = ours[0]
    assert headline.metrics["angle_error_median"] == 0.1993


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"projections": {"noise_variance": 0}}, {}),
        ({"projections": {"coverage": [[0, 360], [0, 180], [0, 360]]}}, {}),
        ({"projections": {"coverage": [[0, 180], [0, 72], [0, 180]]}}, {"projections": {"coverage": "quarter"}}),
        ({"volume": {"resolution": 8}}, {}),
        ({"volume": {"source": "x.cif.gz", "resolution": 8.0}}, {"volume": {"source": "x.cif.gz"}}),
    ],
)
def test_settings_that_mean_the_same_are_no_difference_and_fold(one, other):
    rows = [row(1, **one), row(2, seed=1, **other)]
    assert comparison.differences(rows) == {"seed": [0, 1]}
    assert len(comparison.fold_seeds(rows)) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"projections": {"snr": 0.5}}, {"projections": {"noise_variance": 0}}),
        ({"projections": {"coverage": [[0, 360], [0, 179], [0, 360]]}}, {}),
        ({"volume": {"source": "x.mrc", "voxel_size": 3}}, {"volume": {"source": "x.mrc"}}),
    ],
)
def test_settings_that_mean_something_else_differ(one, other):
    rows = [row(1, **one), row(2, **other)]
    assert len(comparison.differences(rows)) >= 1
    assert len(comparison.fold_seeds(rows)) == 2


def test_what_is_no_configuration_is_compared_as_it_is():
    broken = row(1) | {"config": {"volume": 3, "projections": {"coverage": [["x"]], "noise_variance": "much"}}}
    groups = comparison.differences([broken, row(2)])
    assert groups["projections.coverage"] == [[["x"]], "full"]
    assert groups["projections.noise_variance"] == ["much", 0.0]


def test_a_run_with_the_network_of_another_has_no_settings_of_a_training():
    model = "20260101-000000-1bd2-000009"
    applied, own = row(1, training={"model": model, "image_size": 32}), row(2, training={"image_size": 32})
    differing = comparison.differences([applied, own])
    assert differing["training.model"] == [model, None]
    assert differing["training.batch_size"] == [None, 64]
    for key, has in (("training.batch_size", False), ("pairs.strategy", False), ("training.image_size", True)):
        assert comparison.has_setting(applied, key) is has
        assert comparison.has_setting(own, key)
