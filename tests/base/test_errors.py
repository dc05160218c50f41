from __future__ import annotations

import pytest

from engine.base.errors import ArgumentError, InputError, naming


def complain(**values):
    raise ArgumentError("{size} is {given!r}; wanted one below {most}", "size", "most", **values)


def test_an_error_names_the_arguments_of_the_function():
    with pytest.raises(ArgumentError, match=r"^size is 7; wanted one below most$"):
        complain(given=7)


def test_the_caller_puts_in_the_keys_that_it_knows():
    with (
        pytest.raises(InputError, match=r"^projections\.size is 7; wanted one below most$"),
        naming(size="projections.size"),
    ):
        complain(given=7)


def test_what_somebody_typed_is_never_taken_for_an_argument():
    with pytest.raises(InputError, match=r"^key is '\{size\} \{0\} %s'; wanted"), naming(size="key"):
        complain(given="{size} {0} %s")


def test_errors_that_name_no_argument_pass_through():
    with pytest.raises(InputError, match=r"^the disk is full$"), naming(size="key"):
        raise InputError("the disk is full")
    with pytest.raises(ArgumentError, match=r"^size is 7"), naming(other="key"):
        complain(given=7)
