"""What writes, read from the code: which functions below the service do, and where a module calls one or writes itself.

Nothing is imported or run: names are followed from the imports of each module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
BELOW = ("config", "io", "record", "experiment", "analysis", "dispatch")
"""The wings beneath the service that know of experiments, runs and volumes."""

WRITING: Mapping[str, frozenset[str]] = {
    "engine.dispatch.backends": frozenset({"cancel", "forget", "get", "register"}),  # get: a backend submits
    "engine.dispatch.local": frozenset({"LocalBackend", "start_detached"}),
    "engine.dispatch.queuefiles": frozenset({"add", "changing", "folder_of", "locked", "remove"}),
    "engine.dispatch.runqueue": frozenset({"ensure_worker", "move_to_front", "set_at_a_time", "submit", "withdraw"}),
    "engine.dispatch.worker": frozenset({"work"}),
    "engine.experiment.pipeline": frozenset({"run_experiment"}),
    "engine.io.data_folders": frozenset({"add_upload"}),
    "engine.io.library": frozenset({"add_upload"}),
    "engine.record.catalogue": frozenset({"rebuild"}),
    "engine.record.life": frozenset({"Heartbeat"}),
    "engine.record.runlog": frozenset({"RunWriter", "Stage"}),
}
"""What changes runs, the queue or the volumes at hand, by the module that has it: the service alone calls these."""

HARMLESS: Mapping[str, str] = {
    "engine.experiment.checkpoints.Checkpoint": "belongs to the run that trains",
    "engine.experiment.stack.particle_stack": "a new file where the user wants it",
    "engine.experiment.stagecache.load": "results kept for reuse: who reads them throws damaged ones away",
    "engine.experiment.stagecache.store": "results kept for reuse",
    "engine.io.archives.fetch": "downloads kept for reuse",
    "engine.io.hdf5.write_projections": "a new file where the user wants it",
    "engine.io.mrc.write_map": "a new file where the caller wants it",
    "engine.io.mrc.write_stack": "a new file where the caller wants it",
    "engine.io.particles.write_poses": "a new file where the caller wants it",
    "engine.io.star.write_star": "a new file where the caller wants it",
    "engine.io.star.write_particles": "a new file where the caller wants it",
    "engine.record.catalogue.get_run": "the catalogue follows the directories whenever it is asked",
    "engine.record.catalogue.list_runs": "the catalogue follows the directories whenever it is asked",
    "engine.record.catalogue.sync": "the catalogue follows the directories whenever it is asked",
    "engine.record.runrecord.export_run": "a copy where the user wants it",
}
"""What writes files but changes no run, queue or volume, and why anybody may call it."""

_FUNCTIONS = {
    "engine.base.files.building", "engine.base.files.writing", "numpy.save", "numpy.savetxt", "numpy.savez",
    "numpy.savez_compressed", "os.kill", "os.makedirs", "os.mkdir", "os.open", "os.remove", "os.rename", "os.replace",
    "os.rmdir", "os.system", "os.unlink", "subprocess.Popen", "subprocess.call", "subprocess.check_call",
    "subprocess.check_output", "subprocess.run",
}  # fmt: skip
_METHODS = {"mkdir", "rmdir", "rmtree", "symlink_to", "touch", "unlink", "write_bytes", "write_text"}
_READING = {"shutil.disk_usage", "shutil.which"}


def module_name(path: Path) -> str:
    """The dotted name of a file of this project."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def writes(source: str, module: str) -> list[str]:
    """The lines of a module that import or name something of :data:`WRITING`, or write files themselves."""
    tree = ast.parse(source)
    names = _imports(tree, module)
    lines = [f"{node.lineno}: {name}" for node, name in _named(tree, names) if _is_writing(name)]
    lines += [f"{node.lineno}: {ast.unparse(node)}" for node in ast.walk(tree) if _writes_itself(node, names)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            origin = _origin(node, module)
            lines += [f"{node.lineno}: {origin}.{a.name}" for a in node.names if _is_writing(f"{origin}.{a.name}")]
            lines += [f"{node.lineno}: {origin}.*" for a in node.names if a.name == "*" and origin in WRITING]
    return lines


def writers(sources: Mapping[str, str]) -> set[str]:
    """The public functions and classes of these modules (source by dotted name) that write, themselves or by others.

    Those of :data:`HARMLESS` do not count, nor does what only calls them.
    """
    direct, calls = set(), dict[str, set[str]]()
    for module, source in sources.items():
        tree = ast.parse(source)
        defined = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        names = _imports(tree, module) | {node.name: f"{module}.{node.name}" for node in defined}
        for node in defined:
            calls[names[node.name]] = {name for _, name in _named(node, names)}
            if any(_writes_itself(inside, names) for inside in ast.walk(node)):
                direct.add(names[node.name])
    writing = direct - HARMLESS.keys()
    while more := {name for name, called in calls.items() if called & writing} - writing - HARMLESS.keys():
        writing |= more
    return {name for name in writing if not name.rpartition(".")[2].startswith("_")}


def below_the_service() -> dict[str, str]:
    """The source of every module beneath the service that may write, by its dotted name.

    Not of the stages: they write into the record of the run that they are given, which only ``RunWriter`` can make.
    """
    paths = [path for wing in BELOW for path in sorted((ROOT / "engine" / wing).rglob("*.py"))]
    paths = [path for path in paths if path.parts[-2] != "stages" and path.name != "stage.py"]
    return {module_name(path): path.read_text(encoding="utf-8") for path in paths}


def _is_writing(name: str) -> bool:
    module, _, leaf = name.rpartition(".")
    return leaf in WRITING.get(module, ())


def _origin(node: ast.ImportFrom, module: str) -> str:
    package = module.split(".")[: -node.level] if node.level else []
    return ".".join([*package, *([node.module] if node.module else [])])


def _imports(tree: ast.AST, module: str) -> dict[str, str]:
    """By the name that a module uses, wherever it imports it, the dotted name of what that is."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{_origin(node, module)}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                names[alias.asname or first] = alias.name if alias.asname else first
    return names


def _whole(node: ast.expr, names: Mapping[str, str]) -> str:
    """The dotted name of an expression such as ``runqueue.submit``, its first part as imported; empty for others."""
    first, dot, rest = ast.unparse(node).partition(".")
    return f"{names[first]}{dot}{rest}" if first in names else ""


def _named(tree: ast.AST, names: Mapping[str, str]) -> Iterator[tuple[ast.expr, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            yield node, _whole(node, names)


def _writes_itself(node: ast.AST, names: Mapping[str, str]) -> bool:
    if not isinstance(node, ast.Call):
        return False
    whole = _whole(node.func, names)
    if whole in _FUNCTIONS or (whole.startswith("shutil.") and whole not in _READING):
        return True
    if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
        return True
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    modes = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return called == "open" and any(len(mode) < 4 and set(mode) & set("wax+") for mode in modes)
