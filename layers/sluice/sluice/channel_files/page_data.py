"""``page.json.gz``: what the page lists, as little of it as will do.  Pure.

``channeldata.json`` has all of it and much more, which people on a phone would wait for.
It is a gzip file, without a ``Content-Encoding``: browsers can unpack that themselves.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

from sluice.channel_files.links import first_text, web_link
from sluice.publish.fence import Stamp

FORMAT = 1
CHARS_MAX = 200
"""The rest of a summary or a licence is cut off: it is one line of a list."""
_LINKS = ("home", "dev_url", "doc_url", "source_url")
_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 6


def render_page_data(
    packages: Mapping[str, Mapping[str, Any]], *, subdirs: list[str], stamp: Stamp
) -> bytes:
    """Serialise the document; ``packages`` is what ``channeldata_packages`` gave.

    Each package is a row of name, newest version, seconds since the epoch of its newest build, the
    places in ``subdirs`` that it is in, summary, licence and links; what is empty at the end is
    left out.
    """
    places = {subdir: place for place, subdir in enumerate(subdirs)}
    document = {
        "format": FORMAT,
        "packages": [_row(name, package, places) for name, package in packages.items()],
        "sluice": stamp.body,
        "subdirs": subdirs,
    }
    compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)  # writes no time
    return compressor.compress(msgspec.json.encode(document)) + compressor.flush()


def _row(name: str, package: Mapping[str, Any], places: Mapping[str, int]) -> list[Any]:
    links: list[str] = []
    for key in _LINKS:
        url = web_link(package.get(key))
        links.append("" if url in links else url)
    row = [
        name,
        package["version"],
        package["timestamp"],
        [places[subdir] for subdir in package["subdirs"]],
        _truncate(first_text(package.get("summary"))),
        _truncate(first_text(package.get("license"))),
        *links,
    ]
    while row[-1] == "":
        row.pop()
    return row


def _truncate(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= CHARS_MAX else line[: CHARS_MAX - 1] + "…"
