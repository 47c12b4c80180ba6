"""A headless Chromium, as a person would see a page with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--no-sandbox",  # of root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_WATCH = """
    globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
        violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


def find() -> str | None:
    """Where the browser is, if there is one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def must_be_there() -> bool:
    """Whether a missing browser is a failure: in CI no test may be passed over."""
    return os.environ.get("CI") == "true"


@contextmanager
def running() -> Iterator[Browser]:
    """Start one with a new profile, which goes with it."""
    path = find()
    assert path, f"none of {', '.join(_NAMES)} is installed"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page that remembers what must not happen in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        """Errors of scripts, dialogs that opened, and requests for other servers."""
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self._on_dialog)
        page.on("request", lambda request: self._on_request(request.url))
        page.add_init_script(_WATCH)
        self.server = ""

    def open(self, address: str) -> None:
        """Go there, and wait until the packages are shown, or why they are not."""
        self.server = "/".join(address.split("/")[:3])
        self.page.goto(address)
        # A selector, for the page's policy lets no function be made of a text to wait for.
        self.page.locator("#loading.problem, body:not(:has(#loading))").wait_for()

    def violations(self) -> list[str]:
        """What the page's policy has kept from happening."""
        found: list[str] = self.page.evaluate("violations")
        return found

    def _on_dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_request(self, url: str) -> None:
        if not url.startswith((f"{self.server}/", "data:")):
            self.complaints.append(f"request: {url}")
