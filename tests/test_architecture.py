"""Reads the imports and keeps the walls that :mod:`engine` draws."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOORS = {
    "tensorflow": "engine.learning.network",
    "keras": "engine.learning.network",
    "finufft": "engine.imaging.fourier",
    "astra": "engine.imaging.astra_gpu",
    "duckdb": "engine.record.catalogue",
    "mrcfile": "engine.io.mrc",
    "gemmi": "engine.io.coordinates",
    "starfile": "engine.io.star",
}
LONGEST = 450  # lines

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in [*sorted(ROOT.glob("engine/**/*.py")), *sorted(ROOT.glob("pages/**/*.py")), *ROOT.glob("app.py")]
}


def imports(module: str, on_import_only: bool = False) -> Iterator[str]:
    """Full names that a module imports; with ``on_import_only`` those that importing it makes happen."""
    yield from _imports_of(ast.parse(MODULES[module].read_text(encoding="utf-8")), on_import_only)


def _imports_of(node: ast.AST, on_import_only: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if on_import_only and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if on_import_only and isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from _imports_of(ast.Module(child.orelse, []), on_import_only)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports hide where a name comes from; write the full one"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        else:
            yield from _imports_of(child, on_import_only)


def loaded_by(module: str) -> set[str]:
    """Top-level names of everything that importing a module of ours loads, through our other modules."""
    seen, waiting, libraries = set(), [module], set()
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for name in imports(current, on_import_only=True):
            ours = [known for known in (name, name.rpartition(".")[0]) if known in MODULES]
            waiting += ours[:1]
            if not ours:
                libraries.add(name.partition(".")[0])
    return libraries


def test_the_reader_tells_imports_apart():
    source = """
import a.b
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
    tree = ast.parse(source)
    always = ["a.b", "typing.TYPE_CHECKING", "otherwise", "c.d", "e", "g"]
    assert list(_imports_of(tree, on_import_only=True)) == always
    assert set(_imports_of(tree, on_import_only=False)) == {*always, "only_types", "lazy"}


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("engine")])
def test_the_engine_knows_nothing_of_the_app(module):
    tops = {name.partition(".")[0] for name in imports(module)}
    assert not tops & {"streamlit", "plotly", "altair", "pages", "app"}


@pytest.mark.parametrize(("library", "door"), DOORS.items())
def test_each_heavy_library_has_one_door(library, door):
    users = {module for module in MODULES if library in {name.partition(".")[0] for name in imports(module)}}
    assert users == {door}


def test_pages_know_only_their_helpers():
    pages = {name for name in MODULES if name.startswith("pages.")}
    for page in pages:
        for name in imports(page):
            if name.startswith("pages"):
                helper = next(part for part in (*name.split(".")[1:], "") if part)
                assert helper.startswith("_"), f"{page} imports {name}; pages share underscore-prefixed helpers only"
    for module in MODULES:
        if module not in pages:
            assert not [name for name in imports(module) if name.startswith("pages")], module


@pytest.mark.parametrize(
    "module", [name for name in MODULES if name in ("app", "engine.config.schema") or "pages" in name]
)
def test_the_app_and_the_configuration_load_no_network_library(module):
    assert not loaded_by(module) & {"tensorflow", "keras", "astra"}


@pytest.mark.parametrize("command", ["import engine.config.schema", "run_module('engine', run_name='__main__')"])
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


@pytest.mark.parametrize("module", MODULES)
def test_modules_stay_small(module):
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= LONGEST
