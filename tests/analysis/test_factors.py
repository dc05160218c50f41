from __future__ import annotations

import math

import pytest

from engine.analysis import factors, level_table
from engine.analysis.factors import (
    CLOSE_PAIRS,
    COVERAGE,
    DEFOCUS,
    DEFOCUS_ERROR,
    INITIALISATION,
    NOISE,
    NOISE_FACTOR,
    ORIENTATIONS,
    PAIRS,
    RECOVERY_PAIRS,
    REFERENCE_MISSING,
    SPECTRUM,
)
from tests.analysis_testing import SIGNAL, noisy, row


def ids(rows):
    return [one["run_id"][-1] for one in rows]


def test_levels_are_in_the_order_of_the_noise_and_say_its_variance():
    rows = [noisy(1, noise_variance=16), noisy(2), noisy(3, snr=0.5), noisy(4, noise_variance=0.0), noisy(5, 1)]
    levels = factors.study(rows, NOISE).levels
    assert [(level.value, level.variance, ids(level.rows)) for level in levels] == [
        ((0.0, None), 0.0, ["2", "4", "5"]),  # no noise, however that was said
        ((None, 0.5), 5.0, ["3"]),
        ((16.0, None), 16.0, ["1"]),
    ]


def test_runs_without_noise_are_one_level_and_no_family():
    assert factors.families([noisy(1), noisy(2, noise_variance=0.0)], NOISE) == []
    assert len(factors.families([noisy(1), noisy(2, noise_variance=1.0)], NOISE)) == 1


def test_a_level_has_the_spread_of_its_seeds():
    (level,) = factors.study([noisy(1, 0, 0.1), noisy(2, 1, 0.3), noisy(3, 2, None)], NOISE).levels
    assert level.values("distance_mae") == [0.1, 0.3, None]
    assert level.spread("distance_mae") == pytest.approx((0.2, math.sqrt(0.02), 2))
    assert level.spread("recovery_loss") is None


def test_the_runs_that_agree_with_a_given_one_are_taken():
    rows = [row(1), row(2, projections={"coverage": "half"}), row(3, training={"steps": 9})]
    assert ids(factors.study(rows, COVERAGE).levels[0].rows) == ["1"]
    result = factors.study(rows, COVERAGE, like=rows[2])
    assert [ids(level.rows) for level in result.levels] == [["3"]]
    assert {one["run_id"][-1]: why for one, why in result.left_out} == {
        "1": "training.steps is automatic, not 9",
        "2": "training.steps is automatic, not 9",
    }


def microscope(number, **projections):
    return row(number, projections={"snr": 0.5} | projections)


def test_levels_of_defocus_are_ordered_and_told_in_words():
    ends = ([8_000, 30_000], 30_000, None, 10_000, [10_000, 10_000])
    rows = [microscope(n, **({} if one is None else {"defocus": one})) for n, one in enumerate(ends, 1)]
    levels = factors.study(rows, DEFOCUS).levels
    assert [(level_table.label(DEFOCUS, level), ids(level.rows)) for level in levels] == [
        ("no CTF", ["3"]), ("10000 Å", ["4", "5"]), ("8000–30000 Å", ["1"]), ("30000 Å", ["2"]),
    ]  # fmt: skip
    assert len(factors.families(rows, DEFOCUS)) == 1


def test_settings_of_a_ctf_that_there_is_not_do_not_set_runs_apart():
    plain = [microscope(1, voltage=200.0), microscope(2, amplitude_contrast=0.07, noise_spectrum="white")]
    assert len(factors.families([*plain, microscope(3, defocus=10_000)], DEFOCUS)[0]) == 3
    with_ctf = [microscope(1, voltage=200.0, defocus=10_000), microscope(2, defocus=20_000)]
    assert factors.families(with_ctf, DEFOCUS) == []
    clean = [row(1, projections={"noise_spectrum": "coloured"}), row(2)]
    assert factors.families(clean, SPECTRUM) == [], "noise that there is not has no spectrum"


def test_spectra_are_levels():
    rows = [microscope(1), microscope(2, noise_spectrum="coloured"), microscope(3)]
    (family,) = factors.families(rows, SPECTRUM)
    assert sorted(level_table.label(SPECTRUM, level) for level in factors.study(family, SPECTRUM).levels) == [
        "coloured", "white",
    ]  # fmt: skip


@pytest.mark.parametrize("projections", [{"defocus": 10_000}, {"noise_spectrum": "coloured", "snr": 0.5}])
def test_published_results_have_no_ctf_and_white_noise(projections):
    assert published([row(1, projections=projections)], COVERAGE) == []


def published(rows, factor):
    return [
        (level.value, level.result.protein, level.result.metrics.get("angle_error_median"))
        for level in factors.study(rows, factor).published
    ]


def test_published_noise_stands_where_its_ratio_to_the_signal_is_the_runs():
    result = published([noisy(1), noisy(2, noise_variance=5.0)], NOISE)
    expected = {v: v * SIGNAL / 1.109 for v in (0, 5, 10, 16, 20, 25)}
    assert [entry[0] for entry in result] == pytest.approx(list(expected.values()))
    assert [entry[2] for entry in result] == [0.159, 0.189, 0.232, 0.418, 0.801, 0.725]
    assert {entry[1] for entry in result} == {"5j0n"}


def test_without_a_noisy_run_published_noise_has_no_place():
    assert {entry[0] for entry in published([noisy(1)], NOISE)} == {0.0}


def test_noise_of_a_map_whose_signal_is_unknown_is_left_out():
    quarter = {"coverage": "quarter"}
    rows = [row(1, projections=quarter), row(2, projections=quarter | {"noise_variance": 16})]
    assert published(rows, NOISE) == [(0.0, "5a1a", 0.1264)]


def test_published_coverages_are_of_the_same_sampling_and_noise():
    assert published([row(1, projections={"sampling": "euler"})], COVERAGE) == [
        ("full", "5j0n", 0.2297), ("half", "5j0n", 0.159),
    ]  # fmt: skip
    same_ratio = row(1, projections={"noise_variance": 16 * SIGNAL / 1.109})
    assert published([same_ratio], COVERAGE) == [("full", "5j0n", 0.2546)]
    assert published([row(1, projections={"noise_variance": 16})], COVERAGE) == []


def test_published_samplings_have_the_coverage_and_no_shift():
    assert published([row(1)], ORIENTATIONS) == [("so3", "5j0n", 0.1993), ("euler", "5j0n", 0.2297)]
    assert published([row(1, projections={"max_shift": 3})], ORIENTATIONS) == []


def test_published_perturbations_are_of_the_same_variance():
    runs = [row(1, distance={"method": "perturbed", "perturbation_variance": 0.4})]
    assert published(runs, COVERAGE) == [("full", "5j0n", 0.128), ("quarter", "5a1a", 0.137)]


@pytest.mark.parametrize(
    ("factor", "setting"),
    [
        (PAIRS, {"pairs": {"strategy": "knn"}}), (RECOVERY_PAIRS, {"recovery": {"pairs": "knn"}}),
        (CLOSE_PAIRS, {"recovery": {"max_distance": 1.0}}), (INITIALISATION, {"recovery": {"initialisation": "mds"}}),
    ],
)  # fmt: skip
def test_nothing_was_published_about_these(factor, setting):
    assert len(factors.study([row(1), row(2, **setting)], factor).levels) == 2
    assert published([row(1), row(2, **setting)], factor) == []


@pytest.mark.parametrize(
    ("factor", "section", "values", "labels"),
    [
        (DEFOCUS_ERROR, "projections", [2000, 0, -500], ["-500 Å", "none", "+2,000 Å"]),
        (NOISE_FACTOR, "training", [8, 1, 0.125], ["0.125 times the noise", "the noise as it is", "8 times the noise"]),
        (REFERENCE_MISSING, "training", [0.2, 0, 0.05], ["nothing", "0.05 of the mass", "0.2 of the mass"]),
    ],
)
def test_mismatches_are_levels_in_numbers_that_nothing_was_published_about(factor, section, values, labels):
    key = factor.keys[0].partition(".")[2]
    rows = []
    for number, value in enumerate(values):
        tables = {"projections": {"snr": 0.5, "defocus": 10_000}}
        tables.setdefault(section, {})[key] = value
        rows.append(row(number, **tables))
    (family,) = factors.families(rows, factor)
    study = factors.study(family, factor)
    assert [level_table.label(factor, level) for level in study.levels] == labels
    lines = level_table.lines(study, factor)
    assert [line.place for line in lines] == sorted(map(float, values))
    assert study.published == []
    assert all(isinstance(line.place, float) for line in lines), "an axis of numbers"


def test_an_error_of_what_there_is_not_sets_no_runs_apart():
    assert factors.families([row(1, projections={"defocus_error": 500}), row(2)], DEFOCUS_ERROR) == []
    assert factors.families([row(1, training={"noise_factor": 2}), row(2)], NOISE_FACTOR) == []
    wrong = [row(1, training={"reference_missing": 0.2}), row(2, projections={"snr": 1}, training={"noise_factor": 2})]
    assert [published([one], COVERAGE) for one in wrong] == [[], []]
