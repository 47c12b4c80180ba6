"""What a person can do in the page, with a mouse, a keyboard and a telephone."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from sluice.layout import PAGE_DATA, SHARD_INDEX
from testkit.people import S3_URL, Build, many, summaries, write, write_listing, write_repodata
from testkit.web import Site
from tests.page.conftest import Open
from tests.page.sample import ABOUT, BUILDS

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def names(page: Page) -> list[str]:
    """Those in sight and a few beside it, from the top."""
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll("[role=option]")]
            .filter((row) => !row.hidden)
            .sort((a, b) => a.getAttribute("aria-posinset") - b.getAttribute("aria-posinset"))
            .map((row) => row.querySelector(".name").textContent)"""
    )
    return found


def active(page: Page) -> str:
    """The name that Enter would open."""
    chosen = page.locator("[role=option][aria-selected=true]")
    expect(page.locator("#query")).to_have_attribute(
        "aria-activedescendant", chosen.get_attribute("id") or ""
    )
    return chosen.locator(".name").inner_text()


def test_every_package_is_listed_with_summary_version_and_platforms(
    folder: Path, open_page: Open
) -> None:
    write(folder / "team", BUILDS, about=ABOUT)
    page = open_page().page
    expect(page.get_by_role("status")).to_have_text("25 packages")
    assert page.title() == "team"
    numpy = page.get_by_role("option", name="numpy")
    expect(numpy.locator(".version")).to_have_text("2.3.5")
    expect(numpy.locator(".summary")).to_have_text(ABOUT["numpy"]["summary"])
    expect(numpy.locator(".subdirs")).to_have_text("linux-64 osx-arm64")
    expect(numpy.locator("time")).to_have_text(re.compile(r"2026-\d\d-\d\d"))


def test_a_search_shows_names_before_summaries_while_it_is_typed(
    folder: Path, open_page: Open
) -> None:
    builds = [Build(name) for name in ("pyarrow", "arrow", "arrow-cpp", "bow", "quiver")]
    write(folder / "team", builds, about={"bow": {"summary": "Sends an Arrow"}})
    page = open_page().page
    page.keyboard.type("arrow")
    expect(page.get_by_role("status")).to_have_text("4 of 5 packages")
    assert names(page) == ["arrow", "arrow-cpp", "pyarrow", "bow"]
    assert page.url.endswith("#/?q=arrow")
    page.keyboard.type(" sends")
    expect(page.get_by_role("status")).to_have_text("1 of 5 packages")
    assert names(page) == ["bow"]
    page.keyboard.type(" nothing")
    expect(page.get_by_text("No package has “arrow sends nothing”")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("status")).to_have_text("5 packages")
    assert len(names(page)) == 5


def test_a_search_can_be_sent_on_as_an_address(folder: Path, open_page: Open) -> None:
    write(folder / "team", [Build("alpha"), Build("beta")])
    page = open_page("/team/#/?q=bet").page
    expect(page.locator("#query")).to_have_value("bet")
    assert names(page) == ["beta"]


def test_what_is_new_comes_first_in_what_is_new(folder: Path, open_page: Open) -> None:
    builds = [Build(f"p{age}", timestamp=1_700_000_000 + age) for age in (2, 3, 1)]
    write(folder / "team", builds)
    page = open_page().page
    assert names(page) == ["p1", "p2", "p3"]
    page.get_by_role("link", name="What is new").click()
    expect(page.get_by_role("link", name="What is new")).to_have_attribute("aria-current", "page")
    assert names(page) == ["p3", "p2", "p1"]


def test_the_whole_page_can_be_used_from_the_keyboard(folder: Path, open_page: Open) -> None:
    write(folder / "team", BUILDS, about=ABOUT)
    page = open_page().page
    query = page.locator("#query")
    expect(query).to_be_focused()
    page.keyboard.press("Tab")
    expect(query).not_to_be_focused()
    page.keyboard.press("/")
    expect(query).to_be_focused()
    expect(query).to_have_value("")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert active(page) == "arrow-cpp"
    page.keyboard.press("ArrowUp")
    assert active(page) == "aiohttp"
    page.keyboard.press("PageDown")
    page.keyboard.press("PageDown")
    assert active(page) == "pytest"
    expect(page.locator("[aria-selected=true]")).to_be_in_viewport(ratio=1)
    page.keyboard.type("num")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert page.url.endswith("#/package/numpy")
    page.keyboard.press("Escape")
    expect(page.get_by_role("status")).to_have_text("1 of 25 packages")
    assert page.url.endswith("#/?q=num")


def test_enter_opens_the_first_that_was_found(folder: Path, open_page: Open) -> None:
    write(folder / "team", BUILDS, about=ABOUT)
    page = open_page().page
    page.keyboard.type("zst")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("zstd 1.5.7")


def test_the_first_stop_of_the_keyboard_leads_past_the_bar(folder: Path, open_page: Open) -> None:
    write(folder / "team", [Build("alpha")])
    page = open_page("/team/#/package/alpha").page
    page.locator("#skip").focus()
    expect(page.locator("#skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    assert page.url.endswith("#/package/alpha")


def test_the_page_of_a_package_has_every_build_of_every_version(
    folder: Path, open_page: Open, site: Site
) -> None:
    write(folder / "team", BUILDS, about=ABOUT)
    page = open_page("/team/#/package/numpy").page
    expect(page.get_by_role("heading", level=2)).to_have_text("4 versions, 16 builds")
    versions = page.locator(".version-of > summary .version")
    expect(versions).to_have_text(["2.3.5", "2.3.4", "2.3.3", "2.2.6"])
    expect(page.locator(".build .subdir")).to_have_text(["linux-64"] * 2 + ["osx-arm64"] * 2)
    page.locator(".build > summary").first.click()
    details = page.locator(".build dl").first
    expect(details.locator(".specs li").first).to_have_text("libblas >=3.9.0,<4.0a0")
    newest = BUILDS[0]
    link = details.get_by_role("link", name=newest.filename)
    expect(link).to_have_attribute("href", f"{site.url}/team/linux-64/{newest.filename}")
    expect(details).to_contain_text(newest.digest.hex())
    expect(page.locator(".build").first).to_contain_text("8.5 MiB")
    home = page.get_by_role("link", name="Home")
    expect(home).to_have_attribute("rel", "noopener noreferrer")
    details.get_by_role("link", name="libblas", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("libblas 3.11.0")


def test_the_commands_are_copied_with_the_address_of_the_channel(
    folder: Path, open_page: Open, site: Site
) -> None:
    write(folder / "a b" / "it's", [Build("alpha")])
    watched = open_page(
        "/a%20b/it's/index.html?utm=1#/package/alpha",
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = watched.page
    channel = f"'{site.url}/a%20b/it'\\''s'"
    for client, command in (
        ("pixi", f"pixi workspace channel add {channel} && pixi add alpha"),
        ("conda", f"conda install -c {channel} alpha"),
        ("mamba", f"mamba install -c {channel} alpha"),
        ("rattler-build", f"rattler-build build -c {channel} -r recipe.yaml"),
    ):
        page.get_by_role("button", name=f"Copy the {client} command").click()
        expect(page.get_by_text("Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == command
        expect(page.get_by_text("Copied")).to_be_hidden()


def test_the_commands_are_for_the_url_that_is_chosen(
    folder: Path, open_page: Open, site: Site
) -> None:
    write(folder / "team", [Build("alpha")])
    page = open_page("/team/#/package/alpha").page
    commands = page.locator(".command code")
    expect(commands).to_have_count(4)
    expect(commands.nth(1)).to_have_text(f"conda install -c {site.url}/team alpha")
    page.get_by_role("radio", name=S3_URL).check()
    expect(commands).to_have_text(
        [
            f"pixi workspace channel add {S3_URL} && pixi add alpha",
            f"conda install -c {S3_URL} alpha",
            f"rattler-build build -c {S3_URL} -r recipe.yaml",  # mamba reads no s3://
        ]
    )


@pytest.mark.parametrize("options", [{}, PHONE])
def test_the_channels_own_name_comes_first_and_whole(
    folder: Path, open_page: Open, options: dict[str, Any]
) -> None:
    own = "a-channel-with-a-long-name"
    write(folder / ("above" * 12) / own, [Build("alpha")])
    page = open_page(f"/{'above' * 12}/{own}/", **options).page
    assert page.title() == own
    name = page.locator("#channel .own")
    expect(name).to_have_text(own)
    assert name.evaluate("(span) => span.scrollWidth <= span.clientWidth || !span.clientWidth")
    expect(name).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_package_without_a_summary_says_so(folder: Path, open_page: Open) -> None:
    write(folder / "team", [Build("alpha")])
    page = open_page().page
    expect(page.get_by_role("option", name="alpha").locator(".summary")).to_have_text("No summary")


def test_the_channel_at_the_root_is_called_by_its_server(
    folder: Path, open_page: Open, site: Site
) -> None:
    write(folder, [Build("alpha")])
    page = open_page("/index.html").page
    assert page.title() == site.url.removeprefix("http://")
    assert names(page) == ["alpha"]


def test_a_plus_in_a_filename_reaches_s3(folder: Path, open_page: Open, site: Site) -> None:
    write(folder / "team", [Build("torch", version="2.1+cpu")])
    page = open_page("/team/#/package/torch").page
    page.locator(".build > summary").click()
    expect(page.locator("dd a")).to_have_attribute(
        "href", f"{site.url}/team/linux-64/torch-2.1%2Bcpu-h0_0.conda"
    )


def test_packages_that_lie_elsewhere_are_linked_there(folder: Path, open_page: Open) -> None:
    write(folder / "team", [Build("alpha")], base_url="https://packages.example/linux-64")
    page = open_page("/team/#/package/alpha").page
    page.locator(".build > summary").click()
    expect(page.locator("dd a")).to_have_attribute(
        "href", "https://packages.example/linux-64/alpha-1.0-h0_0.conda"
    )


def test_without_shards_the_builds_come_from_repodata(folder: Path, open_page: Open) -> None:
    builds = [Build("alpha"), Build("alpha", version="2.0"), Build("beta")]
    write(folder / "team", builds)
    (folder / "team" / "linux-64" / SHARD_INDEX).unlink()
    write_repodata(folder / "team" / "linux-64", builds)
    page = open_page("/team/#/package/alpha").page
    expect(page.locator(".version-of > summary .version")).to_have_text(["2.0", "1.0"])


def test_a_subdir_that_cannot_be_read_is_named_and_the_others_are_shown(
    folder: Path, open_page: Open
) -> None:
    write(folder / "team", [Build("alpha"), Build("alpha", subdir="win-64")])
    (folder / "team" / "win-64" / SHARD_INDEX).write_bytes(b"damaged")
    page = open_page("/team/#/package/alpha").page
    expect(page.locator(".problem")).to_have_text("win-64: not Zstandard")
    expect(page.locator(".build .subdir")).to_have_text(["linux-64"])


def test_a_package_that_there_is_not_is_named(folder: Path, open_page: Open) -> None:
    write(folder / "team", [Build("alpha")])
    page = open_page("/team/#/package/%E0%A4%A").page
    expect(page.get_by_role("heading", level=1)).to_have_text("%E0%A4%A")
    expect(page.get_by_text("This channel has no package with this name.")).to_be_visible()
    page.get_by_role("link", name="All packages").click()
    assert names(page) == ["alpha"]


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [
        ("numpi", ["numpy"]),
        ("unmpy", ["numpy"]),
        ("arow", ["arrow"]),
        ("numpy2", ["numpy"]),
        ("x", []),
        ("completely-different", []),
    ],
)
def test_instead_of_a_package_that_there_is_not_those_with_like_names_are_offered(
    folder: Path, open_page: Open, wanted: str, nearest: list[str]
) -> None:
    write(folder / "team", [Build(one) for one in ("numpy", "numpydoc", "arrow", "pyarrow")])
    page = open_page(f"/team/#/package/{wanted}").page
    links = page.locator(".problem a")
    expect(page.get_by_role("heading", level=1)).to_have_text(wanted)
    assert links.all_inner_texts()[: len(nearest) or None] == nearest
    page.goto(page.url.partition("#")[0] + f"#/?q={wanted}")
    if nearest and not names(page):
        page.locator("#nothing a").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(nearest[0]))


def test_a_listing_that_is_missing_or_damaged_is_told(folder: Path, open_page: Open) -> None:
    write(folder / "team", [Build("alpha")])
    listing = folder / "team" / PAGE_DATA
    listing.write_bytes(b"damaged")
    expect(open_page().page.locator(".problem")).to_contain_text("Cannot show the packages: ")
    listing.unlink()
    expect(open_page().page.locator(".problem")).to_have_text(
        "Cannot show the packages: The list of packages is not published."
    )


def test_a_listing_that_the_server_has_unpacked_is_read(folder: Path, open_page: Open) -> None:
    write(folder / "team", [Build("alpha")])
    listing = folder / "team" / PAGE_DATA
    listing.write_bytes(zlib.decompress(listing.read_bytes(), wbits=31))
    assert names(open_page().page) == ["alpha"]


def test_an_empty_channel_says_so(folder: Path, open_page: Open) -> None:
    write(folder / "team", [])
    page = open_page().page
    expect(page.get_by_text("This channel has no packages yet.")).to_be_visible()


def test_without_scripts_the_page_says_what_it_is(
    folder: Path, open_page: Open, site: Site
) -> None:
    write(folder / "team", [Build("alpha")])
    context = open_page().page.context.browser
    assert context
    page = context.new_page(java_script_enabled=False)
    page.goto(f"{site.url}/team/")
    expect(page.locator("noscript p")).to_be_visible()
    expect(page.locator("#loading")).to_be_hidden()
    page.close()


def test_thirty_thousand_names_are_a_handful_of_rows(folder: Path, open_page: Open) -> None:
    builds = many(30_000)
    write_listing(folder / "team", builds, about=summaries(builds))
    page = open_page().page
    ordered = sorted(one.name for one in builds)
    expect(page.get_by_role("status")).to_have_text("30,000 packages")
    assert page.get_by_role("option").count() < 60
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    expect(page.locator("#row-0")).to_have_count(0)
    shown = names(page)
    start = ordered.index(shown[0])
    assert 14_000 < start < 16_000
    assert shown == ordered[start : start + len(shown)]
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.get_by_role("option", name=ordered[-1])).to_be_in_viewport()
    assert page.get_by_role("option").count() < 60
    page.locator("#query").fill(ordered[17])
    expect(page.locator("#row-0 .name")).to_have_text(ordered[17])
    expect(page.locator("#row-0")).to_be_in_viewport()
    page.locator("#query").fill("")
    expect(page.get_by_role("status")).to_have_text("30,000 packages")


def test_whoever_comes_back_from_a_package_is_where_they_were(
    folder: Path, open_page: Open
) -> None:
    write(folder / "team", many(500))
    page = open_page().page
    page.evaluate("scrollTo(0, 9000)")
    expect(page.locator("#row-0")).to_have_count(0)
    name = names(page)[10]
    page.get_by_role("option", name=name, exact=False).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    page.go_back()
    expect(page.get_by_role("option", name=name, exact=False).first).to_be_in_viewport()
    assert page.evaluate("scrollY") == 9000


def test_on_a_phone_nothing_is_wider_than_the_screen(folder: Path, open_page: Open) -> None:
    long = Build("a" * 64, version="1." * 30 + "0", build="h" * 60, depends=("b" * 90,))
    about = {long.name: {"summary": "word " * 60, "license": "L" * 90}}
    write(folder / "team", [long, *BUILDS], about={**ABOUT, **about})
    page = open_page(**PHONE).page
    for path in ("#/", "#/new", f"#/package/{long.name}", "#/package/numpy"):
        page.evaluate("(path) => { location.hash = path; }", path)
        if "package" in path:
            page.locator(".build > summary").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path


def test_on_a_phone_the_search_box_waits_to_be_touched(folder: Path, open_page: Open) -> None:
    write(folder / "team", [Build("alpha")])
    page = open_page(**PHONE).page
    expect(page.get_by_role("status")).to_have_text("1 package")
    expect(page.locator("#query")).not_to_be_focused()


def test_rows_stand_one_below_the_other_however_the_phone_is_turned(
    folder: Path, open_page: Open
) -> None:
    write(folder / "team", BUILDS)
    page = open_page(viewport={"width": 360, "height": 740}).page
    heights = []
    for size in ((360, 740), (900, 360), (360, 740)):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        second, third = page.locator("#row-1"), page.locator("#row-2")
        expect(second).to_be_in_viewport()
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        boxes = [one.bounding_box() for one in (second, third)]
        assert boxes[0]
        assert boxes[1]
        assert boxes[1]["y"] == boxes[0]["y"] + boxes[0]["height"], size
        heights.append(boxes[0]["height"])
    assert heights[0] > heights[1] < heights[2]


def test_the_page_is_dark_where_people_want_it_so(folder: Path, open_page: Open) -> None:
    write(folder / "team", [Build("alpha")])
    shades = [
        open_page(color_scheme=scheme).page.evaluate(
            """() => {
                const {backgroundColor, color} = getComputedStyle(document.body);
                return [backgroundColor, color];
            }"""
        )
        for scheme in ("light", "dark")
    ]
    (paper, ink), (dark_paper, dark_ink) = ([brightness(one) for one in both] for both in shades)
    assert (paper > 200, ink < 60) == (True, True)
    assert (dark_paper < 60, dark_ink > 200) == (True, True)


def brightness(colour: str) -> float:
    """Of "rgb(20, 24, 28)"."""
    parts = [int(part) for part in re.findall(r"\d+", colour)]
    return sum(parts) / len(parts)
