"""The table of the notebooks: nothing is left out, every command is one that the engine takes, every picture exists.
The table of accuracies is the benchmark's, row for row. The page on the architecture shows and names what there is."""

from __future__ import annotations

import contextlib
import csv
import importlib
import re
import shlex
from pathlib import Path

import pytest

from engine.cli.generate_arguments import read_arguments
from engine.config.particles import ParticlesConfig
from engine.config.settings import load_config
from engine.experiment import sweep
from tests import architecture_picture
from tests.benchmarks import tables
from tests.benchmarks.rows import ROWS as PUBLISHED_ROWS
from tests.test_architecture import WINGS

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "notebooks.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| ")]
NOTEBOOKS = [row for row in ROWS if len(row) == 4 and row[0] not in ("notebook", "---")]
COMMANDS = sorted(set(re.findall(r"`(python -m engine [^`]+)`", TEXT)))


def test_every_notebook_of_the_authors_has_a_row():
    assert len(NOTEBOOKS) == 31
    assert len({row[0] for row in NOTEBOOKS}) == 31


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_ones_that_the_engine_takes(command):
    _, _, _, verb, *arguments = shlex.split(command)
    if verb == "run":
        assert arguments[::2] == ["--set"] * (len(arguments) // 2)
        load_config(None, arguments[1::2])
    elif verb == "sweep":
        assert arguments == ["--list"] or arguments[1] in sweep.studies()
    else:
        assert verb == "generate"
        assert read_arguments(arguments).count == 5000


@pytest.mark.parametrize("picture", sorted(set(re.findall(r"\((pictures/[^)]+)\)", TEXT))))
def test_pictures_are_pictures(picture):
    assert (DOCS / picture).read_bytes().startswith(b"\x89PNG")


def test_every_picture_is_shown():
    assert {path.name for path in (DOCS / "pictures").iterdir()} == set(re.findall(r"\(pictures/([^)]+)\)", TEXT))


def test_the_readme_shows_the_benchmarks_table():
    """README, accuracy.md and accuracy.csv are of one run of ``python -m tests.benchmarks.published``, all of it."""
    heading = "| coverage, sampling | noise variance |"
    shown, whole = (
        text[text.index(heading) :].partition("\n\n")[0].splitlines()
        for text in ((DOCS.parent / "README.md").read_text("utf-8"), (DOCS / "accuracy.md").read_text("utf-8"))
    )
    assert shown == whole
    with (DOCS / "accuracy.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["row"] for line in lines] == [row.name for row in PUBLISHED_ROWS]
    for row, line, text in zip(PUBLISHED_ROWS, lines, shown[2:], strict=True):
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        mean, sd = (line[f"angle_error_median_{which}"] for which in ("mean", "sd"))
        assert cells[0] == row.label
        assert cells[6] == tables.spread((float(mean), float(sd or "nan")))


@pytest.mark.parametrize("name", architecture_picture.PARTS)
def test_the_picture_of_the_wings_is_that_of_the_code(name):
    """``python -m tests.architecture_picture`` makes it anew."""
    text = architecture_picture.PAGE.read_text(encoding="utf-8")
    assert architecture_picture.PARTS[name]() in text
    assert architecture_picture.renewed(text) == text


def test_the_picture_leaves_out_only_arrows_that_follow_from_others():
    rooms = {room: set() for room in architecture_picture.ROOMS}
    rooms |= {"geometry": {"base"}, "imaging": {"base", "geometry"}, "poses": {"base", "imaging"}, "io": {"base"}}
    shown = architecture_picture.direct(rooms)
    assert {room: others for room, others in shown.items() if others} == {
        "geometry": {"base"}, "imaging": {"geometry"}, "poses": {"imaging"}, "io": {"base"},
    }  # fmt: skip


def test_the_architecture_page_names_what_there_is():
    """Paths, and names after a module's, in backticks."""
    quoted = set(re.findall(r"`([^`\s]+)`", (DOCS / "architecture.md").read_text(encoding="utf-8")))
    paths = {text for text in quoted if re.fullmatch(r"(engine|pages|tests)/[\w/.]+", text)}
    assert len(paths) > 8
    assert [path for path in sorted(paths) if not (DOCS.parent / path).exists()] == []
    names = {text for text in quoted if re.fullmatch(r"({})\.(?!toml)[\w.]+".format("|".join(WINGS)), text)}
    assert len(names) > 12
    assert [name for name in sorted(names) if not is_in_the_engine(name)] == []


def is_in_the_engine(name: str) -> bool:
    """Whether ``wing.module`` or ``wing.module.name`` is one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            value = importlib.import_module(".".join(["engine", *parts[:length]]))
            with contextlib.suppress(AttributeError):
                for part in parts[length:]:
                    value = getattr(value, part)
                return True
            return False
    return False


PARTICLES = (DOCS / "particles.md").read_text(encoding="utf-8")
PARTICLE_COMMANDS = sorted(
    line
    for block in re.findall(r"```\n(.*?)```", PARTICLES, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("python -m engine")
)


@pytest.mark.parametrize("command", PARTICLE_COMMANDS)
def test_commands_for_particles_are_ones_that_the_engine_takes(command):
    _, _, _, verb, *arguments = shlex.split(command)
    if verb == "run":
        arguments = [argument for argument in arguments if argument != "--json"]
        assert arguments[::2] == ["--set"] * (len(arguments) // 2)
        assert load_config(None, arguments[1::2]).particles.source is not None
    else:
        assert verb == "generate"
        assert read_arguments(arguments).particles is not None


def test_every_setting_of_particles_has_its_row_with_its_default():
    rows = dict(
        re.findall(r"^\| `particles\.(\w+)` \| (.*?) \|", PARTICLES.partition("## What comes out")[0], re.MULTILINE)
    )
    fields = ParticlesConfig.model_fields
    assert list(rows) == list(fields)
    for name, field in fields.items():
        if field.default is not None:
            assert rows[name] == f"`{str(field.default).lower()}`"


def test_every_figure_of_particles_is_explained():
    from engine.experiment.metrics import IN_FRAME, PARTICLES_LEFT_OUT
    from engine.experiment.metrics import PARTICLES as USED

    assert [one.name for one in (*IN_FRAME, USED, PARTICLES_LEFT_OUT) if f"`{one.name}`" not in PARTICLES] == []


@pytest.mark.parametrize("page", [*sorted(DOCS.glob("*.md")), DOCS.parent / "README.md"], ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
