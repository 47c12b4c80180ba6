"""Storage classes whose objects S3 does not serve until they are restored.  Pure.

HEAD and LIST say so in different forms, and GET with ``InvalidObjectState``.  Of the archive tiers
of Intelligent-Tiering only HEAD and GET tell; a LIST cannot.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/archived-objects.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping

ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""GLACIER_IR is none: it is served at once."""
RESTORE_STATUS = {"x-amz-optional-object-attributes": "RestoreStatus"}
"""The header of a LIST that asks which archived objects are restored at present."""

_RESTORED = 'ongoing-request="false"'
_CLASS = re.compile(r"<StorageClass>([A-Z_]+)</StorageClass>")
_IN_PROGRESS = re.compile(r"<IsRestoreInProgress>\s*(true|false)\s*</IsRestoreInProgress>")


def archive_of_headers(headers: Mapping[str, str]) -> str | None:
    """The archive that an object is in, by the headers of a HEAD or GET, named in lower case."""
    if tier := headers.get("x-amz-archive-status"):
        return tier
    storage_class = headers.get("x-amz-storage-class")
    is_restored = _RESTORED in headers.get("x-amz-restore", "")
    return storage_class if storage_class in ARCHIVE_CLASSES and not is_restored else None


def archive_of_listed(storage_class: str | None, *, restoring: str | None) -> str | None:
    """The archive that a listed object is in.

    ``restoring``: the text of ``IsRestoreInProgress``, which only a restored object has, or one
    that is being restored.
    """
    is_restored = restoring == "false"
    return storage_class if storage_class in ARCHIVE_CLASSES and not is_restored else None


def archive_of_xml(elements: str) -> str | None:
    """The archive that a listed object is in, by the XML of its last elements."""
    storage_class = _CLASS.search(elements)
    if storage_class is None or storage_class[1] not in ARCHIVE_CLASSES:
        return None
    restoring = _IN_PROGRESS.search(elements)
    return archive_of_listed(storage_class[1], restoring=restoring[1] if restoring else None)
