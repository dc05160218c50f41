"""The page of runs in a real browser: what only a browser can press, and two of them side by side."""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.record import catalogue
from engine.record.annotations import read_annotations
from engine.service import notes
from engine.service.actor import Actor

pytest.importorskip("playwright")

from playwright.sync_api import Browser, Page, expect

from pages._shared import columns, runtable
from tests.benchmarks.bench_pages import make_varied_runs
from tests.browser.serving import CHROMIUM, serving, settle

ME = Actor("somebody")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]
HEADING, FIRST_LINE, SECOND_LINE, TICK, NAME, ERROR, STAR = 16, 52, 85, 16, 90, 250, 315  # px within the table


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    make_varied_runs(folder, 30)
    catalogue.rebuild(folder)
    return folder


@pytest.fixture(scope="module")
def address(runs_dir: Path) -> Iterator[str]:
    with serving(runs_dir) as url:
        yield url


def opened(chromium: Browser, address: str) -> Page:
    page = chromium.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(20_000)
    page.goto(address)
    settle(page)
    return page


def click(page: Page, x: int, y: int) -> None:
    page.get_by_test_id("stDataFrame").click(position={"x": x, "y": y})


def ids(runs_dir: Path) -> list[str]:
    return [row["run_id"] for row in catalogue.list_runs(runs_dir)]


def test_a_click_on_a_name_opens_its_run_and_back_shows_the_same_runs(
    chromium: Browser, address: str, runs_dir: Path
) -> None:
    page = opened(chromium, f"{address}/?only-protein=1bd2&sort=E_OR")
    expect(page.get_by_text("8 of 30 runs, 0 running, protein 1bd2")).to_be_visible()
    worst = max(
        (row for row in catalogue.list_runs(runs_dir) if row["source"] == "1bd2" and row["metrics"]),
        key=lambda row: row["metrics"]["angle_error_median"],
    )
    click(page, NAME, FIRST_LINE)
    page.wait_for_url(f"**/run?run={worst['run_id']}")
    page.go_back()
    expect(page.get_by_text("8 of 30 runs, 0 running, protein 1bd2")).to_be_visible()


def test_a_click_on_a_star_stars_the_run(chromium: Browser, address: str, runs_dir: Path) -> None:
    newest = runs_dir / ids(runs_dir)[0]
    page = opened(chromium, address)
    click(page, STAR, FIRST_LINE)
    until = time.monotonic() + 10
    while not read_annotations(newest).starred:
        assert time.monotonic() < until
        page.wait_for_timeout(100)


def test_ticked_runs_are_compared_whoever_adds_runs_meanwhile(chromium: Browser, address: str, runs_dir: Path) -> None:
    wanted = ids(runs_dir)[:2]
    page, other = opened(chromium, address), opened(chromium, address)
    click(page, TICK, FIRST_LINE)
    expect(page.get_by_text("1 ticked")).to_be_visible()
    click(page, TICK, SECOND_LINE)
    expect(page.get_by_text("2 ticked")).to_be_visible()
    source = runs_dir / wanted[0]
    newer = source.with_name("20260301-000000-1bd2-ffffff")
    shutil.copytree(source, newer)
    for filename in ("run.json", "result.json"):
        text = (newer / filename).read_text().replace("2026-01-", "2026-03-")
        (newer / filename).write_text(text)
    begun = time.monotonic()
    for seen_by in (page, other):
        expect(seen_by.get_by_text("31 runs, 0 running")).to_be_visible(timeout=3_000)
    assert time.monotonic() - begun < 3
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url(f"**/compare?runs={wanted[0]}*{wanted[1]}")
    notes.annotate(ME, runs_dir, newer.name, archived=True)
    expect(other.get_by_text("30 runs, 0 running")).to_be_visible(timeout=3_000)


def press_in_table(page: Page, *keys: str) -> tuple[int, int]:
    """Press keys that each move the table's focus; column and line of the cell that then has it."""
    if page.evaluate("document.activeElement.tagName") != "TD":
        page.get_by_test_id("stDataFrame").locator("canvas").first.focus()
    for key in keys:
        before = page.evaluate("document.activeElement.id")
        page.keyboard.press(key)
        page.wait_for_function("before => document.activeElement.id !== before", arg=before)
    column, line = page.evaluate("document.activeElement.id.split('-').slice(2)")
    return int(column), int(line)


def test_the_keyboard_opens_and_ticks_runs(chromium: Browser, address: str, runs_dir: Path) -> None:
    _, second, third = ids(runs_dir)[:3]
    page = opened(chromium, address)
    assert press_in_table(page, "ArrowDown", "ArrowDown", "ArrowRight") == (2, 2)
    page.keyboard.press("Space")
    expect(page.get_by_text("1 ticked")).to_be_visible()
    press_in_table(page, "ArrowUp")
    page.keyboard.press("Space")
    expect(page.get_by_text("2 ticked")).to_be_visible()
    page.get_by_role("button", name="Compare").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/compare?runs={second}*{third}")
    page = opened(chromium, f"{address}/?sort=name&ascending=true&columns=id")
    assert press_in_table(page, "ArrowDown", "Control+ArrowDown") == (1, len(ids(runs_dir)) - 1), "out of sight before"
    name = page.evaluate("document.activeElement.innerText")
    page.keyboard.press("Enter")
    page.wait_for_url("**/run?run=*")
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def headings(page: Page) -> list[str]:
    """Of the columns of the table that are in sight."""
    heads = "[...document.querySelectorAll('[data-testid=stDataFrame] canvas [role=columnheader]')]"
    return page.evaluate(f"{heads}.map(head => head.innerText)")


def test_a_click_on_a_heading_sorts_and_the_address_has_it(chromium: Browser, address: str) -> None:
    page = opened(chromium, address)
    click(page, ERROR, HEADING)
    page.wait_for_url("**/?sort=E_OR&ascending=true")
    settle(page)
    assert "E_OR (°) ↑" in headings(page)
    page.wait_for_timeout(1_500)  # a second click, not the first reported twice
    click(page, ERROR, HEADING)
    page.wait_for_url("**/?sort=E_OR")
    page.get_by_test_id("stDataFrame").hover(position={"x": ERROR, "y": HEADING})
    page.get_by_test_id("stDataFrame").click(position={"x": 290, "y": HEADING})
    menu = page.get_by_test_id("stDataFrameColumnMenu")
    expect(menu.get_by_text("Autosize")).to_be_visible()
    for hidden in ("Sort ascending", "Sort descending"):
        expect(menu.get_by_text(hidden)).to_be_hidden()


def test_every_digit_has_room_in_its_column(chromium: Browser, address: str) -> None:
    page = opened(chromium, address)
    family = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stDataFrame]')).fontFamily")
    texts = ["8.93e-4", "1.48e-6", "113 ± 3.14", "9.32e-2 ± 2.84e-3", "◆ ≤ 10.33", "−9.31e-3", "0.00193", "44,850"]
    texts += [column.measure.column(" sd") + " ↑" for column in runtable.COLUMNS.values() if column.measure]
    measure = "([font, texts]) => {const c = document.createElement('canvas').getContext('2d'); c.font = font;"
    widths = page.evaluate(
        f"{measure} return texts.map(text => c.measureText(text).width)}}", [f"13.125px {family}", texts]
    )
    assert len(widths) > 10
    for text, needed in zip(texts, widths, strict=True):
        assert needed > 10
        assert columns.width("", [text]) >= needed + 2 * 8, text  # a cell has 8 px at either side
        assert columns.width(text, []) >= needed + 2 * 8, text


def test_a_narrow_screen_has_a_figure_beside_each_name(chromium: Browser, address: str) -> None:
    page = chromium.new_context(viewport={"width": 390, "height": 844}).new_page()
    page.goto(address)
    settle(page)
    assert headings(page) == ["name", "E_OR (°)", "", "state"]


@pytest.mark.parametrize("path", ["", "/runs"])
def test_opening_the_page_is_one_step_in_the_history(chromium: Browser, address: str, path: str) -> None:
    page = chromium.new_context().new_page()
    before = page.evaluate("history.length")
    page.goto(address + path)
    settle(page)
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    assert page.evaluate("history.length") == before + 1


def test_the_table_is_exported_by_its_own_button_only(chromium: Browser, address: str, runs_dir: Path) -> None:
    page = opened(chromium, address)
    page.get_by_test_id("stDataFrame").hover()
    assert page.get_by_role("button", name="Download as CSV").count() == 0
    with page.expect_download() as download:
        page.get_by_role("button", name="Table (CSV)").click()
    lines = list(csv.DictReader(download.value.path().read_text(encoding="utf-8").splitlines()))
    assert [line["run id"] for line in lines] == ids(runs_dir)
    assert {"name", "E_OR (°)", "projections.coverage"} <= lines[0].keys()


def test_saving_keeps_the_styles_of_the_page(chromium: Browser, address: str) -> None:
    page = opened(chromium, address)
    padding = "getComputedStyle(document.querySelector('.stMainBlockContainer')).paddingTop"
    before = page.evaluate(padding)
    click(page, TICK, FIRST_LINE)
    expect(page.get_by_text("1 ticked")).to_be_visible()
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    assert page.evaluate(padding) == before
