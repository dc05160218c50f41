"""The picture of the wings and their table in ``docs/architecture.md``, from the plan and from what the code imports.

``python -m tests.architecture_picture`` makes them anew.
"""

from __future__ import annotations

import fnmatch
import sys

from tests.test_architecture import DOORS, IMPORTS, ROOT, SOURCES, WINGS, ours, path_of

PAGE = ROOT / "docs" / "architecture.md"
ROOMS = (*WINGS, "pages")
"""What the picture shows, in order: the wings, and the app's pages, which come after all of them."""


def imported_rooms() -> dict[str, set[str]]:
    """For each room those that some module of it imports, at its top, inside a function or for type checkers."""
    rooms: dict[str, set[str]] = {room: set() for room in ROOMS}
    for one in IMPORTS:
        target = ours(one.target, SOURCES)
        here, there = room_of(one.module), room_of(target or "")
        if here and there and here != there:
            rooms[here].add(there)
    return rooms


def room_of(module: str) -> str | None:
    """The wing of a module of the engine, or ``pages``; None for files beside the wings and for libraries."""
    top, _, rest = module.partition(".")
    room = rest.partition(".")[0] if top == "engine" else top
    return room if room in ROOMS else None


def direct(rooms: dict[str, set[str]]) -> dict[str, set[str]]:
    """Without the arrows that follow from others: where one can go round, the direct one is left out."""
    reached: dict[str, set[str]] = {}
    for room in ROOMS:  # each imports only rooms before it
        reached[room] = rooms[room].union(*(reached[other] for other in rooms[room]))
    return {room: others - set().union(*(reached[other] for other in others)) for room, others in rooms.items()}


def libraries(room: str) -> list[str]:
    """Heavy libraries that have their door in a room."""
    paths = [path_of(module) for module in SOURCES if room_of(module) == room]
    return [library for library, door in DOORS.items() if fnmatch.filter(paths, door)]


def picture() -> str:
    """A Mermaid diagram, which GitHub draws: who imports whom, without what follows from the rest."""
    lines = ["```mermaid", "flowchart BT"]
    for room in ROOMS:
        doors = f"<br/><i>{', '.join(libraries(room))}</i>" if libraries(room) else ""
        lines.append(f'    {room}["<b>{room}</b>{doors}"]')
    arrows = direct(imported_rooms())
    lines += [f"    {room} --> {other}" for room in ROOMS for other in ROOMS if other in arrows[room]]
    return "\n".join([*lines, "```"])


def table() -> str:
    """The wings in order, each with the beginning of its own docstring and the libraries that it alone imports."""
    lines = ["| wing | what it is | libraries with their door here |", "| --- | --- | --- |"]
    for wing in WINGS:
        text = SOURCES[f"engine.{wing}"].split('"""')[1].split("\n\n")[0].replace("\n", " ").strip()
        lines.append(f"| [{wing}](../engine/{wing}) | {text} | {', '.join(libraries(wing))} |")
    return "\n".join(lines)


PARTS = {"picture": picture, "table": table}


def renewed(text: str) -> str:
    """The page with its made parts made anew; ValueError where a mark is missing."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: made by tests/architecture_picture.py -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, marker, after = rest.partition(end)
        if not marker:
            raise ValueError(f"{PAGE.name} has no part between {begin!r} and {end!r}")
        text = f"{before}{begin}\n{make()}\n{end}{after}"
    return text


def main() -> int:
    """Write the page anew."""
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
