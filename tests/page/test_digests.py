"""A shard counts only with the SHA-256 that the index gives, where the browser can compute it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Route, expect

from sluice import zstd
from testkit.browser import Watched
from testkit.people import Build, write
from testkit.web import Site
from tests.page.conftest import Open

BUILD = Build("alpha", version="1.0")


def tamper(subdir: Path) -> tuple[Path, bytes]:
    """Have the only shard say version 6.6, in perfect zstd and MessagePack: its path, and its bytes
    of before.
    """
    (path,) = (subdir / "shards").iterdir()
    good = path.read_bytes()
    content = zstd.decompress(good).replace(b"\xa7version\xa31.0", b"\xa7version\xa36.6")
    assert b"6.6" in content
    path.write_bytes(zstd.compress(content))
    return path, good


def test_a_shard_with_another_digest_is_refused_by_name_and_the_others_are_shown(
    folder: Path, open_page: Open
) -> None:
    write(folder / "team", [BUILD, Build("alpha", subdir="win-64")])
    path, _ = tamper(folder / "team" / "win-64")
    page = open_page("/team/#/package/alpha").page
    expect(page.locator(".problem")).to_have_text(
        f"win-64: /team/win-64/shards/{path.name} does not match its SHA-256 in the index. "
        "Reload the page. If the error persists, the file on the server is damaged."
    )
    expect(page.locator(".build .subdir")).to_have_text(["linux-64"])


def test_a_damaged_copy_in_the_browser_is_fetched_again(
    folder: Path, open_page: Open, site: Site
) -> None:
    write(folder / "team", [BUILD])
    path, good = tamper(folder / "team" / "linux-64")
    os.utime(path, (0, 0))  # so old that the browser keeps it without asking
    page = open_page("/team/#/package/alpha").page
    expect(page.locator(".problem")).to_contain_text("does not match its SHA-256")
    path.write_bytes(good)
    os.utime(path, (0, 0))
    site.answered.clear()
    page.reload()
    expect(page.locator(".version-of > summary .version")).to_have_text(["1.0"])
    assert [one for one in site.answered if path.name in one] == [
        f"/team/linux-64/shards/{path.name}"
    ]


def test_without_tls_a_browser_computes_no_digest_and_shards_are_shown_unchecked(
    folder: Path, browser: Browser
) -> None:
    write(folder / "team", [BUILD])
    tamper(folder / "team" / "linux-64")
    page = browser.new_page()

    def answer(route: Route) -> None:
        route.fulfill(path=folder / urlsplit(route.request.url).path.lstrip("/"))

    page.route("**/*", answer)
    watched = Watched(page)
    watched.open("http://conda.example.com/team/index.html#/package/alpha")
    assert page.evaluate("typeof crypto.subtle") == "undefined"
    expect(page.locator(".version-of > summary .version")).to_have_text(["6.6"])
    assert (watched.complaints, watched.violations()) == ([], [])
    page.close()
