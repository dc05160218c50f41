"""Bad stacks and tables through the command: what cannot be used is refused in one line and leaves no run; what is
doubtful is told in one line of the log, and counted. Nothing is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
import starfile

from engine.cli.main import main
from engine.experiment import pipeline
from engine.record.catalogue import list_runs
from engine.record.runrecord import read_run
from tests.io.particle_files import cs_rows, write_cs

SIZE, PIXEL, COUNT = 24, 4.0, 20


@pytest.fixture
def folder(tmp_path, toy_density) -> Path:
    """``map.mrc``, ``a.mrcs``, ``a.star``."""
    box = np.zeros((SIZE,) * 3, np.float32)
    box[:, 1:23, :] = toy_density[:, :, 1:25]
    mrcfile.write(tmp_path / "map.mrc", box, voxel_size=PIXEL)
    arguments = [
        "-in",
        "map.mrc",
        "-num",
        COUNT,
        "--size",
        SIZE,
        "--defocus",
        8000,
        20000,
        "--snr",
        1,
        "-out",
        "a.mrcs",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(["generate", *map(str, arguments)]) == 0
    return tmp_path


def run(folder: Path, *settings: str, source: str = "a.star") -> int:
    """The exit status of a run on a table in the folder."""
    settings = (f"particles.source={folder / source}", f"volume.source={folder / 'map.mrc'}", *settings)
    arguments = [part for setting in settings for part in ("--set", setting)]
    return main(["run", "--runs-dir", str(folder / "runs"), *arguments])


def refusal(folder: Path, capsys, *settings: str, source: str = "a.star") -> str:
    """The only line of a run that is refused and leaves nothing behind."""
    capsys.readouterr()
    assert run(folder, *settings, source=source) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert list_runs(folder / "runs", archived=None) == []
    left = (folder / "runs").iterdir() if (folder / "runs").exists() else ()
    assert not [path for path in left if path.is_dir() and not path.name.startswith(".")]
    return lines[0]


def edit(folder: Path, change: Callable[[dict[str, pd.DataFrame]], None]) -> None:
    blocks = starfile.read(folder / "a.star", always_dict=True)
    change(blocks)
    starfile.write(blocks, folder / "a.star", overwrite=True)


def images(folder: Path, change: Callable[[np.ndarray], None]) -> None:
    with mrcfile.open(folder / "a.mrcs", mode="r+") as mrc:
        change(mrc.data)


def test_a_truncated_stack(folder, capsys):
    path = folder / "a.mrcs"
    path.write_bytes(path.read_bytes()[:-1000])
    assert refusal(folder, capsys) == (
        f"error: {path} is cut short: the header promises 20 images of 24 x 24 pixels, 19 are there; copy it again"
    )


def test_images_beyond_the_stacks_end(folder, capsys):
    def beyond(blocks):
        blocks["particles"].loc[18:, "rlnImageName"] = ["000021@a.mrcs", "000022@a.mrcs"]

    edit(folder, beyond)
    assert refusal(folder, capsys) == (
        f"error: {folder / 'a.star'} names 2 images beyond their stack's end, first 000021@a.mrcs: {folder / 'a.mrcs'} "
        "has 20 images; is it the right stack?"
    )


def test_a_stack_that_is_not_there(folder, capsys):
    (folder / "a.mrcs").unlink()
    assert "its 1 stack is not found: a.mrcs" in refusal(folder, capsys)
    assert "give the folder with the images as particles.data_dir" in refusal(folder, capsys)


def test_defocus_in_micrometres(folder, capsys):
    def in_um(blocks):
        blocks["particles"][["rlnDefocusU", "rlnDefocusV"]] /= 1e4

    edit(folder, in_um)
    line = refusal(folder, capsys)
    assert "rlnDefocusU has a median of 1." in line
    assert line.endswith("which would be um; wanted Å, multiply by 10,000")


def test_no_particles_in_the_half_asked_for(folder, capsys):
    def in_one(blocks):
        blocks["particles"]["rlnRandomSubset"] = 1

    edit(folder, in_one)
    assert refusal(folder, capsys, "particles.half=2") == (
        f"error: {folder / 'a.star'} has 0 particles in half 2 (particles.half); wanted at least 4"
    )


def test_a_cs_file_with_pickled_content_is_never_loaded(folder, capsys, rng):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (folder / "executed",))

    rows = cs_rows(4, rng)
    trapped = np.zeros(4, dtype=[*rows.dtype.descr, ("trap", object)])
    trapped["trap"] = Trap()
    write_cs(folder / "a.cs", trapped, allow_pickle=True)
    line = refusal(folder, capsys, source="a.cs")
    assert str(folder / "a.cs") in line
    assert "pickle" in line
    assert not (folder / "executed").exists()


def test_a_box_that_the_table_contradicts(folder, capsys):
    edit(folder, lambda blocks: blocks["optics"].__setitem__("rlnImageSize", 48))
    assert "says that images are 48 pixels wide, and those of" in refusal(folder, capsys)


def test_images_of_which_none_can_be_used_end_the_run_as_failed(folder, capsys):
    """Images are read when the run has begun: its record is closed, with the reason."""

    def spoil(data):
        data[:10], data[10:] = np.nan, 3.0

    images(folder, spoil)
    capsys.readouterr()
    assert run(folder) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        f"error: {folder / 'a.star'}: 0 of 20 images are usable, the others have values that are not finite or all the "
        "same; wanted at least 4"
    )
    (record,) = recorded(folder)
    assert record.status == "failed"
    assert line.removeprefix("error: ") in record.message


def recorded(folder: Path):
    return [read_run(folder / "runs" / row["run_id"]) for row in list_runs(folder / "runs", archived=None)]


@pytest.fixture
def log(folder, monkeypatch):
    """A function that runs the stage that looks through the images, and no other; the lines of the log."""
    enabled = pipeline.enabled
    monkeypatch.setattr(
        pipeline, "enabled", lambda config: tuple(one for one in enabled(config) if one.name == "particles")
    )

    def lines() -> tuple[list[str], dict]:
        assert run(folder) == 0
        (record,) = recorded(folder)
        return (record.path / "log.txt").read_text().splitlines(), record.metrics

    return lines


def only(lines: list[str], text: str) -> str:
    (line,) = [line for line in lines if text in line]
    assert " warning: " in line
    return line


def test_images_that_are_nan_or_constant_are_named_left_out_and_counted(folder, log):
    def spoil(data):
        data[3], data[7, 2, 2] = 1.0, np.nan

    images(folder, spoil)
    lines, metrics = log()
    assert "2 images are left out" in only(lines, "left out")
    assert "000004@a.mrcs" in only(lines, "left out")
    assert (metrics["particles"], metrics["particles_left_out"]) == (18, 2)


def test_duplicated_names(folder, log):
    def twice(blocks):
        blocks["particles"].loc[5, "rlnImageName"] = "000001@a.mrcs"
        blocks["particles"].loc[[0, 5], "rlnRandomSubset"] = [1, 2]

    edit(folder, twice)
    line = only(log()[0], "an image that an earlier one has")
    assert (
        "1 particle has an image that an earlier one has, first 000001@a.mrcs; 1 of them are in the other half" in line
    )


def test_a_header_that_contradicts_the_tables_pixel_size(folder, log):
    edit(folder, lambda blocks: blocks["optics"].__setitem__("rlnImagePixelSize", 4.5))
    line = only(log()[0], "Å per pixel and the header")
    assert (
        f"{folder / 'a.star'}: the table has 4.5 Å per pixel and the header of a.mrcs 4; the table's is taken" in line
    )


def test_pixel_sizes_that_contradict_each_other_in_the_table(folder, log):
    def twofold(blocks):
        blocks["particles"]["rlnDetectorPixelSize"], blocks["particles"]["rlnMagnification"] = 5.0, 10_000.0

    edit(folder, twofold)
    only(log()[0], "rlnImagePixelSize says 4 Å per pixel and rlnDetectorPixelSize x 10,000 / rlnMagnification 5")
