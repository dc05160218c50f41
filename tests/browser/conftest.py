"""What browser tests share: one Chromium for each file, and no window left open after a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.serving import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(autouse=True)
def closed(chromium: Browser) -> Iterator[None]:
    """Close the windows of a test: each asks the server for news every two seconds."""
    yield
    for context in chromium.contexts:
        context.close()
