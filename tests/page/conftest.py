"""A browser for each module; without one the tests are passed over, but never in CI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from testkit import browser as chromium
from testkit.browser import Watched
from testkit.web import Site, served
from tests.support.cloudfront import headers_of_template

Open = Callable[..., Watched]


@pytest.fixture(scope="module")
def _installed() -> None:
    if not chromium.find() and not chromium.must_be_there():
        pytest.skip("no Chromium is installed: apt-get install chromium")


# Not for the session: its event loop would be in the way of tests that run one of their own.
@pytest.fixture(scope="module")
def browser(_installed: None) -> Iterator[Browser]:
    with chromium.running() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is served."""
    return tmp_path


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    # The CDN's headers restrict further what the page may do; without them it can do all the more.
    with served(folder, headers=headers_of_template) as running:
        yield running


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Open]:
    """Open a path in a new profile, and see at the end that nothing happened that must not."""
    opened: list[Watched] = []

    def open_it(path: str = "/team/", **options: Any) -> Watched:
        watched = Watched(browser.new_context(**options).new_page())
        opened.append(watched)
        watched.open(site.url + path)
        return watched

    yield open_it
    for watched in opened:
        assert (watched.complaints, watched.violations()) == ([], [])
        watched.page.context.close()
