"""An upload that is no package, opened in a browser under the headers of the CDN.

Whoever may put packages chooses their Content-Type.  What lies beside them in a bucket may be HTML,
too.  The headers are those of ``template.yaml``; ``tests/e2e/test_cdn.py`` sees them deployed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Error, Page, Route

from sluice.conda.names import PACKAGE_SUFFIXES
from tests.support.cloudfront import headers_of_template

HOST = "https://conda.example.com"
RAN = "/ran"
# Waits for the answer, so that a document has not loaded before its script has been noticed.
SCRIPT = f"const r = new XMLHttpRequest(); r.open('GET', '{RAN}', false); r.send()"
DOCUMENTS = {
    "text/html": f"<!doctype html><script>{SCRIPT}</script>",
    "image/svg+xml": f'<svg xmlns="http://www.w3.org/2000/svg"><script>{SCRIPT}</script></svg>',
    "application/xhtml+xml": f'<html xmlns="http://www.w3.org/1999/xhtml"><head><script>{SCRIPT}'
    "</script></head></html>",
}


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """One for all tests: a new one starts a process, which takes longer than any of them."""
    page = browser.new_page()
    yield page
    page.close()


def open_upload(
    tab: Page, path: str, answers: Mapping[str, tuple[str, str]], *, cdn: bool = True
) -> tuple[bool, list[str]]:
    """Open a path of a server: whether it became a download, and what was asked for beside it.

    ``answers``: path → Content-Type and body.  ``cdn``: with the headers of the distribution.
    """
    asked: list[str] = []

    def answer(route: Route) -> None:
        wanted = urlsplit(route.request.url).path
        if wanted != path:
            asked.append(wanted)
        kind, body = answers.get(wanted, ("text/plain", ""))
        added = headers_of_template(wanted) if cdn else {}
        route.fulfill(body=body, headers={"content-type": kind, **added})

    tab.goto("about:blank")
    tab.unroute_all()
    tab.route("**/*", answer)
    try:
        tab.goto(f"{HOST}{path}")  # until it has loaded
        downloaded = False
    except Error as error:
        if "Download is starting" not in error.message:
            raise
        downloaded = True
    return downloaded, [one for one in asked if one != "/favicon.ico"]


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize("suffix", PACKAGE_SUFFIXES)
def test_an_upload_that_is_a_document_is_a_download_and_runs_nothing(
    tab: Page, suffix: str, kind: str
) -> None:
    path = f"/team/linux-64/evil-1.0-0{suffix}"
    answers = {path: (kind, DOCUMENTS[kind])}
    assert open_upload(tab, path, answers, cdn=False) == (False, [RAN])
    assert open_upload(tab, path, answers) == (True, [])


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize(
    "name", ["evil.html", "evil", "evil.zst", "evil.bz2", "evil.gz", "EVIL.CONDA", "rss.xml"]
)
def test_what_else_lies_in_the_bucket_is_shown_and_runs_nothing(
    tab: Page, name: str, kind: str
) -> None:
    path = f"/team/{name}"
    answers = {path: (kind, DOCUMENTS[kind])}
    assert open_upload(tab, path, answers, cdn=False) == (False, [RAN])
    assert open_upload(tab, path, answers) == (False, [])


@pytest.mark.parametrize("path", ["/", "/team/", "/team/index.html"])
def test_a_page_of_the_owner_loads_no_package_as_a_script(tab: Page, path: str) -> None:
    evil = "/team/linux-64/evil-1.0-0.conda"
    answers = {
        path: ("text/html", f'<!doctype html><script src="{evil}"></script>'),
        evil: ("text/javascript", SCRIPT),
    }
    assert open_upload(tab, path, answers, cdn=False) == (False, [evil, RAN])
    assert open_upload(tab, path, answers) == (False, [])


def test_a_page_of_the_owner_runs_what_is_written_in_it(tab: Page) -> None:
    path = "/team/index.html"
    answers = {path: ("text/html", DOCUMENTS["text/html"])}
    assert open_upload(tab, path, answers) == (False, [RAN])
