"""The pages as people see and press them who have little contrast, a narrow screen, or no mouse."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.config.settings import config_from_dict
from engine.experiment.pipeline import run_experiment
from engine.record import catalogue
from tests.app_testing import failed_run

pytest.importorskip("playwright")
pytest.importorskip("axe_playwright_python")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.serving import CHROMIUM, serving, settle

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]
KNOWN: list[dict[str, str]] = tomllib.loads(Path(__file__).with_name("accessibility.toml").read_text())["known"]
SERIOUS = ("serious", "critical")
TABS = ("Overview", "Sphere", "Reconstruction", "Manifold", "Neighbours", "Losses", "Projections", "Record")
CAMERAS = """() => {
    const figure = [...document.querySelectorAll(".js-plotly-plot")].find(f => f._fullLayout && f._fullLayout.scene2);
    return ["scene", "scene2"].map(name => figure._fullLayout[name]._scene.getCamera().eye);
}"""


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory) -> Path:
    """Two finished runs, the second with poses as good as any, and one that failed."""
    folder = tmp_path_factory.mktemp("runs")
    tables: dict[str, Any] = {"projections": {"count": 60}, "recovery": {"restarts": 10}}
    for method in ("perturbed", "exact"):
        run_experiment(config_from_dict(tables | {"distance": {"method": method}}), folder, ["engine"], name=method)
    failed_run(folder, "the disk is full")
    return folder


@pytest.fixture(scope="module")
def ids(runs_dir: Path) -> dict[str, str]:
    return {row["name"] or row["status"]: row["run_id"] for row in catalogue.list_runs(runs_dir)}


@pytest.fixture(scope="module")
def address(runs_dir: Path) -> Iterator[str]:
    with serving(runs_dir) as url:
        yield url


def opened(chromium: Browser, address: str, width: int = 1440, scheme: str = "light") -> Page:
    page = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    page.set_default_timeout(30_000)
    page.goto(address)
    settle(page)
    return page


def paths(ids: dict[str, str]) -> list[str]:
    both = f"{ids['exact']},{ids['perturbed']}"
    names = ("experiment", "coverage", "noise", "sampling", "recovery", "mismatch", "volumes")
    return [
        "/", *(f"/{name}" for name in names), *(f"/run?run={ids['exact']}&tab={tab}" for tab in TABS),
        f"/run?run={ids['failed']}", "/run?run=nonsense", "/compare", f"/compare?runs={both}",
    ]  # fmt: skip


def violations(page: Page, path: str) -> list[tuple[str, str, str]]:
    """Serious and critical ones: rule, selector, what axe says of it."""
    reported = Axe().run(page).response["violations"]
    return [
        (
            violation["id"],
            node["target"][0],
            f"{path}: {violation['id']}: {node['html'][:200]}: {node['failureSummary']}",
        )
        for violation in reported
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]


@pytest.mark.timeout(900)  # some fifty pages
def test_no_page_has_a_serious_violation_of_our_own_in_either_theme(
    chromium: Browser, address: str, ids: dict[str, str]
) -> None:
    used: set[int] = set()
    own: list[str] = []
    for scheme in ("light", "dark"):
        page = opened(chromium, address, scheme=scheme)
        for path in paths(ids):
            page.goto(address + path)
            settle(page)
            for rule, target, explanation in violations(page, path):
                matches = "([element, selector]) => document.querySelector(element)?.matches(selector)"
                known = [
                    number for number, entry in enumerate(KNOWN)
                    if entry["rule"] == rule and page.evaluate(matches, [target, entry["selector"]])
                ]  # fmt: skip
                used.update(known)
                own += [] if known else [f"{scheme} {explanation}"]
        page.context.close()
    assert own == []
    assert [entry for number, entry in enumerate(KNOWN) if number not in used] == []  # the list may only shrink


def test_the_checker_sees_what_is_wrong(chromium: Browser, address: str) -> None:
    page = opened(chromium, f"{address}/volumes")
    page.evaluate("document.querySelector('h1').style.color = '#eeeeee'")
    assert [rule for rule, _, _ in violations(page, "/volumes")] == ["color-contrast"]


def test_small_print_of_charts_has_contrast(chromium: Browser, address: str, ids: dict[str, str]) -> None:
    """Axe passes over texts of an SVG."""
    for scheme, background in (("light", (255, 255, 255)), ("dark", (18, 23, 30))):
        page = opened(chromium, f"{address}/run?run={ids['exact']}", scheme=scheme)
        colours = page.evaluate(
            """() => [...document.querySelectorAll('.stPlotlyChart .main-svg :is(.xtick, .ytick, .infolayer) text')]
            .filter(text => !text.closest('.g-gtitle')).map(text => {
                const [r, g, b, a] = getComputedStyle(text).fill.match(/[0-9.]+/g).map(Number);
                const scale = getComputedStyle(text).fill.startsWith("color") ? 255 : 1;
                return [r * scale, g * scale, b * scale, a ?? 1, parseFloat(getComputedStyle(text).fontSize)];
            })"""
        )
        assert len(colours) > 20
        for *colour, alpha, size in colours:
            mixed = [alpha * own + (1 - alpha) * behind for own, behind in zip(colour, background, strict=True)]
            low, high = sorted((luminance(mixed), luminance(background)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (scheme, colour, alpha)
            assert size >= 11.9
        page.context.close()


def luminance(colour: Any) -> float:
    linear = [part / 255 / 12.92 if part / 255 <= 0.04045 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_page_has_a_title_of_its_own_and_one_first_heading(
    chromium: Browser, address: str, ids: dict[str, str]
) -> None:
    page = opened(chromium, address)
    titles = []
    for path in ("/", "/experiment", f"/run?run={ids['exact']}", "/compare", "/coverage", "/noise", "/volumes"):
        page.goto(address + path)
        settle(page)
        titles.append(page.title())
        levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]))")
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), (path, levels)
    assert len(set(titles)) == len(titles)
    assert "exact · PoseLab" in titles


def test_on_a_narrow_screen_a_linked_tab_is_in_view(chromium: Browser, address: str, ids: dict[str, str]) -> None:
    page = opened(chromium, f"{address}/run?run={ids['exact']}&tab=Record", width=390)
    tab = page.get_by_role("tab", name="Record")
    expect(tab).to_have_attribute("aria-selected", "true")
    box = tab.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert box["y"] + box["height"] < 900
    values = page.get_by_test_id("stMetricValue")
    assert values.evaluate_all("all => all.filter(v => v.scrollWidth > v.clientWidth + 1).map(v => v.innerText)") == []


def test_the_run_button_stays_in_view_and_the_seed_is_above_the_fold(chromium: Browser, address: str) -> None:
    for width in (1440, 390):
        page = opened(chromium, f"{address}/experiment", width=width)
        button = page.get_by_role("button", name="Run", exact=True)
        if width == 1440:
            expect(page.get_by_role("textbox", name="Seed")).to_be_in_viewport()
        page.get_by_text("The same from the command line").scroll_into_view_if_needed()
        page.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, main.scrollHeight)")
        page.wait_for_timeout(300)
        expect(button).to_be_in_viewport(ratio=1)
        button.click(trial=True)  # nothing covers it
        page.context.close()


def test_turning_one_density_turns_the_other(chromium: Browser, address: str, ids: dict[str, str]) -> None:
    page = opened(chromium, f"{address}/run?run={ids['exact']}&tab=Reconstruction")
    page.wait_for_function("[...document.querySelectorAll('.js-plotly-plot')].some(f => f.hasLinkedCameras)")
    before, _ = page.evaluate(CAMERAS)
    chart = page.locator(".stPlotlyChart", has=page.locator(".gl-container canvas")).last
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 4
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y + 30, steps=6)
    page.mouse.up()
    page.wait_for_timeout(500)
    first, second = page.evaluate(CAMERAS)
    assert abs(first["x"] - before["x"]) > 0.1
    assert second == pytest.approx(first, abs=1e-6)


def test_the_keyboard_shows_where_it_is(chromium: Browser, address: str) -> None:
    page = opened(chromium, address)
    seen = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => { const e = document.activeElement, style = getComputedStyle(e);
            return [e.dataset.testid || "", style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2]; }"""
        )
        if focused[0] == "stTopNavLink":
            assert focused[1]
            seen.add(focused[0])
    assert seen
