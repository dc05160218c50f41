"""Tiny tables and stacks in the layouts of the programs that write such, for the tests of their reading."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np

RELION_30 = """
# RELION; version 3.0.6

data_

loop_
_rlnVoltage #1
_rlnDefocusU #2
_rlnDefocusV #3
_rlnDefocusAngle #4
_rlnSphericalAberration #5
_rlnDetectorPixelSize #6
_rlnCtfFigureOfMerit #7
_rlnMagnification #8
_rlnAmplitudeContrast #9
_rlnImageName #10
_rlnAngleRot #11
_rlnAngleTilt #12
_rlnAnglePsi #13
_rlnOriginX #14
_rlnOriginY #15
_rlnRandomSubset #16
  300.000000 15686.000000 15500.000000    12.000000     2.700000     5.000000         -nan 25000.000000     0.100000 000002@a.mrcs    10.000000    20.000000    30.000000     1.500000    -0.250000            1
  300.000000 16061.000000 16000.000000   -40.000000     2.700000     5.000000     0.250000 25000.000000     0.100000 000001@b.mrcs   -60.000000   120.000000   -90.000000     0.000000     2.000000            2
"""  # noqa: E501

RELION_31 = """
# version 30001

data_optics

loop_ 
_rlnOpticsGroup #1 
_rlnOpticsGroupName #2 
_rlnAmplitudeContrast #3 
_rlnSphericalAberration #4 
_rlnVoltage #5 
_rlnImagePixelSize #6 
_rlnMicrographOriginalPixelSize #7 
_rlnImageSize #8 
_rlnImageDimensionality #9 
_rlnCtfDataAreCtfPremultiplied #10 
           3   night2     0.070000     2.700000   200.000000     2.500000     1.250000           12            2            1 
           1   night1     0.100000     0.010000   300.000000     2.000000     1.000000           16            2            0 
 

# version 30001

data_particles

loop_ 
_rlnImageName #1 
_rlnDefocusU #2 
_rlnDefocusV #3 
_rlnDefocusAngle #4 
_rlnPhaseShift #5 
_rlnCtfBfactor #6 
_rlnOpticsGroup #7 
_rlnAngleRot #8 
_rlnAngleTilt #9 
_rlnAnglePsi #10 
_rlnOriginXAngst #11 
_rlnOriginYAngst #12 
_rlnMicrographName #13 
_rlnRandomSubset #14 
000001@a.mrcs 13108.082418 12845.582418   -160.39000    90.000000     5.000000            1   -102.30296    82.318041   124.706463     3.000000     -5.00000 mic/é_1.mrc            1 
000003@a.mrcs 2.0e+04 19000.500000    10.000000     0.000000     0.000000            1    57.123456    12.000000     0.000001     0.000000     0.000000 'mic/b 2.mrc'            2 
000001@b.mrcs 11000.000000 10990.000000     0.000000     0.000000     0.000000            3     0.000000   170.000000   -20.000000     2.500000     5.000000 mic/c_3.mrc            2 
 
"""  # noqa: E501, W291, W293

RELION_5 = RELION_31.replace("# version 30001", "# version 50001")
VERSIONS = {"3.0": RELION_30, "3.1": RELION_31, "5": RELION_5}

CS = np.dtype(
    [
        ("uid", "<u8"), ("blob/path", "S40"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)), ("blob/psize_A", "<f4"),
        ("ctf/exp_group_id", "<u4"), ("ctf/accel_kv", "<f4"), ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4"),
        ("ctf/df1_A", "<f4"), ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"), ("ctf/phase_shift_rad", "<f4"),
        ("alignments3D/split", "<u4"), ("alignments3D/shift", "<f4", (2,)), ("alignments3D/pose", "<f4", (3,)),
        ("alignments3D/psize_A", "<f4"), ("alignments3D/cross_cor", "<f4"),
    ]
)  # fmt: skip


def cs_rows(count: int, rng: np.random.Generator) -> np.ndarray:
    """A table as cryoSPARC's refinements write it; aligned at twice the pixel size of the images."""
    rows = np.zeros(count, CS)
    rows["uid"] = rng.permutation(count).astype("<u8") + np.uint64(2**63)
    rows["blob/path"] = [b">J1/imported/a.mrcs" if i % 2 else b"J1/imported/b.mrcs" for i in range(count)]
    rows["blob/idx"] = np.arange(count) // 2
    rows["blob/shape"], rows["blob/psize_A"], rows["alignments3D/psize_A"] = 16, 1.5, 3.0
    rows["ctf/accel_kv"], rows["ctf/cs_mm"], rows["ctf/amp_contrast"] = 300, 2.7, 0.1
    rows["ctf/df1_A"] = rng.uniform(8000, 20000, count)
    rows["ctf/df2_A"] = rows["ctf/df1_A"] - 200
    rows["ctf/df_angle_rad"], rows["ctf/phase_shift_rad"] = 0.5, np.pi / 2
    rows["alignments3D/split"] = np.arange(count) % 2
    rows["alignments3D/shift"] = rng.uniform(-3, 3, (count, 2))
    rows["alignments3D/pose"] = rng.normal(size=(count, 3))
    rows["alignments3D/cross_cor"] = rng.normal(size=count)
    return rows


def write_cs(path: Path, rows: np.ndarray, allow_pickle: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, rows, allow_pickle=allow_pickle)
    return path


def write_star_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def write_images(path: Path, images: np.ndarray, pixel_size: float = 0.0) -> Path:
    """A stack by mrcfile, in the mode of the array's type."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(images)
        mrc.set_image_stack()
        if pixel_size:
            mrc.voxel_size = pixel_size
    return path
