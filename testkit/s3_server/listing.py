"""ListObjectsV2: a page of keys, with folders rolled up."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

from testkit.s3_server.objects import Bucket, Object
from testkit.s3_server.responses import Response, document, element

PAGE_KEYS_MAX = 1000
_PLAIN = re.compile(r"[A-Za-z0-9/._~-]*")
"""What is the same in a URL."""


@dataclass(slots=True)
class Page:
    """Some keys under a prefix, in order."""

    keys: list[str] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    """What a delimiter has rolled up."""
    resume: str | None = None
    """Where the next page begins; ``None``: there is none."""

    @property
    def size(self) -> int:
        """How much is on it; what is rolled up counts as one."""
        return len(self.keys) + len(self.prefixes)


def page(bucket: Bucket, prefix: str, delimiter: str, begin: str, size_max: int) -> Page:
    """The keys that begin with ``prefix`` and are not before ``begin``."""
    listed = Page()
    at: str | None = max(prefix, begin)
    while at is not None:
        for key in bucket.keys_from(at):
            at = None
            if not key.startswith(prefix):
                return listed
            if listed.size == size_max:
                listed.resume = key
                return listed
            folder, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if cut:
                rolled_up = f"{prefix}{folder}{cut}"
                listed.prefixes.append(rolled_up)
                at = _behind(rolled_up)
                break
            listed.keys.append(key)
        else:
            return listed
    return listed


def answer(name: str, bucket: Bucket, query: Mapping[str, str], page_size: int) -> Response:
    """Response a request to list a bucket."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    token, after = query.get("continuation-token"), query.get("start-after", "")
    if token is not None:
        begin = urlsafe_b64decode(token).decode()
    else:
        begin = f"{after}\0" if after else ""
    size_max = min(page_size, int(query.get("max-keys", page_size)))
    listed = page(bucket, prefix, delimiter, begin, size_max)
    encoded = query.get("encoding-type") == "url"

    def text(key: str) -> str:
        return key if not encoded or _PLAIN.fullmatch(key) else quote(key, safe="/")

    elements = [
        element("Name", name),
        element("Prefix", text(prefix)),
        element("MaxKeys", size_max),
        element("KeyCount", listed.size),
        element("IsTruncated", str(listed.resume is not None).lower()),
    ]
    if delimiter:
        elements.append(element("Delimiter", text(delimiter)))
    if encoded:
        elements.append(element("EncodingType", "url"))
    if token is not None:
        elements.append(element("ContinuationToken", token))
    elif after:
        elements.append(element("StartAfter", text(after)))
    if listed.resume is not None:
        resume = urlsafe_b64encode(listed.resume.encode()).decode()
        elements.append(element("NextContinuationToken", resume))
    elements += [_contents(text(key), bucket.objects[key]) for key in listed.keys]
    elements += [
        f"<CommonPrefixes>{element('Prefix', text(one))}</CommonPrefixes>"
        for one in listed.prefixes
    ]
    return document("ListBucketResult", "".join(elements))


def _contents(key: str, stored: Object) -> str:
    return (
        f"<Contents>{element('Key', key)}"
        f"<LastModified>{_moment(int(stored.modified))}</LastModified>"
        f"<ETag>&quot;{stored.etag[1:-1]}&quot;</ETag><Size>{len(stored.body)}</Size>"
        f"<StorageClass>{stored.headers.get('x-amz-storage-class', 'STANDARD')}</StorageClass>"
        "</Contents>"
    )


@lru_cache
def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def _behind(prefix: str) -> str:
    """What sorts behind everything that begins with ``prefix``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
