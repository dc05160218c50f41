"""Particles of a run by confidence and viewing direction, as a table."""

from __future__ import annotations

import numpy as np
import pytest
import starfile

from engine.base.errors import InputError
from engine.experiment.artefacts import read_arrays
from engine.geometry.rotations import from_euler
from engine.service import selection
from engine.service.selection import Selection

CONFIDENCE = np.array([0.1, 0.4, 0.7, 1.0])
POSES = from_euler(np.array([[-170.0, 10.0, 5.0], [0.0, 80.0, 6.0], [90.0, 100.0, 7.0], [180.0, 170.0, 8.0]]))


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        (Selection(), [0, 1, 2, 3]),
        (Selection(confidence=(0.4, 0.7)), [1, 2]),
        (Selection(tilt=(0, 90)), [0, 1]),
        (Selection(rot=(-10, 100)), [1, 2]),
        (Selection(rot=(170, -160)), [0, 3]),
        (Selection(rot=(150, 180)), [3]),
        (Selection(confidence=(0.5, 1), tilt=(0, 90)), []),
    ],
)
def test_a_selection_includes_the_ends_of_its_ranges_and_goes_around(ranges, expected):
    assert np.flatnonzero(ranges.chosen(CONFIDENCE, POSES)).tolist() == expected


@pytest.mark.slow
@pytest.mark.parametrize("step", selection.STEPS)
def test_the_selected_rows_are_those_of_the_runs_table_letter_by_letter(on_particles, step):
    record = on_particles["with"]
    assert selection.steps(record) == list(selection.STEPS)
    kept = read_arrays(record.path / step)
    ranges = Selection(confidence=(float(np.median(kept["confidence"])), 1.0), tilt=(0, 120))
    chosen = selection.selected(record, step, ranges)
    assert 0 < len(chosen) < len(kept["confidence"])
    filename, content = selection.selected_table(record, step, ranges)
    assert filename == f"{record.run_id}-{selection.STEPS[step]}-selected.star"
    whole = [line for line in (record.path / f"{selection.STEPS[step]}.star").read_text().splitlines() if "@" in line]
    assert [line for line in content.decode().splitlines() if "@" in line] == [whole[row] for row in chosen]
    (path := record.path / "selected.star").write_bytes(content)
    tilt = starfile.read(path)["particles"]["rlnAngleTilt"]
    assert tilt.between(0, 120).all()


@pytest.mark.slow
def test_nothing_selected_and_files_that_are_gone_are_said(on_particles):
    record = on_particles["without"]
    with pytest.raises(InputError, match="no particle is in these ranges"):
        selection.selected_table(record, "frame.npz", Selection(confidence=(2.0, 3.0)))
    (record.path / "poses.star").unlink()
    assert selection.steps(record) == ["refined_frame.npz"]
    with pytest.raises(InputError, match=r"has no table poses.star"):
        selection.selected_table(record, "frame.npz", Selection())
