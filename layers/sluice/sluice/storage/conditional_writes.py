"""The ways in which servers implement conditional writes.  Pure.

AWS documents one way.  Other servers differ: Ceph RGW compares ``If-Match`` with an ETag without
quotes, and ignores the condition when the parts of an upload become an object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sluice.storage.object_store import ETag


class IfMatchForm(StrEnum):
    """The form of an ETag in the header ``If-Match`` of a write."""

    QUOTED = "quoted"
    """As the server sent it, with its quotes (RFC 9110)."""
    BARE = "bare"
    """Without the quotes."""

    def header_value(self, etag: ETag) -> str:
        """The value of the header."""
        return etag if self is IfMatchForm.QUOTED else etag.removeprefix('"').removesuffix('"')


@dataclass(frozen=True, slots=True)
class ConditionalWrites:
    """How one server implements conditional writes."""

    if_match: IfMatchForm = IfMatchForm.QUOTED
    """The form that the server accepts."""
    completion_is_conditional: bool = True
    """Whether CompleteMultipartUpload honours the condition as PutObject does."""

    def condition_headers(self, expected: ETag | None) -> Mapping[str, str]:
        """The header of a write over the version ``expected``; ``None``: over no object."""
        if expected is None:
            return IF_ABSENT
        return {"If-Match": self.if_match.header_value(expected)}


IF_ABSENT: Mapping[str, str] = {"If-None-Match": "*"}
"""The condition of a write that must not replace anything."""

AWS_CONDITIONAL_WRITES = ConditionalWrites()
"""What AWS documents."""
