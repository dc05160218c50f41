"""The one way to read text files that users provide: UTF-8, with or without a byte order mark, lines ended in any way.

A byte that is not UTF-8 (in a Latin-1 comment) becomes a lone surrogate, as in Python's file names. It does no harm in
a field that is not used; fields that are used are checked with :func:`require_unicode`.
"""

from __future__ import annotations

import codecs
import sys
from pathlib import Path
from typing import Any

from . import tomltext
from .errors import InputError

_OTHER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark is the beginning of this one
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_WITHOUT_MARK = {"utf-32-le": "UTF-32", "utf-32-be": "UTF-32", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b"))
_LOOKED_AT = 1 << 14  # bytes
_FEW, _SHARE = 8, 0.02  # control characters allowed in a text; random bytes have one in ten


def without_mark(data: bytes, name: object) -> bytes:
    """The bytes of a text without the UTF-8 byte order mark, lines that end in CR alone ended in LF.

    Raises
    ------
    InputError
        naming the file, for UTF-16 and UTF-32, with or without a mark, and for binary data.
    """
    for mark, encoding in _OTHER_MARKS.items():
        if data.startswith(mark):
            raise InputError(f"{name} is text in {encoding}; wanted UTF-8, save it again in that encoding")
    start = data[:_LOOKED_AT]
    if len(start) - len(start.translate(None, _CONTROLS)) > max(_FEW, _SHARE * len(start)):
        for codec, encoding in _WITHOUT_MARK.items():
            if _is_text_in(codec, start):
                raise InputError(f"{name} is text in {encoding}; wanted UTF-8, save it again in that encoding")
        raise InputError(f"{name} has binary data; wanted text")
    while data.startswith(codecs.BOM_UTF8):  # some programs add a second one
        data = data.removeprefix(codecs.BOM_UTF8)
    return data if b"\n" in data else data.replace(b"\r", b"\n")  # the Macintosh's lines, of which parsers make one


def decoded(data: bytes, name: object) -> str:
    """Decode a text, see :func:`without_mark`; bytes that are not UTF-8 become lone surrogates."""
    return without_mark(data, name).decode("utf-8", "surrogateescape")


def in_ascii(data: bytes, name: object) -> bytes:
    """The bytes of a text, see :func:`without_mark`, with a question mark for each character that is not ASCII.

    For formats whose fields are columns of characters.
    """
    plain = without_mark(data, name)
    return plain if plain.isascii() else plain.decode("utf-8", "surrogateescape").encode("ascii", "replace")


def read_text(path: str | Path, name: str, wanted: str = "text file") -> str:
    """The text of a file, which may be empty or a pipe; ``name`` is its name in messages.

    Raises InputError for an unreadable file, and as :func:`without_mark` does.
    """
    if str(path) == "":
        raise InputError(f"{name}: no name is given; wanted a readable {wanted}")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}; wanted a readable {wanted}") from error
    except ValueError as error:  # a null character, or one outside the file system's encoding
        raise InputError(f"{name}: no file can have this name ({error}); wanted a readable {wanted}") from error
    return decoded(data, name)


def read_toml(path: str | Path, name: str) -> dict[str, Any]:
    """The tables of a TOML file; InputError as for :func:`read_text`, and for invalid TOML."""
    text = read_text(path, name, "TOML file")
    try:
        return tomltext.parse(text)
    except tomltext.TomlError as error:
        raise InputError(f"{name} is not TOML: {error}") from error


def require_unicode(text: str, name: str) -> str:
    """Return the text; InputError if it has bytes of another encoding."""
    if not is_unicode(text):
        raise InputError(not_unicode(text, name))
    return text


def not_unicode(text: str, name: str) -> str:
    """The message about a text with bytes of another encoding."""
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8":  # then typed UTF-8 becomes surrogates as well
        return f"{name} is {text!r}, which has bytes that are not {encoding}, the encoding here; set LC_ALL=C.UTF-8"
    return f"{name} is {text!r}, which has bytes that are not UTF-8; write it in UTF-8, or rename the file"


def is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogates, which stand for bytes of another encoding."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_text_in(codec: str, data: bytes) -> bool:
    """Whether most of these bytes are printable ASCII characters in this encoding; binary data are not."""
    width = 4 if "32" in codec else 2
    text = data[: len(data) - len(data) % width].decode(codec, "replace")
    plain = sum(character.isascii() and (character.isprintable() or character in "\t\r\n") for character in text)
    return plain > 0.7 * len(text)
