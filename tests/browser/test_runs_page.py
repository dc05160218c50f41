"""The page of runs in a real browser: what only a browser can press, and two of them side by side."""

from __future__ import annotations

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

from tests.benchmarks.bench_pages import make_varied_runs
from tests.browser.serving import CHROMIUM, browser, serving, settle

ME = Actor("somebody")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]
FIRST_LINE, SECOND_LINE, TICK, NAME, STAR = 52, 85, 16, 90, 252  # px within the table


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


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


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
