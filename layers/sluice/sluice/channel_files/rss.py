"""``rss.xml``: the newest packages of a channel, each once, as in conda-index.  Pure.

Package metadata is hostile.  The library escapes it, characters that XML cannot hold are left out,
and only http and https URLs become links.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from xml.etree import ElementTree as ET

from sluice.channel_files.links import first_text, web_link
from sluice.conda.timestamps import EpochMs
from sluice.publish.fence import Stamp

ITEMS_MAX = 100
"""Packages in the feed; conda-index has as many."""
_NO_DESCRIPTION = "No description."
# XML 1.0, production 2 (Char).
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_rss(
    packages: Mapping[str, Mapping[str, Any]], *, channel: str, at_ms: EpochMs, stamp: Stamp
) -> bytes:
    """Serialize the feed; ``packages`` is the result of ``channeldata_packages``."""
    newest = sorted(packages.items(), key=lambda item: (-item[1]["timestamp"], item[0]))[:ITEMS_MAX]
    root = ET.Element("rss", version="2.0")
    # Makes every ETag unique, as the generation in a JSON file does.
    root.append(ET.Comment(f" sluice {stamp.generation} {stamp.tree} "))
    feed = ET.SubElement(root, "channel")
    time = _rfc822(at_ms // 1000)
    _add(feed, "title", channel or "conda channel")
    # Relative: the public URL of the bucket is not known here.
    _add(feed, "link", "./")
    _add(feed, "description", f"The most recent {len(newest)} updates.")
    _add(feed, "pubDate", time)
    _add(feed, "lastBuildDate", time)
    for name, package in newest:
        _add_item(ET.SubElement(feed, "item"), name, package)
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def _add_item(item: ET.Element, name: str, package: Mapping[str, Any]) -> None:
    version, timestamp = package["version"], package["timestamp"]
    description = first_text(package.get("description")) or first_text(package.get("summary"))
    _add(item, "title", f"{name} {version} [{', '.join(package['subdirs'])}]")
    _add(item, "description", description or _NO_DESCRIPTION)
    _add(item, "link", web_link(package.get("doc_url")) or web_link(package.get("home")))
    _add(item, "comments", web_link(package.get("dev_url")))
    # conda-index uses the source URL, which does not change with a new build.
    _add(item, "guid", f"{name}-{version}-{timestamp}", isPermaLink="false")
    if timestamp:
        _add(item, "pubDate", _rfc822(timestamp))


def _add(parent: ET.Element, tag: str, content: str, **attributes: str) -> None:
    if content:
        ET.SubElement(parent, tag, attributes).text = _FORBIDDEN.sub("", content)


def _rfc822(at: int) -> str:
    try:
        return format_datetime(datetime.fromtimestamp(at, tz=UTC), usegmt=True)
    except (OverflowError, OSError, ValueError):  # a timestamp out of range
        return format_datetime(datetime.fromtimestamp(0, tz=UTC), usegmt=True)
