"""The table of runs without the page: labels, search, order."""

from __future__ import annotations

import pytest

from engine.record import catalogue
from engine.service import notes
from pages._shared import runtable
from pages._shared.runtable import View
from tests.runs_page_testing import ME, ids

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


# The table without the page ----------------------------------------------------------------------------------------


def test_labels_are_in_the_order_of_their_numbers(many):
    rows = catalogue.list_runs(many)
    assert runtable.labels(rows, "noise") == [
        "none", "variance 5", "variance 10", "variance 16", "variance 20", "variance 25",
    ]  # fmt: skip
    assert runtable.labels(rows, "sweep") == []


def test_a_view_in_words():
    assert str(View()) == ""
    view = View(" a  b ", {"noise": ["none", "SNR 0.1"], "tag": []}, starred=True)
    assert str(view) == "“a  b”, noise none or SNR 0.1, starred"


def test_search_needs_every_word_somewhere(many):
    rows = catalogue.list_runs(many)
    run_id = rows[5]["run_id"]
    assert [row["run_id"] for (row,) in View(f"{run_id[-6:]} NOISE").groups(rows)] == [run_id]
    assert View("nowhere noise").groups(rows) == []


def test_a_name_that_starts_like_an_icon_is_shown_letter_by_letter(many):
    row = catalogue.list_runs(many)[0] | {"name": ":material/star: x"}
    (name,) = runtable.lines([[row]], [], {}, folded=False, bounds=lambda row: ())["name"]
    assert not name.startswith(":material/")
    assert name.replace("\N{ZERO WIDTH SPACE}", "") == ":material/star: x"


@pytest.mark.parametrize("key", ["name", *runtable.COLUMNS])
@pytest.mark.parametrize("folded", [False, True])
def test_every_column_sorts(many, key, folded):
    notes.annotate(ME, many, ids(many)[3], tags=["b", "a"], note="n", name="")
    rows = catalogue.list_runs(many)
    up, down = (View(sort=key, ascending=ascending, folded=folded).groups(rows) for ascending in (True, False))
    assert len(up) == len(down) == (9 if folded else 30)
    assert {row["run_id"] for group in up for row in group} == {row["run_id"] for row in rows}
