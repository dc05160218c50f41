"""What tests share: random numbers, a small asymmetric density, a projection worked out the plain way."""

from __future__ import annotations

import fcntl
import gc
import importlib.util
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

# The last digits of matrix products depend on how many threads add them up. Runs see to that themselves; for all else
# one for each process, here and in those that tests start, gives the same digits, and costs less.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from engine.imaging.volume import Volume
    from engine.record.runrecord import RunRecord

SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: of several processes, none then has to wait long for the last one."""
    long_files = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long_files)


def pytest_sessionfinish() -> None:
    """At the end all objects are taken down as ever."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def old_objects_are_left_alone() -> None:
    """The garbage collector looks at the objects of this test alone.

    Streamlit collects all garbage after each run of a page, and Keras before each network. Beside everything that was
    imported and traced by then that takes longer than the page: 0.6 s, and ten times less like this.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20211)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real volumes that lies beside the project on some machines."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the volumes of {folder}")
    return folder


@pytest.fixture(scope="session")
def aspire() -> ModuleType:
    """The package ASPIRE, without the traces that its import leaves."""
    if importlib.util.find_spec("aspire") is None:
        pytest.skip("needs ASPIRE (tests/requirements.txt)")
    from tests.benchmarks.aspire_peer import import_aspire

    return import_aspire()


@pytest.fixture
def toy_density() -> NDArray[np.float32]:
    """Four Gaussians without symmetry on 24 x 22 x 26 voxels (z, y, x), dark at the edges."""
    return gaussians(
        (24, 22, 26),
        centres_xyz=[(3.0, 0.0, 0.0), (0.0, -4.0, 1.0), (-1.0, 2.0, 4.0), (-3.0, -1.0, -2.0)],
        widths=[1.8, 2.0, 1.6, 1.7],
        heights=[1.0, 0.7, 0.5, 0.9],
    )


@pytest.fixture
def toy_volume(toy_density: NDArray[np.float32]) -> Volume:
    from engine.imaging.volume import Volume

    return Volume(density=toy_density, voxel_size=2.5, origin=np.zeros(3), name="toy")


@pytest.fixture
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's runs are, for the app and the command line too; not made yet."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("POSELAB_RUNS_DIR", str(folder))
    return folder


def filled_once(name: str, fill: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder ``name`` of this session, filled by the first process that asks for it; the others wait."""
    temporary = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        temporary = temporary.parent  # each worker has a folder of its own in that of the session
    folder, complete = temporary / name, temporary / f"{name}.complete"
    with (temporary / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed in the middle
            folder.mkdir()
            fill(folder)
            complete.touch()
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one finished run, to be copied."""
    from engine.experiment.pipeline import run_experiment
    from tests.app_testing import QUICK, TYPED

    def fill(folder: Path) -> None:
        run_experiment(QUICK, folder, ["python", "-m", "engine", "run"], name=TYPED)

    return filled_once("finished", fill, tmp_path_factory)


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with eight finished runs: two coverages, two variances of the noise, two seeds; to be copied."""
    from engine.config.settings import config_from_dict
    from engine.experiment.pipeline import run_experiment

    def fill(folder: Path) -> None:
        for coverage, variance, seed in itertools.product(("full", "half"), (0.0, 16.0), (0, 1)):
            tables = {
                "projections": {"count": 40, "size": 24, "coverage": coverage, "noise_variance": variance},
                "distance": {"method": "perturbed"},
                "recovery": {"restarts": 10},
                "reconstruction": {"enabled": False},
            }
            run_experiment(config_from_dict(tables | {"seed": seed}), folder, ["python", "-m", "engine", "run"])

    return filled_once("family", fill, tmp_path_factory)


@pytest.fixture
def finished(made: Path, runs_dir: Path) -> RunRecord:
    """A finished run, the only one in ``runs_dir``."""
    from engine.record.runrecord import read_run

    shutil.copytree(made, runs_dir)
    (path,) = runs_dir.glob("2*")
    return read_run(path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one finished run that trained a tiny network on simulated projections; to be copied."""
    from engine.experiment.pipeline import run_experiment
    from tests.app_testing import TRAINED

    def fill(folder: Path) -> None:
        run_experiment(TRAINED, folder, ["python", "-m", "engine", "run"], name="trained")

    return filled_once("trained", fill, tmp_path_factory)


@pytest.fixture
def with_network(trained: Path, runs_dir: Path) -> RunRecord:
    """A finished run with a trained network, the only one in ``runs_dir``."""
    from engine.record.runrecord import read_run

    shutil.copytree(trained, runs_dir)
    (path,) = runs_dir.glob("2*")
    return read_run(path)


@pytest.fixture(scope="session")
def particle_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two finished runs on a tiny stack of particles, whose table has poses and has not; to be copied.

    The stacks are in ``data/with`` and ``data/without``, in it.
    """
    from engine.experiment.pipeline import run_experiment
    from tests.learning_testing import train_small_networks
    from tests.particle_testing import make_stack, on_stack

    def fill(folder: Path) -> None:
        density = gaussians(
            (24, 22, 26), [(3.0, 0.0, 0.0), (0.0, -4.0, 1.0), (-1.0, 2.0, 4.0), (-3.0, -1.0, -2.0)],
            [1.8, 2.0, 1.6, 1.7], [1.0, 0.7, 0.5, 0.9],
        )  # fmt: skip
        for name in ("with", "without"):
            source = make_stack(folder / "data" / name, density, with_poses=name == "with")
            with pytest.MonkeyPatch.context() as patch:
                train_small_networks(patch)
                run_experiment(on_stack(source), folder / "runs", ["python", "-m", "engine", "run"], name=name)

    return filled_once("particle-runs", fill, tmp_path_factory)


@pytest.fixture
def on_particles(particle_runs: Path, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, RunRecord]:
    """Two finished runs on particles, by name, the only ones in ``runs_dir``; the app may read their stacks."""
    from engine.record.runrecord import read_run

    shutil.copytree(particle_runs / "runs", runs_dir)
    monkeypatch.setenv("POSELAB_DATA_DIRS", str(particle_runs / "data"))
    records = [read_run(path) for path in sorted(runs_dir.glob("2*"))]
    return {str(record.name): record for record in records}


@pytest.fixture
def two_users() -> Iterator[tuple[Path, Callable[[int], None]]]:
    """A folder that members of a group may write, and how to become one of them, with the usual umask."""
    if os.geteuid() != 0:
        pytest.skip("needs a superuser, who can become others")
    folder = Path(tempfile.mkdtemp(prefix="two-users-"))
    os.chown(folder, -1, 54321)
    folder.chmod(0o2775)
    previous, groups = os.umask(0o022), os.getgroups()

    def become(user: int) -> None:
        os.seteuid(0)
        os.setgroups([])
        os.setegid(54321 if user else 0)
        os.seteuid(user)

    yield folder, become
    become(0)
    os.setgroups(groups)
    os.umask(previous)
    shutil.rmtree(folder)


@pytest.fixture
def visited_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a server keeps between runs and AppTest forgets: that the pages are those of ``app.py``."""
    from streamlit.runtime.pages_manager import PagesManager

    new_server = PagesManager.__init__

    def start(self, *given, **named) -> None:
        new_server(self, *given, **named)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", start)


def gaussians(
    shape: tuple[int, int, int],
    centres_xyz: list[tuple[float, float, float]],
    widths: list[float],
    heights: list[float],
) -> NDArray[np.float32]:
    """A density (z, y, x) of isotropic Gaussians; centres are counted from voxel n // 2."""
    z, y, x = (axis - n // 2 for axis, n in zip(np.indices(shape), shape, strict=True))
    density = sum(
        height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / (2 * width**2))
        for (cx, cy, cz), width, height in zip(centres_xyz, widths, heights, strict=True)
    )
    return np.asarray(density, dtype=np.float32)


def reference_projection(
    density: NDArray[np.floating], pose: NDArray[np.floating], center_xyz: NDArray[np.floating], size: int
) -> NDArray[np.float64]:
    """``image[v, u] = sum over w of density(pose @ (u, v, w))`` by quintic splines: no Fourier transform, no engine.

    ``center_xyz`` is the voxel index (x, y, z) that the object turns about; it lands on pixel ``size // 2``.
    """
    w, v, u = np.indices((size, size, size)) - size // 2
    x, y, z = (
        row @ np.stack([u.ravel(), v.ravel(), w.ravel()]) + middle for row, middle in zip(pose, center_xyz, strict=True)
    )
    values = ndimage.map_coordinates(density.astype(float), [z, y, x], order=5, mode="constant")
    return values.reshape(size, size, size).sum(axis=0)
