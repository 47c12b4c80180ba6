"""``python -m tests.page``: take the pictures of ``docs/page/``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Route

from testkit import browser
from testkit.people import write
from tests.page.sample import ABOUT, BUILDS

PICTURES = Path(__file__).parents[2] / "docs" / "page"
_CHANNEL = "https://conda.example.com/team"
_SCREEN = {"width": 1100, "height": 680}
_PHONE = {"width": 390, "height": 680}


def main() -> None:
    """Make the channel and look at it."""
    with tempfile.TemporaryDirectory() as folder, browser.running() as running:
        write(Path(folder, "team"), BUILDS, about=ABOUT)
        for name, path, options in (
            ("list", "#/", {}),
            ("package", "#/package/numpy", {}),
            ("dark", "#/?q=py", {"color_scheme": "dark"}),
            ("phone", "#/", {"viewport": _PHONE, "is_mobile": True, "has_touch": True}),
        ):
            page = _open(running, Path(folder), path, {"viewport": _SCREEN, **options})
            page.screenshot(path=PICTURES / f"{name}.png")
            page.context.close()


def _open(running: Browser, folder: Path, path: str, options: dict[str, Any]) -> Page:
    def answer(route: Route) -> None:
        wanted = route.request.url.removeprefix("https://conda.example.com/").partition("#")[0]
        route.fulfill(path=folder / wanted)

    page = running.new_context(**options).new_page()
    page.route("**/*", answer)
    watched = browser.Watched(page)
    watched.open(f"{_CHANNEL}/index.html{path}")
    if "package" in path:
        page.locator(".build > summary").first.click()
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
    return page


if __name__ == "__main__":
    main()
