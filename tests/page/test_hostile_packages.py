"""What packages say of themselves is text in the page, whatever it is."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from sluice.layout import PAGE_DATA
from testkit.people import Build, write
from tests.page.conftest import Open

SCRIPT = "<script>alert(1)</script>"
IMAGE = '<img src=x onerror="alert(2)">'
NAME = '"><svg onload=alert(3)>'
LINKS = (
    "javascript:alert(4)",
    "data:text/html,<script>alert(5)</script>",
    "//evil.example",
    "file:///x",
)


def claim(folder: Path, **claims: Any) -> None:
    """Change what the listing says of its one package, as if sluice had let it through."""
    path = folder / PAGE_DATA
    document = json.loads(zlib.decompress(path.read_bytes(), wbits=31))
    fields = ("name", "version", "timestamp", "places", "summary", "license", "home")
    (row,) = document["packages"]
    row += [""] * (len(fields) - len(row))
    for field, value in claims.items():
        row[fields.index(field)] = value
    compressor = zlib.compressobj(wbits=31)
    path.write_bytes(compressor.compress(json.dumps(document).encode()) + compressor.flush())


def test_a_summary_that_is_a_script_is_shown_and_does_not_run(
    folder: Path, open_page: Open
) -> None:
    write(folder / "team", [Build("alpha")], about={"alpha": {"summary": SCRIPT + IMAGE}})
    page = open_page().page
    expect(page.get_by_role("option")).to_contain_text(SCRIPT + IMAGE)
    page.get_by_role("option").click()
    expect(page.locator("p.summary")).to_have_text(SCRIPT + IMAGE)
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0


def test_a_name_that_is_markup_is_shown_and_gets_no_command_to_copy(
    folder: Path, open_page: Open
) -> None:
    write(folder / "team", [Build("alpha")])
    claim(folder / "team", name=NAME, version=IMAGE, license=SCRIPT)
    page = open_page().page
    expect(page.locator("#row-0 .name")).to_have_text(NAME)
    page.get_by_role("option").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{NAME} {IMAGE}")
    expect(page.locator(".problem")).to_have_text("The package is no longer in the channel.")
    assert page.title() == f"{NAME} · team"
    assert page.locator(".command").count() == 0
    assert page.locator("svg, img").count() == 0


@pytest.mark.parametrize("link", LINKS)
def test_an_address_that_is_not_of_the_web_is_no_link(
    folder: Path, open_page: Open, link: str
) -> None:
    write(folder / "team", [Build("alpha")])
    claim(folder / "team", home=link)
    page = open_page("/team/#/package/alpha").page
    expect(page.locator(".facts")).to_contain_text("Home")
    assert page.locator(".facts a").count() == 0


def test_what_a_record_says_is_text(folder: Path, open_page: Open) -> None:
    build = Build(
        "alpha",
        build=IMAGE,
        depends=(SCRIPT, f"alpha {IMAGE}"),
        more={"license": SCRIPT, "__proto__": {"polluted": 1}, "timestamp": "soon", "size": []},
    )
    write(folder / "team", [build])
    page = open_page("/team/#/package/alpha").page
    page.locator(".build > summary").click()
    expect(page.locator(".specs li")).to_have_text([f"alpha {IMAGE}", SCRIPT][::-1])
    expect(page.locator(".build .build-string")).to_have_text(IMAGE)
    expect(page.locator("dd").filter(has_text=SCRIPT).last).to_have_text(SCRIPT)
    assert page.evaluate("({}).polluted") is None


def test_a_package_elsewhere_is_linked_only_where_that_is_of_the_web(
    folder: Path, open_page: Open
) -> None:
    write(folder / "team", [Build("alpha")], base_url="javascript:alert(6)//")
    page = open_page("/team/#/package/alpha").page
    page.locator(".build > summary").click()
    expect(page.locator("dd").last).to_have_text("alpha-1.0-h0_0.conda")
    assert page.locator("dd a").count() == 0


def test_a_script_that_gets_into_the_page_is_stopped_by_its_policy(
    folder: Path, open_page: Open
) -> None:
    # Nothing does so; without this the tests above would prove half of it.
    write(folder / "team", [Build("alpha")])
    watched = open_page()
    watched.page.evaluate("""() => {
        const script = document.createElement("script");
        try { script.text = "alert(7)"; } catch {}
        script.append("alert(8)");
        document.body.append(script);
        const link = document.createElement("a");
        link.href = "javascript:alert(9)";
        document.body.append(link);
        link.click();
        try { document.body.innerHTML = "<img src=x onerror=alert(10)>"; } catch {}
        return fetch("https://elsewhere.example/").catch(() => null);
    }""")
    violated = {one.split()[0] for one in watched.violations()}
    assert {"require-trusted-types-for", "script-src-elem", "connect-src"} <= violated
    assert [one for one in watched.complaints if one.startswith("dialog")] == []
    watched.complaints.clear()
    watched.page.evaluate("violations.length = 0")
