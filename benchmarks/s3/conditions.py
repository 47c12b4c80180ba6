"""Conditions and ranges of requests.  Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import StrEnum

from benchmarks.s3.answers import Refused
from benchmarks.s3.objects import Object

_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")


class Deviation(StrEnum):
    """What other servers do with the conditions of writes, and AWS does not."""

    BARE_ETAGS = "bare-etags"
    """``If-Match`` is compared with the ETag without its quotes (Ceph RGW)."""
    UNCONDITIONAL_COMPLETION = "unconditional-completion"
    """CompleteMultipartUpload ignores conditions, and answers without an ETag (Ceph RGW)."""
    IF_MATCH_IGNORED = "if-match-ignored"
    IF_NONE_MATCH_IGNORED = "if-none-match-ignored"
    REFUSED = "conditions-refused"
    """PutObject under a condition is answered with NotImplemented (OpenStack Swift)."""


def check_write(
    headers: Mapping[str, str],
    current: Object | None,
    deviations: Collection[Deviation] = (),
) -> None:
    """Raise ``Refused`` where a conditional write must not land on what is there."""
    expected, over_nothing = headers.get("if-match"), "if-none-match" in headers
    if Deviation.REFUSED in deviations and (expected or over_nothing):
        raise Refused("NotImplemented")
    if over_nothing and current is not None and Deviation.IF_NONE_MATCH_IGNORED not in deviations:
        raise Refused("PreconditionFailed")
    if expected is None or Deviation.IF_MATCH_IGNORED in deviations:
        return
    if current is None:
        raise Refused("NoSuchKey")
    etag = current.etag.strip('"') if Deviation.BARE_ETAGS in deviations else current.etag
    if expected not in ("*", etag):
        raise Refused("PreconditionFailed")


def check_read(expected: str | None, current: Object) -> None:
    """Raise ``Refused`` where another version is there than the one that was asked for."""
    if expected is not None and expected.strip('"') not in ("*", current.etag.strip('"')):
        raise Refused("PreconditionFailed")


def byte_range(told: str, size: int) -> tuple[int, int]:
    """The first byte of a range and the one behind its last; raises ``Refused``."""
    found = _RANGE.fullmatch(told)
    if not found or not (found["first"] or found["last"]):
        raise Refused("InvalidArgument")
    if not found["first"]:
        first, end = max(0, size - int(found["last"])), size
    else:
        first = int(found["first"])
        end = min(size, int(found["last"]) + 1) if found["last"] else size
    if first >= size or end <= first:
        raise Refused("InvalidRange")
    return first, end
