"""The XML documents that S3 gives and takes.  Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from html import unescape
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element, SubElement, tostring

from sluice.storage.object_store import ETag, ObjectInfo

_MOMENTS_REMEMBERED = 1024
"""Neighbours in a listing have often been uploaded together."""
_LISTED = re.compile(
    r"<Contents>\s*<Key>([^<]*)</Key>\s*<LastModified>([^<]*)</LastModified>"
    r"\s*<ETag>([^<]*)</ETag>(?:\s*<Checksum\w*>[^<]*</Checksum\w*>)*\s*<Size>([0-9]+)</Size>"
)
_NEXT = re.compile(r"<NextContinuationToken>([^<]*)</NextContinuationToken>")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing."""

    objects: Sequence[ObjectInfo]
    next_token: str | None
    """Where the next one starts; ``None`` behind the last."""


@dataclass(frozen=True, slots=True)
class NotDeleted:
    """An object that DeleteObjects could not delete."""

    key: str
    code: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an upload that is there."""

    etag: str
    crc32: str
    """As S3's headers have it."""


def listing(document: Element) -> Page:
    """Read a ListBucketResult, whose keys are URL-encoded where it says so."""
    encoded = document.findtext("EncodingType") == "url"
    objects = [_object(found, encoded=encoded) for found in document.iterfind("Contents")]
    more = document.findtext("IsTruncated") == "true"
    return Page(objects, document.findtext("NextContinuationToken") if more else None)


def quick_listing(body: bytes) -> Page | None:
    """Read a ListBucketResult of the form that S3 gives it, five times as fast as by its elements.

    ``None`` where anything is otherwise.  Keys are URL-encoded, so no key can look like an element.
    """
    if not body.isascii():
        return None
    text = body.decode()
    encoded = "<EncodingType>url</EncodingType>" in text
    if not encoded or not text.rstrip().endswith("</ListBucketResult>"):
        return None
    found = _LISTED.findall(text)
    if len(found) != text.count("<Contents>"):
        return None
    token = _NEXT.search(text)
    more = "<IsTruncated>true</IsTruncated>" in text
    if more and token is None:
        return None
    objects = [
        ObjectInfo(
            key=_decoded(key),
            etag=ETag(unescape(etag.replace("&quot;", '"'))),
            size=int(size),
            modified=_seconds(moment),
        )
        for key, moment, etag, size in found
    ]
    return Page(objects, unescape(token[1]) if more and token else None)


def deletion(keys: Sequence[str]) -> bytes:
    """Ask for keys to be deleted, and to be told of those only that are not."""
    document = Element("Delete", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for key in keys:
        SubElement(SubElement(document, "Object"), "Key").text = key
    SubElement(document, "Quiet").text = "true"
    return tostring(document)


def not_deleted(document: Element) -> list[NotDeleted]:
    """Read a DeleteResult."""
    return [
        NotDeleted(error.findtext("Key") or "?", error.findtext("Code") or "?")
        for error in document.iterfind("Error")
    ]


def completion(parts: Sequence[Part]) -> bytes:
    """Ask for the parts of an upload, in order, to become an object."""
    document = Element("CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/")
    for number, part in enumerate(parts, start=1):
        element = SubElement(document, "Part")
        SubElement(element, "ChecksumCRC32").text = part.crc32
        SubElement(element, "ETag").text = part.etag
        SubElement(element, "PartNumber").text = str(number)
    return tostring(document)


def _object(found: Element, *, encoded: bool) -> ObjectInfo:
    told = {child.tag: child.text or "" for child in found}
    return ObjectInfo(
        key=_decoded(told["Key"]) if encoded else told["Key"],
        etag=ETag(told["ETag"]),
        size=int(told["Size"]),
        modified=_seconds(told["LastModified"]),
    )


def _decoded(key: str) -> str:
    return unquote_plus(key) if "%" in key or "+" in key else key


@lru_cache(_MOMENTS_REMEMBERED)
def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())
