from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass

from engine.imaging.volume import Volume

ROOT = Path(__file__).parents[2]


def blob(at: tuple[float, float, float] = (4.0, 5.0, 6.0)) -> NDArray[np.float32]:
    """A Gaussian about ``at`` (x, y, z) on 12 x 10 x 8 voxels."""
    z, y, x = np.indices((12, 10, 8))
    return np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2) / 2).astype(np.float32)


def test_center_of_mass_is_that_of_the_positive_part():
    density = blob(at=(4.0, 5.0, 6.0))
    volume = Volume(density, 2.5, np.array([10.0, 20.0, 30.0]), "blob")
    np.testing.assert_allclose(volume.center_index, center_of_mass(density)[::-1], rtol=1e-6)
    np.testing.assert_allclose(volume.center_of_mass, volume.origin + 2.5 * volume.center_index)
    hollow = density - 10.0 * blob(at=(1.0, 1.0, 1.0))
    np.testing.assert_allclose(
        Volume(hollow, 2.5, volume.origin, "").center_index, center_of_mass(np.maximum(hollow, 0))[::-1], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("shape", "diagonal"), [((69, 57, 75), 116), ((3, 4, 12), 13), ((3, 4, 11), 12), ((1, 1, 1), 1)]
)
def test_diagonal(shape, diagonal):
    assert Volume(np.ones(shape, np.float32), 1.0, np.zeros(3), "").diagonal == diagonal


def test_fingerprint_is_of_the_content():
    def fingerprint(density=None, voxel_size=2.0, origin=(0, 0, 0), name="a"):
        density = blob() if density is None else density
        return Volume(density, voxel_size, np.array(origin, dtype=float), name).fingerprint

    first = fingerprint()
    assert len(first) == 64
    assert fingerprint(name="b") == first
    assert fingerprint(np.asfortranarray(blob())) == first
    changed = blob()
    changed[0, 0, 0] += 1e-3
    others = [
        fingerprint(changed),
        fingerprint(blob().reshape(10, 12, 8)),
        fingerprint(voxel_size=2.0000001),
        fingerprint(origin=(0, 0, 1e-6)),
    ]
    assert len({first, *others}) == 5


def test_importing_volume_loads_none_of_the_readers():
    code = "import sys, engine.imaging.volume; print([m for m in ('gemmi', 'mrcfile', 'requests') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
