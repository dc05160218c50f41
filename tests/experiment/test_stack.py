"""The particle stack of a run: the very images, in the order of its poses.star."""

from __future__ import annotations

import shutil
from dataclasses import replace

import mrcfile
import numpy as np
import pytest
import starfile

from engine.base.errors import InputError
from engine.cli.main import main
from engine.config.numeric import volume_of
from engine.config.settings import load_config
from engine.experiment import stack, stagecache
from engine.experiment.pipeline import run_experiment
from engine.imaging.ctf import ContrastTransfer, applied
from engine.imaging.filters import shift_images
from engine.imaging.projection import project
from engine.io.particles import read_particles
from engine.record.runrecord import read_run

SETTINGS = [
    "projections.count=40", "projections.size=40", "projections.noise_variance=3", "projections.max_shift=2", "seed=5",
    "distance.method=exact", "volume.resolution=12", "volume.voxel_size=5", "recovery.restarts=10",
    "reconstruction.enabled=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return run_experiment(load_config(None, SETTINGS), tmp_path_factory.mktemp("runs"), ["test"])


@pytest.fixture
def own(record, runs_dir):
    """The run, copied, to be altered."""
    shutil.copytree(record.path.parent, runs_dir)
    return read_run(runs_dir / record.run_id)


def test_the_stack_has_the_images_of_the_run(record, tmp_path):
    """The run's own images are in the cache of its projections stage."""
    (entry,) = (record.path.parent / stagecache.FOLDER / "projections").iterdir()
    images = np.load(entry / "arrays.npz")["images"]
    path = stack.particle_stack(record, tmp_path / "x.mrcs")
    with mrcfile.open(path) as written:
        assert written.is_image_stack()
        assert np.array_equal(written.data, images)
        assert float(written.voxel_size.x) == pytest.approx(5.0)
    assert path.stat().st_size == 1024 + stack.stack_bytes(40, 40)


def test_an_export_with_particles_is_what_the_star_file_names(record, tmp_path, capsys):
    target = tmp_path / "out"
    arguments = ["runs", "export", record.run_id, str(target), "--particles", "--runs-dir", str(record.path.parent)]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(target)
    named = read_particles(target / "poses.star", warn=[].append)
    assert named.stacks == (stack.FILENAME,)
    with mrcfile.open(target / stack.FILENAME) as written:
        assert len(written.data) == len(named) == 40
    assert not (record.path / stack.FILENAME).exists()


def test_table_stack_and_map_belong_together_for_who_turns_the_map_about_its_middle(tmp_path):
    """RELION turns about voxel n // 2: projections of the map from the table's poses and origins are the images."""
    settings = [*SETTINGS, "projections.noise_variance=0", "projections.defocus=15000", "recovery.restarts=50"]
    record = run_experiment(load_config(None, settings), tmp_path, ["test"])
    with mrcfile.open(stack.particle_stack(record, tmp_path / "x.mrcs")) as written:
        images = written.data.copy()
    volume, table = volume_of(record.config.volume), read_particles(record.path / "poses.star")
    assert np.linalg.norm(volume.center_offset) > 0.3, "its centre of mass is elsewhere"
    clean = project(replace(volume, center="box"), table.poses, 40)
    columns = starfile.read(record.path / "poses.star")
    assert float(columns["optics"]["rlnVoltage"].iloc[0]) == 300
    ctf = ContrastTransfer.of(columns["particles"]["rlnDefocusU"].to_numpy(float))
    expected = applied(shift_images(clean, table.shifts_px), ctf, 5.0)
    assert np.corrcoef(expected.ravel(), images.ravel())[0, 1] > 0.999
    centred = applied(shift_images(clean, table.shifts_px * 0), ctf, 5.0)
    assert np.corrcoef(centred.ravel(), images.ravel())[0, 1] < 0.98


def test_an_input_that_has_changed_is_noticed(own, tmp_path):
    text = (own.path / "config.toml").read_text()
    (own.path / "config.toml").write_text(text.replace("seed = 5", "seed = 6"))
    with pytest.raises(InputError, match="cannot be made again: 1bd2 has changed since"):
        stack.particle_stack(read_run(own.path), tmp_path / "x.mrcs")
    assert not (tmp_path / "x.mrcs").exists()


def test_what_cannot_be_made_again_is_said(own, tmp_path):
    (own.path / "projections.npz").unlink()
    with pytest.raises(InputError, match="ended before it had images"):
        stack.particle_stack(read_run(own.path), tmp_path / "x.mrcs")
    (own.path / "config.toml").write_text("damaged")
    with pytest.raises(InputError, match="its configuration cannot be read"):
        stack.particle_stack(read_run(own.path), tmp_path / "x.mrcs")
