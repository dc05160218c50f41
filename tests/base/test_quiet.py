"""Importing in silence, with and without a temporary folder."""

from __future__ import annotations

import os
import tempfile

import pytest

from engine.base.quiet import silenced_stderr


@pytest.fixture(params=["a temporary folder", "none"])
def temporary(request, monkeypatch) -> bool:
    if request.param == "none":

        def refuse() -> None:
            raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    return request.param != "none"


def test_native_output_is_held_back_and_shown_with_an_exception(temporary, capfd):
    with silenced_stderr():
        os.write(2, b"a start-up note\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError, match="no library"):
        _fail_to_import()
    assert ("the reason" in capfd.readouterr().err) == temporary
    os.write(2, b"heard again\n")
    assert capfd.readouterr().err == "heard again\n"


@silenced_stderr()
def _fail_to_import() -> None:
    os.write(2, b"the reason\n")
    raise ImportError("no library")
