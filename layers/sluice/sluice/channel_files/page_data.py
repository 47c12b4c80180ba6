"""``page.json.gz``: the data of the page, as small as possible.  Pure.

``channeldata.json`` has all of it and much more, which would be slow on a phone.  The file is gzip,
without a ``Content-Encoding``: browsers can decompress it in the page.
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
"""Characters of a summary or a license; the rest is cut off, because a list shows one line."""
_LINKS = ("home", "dev_url", "doc_url", "source_url")
_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 6


def render_page_data(
    packages: Mapping[str, Mapping[str, Any]], *, subdirs: list[str], stamp: Stamp, s3_url: str
) -> bytes:
    """Serialize the document; ``packages`` is the result of ``channeldata_packages``.

    ``s3_url``: of the channel.  The page itself only knows the URL that it was opened with.

    Each package is a row of name, newest version, seconds since the epoch of its newest build, the
    indexes in ``subdirs`` of its subdirs, summary, license and links.  Empty values at the end are
    left out.
    """
    places = {subdir: place for place, subdir in enumerate(subdirs)}
    document = {
        "format": FORMAT,
        "packages": [_row(name, package, places) for name, package in packages.items()],
        "s3": s3_url,
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
