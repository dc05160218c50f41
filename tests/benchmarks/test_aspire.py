"""The comparison with ASPIRE."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.geometry import rotations
from engine.imaging.projection import project
from tests.benchmark_testing import FACTS, read_csv
from tests.benchmarks import aspire_peer, aspire_recovery

# ASPIRE


def test_all_triangles_at_once_are_what_aspire_finds_one_by_one(aspire, rng):
    count = 9
    poses = rotations.sample_orientations(count, rng)
    first, second = np.triu_indices(count, 1)
    relative = poses[first].transpose(0, 2, 1) @ poses[second]
    turned = rng.random(len(relative)) < 0.5
    hand = np.diag([1.0, 1.0, -1.0])
    relative[turned] = hand @ relative[turned] @ hand
    relative[0] = rotations.sample_orientations(1, rng)[0]  # and one that is simply wrong
    vector = rng.standard_normal(len(relative))
    one_by_one = importlib.import_module("aspire.abinitio.J_sync").JSync(count, disable_gpu=True)
    theirs = one_by_one._signs_times_v(relative, vector)
    np.testing.assert_allclose(aspire_peer._triangles_at_once(count)(relative, vector), theirs, atol=1e-12)


@pytest.mark.parametrize("method", aspire_peer.METHODS)
def test_common_lines_find_our_poses_in_our_convention(aspire, toy_volume, rng, method):
    """After ASPIRE's own registration, which turns only from the left, its poses are ours: no transposition is between
    them. Ours, over O(4), finds the same errors.
    """
    poses = rotations.sample_orientations(24, rng)
    images = project(toy_volume, poses, 44)
    outcome = aspire_peer.orient(images, method, seed=0).poses
    own = aspire_peer.own_registration_errors(outcome, poses)
    ours = aspire_recovery.align_poses(outcome, poses, rng).errors
    assert np.median(own) < 0.03
    assert np.median(ours) < 0.03
    transposed = aspire_peer.own_registration_errors(outcome.transpose(0, 2, 1), poses)
    assert np.median(transposed) > 0.3


def test_a_classification_that_fails_is_tried_with_other_seeds(aspire, monkeypatch, rng):
    asked = []

    def classify(classifier):
        asked.append(classifier.seed)
        raise RuntimeError("bispec_2drot_large failed to return valid feature vector.")

    monkeypatch.setattr(aspire.classification.RIRClass2D, "classify", classify)
    with pytest.raises(RuntimeError, match="bispec"):
        aspire_peer.class_averages(rng.standard_normal((500, 16, 16)).astype(np.float32), 16, 2, 2, seed=3)
    assert asked == [3, 6, 9, 12]


def test_recovery_tables_have_means_over_seeds(tmp_path: Path):
    def result(method, seed, median, averaged=False):
        return {
            "averaged": averaged, "variance": 16.0, "seed": seed, "method": method, "images": 200, "median": median,
            "mean": median, "own": None if method == "ours" else median, "wall_s": 10.0, "cpu_s": 20.0, **FACTS,
        }  # fmt: skip

    results = [result("ours", 0, 0.02), result("ours", 1, 0.04), result("ASPIRE, CLSyncVoting", 0, 1.0)]
    results.append(result("ASPIRE, class averages, CLSyncVoting", 0, 0.1, averaged=True))
    text = aspire_recovery.write_tables(tmp_path, results, "5j0n", [])
    assert "| ours | 16 | 200 | 2 | 0.0300 ± 0.0141 | 0.0200 to 0.0400 | – | 10.0 ± 0.0 | 20.0 ± 0.0 |" in text
    assert "| ASPIRE, CLSyncVoting | 16 | 200 | 1 | 1.00 | 1.00 to 1.00 | 1.00 | 10.0 | 20.0 |" in text
    assert text.index("1000 images;") < text.index("ASPIRE, class averages")
    assert "ASPIRE knows no volume, ours is trained on one" in text
    lines = read_csv((tmp_path / "aspire_recovery.csv").read_text())
    assert [float(line["median"]) for line in lines] == [0.02, 0.04, 1.0, 0.1]


def test_aspire_alone_goes_on_with_more_seeds_than_ours(tmp_path: Path, monkeypatch):
    asked = []

    def measure_case(case, *others):
        asked.append((case.seed, case.ours))
        result = {"averaged": False, "variance": 16.0, "seed": case.seed, "images": 200, "mean": 1.0, "own": 1.0}
        result |= {"wall_s": 10.0, "cpu_s": 20.0, **FACTS}
        theirs, ours = (result | {"method": name, "median": 1.0 + case.seed} for name in ("ASPIRE", "ours"))
        return [ours, theirs] if case.ours else [theirs]

    monkeypatch.setattr(aspire_recovery, "measure_case", measure_case)
    arguments = ["--raw", "16", "--averaged", "--volume", "1bd2", "--seeds", "1", "--out", str(tmp_path)]
    for _ in range(2):  # the second time all is kept
        assert aspire_recovery.main([*arguments, "--aspire-seeds", "3"]) == 0
    assert asked == [(0, True), (1, False), (2, False)]
    text = (tmp_path / "aspire_recovery.md").read_text()
    assert "| ours | 16 | 200 | 1 | 1.00 |" in text
    assert "| ASPIRE | 16 | 200 | 3 | 2.00 ± 1.00 | 1.00 to 3.00 |" in text


def test_importing_aspire_leaves_no_trace(aspire, tmp_path: Path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    hook = sys.excepthook
    aspire_peer.import_aspire()
    assert not list(tmp_path.iterdir())
    assert sys.excepthook is hook
    logging.getLogger("aspire.anything").info("not shown")
    assert capfd.readouterr().out == ""
