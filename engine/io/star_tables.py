"""``.star`` files as their text: values are read by column, and replaced without a change to any other character.

A table of particles has columns of programs that we know nothing of, and numbers with more digits, or fewer, than we
would write. Who gets their table back wants it as it was. So the lines are kept, and each value is a place in a line.

Of the STAR format (Hall, J. Chem. Inf. Comput. Sci. 31 (1991) 326) this is the part that RELION's programs write: data
blocks with a loop, a line for each row, or with pairs of name and value; values in quotes may have spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..base.errors import InputError
from ..base.quantities import shown
from ..base.texts import read_text

_TOKEN = re.compile(r"""'[^']*'(?=\s|$)|"[^"]*"(?=\s|$)|\S+""")
_QUOTES = ("'", '"')
_ROWS = 10_000  # converted at a time: as Python's texts, numbers take ten times their space


@dataclass(eq=False)
class StarBlock:
    """A data block: its columns, and the lines in which its values are.

    Attributes
    ----------
    name
        what follows ``data_``; it may be empty.
    columns
        names without the underscore.
    column_lines
        numbers, from 0, of the lines that name the columns; without a loop the value is in the same line.
    row_lines
        numbers of the lines of its rows, one a row; of a block without a loop empty.
    stray_lines
        numbers of lines with a single value where rows have several: EMPIAR-10028's table has one.
    wrong_line
        the first other line with too few or too many values.
    rows_after_gap
        rows that follow an empty line, at which RELION ends a table.
    """

    name: str
    columns: list[str] = field(default_factory=list)
    column_lines: list[int] = field(default_factory=list)
    row_lines: list[int] = field(default_factory=list)
    stray_lines: list[int] = field(default_factory=list)
    wrong_line: int | None = None
    rows_after_gap: int = 0
    is_loop: bool = False

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.row_lines) if self.is_loop else min(len(self.columns), 1)

    def __contains__(self, column: object) -> bool:
        return column in self.columns


@dataclass(frozen=True, eq=False)
class StarText:
    """The lines of a file, without their ends, and its data blocks in their order."""

    path: Path
    lines: list[str]
    blocks: tuple[StarBlock, ...]

    def block(self, name: str) -> StarBlock | None:
        """The first block of this name."""
        return next((block for block in self.blocks if block.name == name), None)

    def texts(self, block: StarBlock, column: str) -> Iterator[str]:
        """The values of a column, one a row, without quotes around them."""
        place = block.columns.index(column)
        if not block.is_loop:
            yield from self._pair(block, place)
            return
        for number in block.row_lines:
            yield _unquoted(_values(self.lines[number])[place])

    def numbers(self, block: StarBlock, columns: Sequence[str]) -> NDArray[np.float64]:
        """The values of columns, (rows, columns).

        Raises
        ------
        InputError
            naming the line, for a value that is not a finite number.
        """
        result = np.empty((len(block), len(columns)))
        if not columns:
            return result
        places = [block.columns.index(column) for column in columns]
        if not block.is_loop:
            values = [next(iter(self._pair(block, place)), "") for place in places]
            result[:] = self._converted([values], block.column_lines[:1], columns)
            return result
        pick = itemgetter(*places) if len(places) > 1 else lambda values: (values[places[0]],)
        for start in range(0, len(block), _ROWS):
            numbers = block.row_lines[start : start + _ROWS]
            rows = [pick(_values(self.lines[number])) for number in numbers]
            result[start : start + len(rows)] = self._converted(rows, numbers, columns)
        return result

    def _pair(self, block: StarBlock, place: int) -> list[str]:
        return [_unquoted(value) for value in _values(self.lines[block.column_lines[place]])[1:2]]

    def _converted(
        self, rows: Sequence[Sequence[str]], line_numbers: Sequence[int], columns: Sequence[str]
    ) -> NDArray[np.float64]:
        try:
            result = np.array(rows, dtype=float)
        except ValueError:
            result = np.array([[_number(value) for value in row] for row in rows])
        wrong = np.argwhere(~np.isfinite(result))
        if len(wrong):
            row, column = wrong[0]
            raise InputError(
                f"{self.path}, line {line_numbers[row] + 1}: {columns[column]} is {shown(rows[row][column])}; wanted a "
                "number"
            )
        return result

    def edited(self, block: StarBlock, rows: Sequence[int], values: Mapping[str, Sequence[str]]) -> str:
        """The file's text with some rows of a block alone, and with values of theirs replaced.

        Parameters
        ----------
        rows
            numbers, from 0, ascending; stray lines are left out with the other rows.
        values
            the new texts by column, one for each of ``rows``. Columns that the block lacks follow the others.
        """
        lines: list[str | None] = list(self.lines)
        new = [column for column in values if column not in block]
        known = [column for column in values if column in block]
        if block.is_loop:
            for number in (*block.row_lines, *block.stray_lines):
                lines[number] = None
            places = [block.columns.index(column) for column in known]
            for at, row in enumerate(rows):
                number = block.row_lines[row]
                replaced = {place: values[column][at] for place, column in zip(places, known, strict=True)}
                lines[number] = _replaced(self.lines[number], replaced, [values[column][at] for column in new])
        else:
            for column in known:
                number = block.column_lines[block.columns.index(column)]
                lines[number] = _replaced(self.lines[number], {1: values[column][0]}, [])
        last = block.column_lines[-1]
        end = self.lines[last][len(self.lines[last].rstrip()) :]
        numbered = "#" in self.lines[last] and block.is_loop
        headers = [
            f"_{column}" + (f" #{number}" if numbered else "" if block.is_loop else f" {values[column][0]}") + end
            for number, column in enumerate(new, start=len(block.columns) + 1)
        ]
        kept = (line for number, line in enumerate(lines) for line in (line, *(headers if number == last else ())))
        return "\n".join(line for line in kept if line is not None)


def read_star_text(path: Path) -> StarText:
    """The text and blocks of a file; InputError, naming it, where it cannot be read or has no data block."""
    return star_text(read_text(path, str(path), ".star table"), path)


def star_text(text: str, path: Path) -> StarText:
    """The blocks of a text; ``path`` is its name in messages."""
    lines = text.split("\n")
    blocks: list[StarBlock] = []
    is_after_gap = False
    for number, line in enumerate(lines):
        values = _values(line)
        if not values:
            is_after_gap = bool(blocks and blocks[-1].row_lines)
        elif values[0].startswith("data_") and len(values) == 1:
            blocks.append(StarBlock(values[0].removeprefix("data_")))
            is_after_gap = False
        elif not values[0].startswith("#") and blocks:
            is_row = _take_line(blocks[-1], number, values)
            blocks[-1].rows_after_gap += is_row and is_after_gap
    if not blocks:
        raise InputError(f"{path} has no data block; wanted a .star table, in which one begins with data_")
    return StarText(path, lines, tuple(blocks))


def _take_line(block: StarBlock, number: int, values: Sequence[str]) -> bool:
    """Put a line in its place in a block; whether it is a row."""
    if values[0] == "loop_" and not block.columns:
        block.is_loop = True
    elif values[0].startswith("_") and not block.row_lines:
        block.columns.append(values[0][1:].partition("#")[0])
        block.column_lines.append(number)
    elif block.is_loop and len(values) == len(block.columns):
        block.row_lines.append(number)
        return True
    elif len(values) == 1:
        block.stray_lines.append(number)
    elif block.wrong_line is None:
        block.wrong_line = number
    return False


def require_rows(star: StarText, block: StarBlock) -> list[str]:
    """What there is to remark on a block's lines; InputError where one of them is no row, or there is none."""
    what = f"data_{block.name}"
    if block.wrong_line is not None:
        count = len(_values(star.lines[block.wrong_line]))
        raise InputError(
            f"{star.path}, line {block.wrong_line + 1}: {count} values, and {what} has {len(block.columns)} columns; "
            "the file is damaged or cut short, write it anew"
        )
    repeated = next((column for place, column in enumerate(block.columns) if column in block.columns[:place]), None)
    if repeated is not None:
        raise InputError(f"{star.path}: {what} has the column {repeated} twice; leave one of them out")
    if not len(block):
        raise InputError(f"{star.path}: {what} has no rows; wanted one a particle")
    remarks = []
    if block.stray_lines:
        first = block.stray_lines[0]
        remarks.append(
            f"line {first + 1} of data_{block.name} has only {shown(star.lines[first].strip())}"
            f"{_and_others(len(block.stray_lines))}; left out"
        )
    if block.rows_after_gap:
        remarks.append(
            f"{block.rows_after_gap:,} rows of {what} come after an empty line, at which RELION ends a table; they are "
            "read"
        )
    return remarks


def _and_others(count: int) -> str:
    return f", and so have {count - 1:,} more" if count > 1 else ""


def new_star_text(path: Path, blocks: Mapping[str, Mapping[str, Iterable[str]]]) -> StarText:
    """A text in RELION's layout from columns of texts, by block and name."""
    parts = []
    for name, columns in blocks.items():
        head = "\n".join(f"_{column} #{number} " for number, column in enumerate(columns, start=1))
        rows = "\n".join(" ".join(values) + " " for values in zip(*columns.values(), strict=True))
        parts.append(f"\n# version 30001\n\ndata_{name}\n\nloop_ \n{head}\n{rows}\n")
    return star_text("\n".join(parts), path)


def _values(line: str) -> list[str]:
    """The values in a line, with their quotes."""
    return _TOKEN.findall(line) if any(quote in line for quote in _QUOTES) else line.split()


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] in _QUOTES and value[-1] == value[0] else value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _replaced(line: str, values: Mapping[int, str], more: Sequence[str]) -> str:
    """A line with the values at some places replaced, in columns as wide as before, and with more at its end."""
    pieces, end = [], 0
    for place, match in enumerate(_TOKEN.finditer(line)):
        if place in values:
            pieces += [line[end : match.start()], values[place].rjust(match.end() - match.start())]
            end = match.end()
    whole = "".join([*pieces, line[end:]])
    if not more:
        return whole
    bare = whole.rstrip()
    return " ".join([bare, *more]) + whole[len(bare) :]
