"""What the pictures in docs/ show: small runs of the built-in protein, and where in the app one sees that."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.browser.serving import ROOT

SMALL = (
    "volume.resolution=16", "volume.voxel_size=5", "projections.count=300", "training.projections=3000",
    "training.validation_projections=100", "training.steps=600", "training.image_size=32", "training.max_seconds=900",
)  # fmt: skip
"""Overrides of all runs: 1BD2 at 16 Å, 300 projections; under a minute each."""

Overrides = tuple[str, ...]
_LEARNED: Overrides = ()
_EUCLIDEAN: Overrides = ("distance.method=euclidean", "projections.coverage=half", "projections.sampling=euler")


@dataclass(frozen=True)
class Picture:
    """In ``path`` stands ``{runs}`` for the ids of the ``runs``, whose overrides are given; ``{run}`` for the last."""

    name: str
    path: str
    runs: tuple[Overrides, ...] = (_LEARNED,)


PICTURES = (
    Picture("projections", "/run?run={run}&tab=Projections", (_EUCLIDEAN,)),
    Picture(
        "coverage",
        "/coverage?runs={runs}",
        tuple(("distance.method=euclidean", f"projections.coverage={level}") for level in ("full", "half", "quarter")),
    ),
    Picture("euclidean", "/run?run={run}", ((*_EUCLIDEAN, "recovery.pairs=random"),)),
    Picture(
        "recovery-pairs",
        "/recovery?runs={runs}",
        tuple((*_EUCLIDEAN, f"recovery.pairs={pairs}") for pairs in ("all", "random", "knn", "knn+random")),
    ),
    Picture(
        "calibration",
        "/compare?runs={runs}",
        tuple((*_EUCLIDEAN, f"distance.calibration={form}") for form in ("slope", "polynomial")),
    ),
    Picture("symmetric", "/run?run={run}", (("volume.symmetry=D2", "volume.symmetrize=oligomer"),)),
    Picture("exact", "/run?run={run}", (("distance.method=exact",),)),
    Picture("mds", "/run?run={run}&tab=Manifold&embedding=MDS&dimensions=3D"),
    Picture("spectral", "/run?run={run}&tab=Manifold&embedding=spectral&dimensions=3D"),
    Picture("neighbours", "/run?run={run}&tab=Neighbours"),
    Picture("losses", "/run?run={run}&tab=Losses"),
    Picture(
        "pair-sampling",
        "/sampling?tab=Pairs&runs={runs}",
        tuple((f"pairs.strategy={strategy}",) for strategy in ("random", "knn+random")),
    ),
)


def addresses(runs_dir: Path) -> dict[str, str]:
    """By picture the address, without the host; runs what it shows into ``runs_dir``, each experiment once."""
    ids: dict[Overrides, str] = {}
    for overrides in [run for picture in PICTURES for run in picture.runs]:
        if overrides not in ids:
            ids[overrides] = _run(overrides, runs_dir)
    return {
        picture.name: picture.path.format(
            run=ids[picture.runs[-1]], runs=",".join(ids[overrides] for overrides in picture.runs)
        )
        for picture in PICTURES
    }


def _run(overrides: Overrides, runs_dir: Path) -> str:
    settings = [part for override in (*SMALL, *overrides) for part in ("--set", override)]
    command = [sys.executable, "-m", "engine", "run", "--json", "--runs-dir", str(runs_dir), *settings]
    finished = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return json.loads(finished.stdout)["run_id"]
