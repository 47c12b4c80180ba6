"""The feed: well-formed and harmless whatever packages say of themselves."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from sluice.channel_files import rss
from sluice.publish.fence import Stamp

STAMP = Stamp(7, "", "owner")
AT_MS = 1_750_000_000_000


def feed(**packages: dict[str, Any]) -> ET.Element:
    """What a reader makes of it."""
    plain = {"version": "1.0", "subdirs": ["linux-64"], "timestamp": 1_700_000_000}
    shown = {name: {**plain, **package} for name, package in packages.items()}
    body = rss.render_rss(shown, channel="team", at_ms=AT_MS, stamp=STAMP)
    channel = ET.fromstring(body).find("channel")  # noqa: S314 - of our own making
    assert channel is not None
    return channel


def texts(parent: ET.Element) -> dict[str, str]:
    return {child.tag: child.text or "" for child in parent if child.tag != "item"}


def item(**package: Any) -> dict[str, str]:
    (found,) = feed(alpha=package).findall("item")
    return texts(found)


def test_the_channel_says_what_it_is_and_when_it_changed() -> None:
    assert texts(feed(alpha={}, beta={})) == {
        "title": "team",
        "link": "./",
        "description": "The most recent 2 updates.",
        "pubDate": "Sun, 15 Jun 2025 15:06:40 GMT",
        "lastBuildDate": "Sun, 15 Jun 2025 15:06:40 GMT",
    }


def test_an_item_says_what_is_new() -> None:
    told = item(
        summary="Short",
        description="Long",
        doc_url="https://docs",
        dev_url="https://dev",
        subdirs=["linux-64", "win-64"],
    )
    assert told == {
        "title": "alpha 1.0 [linux-64, win-64]",
        "description": "Long",
        "link": "https://docs",
        "comments": "https://dev",
        "guid": "alpha-1.0-1700000000",
        "pubDate": "Tue, 14 Nov 2023 22:13:20 GMT",
    }


def test_the_newest_come_first_and_no_more_than_a_hundred() -> None:
    packages = {f"p{n:03}": {"timestamp": n} for n in range(150)}
    titles = [title.text for title in feed(**packages).iterfind("item/title")]
    assert titles == [f"p{n:03} 1.0 [linux-64]" for n in range(149, 49, -1)]


def test_markup_of_a_package_is_text() -> None:
    hostile = "</description></item><script>alert(1)</script><![CDATA[ ]]> & &lt;"
    assert item(summary=hostile)["description"] == hostile


def test_a_link_that_is_not_of_the_web_is_no_link() -> None:
    told = item(doc_url="javascript:alert(1)", dev_url="file:///etc/passwd", home="https://home")
    assert (told["link"], "comments" in told) == ("https://home", False)


def test_a_list_is_told_by_its_first() -> None:
    assert item(doc_url=["https://one", "https://two"])["link"] == "https://one"


def test_a_timestamp_beyond_all_dates_does_not_stop_the_feed() -> None:
    assert item(timestamp=10**18)["title"] == "alpha 1.0 [linux-64]"


@given(st.text(st.characters(codec=None)))
def test_whatever_a_package_says_the_feed_can_be_read(text: str) -> None:
    assert item(summary=text, description=[text])["title"] == "alpha 1.0 [linux-64]"
