"""The XML documents of S3's requests and responses.  Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from html import unescape
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element, SubElement, tostring

from sluice.storage.archive import ARCHIVE_CLASSES, archive_of_listed, archive_of_xml
from sluice.storage.object_store import ETag, ObjectInfo
from sluice.text import printable

_DATES_CACHED_MAX = 1024
"""Cached dates: neighbors in a listing have often been uploaded together."""
_CONTENTS = (
    r"<Contents>\s*<Key>([^<]*)</Key>\s*<LastModified>([^<]*)</LastModified>"
    r"\s*<ETag>([^<]*)</ETag>(?:\s*<Checksum\w*>[^<]*</Checksum\w*>)*\s*<Size>([0-9]+)</Size>"
)
_READABLE = re.compile(_CONTENTS + "()")
_ANY = re.compile(_CONTENTS + "(.*?)</Contents>", re.DOTALL)
_NEXT_TOKEN = re.compile(r"<NextContinuationToken>([^<]*)</NextContinuationToken>")


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a listing."""

    objects: Sequence[ObjectInfo]
    next_token: str | None
    """The token of the next page; ``None`` on the last page."""


@dataclass(frozen=True, slots=True)
class DeleteFailure:
    """An object that DeleteObjects could not delete."""

    key: str
    code: str


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """An uploaded part of a multipart upload."""

    etag: str
    crc32: str
    """In the form of S3's headers."""


def parse_listing(document: Element) -> ListPage:
    """Parse a ListBucketResult, whose keys are URL-encoded if it says so.

    Raises ``KeyError`` and ``ValueError`` for any other document, which must not look like an empty
    listing.
    """
    _require_root(document, "ListBucketResult")
    encoded = document.findtext("EncodingType") == "url"
    objects = [_parse_object(element, encoded=encoded) for element in document.iterfind("Contents")]
    is_truncated = document.findtext("IsTruncated") == "true"
    return ListPage(objects, document.findtext("NextContinuationToken") if is_truncated else None)


def fast_parse_listing(body: bytes) -> ListPage | None:
    """Parse a ListBucketResult of S3's usual form, five times as fast as by its elements.

    ``None`` for any other form.  Keys are URL-encoded, so no key can look like an element.
    """
    if not body.isascii():
        return None
    text = body.decode()
    encoded = "<EncodingType>url</EncodingType>" in text
    if not encoded or not text.rstrip().endswith("</ListBucketResult>"):
        return None
    has_archived = any(f">{archive}<" in text for archive in ARCHIVE_CLASSES)
    matches = (_ANY if has_archived else _READABLE).findall(text)  # most pages have none
    if len(matches) != text.count("<Contents>"):
        return None
    token = _NEXT_TOKEN.search(text)
    is_truncated = "<IsTruncated>true</IsTruncated>" in text
    if is_truncated and token is None:
        return None
    objects = [
        ObjectInfo(
            key=_decode_key(key),
            etag=ETag(unescape(etag.replace("&quot;", '"'))),
            size=int(size),
            modified=_parse_time(date),
            archive=archive_of_xml(others) if others else None,
        )
        for key, date, etag, size, others in matches
    ]
    return ListPage(objects, unescape(token[1]) if is_truncated and token else None)


def delete_request(keys: Sequence[str]) -> bytes:
    """The request to delete keys, whose response lists only the failures."""
    document = Element("Delete", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for key in keys:
        SubElement(SubElement(document, "Object"), "Key").text = key
    SubElement(document, "Quiet").text = "true"
    return tostring(document)


def parse_delete_failures(document: Element) -> list[DeleteFailure]:
    """Parse a DeleteResult; raises ``ValueError`` for any other document."""
    _require_root(document, "DeleteResult")
    return [
        DeleteFailure(error.findtext("Key") or "?", error.findtext("Code") or "?")
        for error in document.iterfind("Error")
    ]


def _require_root(document: Element, name: str) -> None:
    if document.tag != name:
        raise ValueError(f"the document is a {printable(document.tag)} instead of a {name}")


def complete_upload_request(parts: Sequence[UploadedPart]) -> bytes:
    """The request that turns the parts of an upload, in order, into an object."""
    document = Element("CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for number, part in enumerate(parts, start=1):
        element = SubElement(document, "Part")
        SubElement(element, "ChecksumCRC32").text = part.crc32
        SubElement(element, "ETag").text = part.etag
        SubElement(element, "PartNumber").text = str(number)
    return tostring(document)


def _parse_object(element: Element, *, encoded: bool) -> ObjectInfo:
    fields = {child.tag: child.text or "" for child in element}
    return ObjectInfo(
        key=_decode_key(fields["Key"]) if encoded else fields["Key"],
        etag=ETag(fields["ETag"]),
        size=int(fields["Size"]),
        modified=_parse_time(fields["LastModified"]),
        archive=archive_of_listed(
            fields.get("StorageClass"),
            restoring=element.findtext("RestoreStatus/IsRestoreInProgress"),
        ),
    )


def _decode_key(key: str) -> str:
    return unquote_plus(key) if "%" in key or "+" in key else key


@lru_cache(_DATES_CACHED_MAX)
def _parse_time(date: str) -> int:
    return int(datetime.fromisoformat(date).timestamp())
