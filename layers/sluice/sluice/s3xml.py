"""The XML documents that S3 gives and takes.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element, SubElement, tostring

from sluice.store import ETag, ObjectInfo

_MOMENTS_REMEMBERED = 1024
"""Neighbours in a listing have often been uploaded together."""


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
    key = told["Key"]
    return ObjectInfo(
        key=unquote_plus(key) if encoded and ("%" in key or "+" in key) else key,
        etag=ETag(told["ETag"]),
        size=int(told["Size"]),
        modified=_seconds(told["LastModified"]),
    )


@lru_cache(_MOMENTS_REMEMBERED)
def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())
