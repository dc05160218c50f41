"""PoseLab as a package that other programs import: the wheel, its command, its examples."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import site
import subprocess
import sys
import tomllib
import venv
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import engine
from tests import api_page

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXAMPLES = ("api", "api_records", "base.errors", "base.metric", "base.randomness", "io.loading")
"""Modules whose docstrings hold examples."""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    copy = folder / "source"  # building leaves a folder behind
    copy.mkdir()
    for name in ("engine", "pyproject.toml", "README.md", "LICENSE"):
        os.symlink(ROOT / name, copy / name)
    done = subprocess.run([*command, str(copy)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory) -> Path:
    """The programs of an environment that has the wheel, and the libraries that these tests run with."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    programs = folder / "bin"
    command = [sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*command, str(wheel)], check=True, timeout=120)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    return programs


def run(installed: Path, *arguments: str, folder: Path) -> str:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "POSELAB"))}
    done = subprocess.run(
        [str(installed / arguments[0]), *arguments[1:]], cwd=folder, env=environ, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_package_and_data_file_is_listed():
    folders = {path.parent for path in ROOT.glob("engine/**/*.py")}
    dotted = {".".join(["poselab", *path.relative_to(ROOT / "engine").parts]) for path in folders}
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == dotted


def test_the_package_needs_what_the_engine_imports_and_nothing_else():
    """So the app's libraries are left to those who have a checkout."""
    imported = set()
    for path in (ROOT / "engine").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                imported.add(node.module.partition(".")[0])
    distributions = importlib.metadata.packages_distributions()
    wanted = {distributions[name][0].lower().replace("_", "-") for name in imported - sys.stdlib_module_names}
    lines = (ROOT / "engine" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line.partition("==")[0].lower() for line in lines if "==" in line} == wanted


@pytest.mark.slow
def test_the_wheel_holds_what_the_folder_does_and_nothing_called_engine(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    ours = {
        f"poselab/{path.relative_to(ROOT / 'engine')}"
        for path in (ROOT / "engine").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == ours


@pytest.mark.slow
def test_the_command_and_the_package_work_where_they_are_installed(installed, tmp_path):
    assert run(installed, "poselab", "--help", folder=tmp_path).startswith("usage: poselab ")
    settings = ("distance.method=exact", "projections.count=20", "projections.size=16", "volume.resolution=20")
    arguments = [part for setting in settings for part in ("--set", setting)]
    printed = run(installed, "poselab", "run", *arguments, folder=tmp_path)
    assert "E_OR, median angle error" in printed
    assert len(list((tmp_path / "runs").glob("2*"))) == 1, "runs are where it was started"
    listed = run(installed, "poselab", "runs", "list", folder=tmp_path)
    assert "finished" in listed
    program = "import importlib.util as u; print(u.find_spec('engine'), u.find_spec('poselab') is not None)"
    assert run(installed, "python", "-c", program, folder=tmp_path) == "None True\n"


@pytest.mark.slow
def test_a_queued_run_is_started_under_the_name_that_the_package_has(installed, tmp_path):
    settings = ("distance.method=exact", "projections.count=20", "projections.size=16", "volume.resolution=20")
    arguments = [part for setting in settings for part in ("--set", setting)]
    run(installed, "poselab", "sweep", *arguments, "--vary", "seed=[1, 2]", folder=tmp_path)
    run(installed, "poselab", "queue", "work", folder=tmp_path)
    for _ in range(100):
        if run(installed, "poselab", "runs", "list", folder=tmp_path).count("finished") == 2:
            return
    pytest.fail(run(installed, "poselab", "runs", "list", folder=tmp_path))


@pytest.mark.slow
def test_importing_loads_nothing_heavy(installed, tmp_path):
    program = (
        "import sys, poselab; print(sorted({'tensorflow', 'keras', 'astra', 'scipy', 'numpy', 'pydantic', 'duckdb'} "
        "& set(sys.modules)), 'recover_poses' in dir(poselab), poselab.Config().seed)"
    )
    assert run(installed, "python", "-c", program, folder=tmp_path) == "[] True 0\n"


@pytest.mark.slow
def test_every_example_gives_what_it_says(installed, tmp_path):
    program = f"""
import doctest, importlib
flags = doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
for name in {EXAMPLES!r}:
    result = doctest.testmod(importlib.import_module(f"poselab.{{name}}"), optionflags=flags)
    assert result.attempted, name
    print(name, result.failed, "failed")
"""
    printed = run(installed, "python", "-c", program, folder=tmp_path)
    assert printed.splitlines() == [f"{name} 0 failed" for name in EXAMPLES]


@pytest.mark.slow
def test_ten_lines_in_a_notebook(installed, tmp_path):
    program = """
import numpy as np
import poselab
volume = poselab.load_volume("1bd2", resolution=20)
poses = poselab.sample_orientations(60, rng=0)
images = poselab.project(volume, poses, size=32)
distances = poselab.perturb_distances(poselab.exact_distances(poses), 0.05, rng=1)
recovered = poselab.recover_poses(distances, rng=2)
aligned = poselab.align_poses(recovered.poses, poses, rng=3)
print(volume, images.shape, distances, recovered, aligned, sep="\\n")
print(f"median error {np.median(aligned.errors):.2f} rad")
"""
    lines = run(installed, "python", "-c", program, folder=tmp_path).splitlines()
    assert lines[0] == "Volume('1bd2', 23 x 16 x 25 voxels of 6.667 Å)"
    assert lines[1:3] == ["(60, 32, 32)", "PairDistances(1,770 of the 1,770 pairs of 60 projections)"]
    assert lines[3].startswith("Recovery(60 poses, loss 0.04")
    assert lines[4].startswith("Alignment(60 poses, median error 0.0")
    assert lines[5] in {f"median error 0.{number:02d} rad" for number in range(3, 10)}


# In the checkout ------------------------------------------------------------------------------------------------------


def test_every_public_name_is_there_and_has_a_docstring():
    for name in engine.__all__:
        assert getattr(engine, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        engine.nothing  # noqa: B018


@pytest.mark.parametrize("name", [name for name in engine.__all__ if name[0].islower()])
def test_public_functions_say_what_they_take_give_raise_and_show_it(name):
    text = getattr(engine, name).__doc__
    assert "Examples\n" in text, name
    assert "Raises" in text
    assert "InputError" in text


@pytest.mark.slow
def test_another_package_called_engine_does_not_matter(installed, tmp_path):
    (tmp_path / "engine.py").write_text("POWER = 11\n", encoding="utf-8")
    program = "import sys; sys.path.insert(0, '.'); import engine, poselab; print(engine.POWER, poselab.Config().seed)"
    assert run(installed, "python", "-c", program, folder=tmp_path) == "11 0\n"


@pytest.mark.slow
def test_both_names_in_one_process_are_refused(installed, tmp_path):
    (packages,) = (installed.parent / "lib").glob("python*/site-packages")
    program = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(packages)!r}]; import engine; import poselab"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "ImportError: engine is imported already: the same code under another name" in done.stderr


@cache
def small() -> engine.Volume:
    return engine.load_volume("1bd2", resolution=20)


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda: engine.project(engine.load_volume("1bd2", resolution=20), [[1, 0], [0, 1]]), r"^poses have the shape"),
        (lambda: engine.exact_distances([[[2, 0, 0], [0, 1, 0], [0, 0, 1]]] * 2), r"^poses\[0\] is no rotation matrix"),
        (lambda: engine.exact_distances([[[-1, 0, 0], [0, 1, 0], [0, 0, 1]]] * 2), r"det R = 1"),
        (lambda: engine.exact_distances([[[float("nan")] * 3] * 3] * 3), r"\(nor are 2 others\)"),
        (lambda: engine.exact_distances(engine.sample_orientations(1, 0)), r"^poses are 1; wanted at least 2"),
        (lambda: engine.sample_orientations(0, rng=0), r"^count is 0; wanted a whole number"),
        (lambda: engine.sample_orientations(3, 0, "most"), r"^coverage is 'most'"),
        (lambda: engine.perturb_distances(None, -1, 0), r"^variance is -1; wanted a number from 0 to 10"),
        (lambda: engine.align_poses(engine.sample_orientations(3, 0), engine.sample_orientations(4, 0), 0),
         r"^recovered are 3 poses and true are 4; wanted as many of both"),
        (lambda: engine.fourier_shell_correlation([[[1.0]]], [[[1.0, 2.0]]], 1.0), r"wanted two volumes"),
        (lambda: engine.sample_orientations(10**12, rng=0),
         r"^count is 1000000000000; wanted .*: the header of an image"),
        (lambda: engine.sample_orientations(True, rng=0), r"^count is True; wanted .*: true and false are no numbers"),
        (lambda: engine.sample_orientations(3, rng=-1), r"^rng is -1; wanted a numpy.random.Generator, or a seed"),
        (lambda: engine.sample_orientations(3, rng=None), r"^rng is None; wanted"),
        (lambda: engine.sample_orientations(3, 0, ((0, 1), (0, 90), (1e9, 1e9 + 1))),
         r"^coverage: the psi interval .*00"),
        (lambda: engine.sample_orientations(3, 0, 7), r"^coverage is 7; wanted full, half, quarter or three intervals"),
        (lambda: engine.project(None, np.eye(3), pixel_size=1e-300),
         r"^pixel_size is 1e-300; wanted a number from 0.01"),
        (lambda: engine.project(small(), np.eye(3), size=10**9),
         r"^size is 1000000000; wanted a whole number from 8 to"),
        (lambda: engine.simulate(small(), 2**31 - 1, 0, size=4096),
         r"^2,147,483,647 images of 4096 x 4096 pixels need"),
        (lambda: engine.simulate(small(), 9, 0, noise_variance=1e300),
         r"^noise_variance is 1e\+300; wanted .* from 1e-30"),
        (lambda: engine.simulate(small(), 9, 0, snr=1e-300), r"^snr is 1e-300; wanted a number from 1e-14 to 1e14"),
        (lambda: engine.simulate(small(), 9, 0, defocus=[1e4, 1e9]), r"^defocus is 1000000000\.0; wanted a number"),
        (lambda: engine.simulate(small(), 9, 0, defocus=[3e4, 1e4]), r"^defocus is \[30000, 10000\]; wanted the lower"),
        (lambda: engine.simulate(small(), 9, 0, defocus=[1e4]), r"^defocus has 1 values; wanted one, or low and high"),
        (lambda: engine.simulate(small(), 9, 0, voltage=3e5), r"^voltage is 300000\.0; wanted a number from 10"),
        (lambda: engine.simulate(small(), 9, 0, noise_spectrum="pink"), r"^noise_spectrum is 'pink'; wanted"),
        (lambda: engine.simulate(small(), 9, 0, size=16, max_shift=9), r"^max_shift is 9 pixels and the images are 16"),
        (lambda: engine.recover_poses(None, 0, restarts=10**9), r"^restarts is 1000000000; wanted .* over a gigabyte"),
        (lambda: engine.recover_poses(None, 0, max_iterations=0), r"^max_iterations is 0; wanted"),
        (lambda: engine.reconstruct(np.zeros((2, 8, 8)), [np.eye(3)] * 2, small(), 0, iterations=1e3),
         r"^iterations is 10"),
        (lambda: engine.fourier_shell_correlation(np.ones((4, 4, 4)), np.ones((4, 4, 4)), 0.0),
         r"^voxel_size is 0.0; w"),
        (lambda: engine.write_star("a.star", np.eye(3), float("nan"), 64, "a.mrcs"), r"^pixel_size is nan; wanted"),
        (lambda: engine.load_volume("1bd2", resolution=1e300),
         r"^resolution is 1e\+300; wanted a number from 0.3 to 1000"),
        (lambda: engine.load_volume("1bd2", voxel_size=1e9), r"^voxel_size is 1000000000.0; wanted .*sampling theorem"),
        (lambda: engine.load_volume("1bd3"), r"^source is '1bd3', neither a built-in protein nor a file"),
        (lambda: engine.run_experiment({"distance": {"methud": "exact"}}), r"unknown key 'distance.methud'"),
    ],
)  # fmt: skip
def test_what_is_given_wrongly_is_said_in_one_line(call, wanted):
    with pytest.raises(engine.InputError, match=wanted) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_page_of_the_library_is_that_of_its_docstrings():
    """``python -m tests.api_page`` makes it anew."""
    text = api_page.PAGE.read_text(encoding="utf-8")
    assert text == api_page.page()
    headings = re.findall(r"^## (\w+)$", text, flags=re.MULTILINE)
    assert sorted(headings) == sorted(engine.__all__)
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert links == {heading.lower() for heading in headings}, "GitHub's anchor of a heading is in small letters"


def test_the_page_gives_signatures_and_every_part_of_a_docstring():
    text = api_page.page()
    part = text[text.index("\n## align_poses\n") :].partition("\n## ")[2].partition("\n## ")[0]
    assert "align_poses(recovered: ArrayLike, true: ArrayLike, rng: Random, symmetry: str = 'C1') -> Alignment" in part
    assert "- `recovered`, `true`: (n, 3, 3), as many of both." in part
    assert "- `poses` (n, 3, 3) in the true frame" in part
    assert "- `InputError`: for poses that are not rotation matrices" in part
    assert ">>> true = sample_orientations(20, rng=0)" in part
