"""The page of the library, ``docs/api.md``, from the docstrings of its public names; Griffe reads them.

``python -m tests.api_page`` makes it anew. Links are such that GitHub follows them.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import griffe

import engine

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"
HEAD = """\
# The library

What `import poselab` offers (in a checkout: `import engine`), made from the docstrings by `python -m tests.api_page`.
Examples are as after `from poselab import *`. Poses are rotation matrices as
[geometry/rotations.py](../engine/geometry/rotations.py) defines them. `Random` is a NumPy generator or a seed, `Array`
an array of floating-point numbers.
"""
_WIDTH = 100
_SECTIONS = {"returns": "Returns", "raises": "Raises", "parameters": "Parameters", "attributes": "Attributes"}


def public() -> list[griffe.Object]:
    """The public names: functions of the wings, those of the library's own modules, classes; each as in the source."""
    loader = griffe.GriffeLoader(search_paths=[ROOT], docstring_parser=griffe.Parser.numpy, allow_inspection=False)
    package = loader.load("engine")
    loader.resolve_aliases()
    objects = [package[name] for name in engine.__all__]
    members = [alias.final_target if isinstance(alias, griffe.Alias) else alias for alias in objects]
    return sorted(members, key=_place)


def _place(member: griffe.Object) -> tuple[bool, bool, str, int]:
    module = member.path.rpartition(".")[0]
    return member.is_class, module.startswith("engine.api"), module, member.lineno or 0


def page() -> str:
    """The whole page."""
    members = public()
    contents = [f"- [{member.name}](#{member.name.lower()}): {summary(member)}" for member in members]
    text = "\n".join([HEAD, *contents, *(line for member in members for line in described(member))])
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def summary(member: griffe.Object) -> str:
    """The first line of a docstring."""
    assert member.docstring is not None, member.path
    return marked_up(member.docstring.value.partition("\n\n")[0].replace("\n", " "))


def described(member: griffe.Object) -> Iterator[str]:
    """A heading, the signature, the docstring; of a class also what can be asked of it."""
    yield f"\n## {member.name}\n"
    if isinstance(member, griffe.Function):
        yield from ("```python", signature(member), "```\n")
    yield from sections(member)
    if isinstance(member, griffe.Class):
        for name, inner in inner_members(member):
            call = signature(inner) if isinstance(inner, griffe.Function) else name
            yield f"- `{' '.join(call.split())}`: {summary(inner)}"


def inner_members(member: griffe.Class) -> Iterator[tuple[str, griffe.Object]]:
    """Public methods and properties with a docstring, in the order of the source."""
    for name, inner in member.members.items():
        if not name.startswith("_") and inner.docstring and (inner.is_function or "property" in inner.labels):
            yield name, inner


def signature(function: griffe.Function) -> str:
    """Name, parameters with types and defaults, result; over several lines where it is long."""
    parameters = [
        f"{one.name}: {one.annotation}" + (f" = {one.default}" if one.default is not None else "")
        for one in function.parameters
        if one.name not in ("self", "cls")
    ]
    result = f" -> {function.returns}" if function.returns else ""
    line = f"{function.name}({', '.join(parameters)}){result}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{function.name}(", *(f"    {parameter}," for parameter in parameters), f"){result}"])


def sections(member: griffe.Object) -> Iterator[str]:
    """The docstring's parts."""
    assert member.docstring is not None, member.path
    for section in member.docstring.parsed:
        kind = section.kind.value
        if kind == "text":
            yield marked_up(section.value) + "\n"
        elif kind == "examples":
            for what, text in section.value:
                is_text = what is griffe.DocstringSectionKind.text
                yield marked_up(text) + "\n" if is_text else f"```python\n{text}\n```\n"
        else:
            yield f"**{_SECTIONS[kind]}**\n"
            for description, together in itertools.groupby(section.value, key=lambda element: element.description):
                yield item(kind, list(together), marked_up(" ".join(description.split())))
            yield ""


def item(kind: str, elements: list[griffe.DocstringElement], text: str) -> str:
    """Parameters, results, errors or attributes that have one description."""
    if kind == "returns":  # whose first line says what it is, in words
        return f"- {marked_up(str(elements[0].annotation))} {text}".rstrip()
    names = [element.annotation if kind == "raises" else getattr(element, "name", "") for element in elements]
    return f"- {', '.join(f'`{name}`' for name in names)}: {text}"


def marked_up(text: str) -> str:
    """Docstring's marks as Markdown: a role of a public name is a link to it."""

    def role(match: re.Match[str]) -> str:
        name = match[1].rpartition(".")[2]
        return f"[`{name}`](#{name.lower()})" if name in engine.__all__ else f"`{match[1]}`"

    return re.sub(r":\w+:`~?([^`]+)`", role, text).replace("``", "`")


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
