"""The plan of the house, as data, and what holds the code to it. ``docs/architecture.md`` tells it in words."""

from __future__ import annotations

import ast
import fnmatch
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from engine.config.settings import known_keys

ROOT = Path(__file__).parents[1]

# The plan -------------------------------------------------------------------------------------------------------------

WINGS = (
    "base", "geometry", "imaging", "poses", "learning", "io", "config", "record", "experiment", "analysis", "dispatch",
    "service", "cli",
)  # fmt: skip
"""The engine's packages. Each imports only itself and those before it."""
NUMERIC = ("geometry", "imaging", "poses", "learning")
"""They know no configuration, no key of one, and no screen."""
FLAT = {"engine": 4, "pages": 14}
"""Python files that may lie beside the packages."""
DOORS = {
    "tensorflow": "engine/learning/libraries.py",
    "keras": "engine/learning/libraries.py",
    "finufft": "engine/imaging/fourier.py",
    "astra": "engine/imaging/astra_gpu.py",
    "duckdb": "engine/record/catalogue.py",
    "mrcfile": "engine/io/mrc.py",
    "gemmi": "engine/io/coordinates*.py",
    "starfile": "engine/io/star.py",
    "h5py": "engine/io/hdf5.py",
    "plotly": "pages/_*/*figures.py",
}
"""Heavy libraries, each with the only place that may import it."""
SHARED_DOOR = {"plotly": "pages/_shared/style.py"}
"""And what its users have in common."""
SCREENS = {"streamlit", "plotly", "altair", "tqdm", "rich"}
PAGES = {
    "runs": "_runs", "run": "_run", "compare": "_compare", "experiment": "_experiment", "volumes": "_experiment",
    "coverage": "_factors", "noise": "_factors", "sampling": "_factors", "recovery": "_factors",
    "mismatch": "_factors",
}  # fmt: skip
"""Entry files, each with the folder of its page or family of pages. A folder imports itself and ``_shared``."""
LONGEST = 450  # lines of a module

# Reading the code -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Import:
    """A module imports another, or a name from it, in some line."""

    module: str
    line: int
    target: str
    relative: bool
    when: Literal["on import", "on call", "never"]
    """``on call``: inside a function. ``never``: for type checkers alone."""
    text: str

    def __str__(self) -> str:
        return f"{path_of(self.module)}:{self.line}: {self.text}"


def modules() -> dict[str, str]:
    """Source by dotted name of everything in engine/, pages/ and app.py."""
    paths = [*sorted(ROOT.glob("engine/**/*.py")), *sorted(ROOT.glob("pages/**/*.py")), ROOT / "app.py"]
    return {name_of(path): path.read_text(encoding="utf-8") for path in paths}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def path_of(module: str) -> str:
    plain = module.replace(".", "/")
    return f"{plain}/__init__.py" if (ROOT / plain).is_dir() else f"{plain}.py"


def imports(module: str, source: str) -> Iterator[Import]:
    """Everything that a module imports, with full names."""
    yield from _imports(ast.parse(source), module, "on import")


def _imports(node: ast.AST, module: str, when: Literal["on import", "on call", "never"]) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from _imports(ast.Module(child.body, []), module, "never")
            yield from _imports(ast.Module(child.orelse, []), module, when)
        elif isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(module, child.lineno, alias.name, False, when, ast.unparse(child))
        elif isinstance(child, ast.ImportFrom):
            parents = module.split(".")
            is_package = path_of(module).endswith("__init__.py")
            parents = parents[: len(parents) - child.level + is_package] if child.level else []
            origin = ".".join([*parents, *([child.module] if child.module else [])])
            for alias in child.names:
                yield Import(module, child.lineno, f"{origin}.{alias.name}", child.level > 0, when, ast.unparse(child))
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and when == "on import"
            yield from _imports(child, module, "on call" if inside else when)


SOURCES = modules()
IMPORTS = [one for name, source in SOURCES.items() for one in imports(name, source)]


def ours(target: str, known: Mapping[str, str]) -> str | None:
    """The module that an import's target is, or is a name in; None for a library's."""
    return next((name for name in (target, target.rpartition(".")[0]) if name in known), None)


# Rules ----------------------------------------------------------------------------------------------------------------


def against_the_order(all_imports: list[Import]) -> list[str]:
    """Imports of a wing by one before it, or of the engine's wings by name rather than relatively."""
    wrong = []
    for one in all_imports:
        parts, target = one.module.split("."), one.target.split(".")
        if parts[0] != "engine" or target[0] != "engine":
            continue
        if not one.relative:
            wrong.append(f"{one} (wanted a relative import)")
        places = [WINGS.index(name[1]) if name[1:] and name[1] in WINGS else None for name in (parts, target)]
        if None not in places and places[1] > places[0]:
            wrong.append(str(one))
    return wrong


def circles(all_imports: list[Import], known: Mapping[str, str]) -> list[str]:
    """Imports among modules that import each other, through whichever others: at the top, in functions, for checkers.

    That importing a module runs the ``__init__`` of its package is left out: it is so everywhere.
    """
    edges: dict[str, set[str]] = {name: set() for name in known}
    for one in all_imports:
        target = ours(one.target, known)
        if target is not None and target != one.module:
            edges[one.module].add(target)
    groups = [group for group in _strongly_connected(edges) if len(group) > 1]
    return [str(one) for group in groups for one in all_imports if {one.module, ours(one.target, known)} <= group]


def _strongly_connected(edges: Mapping[str, set[str]]) -> list[set[str]]:
    """Tarjan, SIAM J. Comput. 1 (1972) 146."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[set[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(edges[name]):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            group = set()
            while name not in group:
                group.add(stack.pop())
            groups.append(group)

    for name in edges:
        if name not in index:
            visit(name)
    return groups


def past_the_doors(all_imports: list[Import]) -> list[str]:
    """Imports of a heavy library anywhere but at its door."""
    return [
        str(one)
        for one in all_imports
        if (library := one.target.partition(".")[0]) in DOORS
        and not any(fnmatch.fnmatch(path_of(one.module), door.get(library, "")) for door in (DOORS, SHARED_DOOR))
    ]


def configuration_in(module: str, source: str) -> list[str]:
    """Lines of a numeric module that name a model of the configuration, or a key in a text that is no docstring.

    A text that ends in a section and a dot is the beginning of a key.
    """
    keys = [key for key in known_keys() if "." in key]
    sections = tuple({f"{key.partition('.')[0]}." for key in keys})
    tree = ast.parse(source)
    docstrings = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    wrong = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            if any(key in node.value for key in keys) or node.value.endswith(sections):
                wrong.append((node.lineno, repr(node.value)))
        elif isinstance(node, ast.Name | ast.arg | ast.Attribute):
            text = ast.unparse(node).partition(":")[0]
            if text in ("config", "Config") or text.endswith("Config"):
                wrong.append((node.lineno, text))
    return [f"{path_of(module)}:{line}: {text}" for line, text in wrong]


def between_pages(all_imports: list[Import]) -> list[str]:
    """Imports of a page's folder by anything but itself and its entry files; of pages by anything else."""
    wrong = []
    for one in all_imports:
        parts, target = one.module.split("."), one.target.split(".")
        if target[0] != "pages":
            continue
        if parts[0] != "pages":
            wrong.append(str(one))
            continue
        home = parts[1] if len(parts) > 2 else PAGES.get(parts[-1])
        if target[1] not in (home, "_shared"):
            wrong.append(str(one))
    return wrong


# The code keeps them --------------------------------------------------------------------------------------------------


def test_no_import_is_against_the_order_of_the_wings():
    assert against_the_order(IMPORTS) == []


def test_no_circle_of_imports():
    assert circles(IMPORTS, SOURCES) == []


def test_each_heavy_library_has_one_door():
    assert past_the_doors(IMPORTS) == []
    used = {one.target.partition(".")[0] for one in IMPORTS}
    assert set(DOORS) <= used, "a door that nobody goes through is none"


def test_numeric_wings_know_no_configuration_and_no_screen():
    numeric = [name for name in SOURCES if name.split(".")[1:2] and name.split(".")[1] in NUMERIC]
    assert len(numeric) > 25
    wrong = [line for name in numeric for line in configuration_in(name, SOURCES[name])]
    for one in IMPORTS:
        if one.module in numeric and (one.target.partition(".")[0] in SCREENS or ".config." in f"{one.target}."):
            wrong.append(str(one))
    wrong += [
        f"{path_of(name)}:{node.lineno}: {ast.unparse(node)}"
        for name in numeric
        for node in ast.walk(ast.parse(SOURCES[name]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert wrong == []


def test_the_engine_knows_nothing_of_the_app():
    wrong = [
        str(one)
        for one in IMPORTS
        if one.module.startswith("engine") and one.target.partition(".")[0] in {"streamlit", "plotly", "pages", "app"}
    ]
    assert wrong == []


def test_a_pages_folder_imports_itself_and_the_shared_one_alone():
    assert between_pages(IMPORTS) == []
    entries = {name.split(".")[1] for name in SOURCES if name.startswith("pages.") and name.count(".") == 1}
    folders = {name.split(".")[1] for name in SOURCES if name.startswith("pages._")}
    assert entries - folders == set(PAGES)
    assert folders == {*PAGES.values(), "_shared"}


@pytest.mark.parametrize(("folder", "most"), FLAT.items())
def test_few_files_lie_beside_the_packages(folder, most):
    flat = sorted(path.name for path in (ROOT / folder).glob("*.py"))
    assert len(flat) <= most, flat


def test_every_package_of_the_engine_is_in_the_plan():
    packages = {path.name for path in (ROOT / "engine").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert packages == {*WINGS, "data"}


def test_tests_mirror_the_wings():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {*WINGS, "pages", "browser", "benchmarks", "data"}


@pytest.mark.parametrize("module", SOURCES)
def test_modules_stay_small(module):
    assert len(SOURCES[module].splitlines()) <= LONGEST


# The rules can be broken ----------------------------------------------------------------------------------------------


def seen(module: str, source: str) -> list[Import]:
    return list(imports(module, source))


@pytest.mark.parametrize(
    ("module", "source", "target"),
    [
        ("engine.poses.pairs", "from .choices import Head", "engine.poses.choices.Head"),
        ("engine.poses.pairs", "from ..base import errors", "engine.base.errors"),
        ("engine.experiment.stages", "from .. import metrics", "engine.experiment.metrics"),
        ("engine.experiment.stages", "from .volume import VolumeStage", "engine.experiment.stages.volume.VolumeStage"),
        ("engine.experiment.stages.volume", "from ...config.schema import Config", "engine.config.schema.Config"),
    ],
)
def test_relative_imports_are_read_with_their_full_names(module, source, target):
    (one,) = seen(module, source)
    assert one.target == target


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("engine.geometry.rotations", "from ..imaging import volume"),
        ("engine.base.files", "def f():\n    from ..cli import console"),
        ("engine.poses.pairs", "from engine.geometry.rotations import from_euler"),
        ("engine.record.runlog", "from ..dispatch.local import LocalBackend"),
        ("engine.imaging.fsc", "if TYPE_CHECKING:\n    from ..record.runrecord import RunRecord"),
    ],
)
def test_an_import_against_the_order_is_seen_with_its_line(module, source):
    (line,) = against_the_order(seen(module, source))
    assert line.startswith(f"{module.replace('.', '/')}.py:{len(source.splitlines())}: from ")


def test_a_circle_is_seen_also_where_it_closes_inside_a_function():
    sources = {
        "engine.base.a": "from . import b",
        "engine.base.b": "def f():\n    from .c import g",
        "engine.base.c": "from .a import h",
        "engine.base.d": "from . import a",
    }
    all_imports = [one for name, source in sources.items() for one in seen(name, source)]
    assert circles(all_imports, sources) == [
        "engine/base/a.py:1: from . import b",
        "engine/base/b.py:2: from .c import g",
        "engine/base/c.py:1: from .a import h",
    ]
    assert circles(seen("engine.base.d", sources["engine.base.d"]), sources) == []


def test_a_library_past_its_door_is_seen():
    assert past_the_doors(seen("engine.imaging.volume", "import mrcfile")) == [
        "engine/imaging/volume.py:1: import mrcfile"
    ]
    assert past_the_doors(seen("pages._shared.state", "def f():\n    from tensorflow import keras"))
    assert past_the_doors(seen("pages._run.results", "import plotly.graph_objects as go"))
    assert past_the_doors(seen("engine.learning.network", "import tensorflow as tf"))
    assert not past_the_doors(seen("engine.learning.libraries", "import tensorflow as tf"))
    assert not past_the_doors(seen("pages._run.run_figures", "import plotly.graph_objects as go"))


def test_a_key_in_a_message_is_seen_and_one_in_a_docstring_is_not():
    source = '"""As projections.count says."""\nraise ValueError(f"projections.count is {count}")'
    assert configuration_in("engine.poses.pairs", source) == ["engine/poses/pairs.py:2: 'projections.count is '"]


@pytest.mark.parametrize(
    "source", ["def f(c: Config): ...", "f(schema.PairsConfig)", "def f(config: X): ...", "f'pairs.{k}'"]
)
def test_a_configuration_in_a_numeric_module_is_seen(source):
    assert configuration_in("engine.poses.pairs", source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pages._run.results", "from pages._compare import table"),
        ("pages.run", "from pages import compare"),
        ("pages._shared.state", "from pages._run import results"),
        ("engine.cli.main", "from pages._shared import text"),
    ],
)
def test_an_import_between_pages_is_seen(module, source):
    assert len(between_pages(seen(module, source))) == 1


def test_the_reader_tells_imports_apart():
    source = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import only_types
else:
    import otherwise
try:
    from c import d
except ImportError:
    import e
class F:
    import g
    def method(self):
        import lazy
"""
    assert [(one.target, one.when) for one in seen("engine.x", source)] == [
        ("typing.TYPE_CHECKING", "on import"), ("only_types", "never"), ("otherwise", "on import"),
        ("c.d", "on import"), ("e", "on import"), ("g", "on import"), ("lazy", "on call"),
    ]  # fmt: skip


# Starting quickly -----------------------------------------------------------------------------------------------------


def loaded_by(module: str) -> set[str]:
    """Top-level names of the libraries that importing a module of ours loads, through our other modules."""
    visited, waiting, libraries = set(), [module], set()
    while waiting:
        current = waiting.pop()
        if current in visited:
            continue
        visited.add(current)
        for one in (one for one in IMPORTS if one.module == current and one.when == "on import"):
            target = ours(one.target, SOURCES)
            waiting += [] if target is None else [target]
            libraries |= {one.target.partition(".")[0]} if target is None else set()
    return libraries


@pytest.mark.parametrize("module", [name for name in SOURCES if name.partition(".")[0] in ("app", "pages")])
def test_the_app_loads_no_network_library(module):
    assert not loaded_by(module) & {"tensorflow", "keras", "astra"}


@pytest.mark.parametrize(
    "command",
    ["import engine.config.schema", "import engine", "run_module('engine', run_name='__main__')"],
)
def test_help_and_configuration_start_without_heavy_libraries(command):
    program = f"""
import sys
from runpy import run_module
sys.argv = ["engine", "--help"]
try:
    {command}
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *sorted({set(DOORS)!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"
