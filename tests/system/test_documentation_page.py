"""The page at /docs in a real browser: it works, and sends requests to the API only."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from tests.system.service import Service


CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.system,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@pytest.fixture
def browser() -> Iterator[Browser]:
    """The system's Chromium; nothing is downloaded."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, service: Service) -> Page:
    """An empty page that knows where the service is."""
    return browser.new_context(base_url=f"http://127.0.0.1:{service.port}").new_page()


def test_the_page_shows_every_operation_and_asks_nobody_else(page: Page) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto("/docs")
    page.locator(".opblock").first.wait_for()
    document = page.request.get("/openapi.json").json()
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    assert page.locator(".opblock").count() == len(operations)
    page.locator("#operations-SMTP_monitors-createSmtpMonitor .opblock-summary-control").click()
    page.locator("#operations-SMTP_monitors-createSmtpMonitor .opblock-body").wait_for()
    assert {urlsplit(url).hostname for url in asked if not url.startswith("data:")} == {"127.0.0.1"}
    assert not [each for each in said if not each.startswith(("log:", "debug:", "info:"))]


def test_a_request_can_be_tried_with_a_token(page: Page, service: Service) -> None:
    page.goto("/docs")
    page.locator("button.authorize").first.click()
    page.locator(".auth-container input").fill(service.token)
    page.locator(".auth-container button.authorize").click()
    page.locator(".auth-container button.btn-done").click()
    page.locator("#operations-Organization-getOrganization .opblock-summary-control").click()
    page.locator("#operations-Organization-getOrganization button.execute").click()
    answer = page.locator("#operations-Organization-getOrganization .live-responses-table")
    answer.wait_for()
    assert answer.locator("tbody .response-col_status").first.inner_text().strip().startswith("200")
    assert '"publicId"' in answer.inner_text()
