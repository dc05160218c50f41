"""A tiny stack of particles with a map, a CTF, shifts and poses; and a finished run on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import starfile

from engine.config.settings import config_from_dict
from engine.geometry.rotations import to_euler
from engine.imaging.simulation import Acquisition, simulate
from engine.imaging.volume import Volume
from engine.io import mrc

COUNT, SIZE, PIXEL = 40, 24, 4.0
POSES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]


def make_stack(
    folder: Path, density: np.ndarray, with_poses: bool = True, count: int = COUNT, snr: float = 1.0
) -> Path:
    """``particles.star`` in this folder, beside it ``stack.mrcs`` and ``map.mrc``; the path of the table."""
    folder.mkdir(parents=True, exist_ok=True)
    box = np.zeros((SIZE,) * 3, np.float32)
    box[2:24, 3:24, 1:24] = density[:22, :21, :23]
    volume = Volume(box, PIXEL, np.zeros(3), "toy", center="box")
    recorded = simulate(
        volume, Acquisition(size=SIZE, snr=snr, max_shift=1.5, defocus=(8000, 20000)), count, np.random.default_rng(5)
    )
    mrc.write_map(folder / "map.mrc", box, PIXEL, np.zeros(3))
    mrc.write_stack(folder / "stack.mrcs", 7 + 3 * recorded.images, PIXEL)
    table = pd.DataFrame({"rlnImageName": [f"{number:06d}@stack.mrcs" for number in range(1, count + 1)]})
    if with_poses:
        table[POSES] = to_euler(recorded.truth.poses)
        table[["rlnOriginXAngst", "rlnOriginYAngst"]] = -recorded.truth.shifts * PIXEL
    table[["rlnDefocusU", "rlnDefocusV"]], table["rlnDefocusAngle"] = recorded.ctf.defocus_angstrom, 0.0
    table["rlnOpticsGroup"] = 1
    optics = pd.DataFrame({
        "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["one"], "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7],
        "rlnAmplitudeContrast": [0.1], "rlnImagePixelSize": [PIXEL], "rlnImageSize": [SIZE],
        "rlnImageDimensionality": [2],
    })  # fmt: skip
    starfile.write({"optics": optics, "particles": table}, folder / "particles.star", overwrite=True)
    return folder / "particles.star"


def on_stack(source: Path, **tables: dict):
    """The configuration of a run of seconds on such a stack."""
    table = {
        "particles": {"source": str(source), "max_shift": 2.0}, "volume": {"source": str(source.parent / "map.mrc")},
        "training": {"projections": 80, "validation_projections": 20, "steps": 2, "batch_size": 8, "image_size": 16},
        "recovery": {"restarts": 10}, "refinement": {"enabled": True, "iterations": 1},
    }  # fmt: skip
    return config_from_dict(table | tables)
