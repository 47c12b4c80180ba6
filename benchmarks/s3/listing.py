"""ListObjectsV2: a page of keys, with folders rolled up."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

from benchmarks.s3.answers import Answer, document, element
from benchmarks.s3.objects import Bucket, Object

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
    found = Page()
    at: str | None = max(prefix, begin)
    while at is not None:
        for key in bucket.keys.beginning_with(at):
            at = None
            if not key.startswith(prefix):
                return found
            if found.size == size_max:
                found.resume = key
                return found
            folder, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if cut:
                rolled_up = f"{prefix}{folder}{cut}"
                found.prefixes.append(rolled_up)
                at = _behind(rolled_up)
                break
            found.keys.append(key)
        else:
            return found
    return found


def answer(name: str, bucket: Bucket, query: Mapping[str, str], page_size: int) -> Answer:
    """Answer a request to list a bucket."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    token, after = query.get("continuation-token"), query.get("start-after", "")
    if token is not None:
        begin = urlsafe_b64decode(token).decode()
    else:
        begin = f"{after}\0" if after else ""
    size_max = min(page_size, int(query.get("max-keys", page_size)))
    found = page(bucket, prefix, delimiter, begin, size_max)
    encoded = query.get("encoding-type") == "url"

    def text(key: str) -> str:
        return key if not encoded or _PLAIN.fullmatch(key) else quote(key, safe="/")

    told = [
        element("Name", name),
        element("Prefix", text(prefix)),
        element("MaxKeys", size_max),
        element("KeyCount", found.size),
        element("IsTruncated", str(found.resume is not None).lower()),
    ]
    if delimiter:
        told.append(element("Delimiter", text(delimiter)))
    if encoded:
        told.append(element("EncodingType", "url"))
    if token is not None:
        told.append(element("ContinuationToken", token))
    elif after:
        told.append(element("StartAfter", text(after)))
    if found.resume is not None:
        resume = urlsafe_b64encode(found.resume.encode()).decode()
        told.append(element("NextContinuationToken", resume))
    told += [_contents(text(key), bucket.objects[key]) for key in found.keys]
    told += [
        f"<CommonPrefixes>{element('Prefix', text(one))}</CommonPrefixes>" for one in found.prefixes
    ]
    return document("ListBucketResult", "".join(told))


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
