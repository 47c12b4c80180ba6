"""Parses notifications over HTTP, from every form in which servers send them.

S3's form comes from AWS, from MinIO (webhook targets) and from Ceph (push endpoints).  SeaweedFS
notifies about files of its filer, in which a bucket is a folder.  As everywhere, an event only says
which object to look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from sluice.errors import DECODE_ERRORS, UnknownEvent
from sluice.messages.s3_event import ObjectEvent, parse_s3_event

_FILER_BUCKETS = "/buckets/"
"""The folder of SeaweedFS's filer that holds the buckets."""


def parse_notification(body: bytes) -> list[ObjectEvent]:
    """Parse the body of a notification; raises ``UnknownEvent`` and ``TooNew``.

    Forms: those of ``parse_s3_event``, and SeaweedFS's (``weed/notification/webhook`` in
    https://github.com/seaweedfs/seaweedfs, seen with 4.48).
    """
    try:
        document = msgspec.json.decode(body)
    except DECODE_ERRORS as error:
        raise UnknownEvent(f"not a notification: {error}") from error
    match document:
        case {"key": str(path), "event_type": str(), "message": {**change}}:
            return list(_filer_events(path, change))
    return parse_s3_event(document)


def _filer_events(path: str, change: Mapping[Any, Any]) -> Iterator[ObjectEvent]:
    """The objects of a change of one file: itself, and what it was renamed to."""
    old, new = change.get("old_entry"), change.get("new_entry")
    moved_to = change.get("new_parent_path")
    new_path = path
    match new:
        case {"name": str(name)} if isinstance(moved_to, str) and moved_to:
            new_path = f"{moved_to.rstrip('/')}/{name}"
    if new and not _is_folder(new):
        yield from _in_bucket(new_path, _filer_size(new))
    if old and not _is_folder(old) and (not new or new_path != path):
        yield from _in_bucket(path, None)


def _in_bucket(path: str, size: int | None) -> Iterator[ObjectEvent]:
    bucket, slash, key = path.removeprefix(_FILER_BUCKETS).partition("/")
    if path.startswith(_FILER_BUCKETS) and slash and key:
        yield ObjectEvent(bucket, key, size)  # the filer's paths are not encoded


def _is_folder(entry: Any) -> bool:
    return isinstance(entry, Mapping) and entry.get("is_directory") is True


def _filer_size(entry: Any) -> int | None:
    match entry:
        case {"attributes": {"file_size": int(size)}}:
            return size
    return None
